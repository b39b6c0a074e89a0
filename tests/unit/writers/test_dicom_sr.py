from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
import pytest
from highdicom.sr import MeasurementReport, srread
from stored_analyses import Stored, write_all
from synthetic_head import FLAGS, make_aspects

from infarct.findings import INTENDED_USE, Findings, FollowupInfarct, HyperdenseArtery, Override, Quality

Make = Callable[[str], Stored]
Report = dict[str, Any]


@pytest.fixture(scope="module")
def folder(series_of: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(series_of("tilted_uneven"), tmp_path_factory.mktemp("sr") / "out", formats=("seg", "sr")) / "dicom"


def content(path: Path) -> MeasurementReport:
    return srread(path / "sr_findings.dcm").content


def groups(path: Path) -> Report:
    """Return the measurement groups of a report by their tracking identifier."""
    report = content(path)
    found = [*report.get_image_measurement_groups(), *report.get_volumetric_roi_measurement_groups()]
    return {group.tracking_identifier: group for group in found}


def values(group: Any) -> dict[str, tuple[float, str]]:
    return {m.name.meaning: (float(m.value), m.unit.value) for m in group.get_measurements()}


def judged(group: Any) -> dict[str, str]:
    return {one.name.meaning: one.value.meaning for one in group.get_qualitative_evaluations()}


def sites(group: Any) -> list[tuple[str, str]]:
    return [(site.value.meaning, site.laterality.meaning if site.laterality else "") for site in group.finding_sites]


def changed(case: Stored, folder: Path, **sections: Any) -> Path:
    """Return the folder with the report of an analysis whose findings are changed."""
    findings: Findings = case.analysis.findings.model_copy(update=sections)
    other = replace(case, analysis=replace(case.analysis, findings=findings))
    return write_all(other, folder / "out", formats=("sr",)) / "dicom"


def test_the_score_stands_with_both_sides_and_its_range(folder: Path) -> None:
    group = groups(folder)["ASPECTS"]
    assert values(group) == {
        "Alberta Stroke Program Early CT Score": (6, "{score}"),
        "Lowest possible ASPECTS": (6, "{score}"),
        "Highest possible ASPECTS": (6, "{score}"),
        "ASPECTS of the right side": (10, "{score}"),
        "ASPECTS of the left side": (6, "{score}"),
    }
    assert sites(group) == [("Brain", "Left")]


def test_a_score_that_cannot_be_judged_is_said_so(series_of: Make, tmp_path: Path) -> None:
    aspects = make_aspects(score=None, score_min=4, left_score=None)
    group = groups(changed(series_of("upright"), tmp_path, aspects=aspects))["ASPECTS"]
    assert "Alberta Stroke Program Early CT Score" not in values(group)
    assert values(group)["Lowest possible ASPECTS"] == (4, "{score}")
    assert judged(group) == {"Alberta Stroke Program Early CT Score": "Undetermined"}


@pytest.mark.parametrize(
    ("region", "site", "affected"),
    [("left I", "Insula", "Yes"), ("right I", "Insula", "No"), ("left M2", "Cerebral cortex", "Yes")],
)
def test_regions_have_their_place_side_and_finding(folder: Path, region: str, site: str, affected: str) -> None:
    """Regions that were drawn are tracked as their segments are; M6 lies outside the scan and has none."""
    side, name = region.split()
    found = [g for g in groups(folder).values() if g.finding_type.meaning == f"ASPECTS region {name}"]
    group = next(g for g in found if sites(g)[0][1] == side.capitalize())
    assert sites(group) == [(site, side.capitalize())]
    assert judged(group) == {"Affected by ischemic change": affected}
    measured = values(group)
    assert measured["Attenuation Coefficient"] == ((28.14 if affected == "Yes" else 34.21), "[hnsf'U]")
    error = measured["Standard error of the difference of both sides by image noise"]
    assert error == ((0.37 if affected == "Yes" else 0.29), "[hnsf'U]")
    assert measured["Net water uptake"] == ((17.6 if affected == "Yes" else 0), "%")
    assert measured["Probability"] == ((0.97 if affected == "Yes" else 0.08), "1")


def test_findings_refer_to_the_segment_that_shows_them(folder: Path, series_of: Make) -> None:
    labelled = {
        "infarct 1": ("seg_infarct.dcm", "Infarct", "Cerebral infarction"),
        "old_infarct 1": ("seg_old_infarct.dcm", "Old infarct", "Cerebral infarction"),
        "hemorrhage 1": ("seg_hemorrhage.dcm", "Suspected hemorrhage", "Intracranial hemorrhage"),
        "aspects_regions 12": ("seg_aspects_regions.dcm", "Left insula (ASPECTS I)", "ASPECTS region I"),
        "aspects_regions 4": ("seg_aspects_regions.dcm", "Right lentiform nucleus (ASPECTS L)", "ASPECTS region L"),
    }
    found = groups(folder)
    for tracking, (file, label, kind) in labelled.items():
        group, segmentation = found[tracking], hd.seg.segread(folder / file)
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        (number,) = reference.referenced_segment_numbers
        segment = segmentation.SegmentSequence[number - 1]
        assert (segment.SegmentLabel, segment.TrackingUID) == (label, group.tracking_uid)
        assert group.finding_type.meaning == kind
        assert reference.source_series_for_segmentation.value == series_of("tilted_uneven").scan.source.series_uid
    assert {"left M6", "right M6", "ASPECTS", "quality", "infarct lesion 1"} <= set(found)
    assert len([name for name in found if name.startswith("aspects_regions")]) == 18


def test_every_source_image_and_segmentation_is_evidence(folder: Path, series_of: Make) -> None:
    report = pydicom.dcmread(folder / "sr_findings.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID for one in study.ReferencedSeriesSequence for item in one.ReferencedSOPSequence
    }
    images = {image.SOPInstanceUID for image, _ in series_of("tilted_uneven").images}
    segmentations = {pydicom.dcmread(path).SOPInstanceUID for path in folder.glob("seg_*.dcm")}
    assert named == images | segmentations
    assert (study.StudyInstanceUID, len(segmentations)) == ("1.2.3", 4)


def test_volumes_are_those_of_the_findings(folder: Path, series_of: Make) -> None:
    findings, found = series_of("tilted_uneven").analysis.findings, groups(folder)
    assert findings.infarct is not None
    assert findings.old_infarct is not None
    assert findings.hemorrhage is not None
    for name, volume_ml in (
        ("infarct 1", findings.infarct.volume_ml),
        ("old_infarct 1", findings.old_infarct.volume_ml),
        ("hemorrhage 1", findings.hemorrhage.volume_ml),
        ("infarct lesion 1", findings.infarct.lesions[0].volume_ml),
    ):
        assert values(found[name])["Volume"] == (pytest.approx(volume_ml, abs=1e-4), "mL")
    assert sites(found["infarct 1"]) == [("Brain", "Left")]
    assert sites(found["old_infarct 1"]) == [("Brain", "Right")]
    assert judged(found["old_infarct 1"]) == {"Stage of the infarct": "Chronic"}
    assert judged(found["hemorrhage 1"]) == {"Suspected": "Yes"}
    assert judged(found["infarct lesion 1"]) == {"Stage of the infarct": "Acute"}


def test_every_group_names_its_algorithm_with_its_version(folder: Path) -> None:
    for name, group in groups(folder).items():
        texts = {item.name.meaning: item.value for item in group[0].ContentSequence if item.ValueType == "TEXT"}
        assert texts["Algorithm Version"] == "0.1.0", name
        assert texts["Algorithm Name"].startswith("infarct "), name


def comments(path: Path) -> Sequence[str]:
    report = pydicom.dcmread(path / "sr_findings.dcm")
    return [
        item.TextValue
        for item in report.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ]


def test_intended_use_verdict_and_flags_are_told(series_of: Make, tmp_path: Path) -> None:
    path = changed(series_of("upright"), tmp_path, quality=Quality(verdict="flagged", flags=FLAGS))
    told = comments(path)
    assert told[0] == INTENDED_USE
    assert told[1].startswith("Bleeding suspected. ASPECTS and acute infarct volumes are not valid")
    assert told[2] == f"Critical: {FLAGS[2].message}"
    assert len(told) == 2 + len(FLAGS)
    assert judged(groups(path)["quality"]) == {"Quality of the scan and of its analysis": "Flagged: in doubt"}


def test_a_reader_s_correction_stands_with_what_the_system_judged(series_of: Make, tmp_path: Path) -> None:
    set_by_hand = Override(region="I", side="left", affected=False, reader="Ö. Reader", at="2024-01-01T00:00:00Z")
    aspects = make_aspects(overrides=(set_by_hand,), score=7, left_score=7, score_min=7, score_max=7)
    path = changed(series_of("upright"), tmp_path, aspects=aspects)
    group = groups(path)["left I"]
    assert judged(group) == {
        "Affected by ischemic change": "No",
        "Affected as the system judged before a reader's correction": "Yes",
    }
    assert values(group)["Probability"] == (0.97, "1")
    assert any("Ö. Reader" in text for text in comments(path))
    assert len(judged(groups(path)["left L"])) == 1


def test_a_dense_artery_has_its_side(series_of: Make, tmp_path: Path) -> None:
    artery = HyperdenseArtery(suspected=True, side="right", mean_hu=61.5, contralateral_mean_hu=43.25, ratio=1.42)
    group = groups(changed(series_of("upright"), tmp_path, hyperdense_artery=artery))["hyperdense artery"]
    assert sites(group) == [("Middle Cerebral Artery", "Right")]
    assert judged(group) == {"Suspected": "Yes"}
    assert values(group)["Attenuation Coefficient"] == (61.5, "[hnsf'U]")


def test_a_followup_infarct_has_its_degrees_blood_and_shift(series_of: Make, tmp_path: Path) -> None:
    late = FollowupInfarct(
        method="patch_cnn",
        volume_ml=40.5,
        without_blood_ml=38.25,
        severe_ml=20.0,
        intermediate_ml=None,
        subtle_ml=10.0,
        hemorrhage_ml=2.25,
        growth_ml=-3.5,
        midline_shift_mm=4.5,
        midline_shift_side="right",
        side="left",
        mean_hu=24.5,
    )
    group = groups(changed(series_of("upright"), tmp_path, followup_infarct=late))["follow-up infarct"]
    assert values(group) == {
        "Volume": (40.5, "mL"),
        "Volume of the infarct without blood": (38.25, "mL"),
        "Volume of severe hypodensity": (20.0, "mL"),
        "Volume of subtle hypodensity": (10.0, "mL"),
        "Volume of blood in or beside the infarct": (2.25, "mL"),
        "Change of the volume since the scan before": (-3.5, "mL"),
        "Attenuation Coefficient": (24.5, "[hnsf'U]"),
        "Midline shift": (4.5, "mm"),
    }
    assert sites(group) == [("Brain", "Left")]
    assert judged(group) == {"Side towards which the midline is shifted": "Right"}


def test_without_any_section_the_verdict_stands_alone(series_of: Make, tmp_path: Path) -> None:
    nothing = {"aspects": None, "infarct": None, "old_infarct": None, "hemorrhage": None}
    assert set(groups(changed(series_of("upright"), tmp_path, **nothing))) == {"quality"}

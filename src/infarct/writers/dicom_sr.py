"""The findings as a DICOM structured report (TID 1500): what was measured, where, by which algorithm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from infarct.anatomy import SIDES, Side, region_label
from infarct.findings import (
    Analysis,
    Aspects,
    Findings,
    FollowupInfarct,
    Hemorrhage,
    HyperdenseArtery,
    Lesion,
    RegionFinding,
    as_counted,
)
from infarct.writers import dicom_terms as terms
from infarct.writers.dicom_objects import (
    EMPTIED,
    MANUFACTURER,
    RESEARCH,
    ObjectSet,
    described,
    own_coding_scheme,
    save,
    source_instances,
)
from infarct.writers.dicom_seg import WrittenSegment
from infarct.writers.wording import SEVERITY_WORDS, banner, flags_by_severity, reader_lines

Group: TypeAlias = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations
Segments: TypeAlias = Mapping[tuple[str, int], WrittenSegment]
FILE_NAME: Final = "sr_findings.dcm"
DECIMALS: Final = 4
"""Places after the point of a measured value: a decimal string holds 16 characters."""


def write_report(objects: ObjectSet, analysis: Analysis, folder: Path, segments: Segments) -> Path:
    """Write ``sr_findings.dcm`` into ``folder``, which exists, and return its path.

    ``segments`` are those that were written beside it: a finding that one shows refers to it.
    """
    findings = analysis.findings
    report = MeasurementReport(
        observation_context=_observer(objects),
        procedure_reported=terms.CT_HEAD,
        imaging_measurements=list(_groups(objects, findings, segments)),
        title=terms.MEASUREMENT_REPORT,
    )
    report[0].ContentSequence.extend(_comment(text) for text in _comments(findings))
    structured = ComprehensiveSR(
        evidence=_evidence(objects, segments),
        content=report[0],
        is_complete=True,
        content_qualification=RESEARCH,
        coding_schemes=[own_coding_scheme()],
        **described(
            objects,
            kind="sr",
            number=1,
            description="infarct: measurements",
            variant="with segments" if segments else "",
        ),
    )
    return save(structured, objects, folder / FILE_NAME)


def _observer(objects: ObjectSet) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=terms.DEVICE_UID,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
        serial_number=objects.version,
    )
    return ObservationContext(ObserverContext(CodedConcept.from_code(terms.DEVICE), device))


def _evidence(objects: ObjectSet, segments: Segments) -> list[Dataset]:
    """Return every source image and every segmentation as the instances that the report stands on."""
    named = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in source_instances(objects)]
    drawn = dict.fromkeys((SegmentationStorage, segment.sop_instance_uid) for segment in segments.values())
    images = [_instance(objects, *name, series_uid=objects.series_uid) for name in named]
    return [*images, *(_instance(objects, *name, series_uid=objects.uid("seg")) for name in drawn)]


def _instance(objects: ObjectSet, sop_class_uid: str, sop_instance_uid: str, *, series_uid: str) -> Dataset:
    instance = Dataset()
    for keyword in EMPTIED:
        setattr(instance, keyword, None)
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class_uid, sop_instance_uid
    instance.StudyInstanceUID, instance.SeriesInstanceUID = objects.study_uid, series_uid
    return instance


def _comments(findings: Findings) -> Iterator[str]:
    """Yield what a reader has to know before the numbers: intended use, verdict, flags, a reader's corrections."""
    yield findings.intended_use
    verdict = banner(findings)
    yield f"{verdict.title}. {verdict.text}"
    for flag in flags_by_severity(findings):
        yield f"{SEVERITY_WORDS[flag.severity]}: {flag.message}"
    if findings.aspects is not None:
        yield from reader_lines(findings.aspects)


def _comment(text: str) -> TextContentItem:
    return TextContentItem(name=terms.COMMENT, value=text, relationship_type=RelationshipTypeValues.CONTAINS)


@dataclass(frozen=True)
class _Finding:
    """One measurement group: what was found, by which method, where, and the segment that shows it, if any.

    ``sites`` are anatomic regions with their side; ``name`` tracks it.
    """

    name: str
    kind: Code
    method: str
    sites: Sequence[tuple[Code, Code | None]]
    measured: Sequence[Measurement]
    judged: Sequence[tuple[Code, Code]] = ()
    segment: WrittenSegment | None = None


def _groups(objects: ObjectSet, findings: Findings, segments: Segments) -> Iterator[Group]:
    for finding in _found(findings, segments):
        yield _group(objects, findings, finding)


def _group(objects: ObjectSet, findings: Findings, finding: _Finding) -> Group:
    segment = finding.segment
    tracking = TrackingIdentifier(
        uid=segment.tracking_uid if segment else objects.uid("finding", finding.name),
        identifier=segment.tracking_id if segment else finding.name,
    )
    shared: dict[str, Any] = {
        "tracking_identifier": tracking,
        "finding_type": finding.kind,
        "algorithm_id": AlgorithmIdentification(f"{MANUFACTURER} {finding.method}", findings.software.version),
        "finding_sites": [FindingSite(site, laterality) for site, laterality in finding.sites],
        "measurements": list(finding.measured),
        "qualitative_evaluations": [QualitativeEvaluation(name, value) for name, value in finding.judged],
    }
    if segment is None:
        return MeasurementsAndQualitativeEvaluations(**shared)
    series = SourceSeriesForSegmentation(objects.series_uid)
    shown = ReferencedSegment(SegmentationStorage, segment.sop_instance_uid, segment.number, source_series=series)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=shown, **shared)


def _found(findings: Findings, segments: Segments) -> Iterator[_Finding]:
    """Yield what was found, the verdict on the scan first."""
    verdict = terms.FLAGGED if findings.quality.verdict == "flagged" else terms.NOT_FLAGGED
    yield _Finding("quality", terms.QUALITY, "quality", [(terms.BRAIN, None)], (), [(terms.QUALITY, verdict)])
    if findings.hemorrhage is not None:
        yield _hemorrhage(findings.hemorrhage, segments)
    if findings.aspects is not None:
        yield _aspects(findings.aspects)
        yield from _regions(findings.aspects, segments)
    if findings.hyperdense_artery is not None:
        yield _artery(findings.hyperdense_artery)
    if findings.infarct is not None:
        found, shown = findings.infarct, segments.get(("infarct", 1))
        yield _infarct("infarct", found.volume_ml, found.side, found.method, shown)
        yield from _lesions("infarct lesion", found.lesions, found.method)
    if findings.old_infarct is not None:
        old, shown = findings.old_infarct, segments.get(("old_infarct", 1))
        method = findings.infarct.method if findings.infarct else "infarct"
        side = _common_side([lesion.side for lesion in old.lesions])
        yield _infarct("old infarct", old.volume_ml, side, method, shown, judged=[(terms.STAGE, terms.CHRONIC)])
        yield from _lesions("old infarct lesion", old.lesions, method)
    if findings.followup_infarct is not None:
        yield _followup(findings.followup_infarct)


def _common_side(sides: Sequence[Side]) -> str:
    return "none" if not sides else sides[0] if len(set(sides)) == 1 else "both"


def _laterality(side: str | None) -> Code | None:
    """Return the side as a code; None for none."""
    return terms.BILATERAL if side == "both" else terms.LATERALITY[side] if side in SIDES else None


def _measured(name: Code, value: float | None, unit: Code, *, derivation: Code | None = None) -> list[Measurement]:
    """Return the measurement in a list, an empty one where there is no value."""
    if value is None:
        return []
    return [Measurement(name=name, value=round(value, DECIMALS), unit=unit, derivation=derivation)]


def _volume(name: Code, volume_ml: float | None) -> list[Measurement]:
    return _measured(name, volume_ml, terms.MILLILITER)


def _density(name: Code, mean_hu: float | None) -> list[Measurement]:
    return _measured(name, mean_hu, terms.HOUNSFIELD, derivation=terms.MEAN)


def _hemorrhage(found: Hemorrhage, segments: Segments) -> _Finding:
    return _Finding(
        "hemorrhage",
        terms.INTRACRANIAL_HEMORRHAGE,
        found.method,
        [(terms.BRAIN, None)],
        [
            *_volume(terms.VOLUME, found.volume_ml),
            *_measured(terms.PROBABILITY, found.probability, terms.UNITY),
            *(
                one
                for kind in found.types
                for one in _measured(terms.BLOOD_VOLUMES[kind.type], kind.volume_ml, terms.MILLILITER)
            ),
        ],
        [(terms.SUSPECTED, terms.yes_or_no(found.suspected))],
        segments.get(("hemorrhage", 1)),
    )


def _aspects(found: Aspects) -> _Finding:
    scores = (
        (terms.ASPECTS, found.score),
        (terms.ASPECTS_LOWEST, found.score_min),
        (terms.ASPECTS_HIGHEST, found.score_max),
        (terms.ASPECTS_OF["right"], found.right_score),
        (terms.ASPECTS_OF["left"], found.left_score),
    )
    return _Finding(
        "ASPECTS",
        terms.ASPECTS_ASSESSMENT,
        found.method,
        [(terms.BRAIN, _laterality(found.side))],
        [one for name, score in scores for one in _measured(name, score, terms.SCORE)],
        [] if found.score is not None else [(terms.ASPECTS, terms.UNDETERMINED)],
    )


def _regions(found: Aspects, segments: Segments) -> Iterator[_Finding]:
    """Yield the regions as they count in the score; where a reader corrected one, with what the system judged."""
    for judged, counted in zip(found.regions, as_counted(found.regions, found.overrides), strict=True):
        yield _region(counted, judged if counted is not judged else None, found.method, segments)


def _region(region: RegionFinding, overruled: RegionFinding | None, method: str, segments: Segments) -> _Finding:
    judged = [(terms.AFFECTED, terms.yes_or_no(region.affected))]
    if overruled is not None:
        judged.append((terms.AFFECTED_BY_SYSTEM, terms.yes_or_no(overruled.affected)))
    side = terms.LATERALITY[region.side]
    return _Finding(
        f"{region.side} {region.region}",
        terms.ASPECTS_REGION_OF[region.region],
        method,
        [(site, side) for site in terms.REGION_SITES[region.region]],
        [
            *_volume(terms.VOLUME, region.volume_ml),
            *_density(terms.ATTENUATION, region.mean_hu),
            *_measured(
                terms.OPPOSITE_ATTENUATION, region.contralateral_mean_hu, terms.HOUNSFIELD, derivation=terms.MEAN
            ),
            *_measured(terms.DIFFERENCE_ERROR, region.difference_error_hu, terms.HOUNSFIELD),
            *_measured(terms.NET_WATER_UPTAKE, region.net_water_uptake_pct, terms.PERCENT),
            *_measured(terms.PROBABILITY, (overruled or region).probability, terms.UNITY),
        ],
        judged,
        segments.get(("aspects_regions", region_label(region.region, region.side))),
    )


def _artery(found: HyperdenseArtery) -> _Finding:
    return _Finding(
        "hyperdense artery",
        terms.HYPERDENSE_ARTERY,
        "dense_artery",
        [(terms.MIDDLE_CEREBRAL_ARTERY, terms.LATERALITY[found.side])],
        [
            *_density(terms.ATTENUATION, found.mean_hu),
            *_measured(
                terms.OPPOSITE_ATTENUATION, found.contralateral_mean_hu, terms.HOUNSFIELD, derivation=terms.MEAN
            ),
            *_measured(terms.ATTENUATION_RATIO, found.ratio, terms.UNITY),
        ],
        [(terms.SUSPECTED, terms.yes_or_no(found.suspected))],
    )


def _infarct(
    name: str,
    volume_ml: float,
    side: str | None,
    method: str,
    segment: WrittenSegment | None,
    *,
    judged: Sequence[tuple[Code, Code]] = (),
) -> _Finding:
    return _Finding(
        name,
        terms.CEREBRAL_INFARCTION,
        method,
        [(terms.BRAIN, _laterality(side))],
        _volume(terms.VOLUME, volume_ml),
        judged,
        segment,
    )


def _lesions(name: str, lesions: Sequence[Lesion], method: str) -> Iterator[_Finding]:
    for number, lesion in enumerate(lesions, start=1):
        yield _Finding(
            f"{name} {number}",
            terms.CEREBRAL_INFARCTION,
            method,
            [(terms.BRAIN, terms.LATERALITY[lesion.side])],
            [
                *_volume(terms.VOLUME, lesion.volume_ml),
                *_density(terms.ATTENUATION, lesion.mean_hu),
                *_measured(terms.NET_WATER_UPTAKE, lesion.net_water_uptake_pct, terms.PERCENT),
                *_measured(terms.PROBABILITY, lesion.probability, terms.UNITY),
            ],
            [(terms.STAGE, terms.STAGES[lesion.stage])],
        )


def _followup(found: FollowupInfarct) -> _Finding:
    volumes = (
        (terms.VOLUME, found.volume_ml),
        (terms.VOLUME_WITHOUT_BLOOD, found.without_blood_ml),
        (terms.DEGREE_VOLUMES["severe"], found.severe_ml),
        (terms.DEGREE_VOLUMES["intermediate"], found.intermediate_ml),
        (terms.DEGREE_VOLUMES["subtle"], found.subtle_ml),
        (terms.BLOOD_IN_INFARCT, found.hemorrhage_ml),
        (terms.GROWTH, found.growth_ml),
    )
    return _Finding(
        "follow-up infarct",
        terms.CEREBRAL_INFARCTION,
        found.method,
        [(terms.BRAIN, _laterality(found.side))],
        [
            *(one for name, volume_ml in volumes for one in _volume(name, volume_ml)),
            *_density(terms.ATTENUATION, found.mean_hu),
            *_measured(terms.MIDLINE_SHIFT, found.midline_shift_mm, terms.MILLIMETER),
        ],
        [] if found.midline_shift_side is None else [(terms.SHIFTED_TO, terms.LATERALITY[found.midline_shift_side])],
    )

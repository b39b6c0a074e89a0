"""The findings are what the schema says, frozen, finite, and survive JSON."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from infarct.findings import (
    SCHEMA_VERSION,
    Aspects,
    Findings,
    Hemorrhage,
    Infarct,
    Lesion,
    Override,
    Provenance,
    Quality,
    RegionFinding,
    ScanSummary,
    Software,
    as_counted,
    json_schema,
    to_json,
)
from infarct.types import Flag

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "findings.schema.json"
NAN, INF = float("nan"), float("inf")


def region(**changes: object) -> dict:
    fields = {
        "region": "M2",
        "side": "left",
        "affected": True,
        "probability": 0.9,
        "volume_ml": 20.5,
        "mean_hu": 30.0,
        "contralateral_mean_hu": 34.0,
        "net_water_uptake_pct": 11.75,
        "evaluable": True,
    }
    return fields | changes


def lesion(**changes: object) -> dict:
    fields = {
        "volume_ml": 12.0,
        "side": "left",
        "centroid_lps_mm": (40.0, 5.0, 10.0),
        "territories": ("MCA", "PCA"),
        "mean_hu": 28.0,
        "net_water_uptake_pct": None,
        "stage": "undetermined",
        "probability": None,
    }
    return fields | changes


def aspects(**changes: object) -> dict:
    fields = {
        "score": 9,
        "score_min": 9,
        "score_max": 9,
        "side": "left",
        "side_rule": "evidence",
        "left_score": 9,
        "right_score": 10,
        "method": "asymmetry",
        "regions": (RegionFinding(**region()),),
    }
    return fields | changes


def findings(**changes: object) -> Findings:
    fields: dict = {
        "software": Software(name="infarct", version="0"),
        "scan": ScanSummary(
            source="dicom",
            series_uid_hash=None,
            series_choice="The only one.",
            slice_positions_mm=(0.0, 5.0),
            shape_zyx=(2, 4, 4),
            spacing_mm_zyx=(5.0, 1.0, 1.0),
            slice_thickness_mm=None,
            gantry_tilt_deg=0.0,
            kvp=120.0,
            manufacturer=None,
        ),
        "quality": Quality(verdict="flagged", flags=(Flag("noise_high", "warning", "Noisy.", 6.5),)),
        "hemorrhage": Hemorrhage(suspected=False, volume_ml=0.0, probability=None, types=()),
        "aspects": Aspects(**aspects()),
        "infarct": Infarct(method="asymmetry", volume_ml=12.0, side="left", lesions=(Lesion(**lesion()),)),
        "provenance": Provenance(
            weights=(),
            config={"asymmetry": {"affected_hu": 2.0}},
            seed=0,
            device="cpu",
            engine="numpy",
            engine_version="2",
            precision="fp32",
            threads=2,
        ),
        "timings_s": {"brain": 0.5},
    }
    return Findings(**(fields | changes))


def test_the_committed_schema_is_the_one_of_the_types() -> None:
    assert json_schema() == SCHEMA_FILE.read_text(encoding="utf-8")


def test_schema_names_every_section() -> None:
    properties = json.loads(json_schema())["properties"]
    sections = [
        "hemorrhage",
        "aspects",
        "hyperdense_artery",
        "infarct",
        "old_infarct",
        "localization",
        "followup_infarct",
    ]
    sections.append("agreement")
    always = ["schema_version", "software", "intended_use", "scan", "quality", "provenance", "timings_s"]
    assert set(properties) == {*sections, *always}


def test_json_round_trip() -> None:
    first = findings()
    text = to_json(first)
    assert Findings.model_validate_json(text) == first
    assert to_json(Findings.model_validate_json(text)) == text
    assert text.endswith("}\n")


def test_sections_that_were_not_run_are_null() -> None:
    stored = json.loads(to_json(findings()))
    assert stored["localization"] is None
    assert stored["followup_infarct"] is None
    assert stored["schema_version"] == SCHEMA_VERSION == "1.6"
    assert "not a medical device" in stored["intended_use"].lower()


def test_findings_are_frozen() -> None:
    result = findings()
    with pytest.raises(ValidationError, match="frozen"):
        result.aspects = None
    with pytest.raises(ValidationError, match="frozen"):
        result.aspects.score = 10


@pytest.mark.parametrize(("model", "fields"), [(RegionFinding, region), (Lesion, lesion), (Aspects, aspects)])
def test_unknown_fields_are_refused(model, fields) -> None:
    model(**fields())
    with pytest.raises(ValidationError, match="Extra inputs"):
        model(**fields(patient_name="x"))


@pytest.mark.parametrize("number", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["mean_hu", "volume_ml", "probability", "net_water_uptake_pct", "difference_error_hu"])
def test_numbers_must_be_finite(name: str, number: float) -> None:
    with pytest.raises(ValidationError):
        RegionFinding(**region(**{name: number}))


def test_numbers_inside_tuples_and_dicts_must_be_finite() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Lesion(**lesion(centroid_lps_mm=(0.0, NAN, 0.0)))
    with pytest.raises(ValidationError, match="finite"):
        findings(timings_s={"brain": INF})


@pytest.mark.parametrize("number", [NAN, INF])
def test_a_flag_with_a_value_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Flag("noise_high", "warning", "Noisy.", number)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (RegionFinding, region(probability=1.01)),
        (RegionFinding, region(volume_ml=-0.1)),
        (RegionFinding, region(difference_error_hu=-0.1)),
        (RegionFinding, region(region="M7")),
        (RegionFinding, region(side="both")),
        (Lesion, lesion(stage="chronic")),
        (Lesion, lesion(territories=("SCA",))),
        (Aspects, aspects(score=11)),
        (Aspects, aspects(score_min=-1)),
        (Aspects, aspects(side_rule="guess")),
    ],
)
def test_values_outside_their_range_are_refused(model, fields: dict) -> None:
    with pytest.raises(ValidationError):
        model(**fields)


def override(**changes: object) -> dict:
    fields = {"region": "M2", "side": "left", "affected": False, "reader": "A. Reader", "at": "2026-03-01T12:30:00Z"}
    return fields | changes


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "A\tB", "A\x00"])
def test_the_name_of_a_reader_is_1_to_64_printable_characters(name: str) -> None:
    Override(**override(reader="x" * 64))
    with pytest.raises(ValidationError):
        Override(**override(reader=name))


def test_regions_count_as_the_last_reader_set_them() -> None:
    seen = RegionFinding(**region())
    unseen = RegionFinding(**region(region="M4", affected=None, probability=None, mean_hu=None, evaluable=False))
    words = [override(region="M4", affected=True), override(affected=False), override(region="M4", affected=False)]
    first, second = as_counted((seen, unseen), tuple(Override(**word) for word in words))
    assert (first.affected, first.probability, first.evaluable) == (False, 0.0, True)
    assert (second.affected, second.probability, second.evaluable) == (False, 0.0, True)
    assert (first.mean_hu, second.mean_hu) == (30.0, None)
    assert as_counted((seen, unseen), ()) == (seen, unseen)


def test_json_holds_no_nan_whatever_is_in_the_config() -> None:
    text = to_json(findings())
    odd: list[str] = []
    json.loads(text, parse_constant=odd.append)
    assert odd == []

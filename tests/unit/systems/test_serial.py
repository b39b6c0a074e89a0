"""This scan against an earlier one: growth, and the midline's change by side."""

import pytest

from infarct.findings import EarlierScan, FollowupInfarct, Infarct, Quality
from infarct.systems.serial import compared, earlier_scan
from infarct.types import Flag
from unit.findings.test_findings import findings


def late(**changes: object) -> FollowupInfarct:
    fields: dict = {
        "method": "patch_cnn_dense",
        "volume_ml": 50.0,
        "without_blood_ml": 45.0,
        "severe_ml": 0.0,
        "intermediate_ml": 45.0,
        "subtle_ml": 20.0,
        "hemorrhage_ml": 5.0,
        "growth_ml": None,
        "midline_shift_mm": 5.0,
        "midline_shift_side": "right",
    }
    return FollowupInfarct(**{**fields, **changes})


def earlier(**changes: object) -> EarlierScan:
    fields: dict = {
        "section": "followup_infarct",
        "method": "patch_cnn_dense",
        "volume_ml": 30.0,
        "onset_h": 24.0,
        "midline_shift_mm": 2.0,
        "midline_shift_side": "right",
        "critical": False,
    }
    return EarlierScan(**{**fields, **changes})


def test_a_followup_section_goes_before_an_acute_one() -> None:
    acute = Infarct(method="asymmetry", volume_ml=12.0, side="left", lesions=())
    both = earlier_scan(findings(followup_infarct=late(), infarct=acute))
    assert (both.section, both.volume_ml, both.midline_shift_mm, both.midline_shift_side) == (
        "followup_infarct", 50.0, 5.0, "right",
    )  # fmt: skip
    alone = earlier_scan(findings(infarct=acute))
    assert (alone.section, alone.method, alone.volume_ml, alone.midline_shift_mm) == (
        "infarct",
        "asymmetry",
        12.0,
        None,
    )
    none = earlier_scan(findings(infarct=None))
    assert (none.section, none.method, none.volume_ml) == (None, None, None)


def test_the_hours_and_grave_flags_come_along() -> None:
    made = findings()
    provenance = made.provenance.model_copy(update={"config": {"request": {"onset_hours": 4.5}}})
    assert earlier_scan(findings(provenance=provenance)).onset_h == 4.5
    assert earlier_scan(made).onset_h is None
    assert not earlier_scan(made).critical
    grave = Quality(verdict="flagged", flags=(Flag("skull_defect", "critical", "Open."),))
    assert earlier_scan(findings(quality=grave)).critical


def test_growth_is_now_less_then() -> None:
    assert compared(late(), earlier()).growth_ml == pytest.approx(20)
    assert compared(late(volume_ml=20.0), earlier()).growth_ml == pytest.approx(-10)
    assert compared(late(), earlier(volume_ml=None, section=None)).growth_ml is None
    assert compared(late(), earlier()).earlier == earlier()


@pytest.mark.parametrize(
    ("now_mm", "now_side", "then_mm", "then_side", "change_mm"),
    [
        (5.0, "right", 2.0, "right", 3.0),
        (2.0, "left", 5.0, "left", -3.0),
        (2.0, "left", 3.0, "right", 5.0),
        (None, None, 3.0, "right", None),
        (5.0, "right", None, None, None),
    ],
)
def test_the_midline_moves_towards_the_side_where_it_is_now(
    now_mm: float | None, now_side: str | None, then_mm: float | None, then_side: str | None, change_mm: float | None
) -> None:
    now = late(midline_shift_mm=now_mm, midline_shift_side=now_side)
    then = earlier(midline_shift_mm=then_mm, midline_shift_side=then_side)
    assert compared(now, then).midline_shift_change_mm == (None if change_mm is None else pytest.approx(change_mm))

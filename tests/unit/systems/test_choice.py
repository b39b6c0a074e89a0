"""Which systems suit a scan: by hours, by the distance of slices, by the skull; a named one always runs."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.preprocess.head import Head
from infarct.systems import choice
from infarct.systems.choice import ScanTime, choice_flag, is_followup, unsuited
from infarct.types import Flag
from infarct.volume import Geometry, Scan
from plain_head import PlainPatient

ALL = ("regions", "aspects", "segment", "localize", "hemorrhage", "volumetry")


@pytest.mark.parametrize(
    ("onset_h", "well_h", "left_out"),
    [
        (2.0, None, {"volumetry"}),
        (11.9, None, {"volumetry"}),
        (12.0, None, {"localize"}),
        (24.0, None, {"localize"}),
        (24.1, None, {"localize", "aspects", "segment"}),
        (336.0, None, {"localize", "aspects", "segment"}),
        (336.1, None, {"localize", "aspects", "segment", "volumetry"}),
        (None, None, set()),
        (None, 6.0, {"volumetry"}),  # the onset is later still
        (None, 20.0, set()),
        (None, 1000.0, set()),
    ],
)
def test_the_time_chooses(
    left_patient: PlainPatient, left_head: Head, onset_h: float | None, well_h: float | None, left_out: set[str]
) -> None:
    assert set(unsuited(ALL, left_patient.scan, left_head, ScanTime(onset_h, well_h))) == left_out


def test_a_follow_up_may_be_12_hours_from_onset() -> None:
    assert not is_followup(ScanTime())
    assert [is_followup(ScanTime(onset_h=hours)) for hours in (2.0, 11.9, 12.0, 1000.0)] == [False, False, True, True]
    assert [is_followup(ScanTime(last_known_well_h=hours)) for hours in (6.0, 20.0)] == [False, True]


def test_what_the_user_names_runs_and_what_cannot_run_is_not_told(left_patient: PlainPatient, left_head: Head) -> None:
    late = ScanTime(onset_h=1000.0)
    found = unsuited(("segment", "localize"), left_patient.scan, left_head, late, named=("segment", "none"))
    assert list(found) == ["localize"]
    assert unsuited(ALL, left_patient.scan, left_head, late, named=ALL) == {}


def test_slices_far_apart_have_no_volumes(left_patient: PlainPatient, left_head: Head) -> None:
    sparse = Geometry.regular((8, 64, 64), spacing_mm_zyx=(12.0, 3.0, 3.0))
    scan = replace(left_patient.scan, hu=np.zeros(sparse.shape_zyx, np.float32), geometry=sparse)
    found = unsuited(ALL, scan, left_head, ScanTime())
    assert set(found) == {"segment", "localize", "volumetry"}
    assert found["segment"] == "slices 12 mm apart; made for 10 mm at most"


def test_an_open_skull_has_no_follow_up_volume(
    left_patient: PlainPatient, left_head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(scan: Scan, head: Head) -> Flag:
        assert (scan, head) == (left_patient.scan, left_head)
        return Flag("skull_defect", "critical", "open")

    monkeypatch.setattr(choice, "skull_flag", opened)
    found = unsuited(ALL, left_patient.scan, left_head, ScanTime(onset_h=20.0))
    assert found["volumetry"] == "part of the skull is missing or open"
    assert set(found) == {"localize", "volumetry"}


def test_the_flag_says_what_and_why() -> None:
    assert choice_flag({}) is None
    flag = choice_flag({"localize": "30 h from onset; made for less than 12 h", "segment": "because"})
    assert flag is not None
    assert (flag.code, flag.severity) == ("systems_left_out", "info")
    assert "the search tile by tile (30 h from onset; made for less than 12 h); the segmentation (because)" in (
        flag.message
    )

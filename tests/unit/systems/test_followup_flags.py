"""Doubts about a follow-up infarct, each raised by what it is about and by nothing else."""

import numpy as np
import pytest

from infarct.findings import EarlierScan
from infarct.systems.followup_flags import followup_flags
from infarct.systems.volumetry import FollowupMarks, VolumetryResult
from unit.systems.test_serial import earlier, late


def raised(
    *,
    onset_h: float | None = 30.0,
    old_ml: float = 0.0,
    blood_method: str = "patch_cnn_dense",
    before: EarlierScan | None = None,
    **changes: object,
) -> dict[str, str]:
    """Return the severities of the flags of a made up result, by code."""
    nothing = np.zeros((1, 1, 1), dtype=bool)
    marks = FollowupMarks(
        picture=None,  # type: ignore[arg-type]
        probabilities=np.zeros((3, 1, 1, 1), dtype=np.float32),
        masks=nothing[None],
        blood=nothing,
        types=nothing.astype(np.uint8),
        old_ml=old_ml,
        midline=None,
    )
    told = late(**{"mean_hu": 25.0, **changes})
    flags = followup_flags(VolumetryResult(told, marks), onset_h, blood_method=blood_method, earlier=before)
    return {flag.code: flag.severity for flag in flags}


def test_a_plain_result_raises_none() -> None:
    assert raised() == {}
    assert raised(before=earlier()) == {}


@pytest.mark.parametrize(
    ("given", "code", "severity"),
    [
        ({"onset_h": None}, "followup_onset_unknown", "warning"),
        ({"onset_h": 11.0}, "followup_outside_window", "warning"),
        ({"onset_h": 400.0}, "followup_outside_window", "warning"),
        ({"old_ml": 3.0}, "followup_old_left_out", "warning"),
        ({"mean_hu": 46.0}, "infarct_density_unusual", "warning"),
        ({"mean_hu": 12.0}, "infarct_density_unusual", "warning"),
        ({"midline_shift_mm": None, "midline_shift_side": None}, "midline_shift_uncertain", "warning"),
        ({"blood_method": "rule"}, "followup_blood_by_rule", "info"),
        ({"before": earlier(section="infarct")}, "growth_between_methods", "warning"),
        ({"before": earlier(method="another")}, "growth_between_methods", "warning"),
        ({"before": earlier(section=None, volume_ml=None)}, "growth_not_measured", "info"),
        ({"before": earlier(critical=True)}, "earlier_doubtful", "warning"),
    ],
)
def test_each_doubt_has_its_flag(given: dict[str, object], code: str, severity: str) -> None:
    assert raised(**given) == {code: severity}  # type: ignore[arg-type]


def test_an_infarct_that_is_not_there_has_no_odd_density() -> None:
    assert raised(volume_ml=0.0, mean_hu=None) == {}

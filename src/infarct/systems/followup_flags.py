"""Doubts about the volume of a follow-up infarct as coded flags."""

from infarct.findings import EarlierScan, FollowupInfarct
from infarct.measure.severity import in_classes
from infarct.systems.choice import WINDOW_H
from infarct.systems.volumetry import VolumetryResult
from infarct.types import Flag


def unmeasured_flag() -> Flag:
    """Return the flag of a scan with an earlier one whose own infarct volume is not measured."""
    message = "Growth since the earlier scan is not told: the volume of a follow-up infarct was not measured here."
    return Flag("growth_not_measured", "info", message)


def followup_flags(
    late: VolumetryResult, onset_h: float | None, *, blood_method: str, earlier: EarlierScan | None
) -> tuple[Flag, ...]:
    """Return the flags of a follow-up infarct that was measured; ``blood_method`` is what found the blood."""
    checks = (
        _window(onset_h),
        _old(late.marks.old_ml),
        _density(late.followup),
        _midline(late.followup),
        _blood(blood_method),
        _growth(late.followup, earlier),
        _doubtful(earlier),
    )
    return tuple(flag for flag in checks if flag is not None)


def _window(onset_h: float | None) -> Flag | None:
    low, high = WINDOW_H
    if onset_h is None:
        message = "The time of onset is unknown: follow-up volumes hold from 12 h to 2 weeks after it only."
        return Flag("followup_onset_unknown", "warning", message)
    if low <= onset_h <= high:
        return None
    message = f"{onset_h:.0f} h from onset: follow-up volumes hold from 12 h to 2 weeks after it only."
    return Flag("followup_outside_window", "warning", message, onset_h)


def _old(old_ml: float) -> Flag | None:
    if old_ml <= 0:
        return None
    message = f"{old_ml:.1f} ml are as dark as fluid and look old; they are left out of the follow-up infarct."
    return Flag("followup_old_left_out", "warning", message, old_ml)


def _density(followup: FollowupInfarct) -> Flag | None:
    if followup.mean_hu is None or in_classes(followup.mean_hu):
        return None
    message = f"The follow-up infarct measures {followup.mean_hu:.0f} HU in the mean, not 14 to 44: doubt its outline."
    return Flag("infarct_density_unusual", "warning", message, followup.mean_hu)


def _midline(followup: FollowupInfarct) -> Flag | None:
    if followup.midline_shift_mm is not None:
        return None
    message = "The shift of the midline could not be measured reliably and is left out; look for it."
    return Flag("midline_shift_uncertain", "warning", message)


def _blood(method: str) -> Flag | None:
    if method != "rule":
        return None
    message = (
        "Blood was looked for by density and place alone: faint blood in the infarct may be left out of its volume."
    )
    return Flag("followup_blood_by_rule", "info", message)


def _growth(followup: FollowupInfarct, earlier: EarlierScan | None) -> Flag | None:
    if earlier is None:
        return None
    if earlier.volume_ml is None:
        message = "The earlier findings hold no infarct volume: growth is not told."
        return Flag("growth_not_measured", "info", message)
    if earlier.section == "followup_infarct" and earlier.method == followup.method:
        return None
    message = "The earlier volume was measured in another way: growth holds the difference between the two as well."
    return Flag("growth_between_methods", "warning", message)


def _doubtful(earlier: EarlierScan | None) -> Flag | None:
    if earlier is None or not earlier.critical:
        return None
    return Flag("earlier_doubtful", "warning", "The earlier findings stand under a critical flag: doubt the change.")

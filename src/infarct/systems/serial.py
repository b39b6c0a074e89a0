"""This scan against an earlier one of the same patient: how much the infarct has grown, where the midline has moved."""

from infarct.anatomy import Side
from infarct.findings import EarlierScan, Findings, FollowupInfarct


def earlier_scan(findings: Findings) -> EarlierScan:
    """Return what an earlier scan says that can be compared: its follow-up infarct, otherwise its acute one."""
    late, early = findings.followup_infarct, findings.infarct
    asked = findings.provenance.config.get("request", {})
    hours = asked.get("onset_hours") if isinstance(asked, dict) else None
    section = late or early
    return EarlierScan(
        section=None if section is None else "followup_infarct" if late is not None else "infarct",
        method=section.method if section is not None else None,
        volume_ml=section.volume_ml if section is not None else None,
        onset_h=hours if isinstance(hours, int | float) else None,
        midline_shift_mm=late.midline_shift_mm if late is not None else None,
        midline_shift_side=late.midline_shift_side if late is not None else None,
        critical=any(flag.severity == "critical" for flag in findings.quality.flags),
    )


def compared(followup: FollowupInfarct, earlier: EarlierScan) -> FollowupInfarct:
    """Return the follow-up infarct with what has changed since an earlier scan."""
    growth_ml = None if earlier.volume_ml is None else followup.volume_ml - earlier.volume_ml
    return followup.model_copy(
        update={"growth_ml": growth_ml, "midline_shift_change_mm": _change_mm(followup, earlier), "earlier": earlier}
    )


def _change_mm(followup: FollowupInfarct, earlier: EarlierScan) -> float | None:
    """Return by how much further the midline is shifted, towards the side that it is shifted to now."""
    towards = followup.midline_shift_side or earlier.midline_shift_side
    if followup.midline_shift_mm is None or earlier.midline_shift_mm is None or towards is None:
        return None
    now, before = (
        _signed_mm(shift_mm, side, towards)
        for shift_mm, side in (
            (followup.midline_shift_mm, followup.midline_shift_side),
            (earlier.midline_shift_mm, earlier.midline_shift_side),
        )
    )
    return now - before


def _signed_mm(shift_mm: float, side: Side | None, towards: Side) -> float:
    return shift_mm if side in (None, towards) else -shift_mm

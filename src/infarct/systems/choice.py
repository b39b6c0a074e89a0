"""Which of the trained systems suit a scan: by the time from onset, the distance of its slices, and the skull.

Each system answers a question of its own time: tiles look for what a reader does not see yet, scores and the
segmentation are of the acute scan, volumetry is of the follow-up. One that does not suit a scan is left out and that
is said; a user who names it has it all the same.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.preprocess.head import Head
from infarct.preprocess.quality import skull_flag
from infarct.types import Flag
from infarct.volume import Scan

EARLY_H: Final = 12.0
"""Localize is of scans before this time from onset, as in its paper."""
ACUTE_H: Final = 24.0
"""Trained scores and the segmentation are of scans up to this time from onset: the cohorts' of their papers."""
WINDOW_H: Final = (12.0, 336.0)
"""Volumetry is of scans from 12 hours to 2 weeks after onset, as in its paper."""
MAX_GAP_MM: Final = 10.0
"""Where slices stand farther apart, lesions between them are lost: no volume and no tiles."""
WORDS: Final = {
    "aspects": "the network for ASPECTS",
    "radiomics": "the forests for ASPECTS",
    "segment": "the segmentation",
    "localize": "the search tile by tile",
    "volumetry": "the volume of a follow-up infarct",
}
"""How a system is named in a message."""


@dataclass(frozen=True)
class ScanTime:
    """Hours to the scan: from the onset, or from when the patient was last known well; None where not known."""

    onset_h: float | None = None
    last_known_well_h: float | None = None

    @property
    def earliest_h(self) -> float:
        """The least time that may have passed since the onset."""
        return 0.0 if self.onset_h is None else self.onset_h

    @property
    def latest_h(self) -> float:
        """The longest time that may have passed since the onset; infinite where nothing is known."""
        known = self.last_known_well_h if self.onset_h is None else self.onset_h
        return np.inf if known is None else known


def is_followup(time: ScanTime) -> bool:
    """Say whether a scan may be a follow-up: something of its time is known, and that allows 12 hours from onset."""
    return WINDOW_H[0] <= time.latest_h < np.inf


def unsuited(
    systems: Collection[str], scan: Scan, head: Head, time: ScanTime, *, named: Collection[str] = ()
) -> Mapping[str, str]:
    """Return which of the ``systems`` that could run do not suit a scan, each with the reason in words.

    ``named`` are those that the user asks for by name: they are never among them.
    """
    open_to_choice = [name for name in WORDS if name in systems and name not in named]
    reasons = {name: next(_reasons(name, scan, head, time), "") for name in open_to_choice}
    return {name: reason for name, reason in reasons.items() if reason}


def choice_flag(left_out: Mapping[str, str]) -> Flag | None:
    """Return the flag that tells which systems were left out and why, as `unsuited` returns them."""
    if not left_out:
        return None
    told = "; ".join(f"{WORDS[name]} ({reason})" for name, reason in left_out.items())
    return Flag("systems_left_out", "info", f"Not run, as the scan does not suit them: {told}. --systems runs them.")


def _reasons(name: str, scan: Scan, head: Head, time: ScanTime) -> Iterator[str]:
    if name == "localize" and time.earliest_h >= EARLY_H:
        yield f"{time.earliest_h:.0f} h from onset; made for less than {EARLY_H:.0f} h"
    if name in ("aspects", "radiomics", "segment") and time.earliest_h > ACUTE_H:
        yield f"{time.earliest_h:.0f} h from onset; made for up to {ACUTE_H:.0f} h"
    if name == "volumetry":
        low, high = WINDOW_H
        if time.latest_h < low:
            yield f"{time.latest_h:.0f} h from onset at most; made for {low:.0f} h to 2 weeks"
        if time.earliest_h > high:
            yield f"{time.earliest_h:.0f} h from onset; made for {low:.0f} h to 2 weeks"
    gap_mm = float(np.diff(scan.geometry.slice_positions_mm).max())
    if name in ("segment", "localize", "volumetry") and gap_mm > MAX_GAP_MM:
        yield f"slices {gap_mm:.0f} mm apart; made for {MAX_GAP_MM:.0f} mm at most"
    if name == "volumetry" and skull_flag(scan, head) is not None:
        yield "part of the skull is missing or open"

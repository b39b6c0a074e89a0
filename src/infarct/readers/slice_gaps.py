"""What the distances between slices say: missing slices, overlapping stacks, positions that do not fit."""

from itertools import pairwise

import numpy as np

from infarct.errors import NotHeadCT
from infarct.types import Flag, Float64Array

SAME_POSITION_MM = 0.1
"""Slices closer than this are two images of one place; headers are rounded to about 0.01 mm."""
MIN_GAP_MM, MAX_GAP_MM = 0.2, 12.5
"""Distances of neighbouring slices beyond these are no head CT (a lone larger gap counts as missing slices)."""
_EVEN = 0.03
"""Gaps whose ratio differs from 1 by less than this are equal."""


def check_spacing(gaps_mm: Float64Array) -> None:
    """Refuse spacings that no head CT has. Raises `NotHeadCT`."""
    usual = float(np.median(gaps_mm))
    if not MIN_GAP_MM <= usual <= MAX_GAP_MM or gaps_mm.min() < MIN_GAP_MM / 2:
        found = f"{gaps_mm.min():.2f} to {gaps_mm.max():.2f}"
        raise NotHeadCT(f"the slices stand {found} mm apart; a head CT has {MIN_GAP_MM} to {MAX_GAP_MM} mm")


def gap_flags(gaps_mm: Float64Array, thickness_mm: list[float | None]) -> list[Flag]:
    """Return the flags that the gaps (z - 1,) between slices of the given nominal thickness (z) give rise to.

    A stack is a run of at least three equal gaps; gaps inside a stack are fine, one gap may stand between two
    stacks. A gap of 1.8 or more times the usual one of its surroundings means missing slices, one
    under 0.6 times means overlapping stacks, anything else is a position that does not fit.
    """
    runs = _runs(gaps_mm)
    stacks = _stacks(gaps_mm, runs, thickness_mm)
    missing, overlaps, odd = 0, 0, 0
    largest = 0.0
    for start, stop in runs:
        if (start, stop) in stacks:
            continue
        usual = _usual_around(gaps_mm, stacks, start, stop, thickness_mm)
        ratios = gaps_mm[start:stop] / usual
        gone = ratios >= 1.8
        missing += int(np.maximum(np.round(ratios[gone]) - 1, 1).sum())
        largest = max(largest, *gaps_mm[start:stop][gone], 0.0)
        overlaps += int((ratios < 0.6).sum())
        joins = stop - start == 1 and _joins_stacks(stacks, start, stop)
        odd += 0 if joins else int(((ratios >= 0.6) & ~gone).sum())
    return _flags(missing, largest, overlaps, odd)


def _runs(gaps_mm: Float64Array) -> list[tuple[int, int]]:
    """Split the gaps into runs of equal ones: (start, stop) each."""
    ends = [0]
    for i in range(1, len(gaps_mm)):
        first = gaps_mm[ends[-1]]
        if abs(gaps_mm[i] - first) > max(_EVEN * first, 0.06):
            ends.append(i)
    return list(pairwise([*ends, len(gaps_mm)]))


def _stacks(
    gaps_mm: Float64Array, runs: list[tuple[int, int]], thickness_mm: list[float | None]
) -> list[tuple[int, int]]:
    """Return the runs that are stacks; where thickness stays and spacing doubles, every other slice is missing."""
    long = [run for run in runs if run[1] - run[0] >= 3]
    if not long:
        return [max(runs, key=lambda run: (run[1] - run[0], -run[0]))]
    return [
        run
        for run in long
        if not any(
            gaps_mm[run[0]] >= 1.8 * gaps_mm[other[0]] and thickness_mm[run[0] + 1] == thickness_mm[other[0] + 1]
            for other in long
        )
    ]


def _joins_stacks(stacks: list[tuple[int, int]], start: int, stop: int) -> bool:
    return any(s[1] == start for s in stacks) and any(s[0] == stop for s in stacks)


def _usual_around(
    gaps_mm: Float64Array, stacks: list[tuple[int, int]], start: int, stop: int, thickness_mm: list[float | None]
) -> float:
    """Return the gap that would be usual at a run: that of the nearest stack with slices of the same thickness."""
    here = {thickness_mm[start], thickness_mm[stop]}

    def strangeness(stack: tuple[int, int]) -> tuple[bool, int, float]:
        alike = thickness_mm[stack[0]] in here
        distance = max(start - stack[1], stack[0] - stop, 0)
        return not alike, distance, -float(gaps_mm[stack[0]])

    nearest = min(stacks, key=strangeness)
    return float(np.median(gaps_mm[nearest[0] : nearest[1]]))


def _flags(missing: int, largest_mm: float, overlaps: int, odd: int) -> list[Flag]:
    flags = []
    if missing:
        words = f"About {missing} slices are missing: the largest gap between slices is {largest_mm:.1f} mm."
        flags.append(Flag("slices_missing", "warning", words, float(missing)))
    if overlaps:
        places = "place" if overlaps == 1 else "places"
        words = f"Slices overlap at {overlaps} {places}, as where two stacks of one scan meet; all are kept."
        flags.append(Flag("stacks_overlap", "info", words, float(overlaps)))
    if odd:
        words = f"The positions of the slices do not follow one spacing at {odd} places; a position may be wrong."
        flags.append(Flag("slice_positions_irregular", "warning", words, float(odd)))
    return flags


def line_flags(origins_mm: Float64Array) -> list[Flag]:
    """Return a flag where the slice origins (z, 3), sorted, do not lie on one line: slices shifted in plane."""
    along = origins_mm[-1] - origins_mm[0]
    centred = origins_mm - np.median(origins_mm, axis=0)
    steps = np.diff(origins_mm, axis=0)
    lengths = np.linalg.norm(steps, axis=1, keepdims=True)
    direction = np.median(steps / lengths, axis=0)
    direction /= np.linalg.norm(direction) if np.linalg.norm(direction) > 0.5 else 1.0
    direction = direction if np.linalg.norm(direction) > 0.5 else along / np.linalg.norm(along)
    aside = centred - np.outer(centred @ direction, direction)
    off = np.linalg.norm(aside - np.median(aside, axis=0), axis=1)
    shifted = int((off > SAME_POSITION_MM).sum())
    if not shifted:
        return []
    words = f"{shifted} slices are shifted in plane by up to {off.max():.1f} mm; their positions may be wrong."
    return [Flag("slices_shifted", "warning", words, float(off.max()))]


def location_flags(positions_mm: Float64Array, locations_mm: list[float | None]) -> list[Flag]:
    """Return a flag where the scanner's slice locations (z) contradict the positions (z,) along the normal."""
    if any(location is None for location in locations_mm):
        return []
    steps = np.diff(np.array(locations_mm, dtype=np.float64)) / np.diff(positions_mm)
    usual = float(np.median(steps))
    errors = np.abs(steps - usual) * np.diff(positions_mm)
    if abs(usual) < 0.5 or errors.max() <= 0.5:
        return []
    words = f"Slice locations and image positions disagree by up to {errors.max():.1f} mm; a position may be wrong."
    return [Flag("slice_positions_conflict", "warning", words, float(errors.max()))]

"""Slices whose voxels do not fit their neighbours: damaged pixels, wrong rescaling, exchanged slices."""

import numpy as np

from infarct.types import BoolArray, Flag, Float32Array, Float64Array

OUTLIER_HU = 300.0
"""A voxel that stands out from its four neighbours by more is no image of a body: scanners blur wider."""
ORDER_RATIO = 0.8
"""Slices are out of order where turning a run of them round shortens the steps at its ends to less than this."""
LONGEST_RUN = 11
"""Longest run of slices that is tried turned round."""
SKIP_RATIO = 1.2
"""A slice is alien where it differs from both neighbours by more than this times what these differ from each other."""
CONTENT_HU, MIN_CONTENT = 5.0, 0.05
"""A slice with less than this share above its background (the vertex) has no order to be wrong about."""


def slice_flags(hu: Float32Array, *, skull_stripped: bool = False) -> list[Flag]:
    """Return flags for the slices of ``hu`` ((z, y, x), before anything is smoothed) that do not fit the others.

    Empty slices at the ends are usual where the skull was stripped, and not flagged there.
    """
    flags = []
    speckled = speckled_slices(hu)
    if speckled.any():
        words = f"{int(speckled.sum())} slices hold isolated voxels far off their surroundings, as damaged files do."
        flags.append(Flag("voxels_inconsistent", "warning", words, float(speckled.sum())))
    empty = empty_ends(hu)
    if empty and not skull_stripped:
        words = f"{empty} slices at the ends hold one value only: nothing was imaged there, or their pixels are lost."
        flags.append(Flag("slices_empty", "info", words, float(empty)))
    alien = alien_slices(hu)
    if alien.any():
        words = f"{int(alien.sum())} slices do not fit their neighbours: order, rescaling or pixels may be wrong."
        flags.append(Flag("slice_inconsistent", "critical", words, float(alien.sum())))
    return flags


def speckled_slices(hu: Float32Array) -> BoolArray:
    """Return which slices (z,) hold more isolated outliers than the noise of the scan explains."""
    counts = np.array([_outliers(plane) for plane in hu])
    usual = float(np.median(counts))
    return np.asarray(counts > 4 * usual + 3 * np.sqrt(usual))


def _outliers(plane: Float32Array) -> int:
    centre = plane[1:-1, 1:-1]
    around = plane[:-2, 1:-1], plane[2:, 1:-1], plane[1:-1, :-2], plane[1:-1, 2:]
    high = np.maximum(np.maximum(around[0], around[1]), np.maximum(around[2], around[3]))
    low = np.minimum(np.minimum(around[0], around[1]), np.minimum(around[2], around[3]))
    return int(np.count_nonzero(centre > high + OUTLIER_HU) + np.count_nonzero(centre < low - OUTLIER_HU))


def alien_slices(hu: Float32Array) -> BoolArray:
    """Return which slices (z,) are empty among others, unlike both neighbours, or out of order.

    Anatomy changes steadily, so slices two apart differ more than neighbours do.
    """
    step = max(1, min(hu.shape[1:]) // 96)
    coarse = np.clip(hu[:, ::step, ::step], -1000, 1000)
    near, far = _differences(coarse, 1), _differences(coarse, 2)
    alien = _empty(hu)
    filled = np.flatnonzero(~alien)
    if len(filled):
        alien[: filled[0]] = alien[filled[-1] + 1 :] = False
    skips = np.minimum(near[:-1], near[1:]) > SKIP_RATIO * far + 1.0
    alien[1:-1] |= skips
    return np.asarray(alien | _out_of_order(coarse))


def _out_of_order(coarse: Float32Array) -> BoolArray:
    """Return the slices of runs that lie shorter turned round (the 2-opt test of the shortest way through all)."""
    count = len(coarse)
    apart = [np.zeros(count), *(_differences(coarse, lag) for lag in range(1, min(LONGEST_RUN + 2, count)))]
    content = np.array([(plane > plane.min() + CONTENT_HU).mean() for plane in coarse])
    faint = content < MIN_CONTENT
    wrong = np.zeros(count, dtype=bool)
    for first in range(count):
        for last in range(first + 1, min(first + LONGEST_RUN, count)):
            if faint[first : last + 1].any():
                continue
            now = turned = 0.0
            if first > 0:
                now, turned = now + apart[1][first - 1], turned + apart[last - first + 1][first - 1]
            if last + 1 < count:
                now, turned = now + apart[1][last], turned + apart[last + 1 - first][first]
            if turned < ORDER_RATIO * now - 1.0:
                wrong[first : last + 1] = True
    return wrong


def empty_ends(hu: Float32Array) -> int:
    """Return how many slices before the first and after the last image hold one value only."""
    filled = np.flatnonzero(~_empty(hu))
    return int(len(hu) - (filled[-1] - filled[0] + 1)) if len(filled) else len(hu)


def _empty(hu: Float32Array) -> BoolArray:
    return np.array([bool((plane == plane[0, 0]).all()) for plane in hu])


def _differences(coarse: Float32Array, apart: int) -> Float64Array:
    return np.array([np.abs(a - b).mean() for a, b in zip(coarse[:-apart], coarse[apart:], strict=True)], dtype=float)

"""Slices whose voxels do not fit their neighbours: damaged pixels, wrong rescaling, exchanged slices."""

import numpy as np

from infarct.types import BoolArray, Flag, Float32Array, Float64Array

OUTLIER_HU = 300.0
"""A voxel that stands out from its four neighbours by more is no image of a body: scanners blur over more than a voxel."""
SWAP_RATIO = 0.85
"""Two neighbouring slices are exchanged where exchanging them shortens the way through the slices to less than this."""
SKIP_RATIO = 1.2
"""A slice is alien where it differs from both neighbours by more than this times what these differ from each other."""


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
    """Return which slices (z,) are empty among others, unlike both neighbours, or closer to the next but one.

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
    count = len(hu)
    for k in range(count - 1):
        before, after = k > 0, k + 2 < count
        now = near[k] + (near[k - 1] if before else 0) + (near[k + 1] if after else 0)
        swapped = near[k] + (far[k - 1] if before else 0) + (far[k] if after else 0)
        if swapped < SWAP_RATIO * now - 1.0:
            alien[k : k + 2] = True
    return np.asarray(alien)


def empty_ends(hu: Float32Array) -> int:
    """Return how many slices before the first and after the last image hold one value only."""
    filled = np.flatnonzero(~_empty(hu))
    return int(len(hu) - (filled[-1] - filled[0] + 1)) if len(filled) else len(hu)


def _empty(hu: Float32Array) -> BoolArray:
    return np.array([bool((plane == plane[0, 0]).all()) for plane in hu])


def _differences(coarse: Float32Array, apart: int) -> Float64Array:
    return np.array([np.abs(a - b).mean() for a, b in zip(coarse[:-apart], coarse[apart:], strict=True)], dtype=float)

"""From the probabilities of a patch CNN to a mask: smoothed, cut off, without specks.

The same in training, which chooses cut-off and specks on validation scans, and in use.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry

SCORE_ML: Final = 0.1
"""Added to a volume of blood before its logarithm is taken, which is the score of a scan."""


def bleeding_scores(volumes_ml: npt.ArrayLike) -> Float64Array:
    """Return the score of scans (n,) with volumes of blood (n,), whose probability is a logistic function of it."""
    return np.asarray(np.log(np.asarray(volumes_ml, dtype=np.float64) + SCORE_ML))


def masks_at(
    probabilities: Float32Array,
    region: BoolArray,
    geometry: Geometry,
    *,
    thresholds: Sequence[float],
    least_ml: Sequence[float],
    smooth_mm: float,
) -> BoolArray:
    """Return what each network marks, bool (k, z, y, x), of raw ``probabilities`` (float32, (k, z, y, x)).

    They are smoothed over the ``region`` (bool, (z, y, x)), outside of which nothing is marked; each network has its
    own of the ``thresholds``, and of ``least_ml``, the least volume of a connected piece.
    """
    smooth = smoothed(probabilities, region, geometry, smooth_mm=smooth_mm)
    return np.stack(
        [
            without_specks(region & (part >= threshold), geometry, least_ml=least)
            for part, threshold, least in zip(smooth, thresholds, least_ml, strict=True)
        ]
    )


def smoothed(probabilities: Float32Array, region: BoolArray, geometry: Geometry, *, smooth_mm: float) -> Float32Array:
    """Return ``probabilities`` (float32, (k, z, y, x)) smoothed in plane, 0 outside the ``region`` (bool, (z, y, x)).

    ``smooth_mm`` is the SD of the Gaussian; 0 leaves them. Each voxel is the weighted mean over the region alone, so
    that its edge is no darker than its middle.
    """
    if not smooth_mm:
        return np.asarray(probabilities * region, dtype=np.float32)
    sigma_px = [0.0, *(smooth_mm / step for step in geometry.pixel_spacing_mm_yx)]
    weight = ndimage.gaussian_filter(region.astype(np.float32), sigma_px)
    sums = np.stack([ndimage.gaussian_filter(part * region, sigma_px) for part in probabilities])
    return np.asarray(np.where(region, sums / np.where(region, weight, 1), 0), dtype=np.float32)


def without_specks(mask: BoolArray, geometry: Geometry, *, least_ml: float) -> BoolArray:
    """Return ``mask`` (bool, (z, y, x)) without connected pieces of less than ``least_ml``."""
    if least_ml <= 0 or not mask.any():
        return mask
    labels, sizes_ml = pieces(mask, geometry)
    return np.asarray(np.concatenate([[False], sizes_ml >= least_ml])[labels])


def sure_of(mask: BoolArray, sure: BoolArray, geometry: Geometry, *, least_ml: float) -> tuple[BoolArray, float]:
    """Return the connected pieces of ``mask`` of which at least ``least_ml`` are ``sure``, both bool (z, y, x).

    The number is the largest ``sure`` volume of a piece in ml, 0 without any.
    """
    labels, sizes_ml = pieces(mask, geometry)
    sure_ml = volumes_ml(np.where(sure, labels, 0), len(sizes_ml), geometry)
    kept = np.concatenate([[False], sure_ml >= least_ml])
    return np.asarray(kept[labels]), float(sure_ml.max(initial=0.0))


def pieces(mask: BoolArray, geometry: Geometry) -> tuple[npt.NDArray[np.int32], Float64Array]:
    """Return the connected pieces of ``mask`` (bool, (z, y, x)) as labels from 1 (int32), and their volumes in ml.

    Voxels are connected by faces, edges and corners.
    """
    labels: npt.NDArray[np.int32]
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return labels, volumes_ml(labels, count, geometry)


def volumes_ml(labels: npt.NDArray[np.int32], count: int, geometry: Geometry) -> Float64Array:
    """Return the volumes (count,) in ml of what has the labels 1 to ``count`` in ``labels`` (int32, (z, y, x))."""
    sizes_ml = np.zeros(count)
    for plane, voxel_ml in zip(labels, geometry.slice_voxel_ml, strict=True):
        sizes_ml += voxel_ml * np.bincount(plane.ravel(), minlength=count + 1)[1:]
    return sizes_ml

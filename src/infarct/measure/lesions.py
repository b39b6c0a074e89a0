"""Lesions found and missed, counted one by one.

A lesion is a connected component (voxels that touch by a face, an edge or a corner) of at least ``minimum_ml``. A true
lesion is found where at least ``overlap`` of its voxels are predicted; a predicted one is false where less than
``overlap`` of its voxels are true. Each is held against the whole other mask, so one prediction may find two lesions,
two fragments may find one, and specks below the minimum are neither asked for nor held against the prediction.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.types import BoolArray, Float64Array
from infarct.volume import Geometry

OVERLAP: Final = 0.1
"""A tenth of a lesion: more than a touch, and still within what readers differ by on the faint edge of an infarct."""
MINIMUM_ML: Final = 0.1
"""A sphere of 6 mm; smaller components are mostly single noisy pixels in slices of 5 mm."""


@dataclass(frozen=True)
class LesionCounts:
    """True lesions found (``tp``) and missed (``fn``), and predicted lesions that are false (``fp``)."""

    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), 0-1; nan where there is no true lesion, as for the Dice of masks."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fn else math.nan

    @property
    def sensitivity(self) -> float:
        """Share of the true lesions found; nan where there is none."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else math.nan


def count_lesions(
    predicted: BoolArray,
    truth: BoolArray,
    geometry: Geometry,
    *,
    overlap: float = OVERLAP,
    minimum_ml: float = MINIMUM_ML,
) -> LesionCounts:
    """Return how many lesions of two masks (bool, (z, y, x)) were found, missed or invented.

    ``overlap`` is a share above 0, at most 1. An empty truth has no lesion to find or miss, an empty prediction
    invents none.
    """
    if not 0 < overlap <= 1:
        raise ValueError("the overlap is a share above 0, at most 1")
    found = _covered(truth, predicted, geometry, minimum_ml) >= overlap
    right = _covered(predicted, truth, geometry, minimum_ml) >= overlap
    return LesionCounts(tp=int(found.sum()), fp=int((~right).sum()), fn=int((~found).sum()))


def _covered(mask: BoolArray, by: BoolArray, geometry: Geometry, minimum_ml: float) -> Float64Array:
    """Return which share of each large enough component of ``mask`` lies in ``by``."""
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return np.empty(0)
    labels: npt.NDArray[np.int32]
    labels, count = ndimage.label(mask[found[0]], np.ones((3, 3, 3)))
    sizes_ml = np.zeros(count)
    for plane, voxel_ml in zip(labels, geometry.slice_voxel_ml[found[0][0]], strict=True):
        sizes_ml += voxel_ml * np.bincount(plane.ravel(), minlength=count + 1)[1:]
    voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    shared = np.bincount(labels[by[found[0]]], minlength=count + 1)[1:]
    return np.asarray((shared / voxels)[sizes_ml >= minimum_ml], dtype=np.float64)

"""Distances between the surfaces of two masks.

A surface is the voxels of a mask that touch something else through one of their six faces; the edge of the array counts
as something else. Distances run between centres of voxels in world millimetres, so tilted and uneven stacks need no
resampling. Where either mask is empty there is no surface to measure to, and distances are nan.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from infarct.types import BoolArray, Float64Array
from infarct.volume import Geometry


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance in mm of each surface voxel of the prediction to the truth's surface, and the other way: (n,), (m,).

    Both hold nan where the other mask is empty, and nothing where their own is.
    """

    predicted_mm: Float64Array
    truth_mm: Float64Array

    @property
    def mean_mm(self) -> float:
        """Mean over the voxels of both surfaces; nan where either mask is empty."""
        both = np.concatenate([self.predicted_mm, self.truth_mm])
        return float(both.mean()) if self._measured else math.nan

    @property
    def hausdorff95_mm(self) -> float:
        """The larger of the 95th percentiles of both directions; nan where either mask is empty."""
        if not self._measured:
            return math.nan
        return float(max(np.percentile(self.predicted_mm, 95), np.percentile(self.truth_mm, 95)))

    def dice(self, *, tolerance_mm: float) -> float:
        """Return the share (0-1) of both surfaces that lies within ``tolerance_mm`` of the other.

        nan where the truth is empty, 0 where only the prediction is, as for the Dice of masks.
        """
        if not len(self.truth_mm):
            return math.nan
        both = np.concatenate([self.predicted_mm, self.truth_mm])
        return float(np.count_nonzero(both <= tolerance_mm) / len(both))

    @property
    def _measured(self) -> bool:
        return bool(len(self.predicted_mm) and len(self.truth_mm))


def surface_distances(predicted: BoolArray, truth: BoolArray, geometry: Geometry) -> SurfaceDistances:
    """Return the distances between the surfaces of two masks (bool, (z, y, x)) on ``geometry``."""
    first, second = (surface_points_mm(mask, geometry) for mask in (predicted, truth))
    return SurfaceDistances(_nearest_mm(first, second), _nearest_mm(second, first))


def surface_points_mm(mask: BoolArray, geometry: Geometry) -> Float64Array:
    """Return the LPS centres (n, 3) of the surface voxels of ``mask`` (bool, (z, y, x)); none where it is empty."""
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return np.empty((0, 3))
    inside = mask[found[0]]
    index = np.argwhere(inside & ~ndimage.binary_erosion(inside)) + [part.start for part in found[0]]
    return geometry.index_to_world(index)


def _nearest_mm(points_mm: Float64Array, others_mm: Float64Array) -> Float64Array:
    if not len(others_mm):
        return np.full(len(points_mm), np.nan)
    distance_mm, _ = KDTree(others_mm).query(points_mm)
    return np.asarray(distance_mm, dtype=np.float64)

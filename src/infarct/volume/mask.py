"""Measures of masks on a geometry."""

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray, Float64Array
from infarct.volume.geometry import Geometry


def volume_ml(mask: BoolArray, geometry: Geometry) -> float:
    """Return the volume of ``mask`` (bool, (z, y, x)) in millilitres; 0.0 when empty.

    Each slice counts with the interval that it stands for, so uneven stacks are integrated right.
    """
    return float(mask.sum(axis=(1, 2)) @ geometry.slice_voxel_ml)


def bounding_box(mask: BoolArray) -> tuple[slice, slice, slice]:
    """Return the smallest box (z, y, x) that holds ``mask`` (bool, (z, y, x)).

    Raises `ValueError` when the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no bounding box")
    z, y, x = ndimage.find_objects(mask.astype(np.uint8))[0]
    return z, y, x


def centroid_mm(mask: BoolArray, geometry: Geometry) -> Float64Array:
    """Return the LPS centre of gravity of ``mask`` (bool, (z, y, x)) in mm, each slice weighted by its interval.

    Raises `ValueError` when the mask is empty.
    """
    index = np.argwhere(mask)
    if len(index) == 0:
        raise ValueError("an empty mask has no centroid")
    weights = geometry.slice_voxel_ml[index[:, 0]]
    return np.asarray(np.average(geometry.index_to_world(index), axis=0, weights=weights))

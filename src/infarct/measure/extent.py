"""How long a lesion is, as a reader measures it: the longest diameter in a slice."""

from typing import Final

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray
from infarct.volume import Geometry

DIRECTIONS: Final = 90
"""Directions over half a turn: the longest diameter lies within one degree of one, which costs less than 0.02 %."""


def longest_mm(mask: BoolArray, geometry: Geometry) -> float:
    """Return the longest diameter in any slice, mm, of the largest connected piece of ``mask`` (bool, (z, y, x)).

    It goes from middle to middle of the outermost pixels, and one pixel more; 0 for an empty mask.
    """
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
    sizes = np.bincount(labels.ravel())[1:]
    if not len(sizes):
        return 0.0
    spacing_mm = np.array(geometry.pixel_spacing_mm_yx)
    turns = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    directions = np.stack([np.sin(turns), np.cos(turns)])
    longest = 0.0
    for plane in labels == sizes.argmax() + 1:
        if plane.any():
            along_mm = (np.argwhere(plane) * spacing_mm) @ directions
            longest = max(longest, float(np.ptp(along_mm, axis=0).max()))
    return longest + float(spacing_mm.mean())

"""Taking the skull off: the segment paper's strip and the localize paper's removal of bone and calcified falx."""

import numpy as np
from scipy import ndimage

from infarct.errors import StepFailed
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry

CLIP_HU = (0.0, 80.0)
"""Intensities are clipped to this range first (segment paper, 2.1)."""
CALCIFICATION_HU = 80.0
"""Denser than fresh blood usually is: bone, calcified falx, choroid and pineal (localize paper gives no number)."""
OPENING_RADIUS_MM = 2.0
"""Cuts the bridges between brain and scalp; the localize paper names erosion and opening without a size."""


def strip_skull(hu: Float32Array) -> BoolArray:
    """Return the brain slice by slice, as the segment paper strips it: bool (z, y, x).

    ``hu`` (float32, (z, y, x)) is clipped to 0-80 HU; in each slice the largest connected component of what is
    not zero is kept, its brightest pixels (the skull, clipped to 80) are set to zero, and the largest connected
    component of the rest is the brain. A slice without any is empty. Source: segment paper, 2.1.

    Raises `StepFailed` where nothing is left in any slice.
    """
    brain = np.zeros(hu.shape, dtype=bool)
    for k, hu_slice in enumerate(np.clip(hu, *CLIP_HU)):
        head = _largest_component(hu_slice > CLIP_HU[0])
        brain[k] = _largest_component(head & (hu_slice < CLIP_HU[1]))
    if not brain.any():
        raise StepFailed("no brain is left after the skull strip")
    return brain


def remove_bone_and_falx(hu: Float32Array, geometry: Geometry) -> BoolArray:
    """Return the brain slice by slice without bone and calcified falx, as in the localize paper: bool (z, y, x).

    ``hu`` (float32, (z, y, x)) lies on ``geometry``. Soft tissue (above 0 and below 80 HU) is eroded by 2 mm, the
    largest component of each slice is grown back by 2 mm inside the soft tissue (an opening that lets go of the
    scalp), and calcified pixels stay out. Source: localize paper, Preprocessing; sizes are ours.

    Raises `StepFailed` where nothing is left in any slice.
    """
    spacing = geometry.pixel_spacing_mm_yx
    brain = np.zeros(hu.shape, dtype=bool)
    for k, hu_slice in enumerate(hu):
        calm = ndimage.median_filter(hu_slice, 3)  # single noisy pixels would riddle the threshold
        soft = (calm > CLIP_HU[0]) & (calm < CALCIFICATION_HU) & (hu_slice < CALCIFICATION_HU)
        core = _largest_component(ndimage.distance_transform_edt(soft, sampling=spacing) > OPENING_RADIUS_MM)
        if core.any():
            reach = ndimage.distance_transform_edt(~core, sampling=spacing) <= OPENING_RADIUS_MM + 0.5
            brain[k] = soft & reach
    if not brain.any():
        raise StepFailed("no brain is left after bone and falx are removed")
    return brain


def _largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest component of a 2D mask, joined over edges: over corners the brain leaks along sutures."""
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == sizes.argmax())

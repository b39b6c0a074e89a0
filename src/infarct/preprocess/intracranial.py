"""The intracranial region, as in the volumetry paper: bone, closed foramina, region growing, foramen magnum."""

import numpy as np
from scipy import ndimage

from infarct.errors import StepFailed
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, resample, resample_mask

BONE_HU = 160.0
"""Everything denser is bone (volumetry paper, Preprocessing)."""
CLOSING_RADIUS_MM = 7.0
"""Closes all foramina but the foramen magnum (volumetry paper, Preprocessing)."""
WIDER_RADII_MM = (10.0, 14.0)
"""Tried in turn where the region leaks at 7 mm: burr holes, thin bone lost to partial volume (ours)."""
WORK_MM = 2.0
"""Cubic grid of the region growing: on 5 mm slices a radius of 7 mm would be one slice or two."""
EDGE_MM = 1.5
"""The cubic grid blurs bone into the brain's edge by this; what is bone on the scan's own grid stays out."""
CLOSING_STRIPPED_MM = 3.0
OPEN_DEPTH_MM = 5.0
FORAMEN_MAGNUM_MM2 = 900.0
"""First area below this, going down from the largest slice, marks the foramen magnum (volumetry paper)."""
PLAUSIBLE_ML = (300.0, 2600.0)
"""Outside this the region growing went wrong; generous, as part of a head may be covered only."""


def segment_intracranial(hu: Float32Array, geometry: Geometry) -> BoolArray:
    """Return the intracranial region of a head with its skull: bool (z, y, x).

    ``hu`` (float32, (z, y, x)) lies on an even, upright ``geometry``. Bone above 160 HU is dilated by 7 mm, the
    region inside grown from the centre of gravity of the bone, dilated back by 7 mm, and cut below the foramen
    magnum. Where the region leaks to the outside, wider radii are tried. Where that centre
    lies in bone, the nearest place inside stands for it (the paper is silent).

    Raises `StepFailed` where no closed region of a plausible volume is found (skull missing or open).
    Source: volumetry paper, Preprocessing.
    """
    grid = geometry.regridded((WORK_MM,) * 3)
    coarse = _segmented(resample(hu, geometry, grid, antialias=True), grid)
    return resample_mask(coarse, grid, geometry) & (hu <= BONE_HU)


def _segmented(hu: Float32Array, geometry: Geometry) -> BoolArray:
    spacing = geometry.spacing_mm_zyx
    bone = hu > BONE_HU
    if not bone.any():
        raise StepFailed("no bone in the scan")
    distance_mm = ndimage.distance_transform_edt(~bone, sampling=spacing)
    for radius_mm in (CLOSING_RADIUS_MM, *WIDER_RADII_MM):
        inside = _grown(distance_mm > radius_mm, bone, geometry)
        if inside is None:
            continue
        near = ndimage.distance_transform_edt(~inside, sampling=spacing) <= radius_mm + EDGE_MM
        region = _without_spine(near, geometry)
        if PLAUSIBLE_ML[0] <= float(region.sum() * geometry.slice_voxel_ml[0]) <= PLAUSIBLE_ML[1]:
            return region
    raise StepFailed("no closed region of a plausible volume inside the skull")


def _grown(open_space: BoolArray, bone: BoolArray, geometry: Geometry) -> BoolArray | None:
    """Return the part of ``open_space`` that is closed in by bone and nearest to the bone's centre; None if none is."""
    components, count = ndimage.label(open_space)
    outside = np.unique(np.concatenate([components[:, edge].ravel() for edge in (0, -1)]))
    outside = np.union1d(outside, np.concatenate([components[:, :, edge].ravel() for edge in (0, -1)]))
    sizes = np.bincount(components.ravel(), minlength=count + 1).astype(np.float64)
    sizes[outside] = 0
    sizes[0] = 0
    large = np.flatnonzero(sizes * geometry.slice_voxel_ml[0] > PLAUSIBLE_ML[0] / 3)
    if len(large) == 0:
        return None
    centre = np.array(ndimage.center_of_mass(bone))
    candidates = np.isin(components, large)
    index = ndimage.distance_transform_edt(
        ~candidates, sampling=geometry.spacing_mm_zyx, return_distances=False, return_indices=True
    )
    seed = index[(slice(None), *np.round(centre).astype(int))]
    return np.asarray(components == components[tuple(seed)])


def _without_spine(region: BoolArray, geometry: Geometry) -> BoolArray:
    """Return ``region`` without the slices below the foramen magnum."""
    sy, sx = geometry.pixel_spacing_mm_yx
    areas = region.sum(axis=(1, 2)) * sy * sx
    below = np.flatnonzero(areas[: int(areas.argmax()) + 1] < FORAMEN_MAGNUM_MM2)
    cut = region.copy()
    if len(below):
        cut[: below[-1] + 1] = False
    return cut


def segment_stripped(hu: Float32Array, geometry: Geometry) -> BoolArray:
    """Return the brain of a volume whose skull was taken off before: bool (z, y, x).

    ``hu`` (float32, (z, y, x)) lies on ``geometry``; the background is one value (0, or air). What differs from the
    background is closed by 3 mm, filled in each slice, and its largest component kept.

    Raises `StepFailed` where its volume is not that of a brain.
    """
    background = float(np.median(np.concatenate([hu[:, 0].ravel(), hu[:, -1].ravel()])))
    inside = (np.abs(hu - background) > 1.0) & (hu > -100)
    spacing = geometry.spacing_mm_zyx
    grown = ndimage.distance_transform_edt(~inside, sampling=spacing) <= CLOSING_STRIPPED_MM
    closed = inside | (ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_STRIPPED_MM)
    return _largest_filled(closed, geometry)


def segment_open_skull(hu: Float32Array, geometry: Geometry) -> BoolArray:
    """Return the brain where the skull does not close (craniectomy, head cut off by the field): bool (z, y, x).

    ``hu`` (float32, (z, y, x)) lies on ``geometry``. Soft tissue of 0-80 HU more than 5 mm deep is what scalp and
    muscle are not; the largest such component is grown back. A rough guess, always to be flagged.

    Raises `StepFailed` where its volume is not that of a brain.
    """
    spacing = geometry.spacing_mm_zyx
    soft = (ndimage.gaussian_filter(hu, (0, 1, 1)) > 0) & (hu < 80)
    core = ndimage.distance_transform_edt(soft, sampling=spacing) > OPEN_DEPTH_MM
    components, _ = ndimage.label(core)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    grown = ndimage.distance_transform_edt(components != sizes.argmax(), sampling=spacing) <= OPEN_DEPTH_MM
    return _largest_filled(soft & grown, geometry)


def _largest_filled(mask: BoolArray, geometry: Geometry) -> BoolArray:
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest = components == sizes.argmax()
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
    if not PLAUSIBLE_ML[0] <= float(filled.sum() * geometry.slice_voxel_ml[0]) <= PLAUSIBLE_ML[1]:
        raise StepFailed("no region of the size of a brain")
    return filled

"""Connected pieces of a mask and means around a voxel, in millilitres and millimetres: shared by the standards."""

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry


def pieces(mask: BoolArray, least_ml: float, geometry: Geometry) -> BoolArray:
    """Return the pieces of ``mask`` (bool, (z, y, x)) of at least a volume in ml; voxels join over faces."""
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    voxel_ml = np.broadcast_to(geometry.slice_voxel_ml[:, None, None], mask.shape)
    sizes_ml = np.bincount(components.ravel(), voxel_ml.ravel())
    sizes_ml[0] = 0
    return np.asarray((sizes_ml >= least_ml)[components])


def grown(mask: BoolArray, reach_mm: float, geometry: Geometry) -> BoolArray:
    """Return what lies within ``reach_mm`` of ``mask`` (bool, (z, y, x)); an empty mask stays empty."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=geometry.spacing_mm_zyx) <= reach_mm)


def local_mean(
    values: Float32Array, weight: Float32Array, geometry: Geometry, sigma_mm: float, usual: float
) -> Float32Array:
    """Return the weighted mean around each voxel, float32 (z, y, x); ``usual`` where nothing near has a weight."""
    sigma = [sigma_mm / mm for mm in geometry.spacing_mm_zyx]
    total, near = (
        ndimage.gaussian_filter(part, sigma, mode="constant", truncate=3) for part in (values * weight, weight)
    )
    return np.asarray((total + 1e-3 * usual) / (near + 1e-3), dtype=np.float32)

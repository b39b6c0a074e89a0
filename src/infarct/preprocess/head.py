"""A head made ready for the systems: one working grid, one brain mask, one registration, one mirror."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.atlas import Atlas
from infarct.atlas.registration import Registration
from infarct.preprocess.midplane import Midplane, mirrored
from infarct.preprocess.noise import Noise
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, resample, resample_labels

WORK_PIXEL_MM: Final = 1.0
WORK_SLICE_MM: Final = 3.0
"""Finest spacings of the working grid: thinner slices and pixels are averaged, which takes noise away."""


@dataclass(frozen=True, eq=False)
class Head:
    """A scan on its even, upright working grid with all that the systems share; arrays are (z, y, x) on ``geometry``.

    ``brain`` is the intracranial region (``skull_closed`` False where it had to be found without a closed skull),
    ``fluid`` the CSF connected with the ventricles, ``mirrored_hu`` the head mirrored through ``midplane``.
    ``aspects_regions`` and ``territories`` are atlas labels brought here, empty where the registration is not reliable;
    ``region_ml`` the volume of each label value, 0 to 20, with what lies outside the scan.
    """

    hu: Float32Array
    geometry: Geometry
    brain: BoolArray
    skull_closed: bool
    fluid: BoolArray
    registration: Registration
    midplane: Midplane
    mirrored_hu: Float32Array
    noise: Noise
    aspects_regions: LabelArray
    region_ml: tuple[float, ...]
    territories: LabelArray


def working_geometry(geometry: Geometry) -> Geometry:
    """Return the even, upright grid on which a scan of ``geometry`` is analysed."""
    upright = geometry.rectified()
    sz, sy, sx = upright.spacing_mm_zyx
    return geometry.regridded((max(sz, WORK_SLICE_MM), max(sy, WORK_PIXEL_MM), max(sx, WORK_PIXEL_MM)))


def working_hu(scan: Scan, geometry: Geometry) -> Float32Array:
    """Return the scan's HU (float32, (z, y, x)) on the working grid."""
    return resample(scan.hu, scan.geometry, geometry, antialias=True)


def atlas_labels(atlas: Atlas, labels: LabelArray, registration: Registration, geometry: Geometry) -> LabelArray:
    """Return atlas labels (uint8, (z, y, x)) on ``geometry``; all 0 where the registration is not reliable."""
    if not registration.is_reliable:
        return np.zeros(geometry.shape_zyx, dtype=np.uint8)
    return resample_labels(labels, atlas.geometry, geometry, transform=registration.scan_to_atlas)


def region_volumes_ml(atlas: Atlas, registration: Registration) -> tuple[float, ...]:
    """Return the whole volume of each ASPECTS label (0 to 20) in the scan's space, in ml."""
    atlas_voxels = np.bincount(atlas.aspects_labels.ravel(), minlength=21)
    scale = abs(float(np.linalg.det(registration.atlas_to_scan[:3, :3])))
    return tuple((atlas_voxels * atlas.geometry.slice_voxel_ml[0] * scale).tolist())


def mirrored_mask(mask: BoolArray, geometry: Geometry, plane: Midplane) -> BoolArray:
    """Return ``mask`` (bool, (z, y, x)) mirrored through the plane, on the same grid."""
    return np.asarray(mirrored(mask.astype(np.float32), geometry, plane, fill=0.0) >= 0.5)

"""The midsagittal plane, and mirroring through it.

Everything that compares the two sides rests on this plane: four millimetres of error halve what a comparison finds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage, optimize

from infarct.errors import StepFailed
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample

SPACINGS_MM: Final = (5.0, 3.0)
"""Grids on which the symmetry is measured, coarse to fine."""
RIM_MM: Final = 12.0
"""Skull and scalp this far from the intracranial region take part: bone shows the plane best."""
MISMATCH_LIMIT: Final = 25.0
"""A difference counts up to this much, so that a large lesion or a bleed does not pull the plane."""
SEARCH_STEP: Final = (3.0, 3.0, 3.0)
"""First step of the search: yaw and roll in degrees, shift in mm."""


@dataclass(frozen=True, eq=False)
class Midplane:
    """The plane ``normal @ x = offset_mm`` in LPS mm; ``normal`` points to the patient's left.

    ``mismatch`` is the mean difference between the head and its mirror image, in compressed HU (see
    `find_midplane`), capped at 25; heads lie at 6 to 12.
    """

    normal: Float64Array
    offset_mm: float
    mismatch: float = 0.0

    @property
    def reflection(self) -> Float64Array:
        """4x4 LPS matrix of the reflection through the plane; its own inverse."""
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(self.normal, self.normal)
        matrix[:3, 3] = 2 * self.offset_mm * self.normal
        return matrix

    def left_mask(self, geometry: Geometry) -> BoolArray:
        """Return the voxels (bool, (z, y, x)) of ``geometry`` on the patient's left of the plane."""
        return np.asarray(self.distance_mm(geometry) > 0)

    def distance_mm(self, geometry: Geometry) -> Float32Array:
        """Return the signed distance of each voxel (float32, (z, y, x)) from the plane, positive to the left."""
        sy, sx = geometry.pixel_spacing_mm_yx
        along_z = geometry.origins_mm @ self.normal - self.offset_mm
        along_y = np.arange(geometry.size_yx[0]) * sy * float(geometry.y_direction @ self.normal)
        along_x = np.arange(geometry.size_yx[1]) * sx * float(geometry.x_direction @ self.normal)
        return np.asarray(along_z[:, None, None] + along_y[:, None] + along_x, dtype=np.float32)


def midplane_of(atlas_to_scan: Float64Array) -> Midplane:
    """Return where an affine map (4x4, LPS mm) takes the atlas's plane of symmetry, x = 0."""
    across = np.cross(atlas_to_scan[:3, 1], atlas_to_scan[:3, 2])
    normal = across / np.linalg.norm(across)
    return Midplane(normal, float(normal @ atlas_to_scan[:3, 3]))


def find_midplane(hu: Float32Array, intracranial: BoolArray, geometry: Geometry, *, start: Midplane) -> Midplane:
    """Return the plane through which the head mirrors best, searched from ``start``.

    ``hu`` (float32) and ``intracranial`` (bool), both (z, y, x), lie on an even, upright ``geometry``. Head and
    mirror image are compared inside the skull and 12 mm around it, on HU clipped to 0-80 with bone added at a
    twentieth of its density; the mean of the capped differences is minimised over yaw, roll and shift (Nelder-Mead).

    Raises `StepFailed` where no head is left to compare.
    """
    rim = ndimage.distance_transform_edt(~intracranial, sampling=geometry.spacing_mm_zyx) <= RIM_MM
    values = np.clip(hu, 0, 80) + np.clip(hu - 80, 0, 1000) / np.float32(20)
    plane = start
    for step, spacing_mm in enumerate(SPACINGS_MM):
        grid = geometry.regridded((spacing_mm,) * 3)
        coarse = resample(values, geometry, grid, fill=np.nan, antialias=True)
        part = resample(rim.astype(np.float32), geometry, grid, fill=0.0) > 0.5
        if part.sum() < 1000:
            raise StepFailed("too little of the head is in the scan to find the midsagittal plane")
        plane = _refined(coarse, part, grid, plane, shrink=2.0**-step)
    return plane


def _refined(values: Float32Array, part: BoolArray, grid: Geometry, start: Midplane, *, shrink: float) -> Midplane:
    index = np.argwhere(part)
    points = grid.index_to_world(index)
    own = values[part]
    centre = points.mean(axis=0)
    frame = _frame(start.normal)

    def plane_at(change: Float64Array) -> Midplane:
        yaw, roll = np.radians(change[:2])
        normal = frame @ (1.0, np.tan(yaw), np.tan(roll))
        normal = normal / np.linalg.norm(normal)
        at_start = centre + (start.offset_mm - centre @ start.normal) * start.normal
        return Midplane(normal, float(normal @ at_start + change[2]))

    def mismatch(change: Float64Array) -> float:
        reflection = plane_at(change).reflection
        mirrored = grid.world_to_index(points @ reflection[:3, :3].T + reflection[:3, 3])
        other = ndimage.map_coordinates(values, mirrored.T, order=1, mode="constant", cval=np.nan)
        seen = np.isfinite(other)
        if seen.mean() < 0.5:
            return MISMATCH_LIMIT
        return float(np.minimum(np.abs(own[seen] - other[seen]), MISMATCH_LIMIT).mean())

    simplex = np.vstack([np.zeros(3), np.diag(SEARCH_STEP) * shrink])
    options = {"initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-4, "maxfev": 160}
    best = optimize.minimize(mismatch, np.zeros(3), method="Nelder-Mead", options=options)
    plane = plane_at(best.x)
    return Midplane(plane.normal, plane.offset_mm, float(best.fun))


def _frame(normal: Float64Array) -> Float64Array:
    """Return three orthonormal columns, the first of them ``normal``."""
    down = np.cross(normal, (0.0, 1.0, 0.0))
    down = down / np.linalg.norm(down)
    return np.stack([normal, np.cross(down, normal), down], axis=1)


def mirrored(hu: Float32Array, geometry: Geometry, plane: Midplane, *, fill: float = -1000.0) -> Float32Array:
    """Return ``hu`` (float32, (z, y, x), on ``geometry``) mirrored through the plane, on the same grid."""
    return resample(hu, geometry, geometry, transform=plane.reflection, fill=fill)

"""Where each voxel lies: slices with an origin each, so tilted and uneven stacks need no resampling.

World coordinates are LPS millimetres (x to the patient's left, y to posterior, z to superior), as in DICOM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from infarct.types import Float64Array

EVEN_TOLERANCE_MM = 0.05
"""Slice spacings that differ by less than this count as even; headers are rounded to about 0.01 mm."""
TILT_TOLERANCE_DEG = 0.1
"""A stack that leans less than this against its slice normal counts as upright."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Positions of the voxels of a volume indexed (z, y, x).

    Parameters
    ----------
    origins_mm:
        (z, 3) LPS position of the centre of voxel [k, 0, 0] of each slice, ascending along `normal`.
    x_direction, y_direction:
        Orthogonal LPS unit vectors along rising x and y index; all slices share them.
    pixel_spacing_mm_yx:
        Distance between rows and between columns, in mm.
    size_yx:
        Rows and columns of every slice.

    Raises
    ------
    ValueError
        If the directions are not orthonormal, a spacing is not positive, or slices do not ascend.
    """

    origins_mm: Float64Array
    x_direction: Float64Array
    y_direction: Float64Array
    pixel_spacing_mm_yx: tuple[float, float]
    size_yx: tuple[int, int]

    def __post_init__(self) -> None:
        for name, shape in (("x_direction", (3,)), ("y_direction", (3,)), ("origins_mm", (-1, 3))):
            array = np.array(getattr(self, name), dtype=np.float64).reshape(shape)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if abs(float(self.x_direction @ self.y_direction)) > 1e-3:
            raise ValueError("row and column directions are not orthogonal")
        lengths = np.linalg.norm(self.x_direction), np.linalg.norm(self.y_direction)
        if max(abs(lengths[0] - 1), abs(lengths[1] - 1)) > 1e-3:
            raise ValueError("row and column directions are not unit vectors")
        positive = all(0 < spacing < np.inf for spacing in self.pixel_spacing_mm_yx)
        if not positive or min(self.size_yx) < 1 or len(self.origins_mm) < 1:
            raise ValueError("a geometry needs positive, finite spacings and at least one voxel")
        if len(self.origins_mm) > 1 and np.diff(self.slice_positions_mm).min() <= 0:
            raise ValueError("slice origins must ascend along the slice normal")

    @classmethod
    def regular(
        cls,
        shape_zyx: Sequence[int],
        spacing_mm_zyx: Sequence[float] | Float64Array,
        *,
        origin_mm: npt.ArrayLike = (0.0, 0.0, 0.0),
        directions: npt.ArrayLike | None = None,
    ) -> "Geometry":
        """Return an even, upright grid.

        ``origin_mm`` is the LPS centre of voxel [0, 0, 0]; ``directions`` is a 3x3 matrix whose columns are the
        LPS unit vectors of rising x, y and z (identity if None).
        """
        axes = np.eye(3) if directions is None else np.asarray(directions, dtype=np.float64)
        steps = np.arange(shape_zyx[0])[:, None] * spacing_mm_zyx[0] * axes[:, 2]
        return cls(
            origins_mm=np.asarray(origin_mm, dtype=np.float64) + steps,
            x_direction=axes[:, 0],
            y_direction=axes[:, 1],
            pixel_spacing_mm_yx=(float(spacing_mm_zyx[1]), float(spacing_mm_zyx[2])),
            size_yx=(int(shape_zyx[1]), int(shape_zyx[2])),
        )

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        return (len(self.origins_mm), *self.size_yx)

    @cached_property
    def normal(self) -> Float64Array:
        """LPS unit vector along rising slice position: x_direction cross y_direction."""
        normal = np.cross(self.x_direction, self.y_direction)
        return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)

    @cached_property
    def slice_positions_mm(self) -> Float64Array:
        """Position of each slice along `normal`, (z,), ascending."""
        return np.asarray(self.origins_mm @ self.normal, dtype=np.float64)

    @cached_property
    def slice_intervals_mm(self) -> Float64Array:
        """Length along the normal that each slice stands for, (z,): between the midpoints to its neighbours.

        An outer slice stands for as much outwards as inwards. A single slice has no neighbour: 1 mm.
        """
        if len(self.origins_mm) == 1:
            return np.ones(1)
        gaps = np.diff(self.slice_positions_mm)
        return np.asarray((np.r_[gaps[0], gaps] + np.r_[gaps, gaps[-1]]) / 2, dtype=np.float64)

    @cached_property
    def spacing_mm_zyx(self) -> tuple[float, float, float]:
        """Median slice spacing along the normal, row spacing, column spacing."""
        return (float(np.median(self.slice_intervals_mm)), *self.pixel_spacing_mm_yx)

    @cached_property
    def is_even(self) -> bool:
        """Whether all slices are the same distance apart, within `EVEN_TOLERANCE_MM`."""
        gaps = np.diff(self.slice_positions_mm)
        return bool(len(gaps) == 0 or gaps.max() - gaps.min() <= EVEN_TOLERANCE_MM)

    @cached_property
    def tilt_deg(self) -> float:
        """Angle between the line through the slice origins and the slice normal: the gantry tilt, in degrees."""
        if len(self.origins_mm) < 2:
            return 0.0
        line = self.origins_mm[-1] - self.origins_mm[0]
        return float(np.degrees(np.arccos(np.clip(line @ self.normal / np.linalg.norm(line), -1, 1))))

    @cached_property
    def is_upright(self) -> bool:
        """Whether every origin lies on one line along the normal, so that no shear is present."""
        drift = self._in_plane_drift_mm
        reach = max(float(np.ptp(self.slice_positions_mm)), 1.0)
        return bool(np.abs(drift).max() <= max(0.02, reach * np.tan(np.radians(TILT_TOLERANCE_DEG))))

    @cached_property
    def _in_plane_drift_mm(self) -> Float64Array:
        """(z, 2) shift of each origin along x and y against the first slice's."""
        offsets = self.origins_mm - self.origins_mm[0]
        return np.asarray(np.stack([offsets @ self.x_direction, offsets @ self.y_direction], axis=1))

    @cached_property
    def slice_voxel_ml(self) -> Float64Array:
        """Volume that one voxel of each slice stands for, (z,), in millilitres."""
        sy, sx = self.pixel_spacing_mm_yx
        return np.asarray(self.slice_intervals_mm * (sy * sx / 1000.0), dtype=np.float64)

    def index_to_world(self, index_zyx: npt.ArrayLike) -> Float64Array:
        """Return LPS positions of (fractional) voxel indices, (..., 3) as z, y, x.

        Between two slices the origin is interpolated; beyond the ends it is continued.
        """
        index = np.asarray(index_zyx, dtype=np.float64)
        origins = self._origin_at(index[..., 0])
        sy, sx = self.pixel_spacing_mm_yx
        in_plane = index[..., 1, None] * sy * self.y_direction + index[..., 2, None] * sx * self.x_direction
        return np.asarray(origins + in_plane, dtype=np.float64)

    def world_to_index(self, world_mm: npt.ArrayLike) -> Float64Array:
        """Return fractional voxel indices (..., 3) as z, y, x of LPS positions: inverts `index_to_world`."""
        world = np.asarray(world_mm, dtype=np.float64)
        slice_index = self._index_of_position(world @ self.normal)
        offset = world - self._origin_at(slice_index)
        sy, sx = self.pixel_spacing_mm_yx
        rows, columns = offset @ self.y_direction / sy, offset @ self.x_direction / sx
        return np.stack([slice_index, rows, columns], axis=-1)

    def in_plane_index(self, slices: int | npt.NDArray[np.intp], world_mm: Float64Array) -> Float64Array:
        """Return fractional row and column (..., 2) of LPS positions carried along the normal onto whole slices."""
        offset = world_mm - self.origins_mm[slices]
        sy, sx = self.pixel_spacing_mm_yx
        return np.stack([offset @ self.y_direction / sy, offset @ self.x_direction / sx], axis=-1)

    def _origin_at(self, slice_index: npt.ArrayLike) -> Float64Array:
        k = np.asarray(slice_index, dtype=np.float64)
        count = len(self.origins_mm)
        if count == 1:
            return np.asarray(self.origins_mm[0] + k[..., None] * self.normal)
        lower = np.clip(np.floor(k), 0, count - 2).astype(np.intp)
        part = (k - lower)[..., None]
        return np.asarray(self.origins_mm[lower] * (1 - part) + self.origins_mm[lower + 1] * part)

    def _index_of_position(self, position_mm: Float64Array) -> Float64Array:
        positions = self.slice_positions_mm
        if len(positions) == 1:
            return np.asarray(position_mm - positions[0])
        lower = np.clip(np.searchsorted(positions, position_mm, side="right") - 1, 0, len(positions) - 2)
        return np.asarray(lower + (position_mm - positions[lower]) / np.diff(positions)[lower])

    @cached_property
    def affine(self) -> Float64Array:
        """4x4 matrix from (x, y, z, 1) index to LPS mm.

        Raises `ValueError` for an uneven stack or one whose slices slip sideways, which no matrix describes.
        """
        steps = np.diff(self.origins_mm, axis=0)
        if len(steps) and float(np.ptp(steps, axis=0).max()) > EVEN_TOLERANCE_MM:
            raise ValueError("an uneven stack has no affine; use rectified()")
        matrix = np.eye(4)
        sy, sx = self.pixel_spacing_mm_yx
        count = len(self.origins_mm)
        step = (self.origins_mm[-1] - self.origins_mm[0]) / (count - 1) if count > 1 else self.normal
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = self.x_direction * sx, self.y_direction * sy, step
        matrix[:3, 3] = self.origins_mm[0]
        return matrix

    @property
    def directions(self) -> Float64Array:
        """3x3 matrix whose columns are the LPS unit vectors of x, y and the normal."""
        return np.stack([self.x_direction, self.y_direction, self.normal], axis=1)

    def rectified(self, *, slice_spacing_mm: float | None = None) -> "Geometry":
        """Return the even, upright grid with the same axes that covers this one.

        Slices stand about ``slice_spacing_mm`` apart, the first and the last where they are (if None the smallest
        spacing of the stack, the short step where two stacks overlap set aside); rows and columns keep their spacing,
        and more are added where a tilted stack leans out.
        An even and upright geometry is returned as it is, unless another spacing is asked for.
        """
        if slice_spacing_mm is None and self.is_even and self.is_upright:
            return self
        gaps = np.diff(self.slice_positions_mm)
        if slice_spacing_mm is None:
            slice_spacing_mm = float(gaps[gaps > np.median(gaps) / 2].min())
        drift = self._in_plane_drift_mm
        sy, sx = self.pixel_spacing_mm_yx
        low = np.floor(drift.min(axis=0) / (sx, sy) + 1e-6).astype(int)
        high = np.ceil(drift.max(axis=0) / (sx, sy) - 1e-6).astype(int)
        steps = max(int(np.round(np.ptp(self.slice_positions_mm) / slice_spacing_mm)), 1)
        spacing_mm = float(np.ptp(self.slice_positions_mm)) / steps
        origin = self.origins_mm[0] + low[0] * sx * self.x_direction + low[1] * sy * self.y_direction
        shape = (steps + 1, self.size_yx[0] + high[1] - low[1], self.size_yx[1] + high[0] - low[0])
        return Geometry.regular(shape, (spacing_mm, sy, sx), origin_mm=origin, directions=self.directions)

    def cropped(self, box: tuple[slice, slice, slice]) -> "Geometry":
        """Return the part that a box (z, y, x) of whole voxels covers; the slices have a start and a stop, no step."""
        (z, y, x), (sy, sx) = box, self.pixel_spacing_mm_yx
        shift = y.start * sy * self.y_direction + x.start * sx * self.x_direction
        return Geometry(
            self.origins_mm[z] + shift,
            self.x_direction,
            self.y_direction,
            self.pixel_spacing_mm_yx,
            (y.stop - y.start, x.stop - x.start),
        )

    def regridded(self, spacing_mm_zyx: Sequence[float]) -> "Geometry":
        """Return an even, upright grid with the same axes and extent at another spacing, in mm."""
        upright = self.rectified()
        spacing = np.asarray(spacing_mm_zyx, dtype=np.float64)
        extent = (np.array(upright.shape_zyx) - 1) * upright.spacing_mm_zyx
        shape = np.maximum(np.round(extent / spacing).astype(int) + 1, 1)
        slack = (extent - (shape - 1) * spacing) / 2
        origin = upright.origins_mm[0] + self.directions @ slack[::-1]
        return Geometry.regular(shape, spacing, origin_mm=origin, directions=self.directions)

    def moved(self, rigid: npt.ArrayLike) -> "Geometry":
        """Return the geometry after a rigid 4x4 LPS transform: the patient moved, the voxels as they are."""
        matrix = np.asarray(rigid, dtype=np.float64)
        rotation = matrix[:3, :3]
        return Geometry(
            self.origins_mm @ rotation.T + matrix[:3, 3],
            rotation @ self.x_direction,
            rotation @ self.y_direction,
            self.pixel_spacing_mm_yx,
            self.size_yx,
        )

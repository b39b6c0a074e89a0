"""Turn stored slices into the package's axes: right to left, anterior to posterior, inferior to superior."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infarct.errors import NotHeadCT
from infarct.types import Float64Array
from infarct.volume import Geometry


@dataclass(frozen=True)
class StoredAxes:
    """How a stored slice becomes an axial one: transposed or not, then rows flipped, then columns flipped."""

    transposed: bool
    rows_flipped: bool
    columns_flipped: bool

    @classmethod
    def of(cls, column_direction: npt.ArrayLike, row_direction: npt.ArrayLike) -> "StoredAxes":
        """Return the turn for slices whose column and row index rise along these LPS unit vectors.

        Raises `NotHeadCT` where the slices are not within 45 degrees of axial.
        """
        columns, rows = np.asarray(column_direction, dtype=np.float64), np.asarray(row_direction, dtype=np.float64)
        transposed = abs(columns[0] * rows[1]) < abs(columns[1] * rows[0])
        x, y = (rows, columns) if transposed else (columns, rows)
        axes = cls(bool(transposed), bool(y[1] < 0), bool(x[0] < 0))
        x, y = x * (-1 if axes.columns_flipped else 1), y * (-1 if axes.rows_flipped else 1)
        directions = np.stack([x, y, np.cross(x, y)], axis=1)
        if np.abs(directions).argmax(axis=0).tolist() != [0, 1, 2] or directions.diagonal().min() <= 0:
            raise NotHeadCT("the slices are not axial within 45 degrees; pass the axial series of a head CT")
        return axes

    def turned(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view of stored slices (..., rows, columns) as axial ones."""
        turned = np.swapaxes(stored, -1, -2) if self.transposed else stored
        turned = turned[..., ::-1, :] if self.rows_flipped else turned
        return turned[..., ::-1] if self.columns_flipped else turned

    def geometry(
        self,
        origins_mm: Float64Array,
        column_direction: Float64Array,
        row_direction: Float64Array,
        spacing_mm_yx: tuple[float, float],
        size_yx: tuple[int, int],
    ) -> Geometry:
        """Return the geometry of the turned slices.

        ``origins_mm`` (z, 3) are the LPS centres of the stored voxels [0, 0]; spacing and size are the stored rows'
        and columns'. Slices must ascend along the turned normal.
        """
        x, y = column_direction, row_direction
        spacing, size = spacing_mm_yx, size_yx
        if self.transposed:
            x, y, spacing, size = y, x, (spacing[1], spacing[0]), (size[1], size[0])
        origins = np.array(origins_mm)
        if self.rows_flipped:
            origins, y = origins + (size[0] - 1) * spacing[0] * y, -y
        if self.columns_flipped:
            origins, x = origins + (size[1] - 1) * spacing[1] * x, -x
        return Geometry(origins, x, y, spacing, size)

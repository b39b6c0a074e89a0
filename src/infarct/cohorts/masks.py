"""Masks in files brought onto their scan, or refused where they lie elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from infarct.cohorts.case import LabelledScan
from infarct.errors import BadRequest, Refusal
from infarct.quiet import quiet
from infarct.readers import read_scan
from infarct.readers.nifti import read_nifti_labels
from infarct.types import BoolArray, LabelArray
from infarct.volume import Geometry

GRID_TOLERANCE_MM: Final = 0.2
"""Voxels of one grid may be this far apart in two headers: they are rounded, but half a pixel is another place."""


def load_files(ct: Path, *, lesion: Path | None = None, old: Path | None = None) -> LabelledScan:
    """Return a scan in any format with masks in NIfTI files; a mask without a file is None.

    Raises `Refusal` where a file cannot be read or a mask does not lie on the scan's grid.
    """
    scan = read_scan(ct)
    return LabelledScan(
        scan=scan,
        lesion=None if lesion is None else read_mask(lesion, scan.geometry, name="lesion mask"),
        old=None if old is None else read_mask(old, scan.geometry, name="mask of old infarcts"),
    )


def read_mask(path: Path, geometry: Geometry, *, name: str) -> BoolArray:
    """Return a mask (bool, (z, y, x)) on ``geometry``: 0 and one other value, whichever it is.

    Raises `Refusal`, its reason beginning with ``name``, where the file cannot be read, lies on another grid, or holds
    several labels.
    """
    with named(name):
        labels, grid = read_labels(path)
        check_same_grid(grid, geometry)
        values = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[1:]) + 1
        if len(values) > 1:
            listed = ", ".join(str(value) for value in values[:6])
            raise BadRequest(f"it holds several labels ({listed}); a mask holds 0 and one other value")
    return labels > 0


def read_labels(path: Path) -> tuple[LabelArray, Geometry]:
    """Return a label map of a NIfTI file (uint8, (z, y, x)) and its geometry. Raises `Refusal`."""
    with quiet():
        return read_nifti_labels(path)


def check_same_grid(grid: Geometry, scan: Geometry) -> None:
    """Refuse a grid whose voxels are not those of the scan. Raises `BadRequest`."""
    if grid.shape_zyx != scan.shape_zyx:
        found, wanted = (" x ".join(str(count) for count in shape) for shape in (grid.shape_zyx, scan.shape_zyx))
        raise BadRequest(f"it has {found} voxels and the scan {wanted}; resample it onto the scan")
    apart_mm = farthest_mm(grid, scan)
    if apart_mm > GRID_TOLERANCE_MM:
        raise BadRequest(f"its voxels lie up to {apart_mm:.1f} mm from the scan's; resample it onto the scan")


def farthest_mm(first: Geometry, second: Geometry) -> float:
    """Return the largest distance in mm between the same voxels of two grids of one shape.

    Linear along rows and columns, it is largest at a corner of a slice.
    """
    slices, rows, columns = first.shape_zyx
    corners = [(k, y, x) for k in range(slices) for y in (0, rows - 1) for x in (0, columns - 1)]
    apart = first.index_to_world(corners) - second.index_to_world(corners)
    return float(np.linalg.norm(apart, axis=1).max())


@contextmanager
def named(name: str) -> Iterator[None]:
    """Begin the reason of a refusal in the block with the name of what is refused."""
    try:
        yield
    except Refusal as refusal:
        raise type(refusal)(f"{name}: {refusal}") from None

"""Volumes as NIfTI files: the only place where LPS becomes RAS on the way out."""

import gzip
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt

from infarct.types import Float64Array
from infarct.volume import Geometry

LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
SCANNER: Final = 1
"""NIfTI code of the coordinate system: the scanner's own."""
_COMPRESSION: Final = 4
"""A third of the time of gzip's own default, for files that are 3 % larger."""


def write_nifti(array: npt.NDArray[Any], geometry: Geometry, path: Path, *, description: str = "") -> Path:
    """Write ``array`` (z, y, x) on ``geometry`` as ``.nii.gz`` and return the path; see `nifti_bytes`."""
    path.write_bytes(nifti_bytes(array, geometry, description=description))
    return path


def nifti_bytes(array: npt.NDArray[Any], geometry: Geometry, *, description: str = "") -> bytes:
    """Return ``array`` (z, y, x) on ``geometry`` as a compressed NIfTI file; same input, same bytes.

    Masks (bool) are stored as uint8; other types (uint8, int16, float32) as they are. The file's axes run along x, y,
    z of the array, so a mask and its scan agree voxel by voxel in any tool.

    Raises `ValueError` where array and geometry do not fit, where the description is longer than the 79 letters
    that the header takes, and for a tilted or uneven stack, which no NIfTI reader places right: resample it onto
    `Geometry.rectified` first.
    """
    if array.shape != geometry.shape_zyx:
        raise ValueError(f"array of shape {array.shape} does not fit a geometry of {geometry.shape_zyx}")
    if len(description) > 79:
        raise ValueError("the description of a NIfTI file holds at most 79 letters")
    stored = np.asarray(array, dtype=np.uint8) if array.dtype == np.bool_ else array
    matrix = ras_matrix(geometry)
    kind: Any = nib.Nifti1Image  # nibabel leaves its constructor untyped
    image = kind(stored.transpose(2, 1, 0), matrix)
    image.set_sform(matrix, SCANNER)
    image.set_qform(matrix, SCANNER)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")
    return gzip.compress(image.to_bytes(), _COMPRESSION, mtime=0)


def ras_matrix(geometry: Geometry) -> Float64Array:
    """Return the 4x4 matrix from (x, y, z, 1) index to RAS mm of an even, upright geometry.

    Raises `ValueError` for any other.
    """
    if not (geometry.is_even and geometry.is_upright):
        raise ValueError("NIfTI cannot hold a tilted or uneven stack: resample it onto rectified() first")
    # Its columns are exactly at right angles: what the tolerances of an even, upright stack leave is not passed on.
    steps_mm = np.array(geometry.spacing_mm_zyx[::-1])
    matrix = np.eye(4)
    matrix[:3, :3] = geometry.directions * steps_mm
    matrix[:3, 3] = geometry.origins_mm[0]
    return np.asarray(LPS_TO_RAS @ matrix)

"""NIfTI files as scans: the only place where RAS becomes LPS."""

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.orientations import io_orientation

from infarct.errors import NotHeadCT, UnreadableInput
from infarct.readers.foreign import foreign
from infarct.readers.plausibility import air_flags, head_flags
from infarct.readers.slice_checks import slice_flags
from infarct.readers.slice_gaps import check_spacing
from infarct.types import Flag, Float32Array, Float64Array, LabelArray
from infarct.volume import Geometry, Scan, Source

MIN_SLICES = 8
MAX_VOXELS = 600_000_000
MIN_PIXEL_MM, MAX_PIXEL_MM = 0.2, 2.0
OUTSIDE_HU, AIR_HU = -1024.0, -1000.0
_GZIP = b"\x1f\x8b"
_SINGLE_MAGIC = (b"n+1\0", b"n+2\0")
_PAIR_MAGIC = (b"ni1\0", b"ni2\0")
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Of the lengths in the header, by its units code: unknown (taken as mm), metre, mm, micrometre."""
_CONFLICT_MM = 0.2
"""Two descriptions of the orientation that place a corner of the volume farther apart than this contradict."""
_LABEL_ERROR = 1e-3
"""Labels stored as floating-point numbers may miss a whole number by this; more is a fraction."""
_SLICE = 1 << 22


@dataclass(frozen=True, eq=False)
class _Layout:
    """What a header says, checked: where the voxels lie in the file and, in LPS mm, in space."""

    image: Any
    shape: tuple[int, int, int]
    affine_lps: Float64Array
    slope: float
    intercept: float
    flags: tuple[Flag, ...]


def is_nifti(path: Path) -> bool:
    """Tell NIfTI by its content, or by its name where the content is damaged."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz", ".hdr", ".img")):
        return True
    with foreign("the file cannot be opened; check its permissions"), path.open("rb") as stream:
        head = stream.read(348)
    return head[:2] == _GZIP or head[344:348] in _SINGLE_MAGIC


def read_nifti(path: Path) -> Scan:
    """Return the volume of a NIfTI file (.nii or .nii.gz).

    Raises `UnreadableInput` where the file is damaged or its header contradicts itself, `NotHeadCT` where it does
    not hold HU of a head.
    """
    layout = _layout(_content(path))
    turned, geometry = _turned(layout)
    if geometry.shape_zyx[0] < MIN_SLICES:
        raise NotHeadCT(f"the volume holds {geometry.shape_zyx[0]} slices; at least {MIN_SLICES} are needed")
    hu, flags = _hounsfield(turned, layout)
    flags = [*layout.flags, *flags, *head_flags(hu, geometry)]
    flags += slice_flags(hu, skull_stripped=any(flag.code == "skull_stripped" for flag in flags))
    choice = f"A NIfTI file with one volume of {geometry.shape_zyx[0]} slices."
    return Scan(hu, geometry, source=Source("nifti", series_choice=choice), flags=tuple(flags))


def read_nifti_labels(path: Path) -> tuple[LabelArray, Geometry]:
    """Return the labels (uint8, (z, y, x)) of a NIfTI file and where they lie, turned as `read_nifti` turns a scan.

    Values are rounded, as some masks hold 0.9999999997 for 1.

    Raises `UnreadableInput` where the file is damaged or holds fractions or values beyond 0 to 255.
    """
    layout = _layout(_content(path))
    turned, geometry = _turned(layout)
    with np.errstate(all="ignore"):  # what overflows is found by its value
        values = turned.astype(np.float32) * np.float32(layout.slope) + np.float32(layout.intercept)
    if not np.isfinite(values).all():
        raise UnreadableInput("the values are no labels: some are not numbers (NaN or infinite)")
    labels = np.round(values)
    if np.abs(values - labels).max() > _LABEL_ERROR:
        raise UnreadableInput("the values are no labels: some lie between whole numbers")
    if labels.min() < 0 or labels.max() > 255:
        raise UnreadableInput("the values are no labels: some lie beyond 0 to 255")
    return np.ascontiguousarray(labels.astype(np.uint8)), geometry


def _content(path: Path) -> bytes:
    """Return the whole file, unpacked to its end so that the checksum counts, but never beyond the declared size."""
    with foreign("the file is truncated or damaged; copy it again"), path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=raw) if packed else raw
        head = stream.read(544)
        limit = _declared_bytes(head)
        blocks = [head]
        size = len(head)
        while size <= limit and (block := stream.read(min(_SLICE, limit + 1 - size))):
            blocks.append(block)
            size += len(block)
    if size < limit:
        raise UnreadableInput("the NIfTI file is shorter than its header says: it is truncated; copy it again")
    if size > limit:
        raise UnreadableInput("the NIfTI file is longer than its header says: its header is damaged; make it again")
    return b"".join(blocks)


def _header(head: bytes) -> Any:
    """Return the nibabel header at the start of a file. Raises `UnreadableInput` where there is none."""
    first = head[344:348], head[4:8]
    if first[0] in _PAIR_MAGIC or first[1] in _PAIR_MAGIC:
        raise UnreadableInput("the file is half of a header and image pair; convert it to one .nii.gz file")
    second_version = first[1] == _SINGLE_MAGIC[1]
    if not second_version and first[0] != _SINGLE_MAGIC[0]:
        raise UnreadableInput("the file is no NIfTI file or its header is damaged; pass a .nii or .nii.gz file")
    kind: Any = nib.Nifti2Header if second_version else nib.Nifti1Header
    length = 540 if second_version else 348
    with foreign("the header of the NIfTI file cannot be parsed; make the file again"):
        header = kind(head[:length], check=False)
        if int(header["sizeof_hdr"]) != length:
            raise UnreadableInput("the header of the NIfTI file is damaged; make the file again")
    return header


def _declared_bytes(head: bytes) -> int:
    header = _header(head)
    shape = _shape(header)
    with foreign("the voxel type of the NIfTI file is unknown; make the file again"):
        dtype = np.dtype(header.get_data_dtype())
    if dtype.itemsize * 8 != int(header["bitpix"]):
        raise UnreadableInput("the voxel type and size in the NIfTI header contradict each other; make the file again")
    offset = float(header["vox_offset"])
    if not (len(head) - 544 <= 0 and 348 <= offset <= 1 << 24 and offset == int(offset)):
        raise UnreadableInput("the NIfTI header places the voxels at an impossible offset; make the file again")
    return int(offset) + shape[0] * shape[1] * shape[2] * int(dtype.itemsize)


def _shape(header: Any) -> tuple[int, int, int]:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise UnreadableInput("the NIfTI header declares an impossible number of dimensions; make the file again")
    sizes = [int(n) for n in header["dim"][1 : count + 1]]
    if min(sizes) < 1 or float(np.prod(np.array(sizes, dtype=np.float64))) > MAX_VOXELS:
        raise UnreadableInput("the NIfTI header declares an impossible size; make the file again")
    sizes += [1] * (3 - len(sizes))
    volumes = int(np.prod(sizes[3:])) if len(sizes) > 3 else 1
    if volumes > 1:
        raise NotHeadCT(f"the NIfTI file holds {volumes} volumes; pass one with a single volume")
    return sizes[0], sizes[1], sizes[2]


def _layout(content: bytes) -> _Layout:
    header = _header(content)
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    with foreign("the header of the NIfTI file cannot be parsed; make the file again"):
        image = kind.from_bytes(content)
        slope, intercept = (float(v) for v in (header["scl_slope"], header["scl_inter"]))
    units = int(header["xyzt_units"]) & 0x07
    if units not in _MM_PER_UNIT:
        raise UnreadableInput("the NIfTI header has unknown units of length; make the file again")
    if not np.isfinite(slope) or slope == 0:
        slope, intercept = 1.0, 0.0
    if not np.isfinite(intercept) or not 1e-6 <= abs(slope) <= 1e4 or abs(intercept) > 1e5:
        raise UnreadableInput("the scaling in the NIfTI header is impossible; make the file again")
    with np.errstate(all="ignore"):  # damaged floats are found by their values
        affine, flags = _affine(header)
    affine = affine.copy()
    affine[:3] *= _MM_PER_UNIT[units]
    affine[:2] *= -1  # RAS to LPS
    return _Layout(image, _shape(header), affine, slope, intercept, tuple(flags))


def _affine(header: Any) -> tuple[Float64Array, list[Flag]]:
    """Return the RAS matrix (sform first, then qform, then the bare voxel size) and flags where they disagree."""
    pixdim = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    s_code, q_code = int(header["sform_code"]), int(header["qform_code"])
    sform = qform = None
    with foreign("the orientation in the NIfTI header is impossible; make the file again"):
        if s_code > 0:
            sform = np.asarray(header.get_sform(), dtype=np.float64)
        if q_code > 0:
            qform = np.asarray(header.get_qform(), dtype=np.float64)
    flags = []
    if not (0 <= s_code <= 5 and 0 <= q_code <= 5):
        words = "The NIfTI header names its coordinate system by codes that do not exist."
        flags.append(Flag("orientation_conflict", "critical", words))
    affine = sform if sform is not None else qform
    if affine is None:
        affine = np.diag([*pixdim, 1.0])
        words = "The NIfTI header does not say how the volume lies (qform and sform are unset): left may be right."
        flags.append(Flag("orientation_unknown", "critical", words))
    columns = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or columns.min() < 1e-6 or np.abs(affine).max() > 1e6:
        raise UnreadableInput("the orientation in the NIfTI header is impossible; make the file again")
    if not np.isfinite(pixdim).all() or np.abs(columns / np.maximum(pixdim, 1e-9) - 1).max() > 1e-3:
        words = "The voxel size and the orientation matrix of the NIfTI header contradict each other."
        flags.append(Flag("spacing_conflict", "critical", words))
    if sform is not None and qform is not None:
        apart = _farthest_corner(sform, qform, _shape(header))
        if not apart <= _CONFLICT_MM:
            words = f"The two orientations in the NIfTI header (sform, qform) differ by {apart:.1f} mm; sform was used."
            flags.append(Flag("orientation_conflict", "critical", words, float(apart) if np.isfinite(apart) else None))
    return affine, flags


def _farthest_corner(first: Float64Array, second: Float64Array, shape: tuple[int, int, int]) -> float:
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])])
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())


def _turned(layout: _Layout) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the stored voxels (z, y, x) along right to left, anterior to posterior, inferior to superior."""
    with foreign("the voxels of the NIfTI file cannot be read; copy the file again"):
        voxels = np.asanyarray(layout.image.dataobj.get_unscaled()).reshape(layout.shape)
    if voxels.dtype.kind not in "iuf":
        raise NotHeadCT("the NIfTI file holds colours or complex numbers, not plain numbers")
    order, flips = _axes(layout.affine_lps)
    turned = np.flip(voxels.transpose(order[::-1]), tuple(i for i in range(3) if flips[::-1][i]))
    return turned, _geometry(layout.affine_lps, layout.shape, order, flips)


def _axes(affine_lps: Float64Array) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return which voxel axis runs along x, y and z, and whether it must be flipped."""
    with foreign("the orientation in the NIfTI header is impossible; make the file again"):
        to_world = np.asarray(io_orientation(affine_lps))  # type: ignore[no-untyped-call]
    if np.isnan(to_world).any() or sorted(to_world[:, 0]) != [0, 1, 2]:
        raise UnreadableInput("the orientation in the NIfTI header is impossible; make the file again")
    order = [int(np.flatnonzero(to_world[:, 0] == axis)[0]) for axis in range(3)]
    flips = [bool(to_world[axis, 1] < 0) for axis in order]
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def _geometry(
    affine_lps: Float64Array,
    shape: tuple[int, int, int],
    order: tuple[int, int, int],
    flips: tuple[bool, bool, bool],
) -> Geometry:
    size = [shape[axis] for axis in order]
    steps = affine_lps[:3, list(order)].copy()
    origin = affine_lps[:3, 3].copy()
    for axis in range(3):
        if flips[axis]:
            origin += (size[axis] - 1) * steps[:, axis]
            steps[:, axis] *= -1
    lengths = np.linalg.norm(steps, axis=0)
    x, y = steps[:, 0] / lengths[0], steps[:, 1] / lengths[1]
    if abs(float(x @ y)) > 2e-3:
        raise NotHeadCT("the axial axes of the NIfTI volume are not at right angles; resample it to an upright grid")
    y = y - (y @ x) * x
    y /= np.linalg.norm(y)
    directions = np.stack([x, y, np.cross(x, y)], axis=1)
    if np.abs(directions).argmax(axis=0).tolist() != [0, 1, 2] or directions.diagonal().min() <= 0:
        raise NotHeadCT("the volume lies more than 45 degrees off axial; reorient it first")
    if min(lengths[:2]) < MIN_PIXEL_MM * 0.99 or max(lengths[:2]) > MAX_PIXEL_MM * 1.01:
        found = f"{lengths[1]:.3g} x {lengths[0]:.3g}"
        raise NotHeadCT(f"the pixels are {found} mm; a head CT has {MIN_PIXEL_MM} to {MAX_PIXEL_MM} mm")
    gap = float(steps[:, 2] @ directions[:, 2])
    check_spacing(np.array([gap]))
    origins = origin + np.arange(size[2])[:, None] * steps[:, 2]
    return Geometry(origins, x, y, (float(lengths[1]), float(lengths[0])), (size[1], size[0]))


def _hounsfield(turned: npt.NDArray[Any], layout: _Layout) -> tuple[Float32Array, list[Flag]]:
    if turned.dtype.kind == "f":
        if not np.isfinite(turned).all():
            raise NotHeadCT("the volume holds values that are not numbers (NaN or infinite); make the file again")
        if max(abs(float(turned.min())), abs(float(turned.max()))) > 1e9:
            raise NotHeadCT("the volume holds values far beyond Hounsfield units; make the file again")
    hu = np.multiply(turned, np.float32(layout.slope), dtype=np.float32, casting="unsafe")
    hu += np.float32(layout.intercept)
    flags = air_flags(hu[:, ::2, ::2])
    hu[hu < OUTSIDE_HU] = AIR_HU
    return np.ascontiguousarray(hu), flags

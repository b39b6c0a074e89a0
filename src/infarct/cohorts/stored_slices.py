"""Slices stored one by one, with their places, as one scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.errors import BadRequest, NotHeadCT, UnreadableInput
from infarct.readers.axes import StoredAxes
from infarct.readers.nifti import AIR_HU, MAX_PIXEL_MM, MIN_PIXEL_MM, MIN_SLICES, OUTSIDE_HU
from infarct.readers.plausibility import air_flags, head_flags
from infarct.readers.slice_checks import slice_flags
from infarct.readers.slice_gaps import SAME_POSITION_MM, check_spacing, gap_flags, line_flags
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, Scan, Source

AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""DICOM orientation of an axial slice of a supine patient."""
_SAME: Final = 2e-3


@dataclass(frozen=True, eq=False)
class StoredSlice:
    """One slice as stored: HU and mask (rows, columns); position, directions and spacing as DICOM has them.

    ``position_mm`` is the LPS centre of the first pixel, ``orientation`` the directions of rising column and row
    index, ``spacing_mm_yx`` the distance of rows and of columns.
    """

    hu: Float32Array
    mask: BoolArray
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm_yx: tuple[float, ...]


def stacked(slices: Sequence[StoredSlice], *, choice: str) -> tuple[Scan, BoolArray]:
    """Return the scan and its mask, slices sorted by position along the normal, in whatever order they come.

    ``choice`` says in one sentence what the slices are. Raises `Refusal` where the slices contradict each other, stand
    at one place, or show no head.
    """
    columns, rows = _directions(slices)
    axes = StoredAxes.of(columns, rows)
    one_slice = axes.geometry(np.zeros((1, 3)), columns, rows, _spacing(slices), slices[0].hu.shape)
    place = np.array([stored.position_mm for stored in slices]) @ one_slice.normal
    order = np.argsort(place, kind="stable")
    gaps_mm = np.diff(place[order])
    if gaps_mm.min() < SAME_POSITION_MM:
        raise BadRequest("two slices stand at one place: which one counts is not known")
    check_spacing(gaps_mm)
    origins = np.array([slices[k].position_mm for k in order], dtype=np.float64)
    geometry = axes.geometry(origins, columns, rows, _spacing(slices), slices[0].hu.shape)
    raw_hu = np.ascontiguousarray(axes.turned(np.stack([slices[k].hu for k in order])))
    mask = np.ascontiguousarray(axes.turned(np.stack([slices[k].mask for k in order])))
    return _checked_scan(raw_hu, geometry, choice), mask


def _checked_scan(raw_hu: Float32Array, geometry: Geometry, choice: str) -> Scan:
    flags = [*gap_flags(np.diff(geometry.slice_positions_mm), [None] * len(raw_hu)), *line_flags(geometry.origins_mm)]
    flags += air_flags(raw_hu)
    hu = np.where(raw_hu < OUTSIDE_HU, np.float32(AIR_HU), raw_hu)
    flags += head_flags(hu, geometry)
    flags += slice_flags(hu, skull_stripped=any(flag.code == "skull_stripped" for flag in flags))
    return Scan(hu, geometry, source=Source("dicom", series_choice=choice), flags=tuple(flags))


def _directions(slices: Sequence[StoredSlice]) -> tuple[Float64Array, Float64Array]:
    """Return the directions of rising column and row index, after refusing slices that contradict each other."""
    first = slices[0]
    if len(slices) < MIN_SLICES:
        raise NotHeadCT(f"there are {len(slices)} slices; at least {MIN_SLICES} are needed")
    if not MIN_PIXEL_MM * 0.99 <= min(_spacing(slices)) <= max(_spacing(slices)) <= MAX_PIXEL_MM * 1.01:
        raise NotHeadCT(f"the pixels are not {MIN_PIXEL_MM} to {MAX_PIXEL_MM} mm, as those of a head CT")
    for stored in slices:
        if not stored.hu.shape == stored.mask.shape == first.hu.shape:
            raise UnreadableInput("images and masks of the slices differ in size")
        if np.abs(np.subtract(stored.orientation, first.orientation)).max() > _SAME:
            raise UnreadableInput("the slices differ in orientation")
        if np.abs(np.divide(stored.spacing_mm_yx, first.spacing_mm_yx) - 1).max() > _SAME:
            raise UnreadableInput("the slices differ in pixel size")
    columns, rows = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    if min(lengths) < 0.99 or max(lengths) > 1.01 or abs(columns @ rows) > 0.01:
        raise UnreadableInput("the orientation of the slices is impossible")
    columns = columns / lengths[0]
    rows = rows - (rows @ columns) * columns
    return columns, rows / np.linalg.norm(rows)


def _spacing(slices: Sequence[StoredSlice]) -> tuple[float, float]:
    return float(slices[0].spacing_mm_yx[0]), float(slices[0].spacing_mm_yx[1])

"""The way back: from a scan's own axes onto the frames as they are stored in the source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infarct.errors import BadRequest
from infarct.types import Float64Array
from infarct.volume import DicomHeaders, Scan, SliceReference


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """The frames that the slices of a scan were read from, in the order of the slices.

    ``origins_mm`` (z, 3) are the LPS centres of the stored pixels [0, 0]; ``row_direction`` is the LPS unit vector
    along a row (rising column index), ``column_direction`` down a column; ``pixel_spacing_mm`` is the distance
    between rows and between columns, ``size`` the number of rows and columns.
    """

    references: tuple[SliceReference, ...]
    origins_mm: Float64Array
    row_direction: Float64Array
    column_direction: Float64Array
    pixel_spacing_mm: tuple[float, float]
    size: tuple[int, int]
    stored_axes: tuple[bool, bool, bool]

    def stored(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view of ``array`` (z, y, x) on the scan's geometry as it lies on the frames, (z, rows, columns)."""
        transposed, rows_flipped, columns_flipped = self.stored_axes
        array = array[..., ::-1] if columns_flipped else array
        array = array[..., ::-1, :] if rows_flipped else array
        return np.swapaxes(array, -1, -2) if transposed else array


@dataclass(frozen=True)
class DicomSource:
    """The series that DICOM objects refer to, and what they take over from its headers."""

    series_uid: str
    study_uid: str
    headers: DicomHeaders


def dicom_source(scan: Scan) -> DicomSource:
    """Return the series that ``scan`` was read from.

    Raises `BadRequest` where it was not read from DICOM, or its headers lack the identifiers to refer to.
    """
    source = scan.source
    if source.headers is None:
        raise BadRequest("seg, sr, sc and dicom-pdf need a DICOM input; pass the DICOM series or leave them out")
    images = [reference.sop_instance_uid for reference in source.slices]
    if not (source.series_uid and source.study_uid and source.headers.sop_class_uid and all(images)):
        raise BadRequest("seg, sr, sc and dicom-pdf need unique identifiers, which the headers of this series lack")
    return DicomSource(source.series_uid, source.study_uid, source.headers)


def source_frames(scan: Scan) -> SourceFrames:
    """Return the frames of a scan that was read from DICOM."""
    geometry = scan.geometry
    transposed, rows_flipped, columns_flipped = scan.source.stored_axes
    origins, x, y = np.array(geometry.origins_mm), geometry.x_direction, geometry.y_direction
    (sy, sx), (rows, columns) = geometry.pixel_spacing_mm_yx, geometry.size_yx
    if columns_flipped:
        origins, x = origins + (columns - 1) * sx * x, -x
    if rows_flipped:
        origins, y = origins + (rows - 1) * sy * y, -y
    return SourceFrames(
        references=scan.source.slices,
        origins_mm=origins,
        row_direction=y if transposed else x,
        column_direction=x if transposed else y,
        pixel_spacing_mm=(sx, sy) if transposed else (sy, sx),
        size=(columns, rows) if transposed else (rows, columns),
        stored_axes=scan.source.stored_axes,
    )

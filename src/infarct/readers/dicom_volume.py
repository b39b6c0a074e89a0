"""From the images of one series to a `Scan`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from infarct.errors import NotHeadCT, UnreadableInput
from infarct.readers.axes import StoredAxes
from infarct.readers.dicom_files import Progress
from infarct.readers.dicom_headers import read_headers
from infarct.readers.dicom_image import Image, PixelStore
from infarct.readers.dicom_pixels import StoredArray, stored_values
from infarct.readers.dicom_repeats import without_repeats
from infarct.readers.plausibility import air_flags, head_flags
from infarct.readers.slice_checks import slice_flags
from infarct.readers.slice_gaps import check_spacing, gap_flags, line_flags, location_flags
from infarct.types import Flag, Float32Array, Float64Array
from infarct.volume import Acquisition, Geometry, Scan, SliceReference, Source

MIN_SLICES = 8
MAX_VOXELS = 600_000_000
"""Larger volumes (2.4 GB as float32) are refused before anything is allocated."""
MIN_PIXEL_MM, MAX_PIXEL_MM = 0.2, 2.0
OUTSIDE_HU, AIR_HU = -1024.0, -1000.0
"""Values below `OUTSIDE_HU` lie outside the field of view and become air."""


def read_series(images: tuple[Image, ...], choice: str, progress: Progress | None = None) -> Scan:
    """Return the volume of a series' axial images.

    Raises `UnreadableInput` where images are damaged or contradict each other, `NotHeadCT` where they show no head.
    """
    axes = _checked_axes(images)
    images, flags = without_repeats(_sorted(images, axes))
    if len(images) < MIN_SLICES:
        raise NotHeadCT(f"the series holds {len(images)} slices; at least {MIN_SLICES} are needed")
    geometry = _geometry(images, axes)
    check_spacing(np.diff(geometry.slice_positions_mm))
    if len(images) * images[0].store.format.rows * images[0].store.format.columns > MAX_VOXELS:
        raise UnreadableInput("the series is larger than any head CT (600 million voxels); pass one series")
    flags += _position_flags(images, geometry)
    flags += _header_flags(images)
    hu, pixel_flags = _hounsfield(images, axes, geometry, progress)
    flags += pixel_flags
    flags += head_flags(hu, geometry)
    flags += slice_flags(hu, skull_stripped=any(flag.code == "skull_stripped" for flag in flags))
    return Scan(hu, geometry, _acquisition(images), _source(images, axes, choice), tuple(flags))


def directions(image: Image) -> tuple[Float64Array, Float64Array]:
    """Return the LPS directions of rising column and row index; `UnreadableInput` where they are none."""
    cosines = np.array(image.orientation if image.orientation is not None else np.zeros(6))
    columns, rows = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    if min(lengths) < 0.99 or max(lengths) > 1.01 or abs(columns @ rows) > 0.01:
        raise UnreadableInput("the image orientation in a header is missing or impossible; export the series again")
    columns = columns / lengths[0]
    rows = rows - (rows @ columns) * columns
    return columns, rows / np.linalg.norm(rows)


def _checked_axes(images: tuple[Image, ...]) -> StoredAxes:
    """Return how the slices are turned, after refusing a series whose images contradict each other."""
    if any(image.position_mm is None for image in images):
        raise UnreadableInput("images without a position (ImagePositionPatient) are in the series; export it again")
    if any(image.spacing_mm_yx is None for image in images):
        raise UnreadableInput("images without a pixel spacing are in the series; export it again")
    first = images[0]
    columns, rows = directions(first)
    spacing = np.array(first.spacing_mm_yx)
    for image in images:
        fmt = image.store.format
        if (fmt.rows, fmt.columns) != (first.store.format.rows, first.store.format.columns):
            raise UnreadableInput("the images of the series differ in size; pass one consistent series")
        other = directions(image)
        if max(np.abs(other[0] - columns).max(), np.abs(other[1] - rows).max()) > 2e-3:
            raise UnreadableInput("the images of the series differ in orientation; pass one consistent series")
        if np.abs(np.array(image.spacing_mm_yx) / spacing - 1).max() > 1e-3:
            raise UnreadableInput("the images of the series differ in pixel spacing; pass one consistent series")
        if image.identity.patient != first.identity.patient:
            raise UnreadableInput("the images of the series belong to different patients; export the series again")
        if image.identity.modality != first.identity.modality:
            raise UnreadableInput("the images of the series differ in modality; export the series again")
    if spacing.min() < MIN_PIXEL_MM * 0.99 or spacing.max() > MAX_PIXEL_MM * 1.01:
        found = f"{spacing[0]:.3g} x {spacing[1]:.3g}"
        raise NotHeadCT(f"the pixels are {found} mm; a head CT has {MIN_PIXEL_MM} to {MAX_PIXEL_MM} mm")
    return StoredAxes.of(columns, rows)


def _sorted(images: tuple[Image, ...], axes: StoredAxes) -> tuple[Image, ...]:
    """Sort by position along the normal, never by instance number; ties in an order that no file name decides."""
    columns, rows = directions(images[0])
    normal = np.cross(rows, columns) if axes.transposed else np.cross(columns, rows)
    normal = -normal if axes.rows_flipped != axes.columns_flipped else normal

    def place(image: Image) -> tuple[float, tuple[str, ...], int, str, int]:
        position = round(float(np.array(image.position_mm) @ normal), 3)
        number = image.identity.instance_number
        return position, image.identity.acquisition, number or 0, image.identity.sop_uid, image.frame or 0

    return tuple(sorted(images, key=place))


def _geometry(images: tuple[Image, ...], axes: StoredAxes) -> Geometry:
    columns, rows = directions(images[0])
    first = images[0]
    spacing = first.spacing_mm_yx or (1.0, 1.0)
    origins = np.array([image.position_mm for image in images], dtype=np.float64)
    size = first.store.format.rows, first.store.format.columns
    return axes.geometry(origins, columns, rows, spacing, size)


def _position_flags(images: tuple[Image, ...], geometry: Geometry) -> list[Flag]:
    positions = geometry.slice_positions_mm
    return [
        *gap_flags(np.diff(positions), [image.thickness_mm for image in images]),
        *line_flags(geometry.origins_mm),
        *location_flags(positions, [image.slice_location_mm for image in images]),
    ]


def _header_flags(images: tuple[Image, ...]) -> list[Flag]:
    """Return flags where the headers of the slices differ in what decides the values."""
    flags = []
    if any(image.slope is None or image.intercept is None for image in images):
        words = "Some slices do not say how stored values become HU; slope 1 and intercept 0 were taken."
        flags.append(Flag("rescale_missing", "warning", words))
    if len({(image.slope, image.intercept) for image in images}) > 1:
        words = "The rescaling to HU differs between slices; each slice was read with its own."
        flags.append(Flag("rescale_varies", "warning", words))
    formats = {(image.store.format, image.padding) for image in images}
    if len(formats) > 1:
        words = "The pixel format or the padding value differs between slices; each slice was read with its own."
        flags.append(Flag("pixel_format_varies", "warning", words, float(len(formats))))
    if any(image.words.contrast for image in images):
        words = "A contrast agent is named in the headers: densities are not those of a non-contrast scan."
        flags.append(Flag("contrast_suspected", "critical", words))
    return flags


def _hounsfield(
    images: tuple[Image, ...], axes: StoredAxes, geometry: Geometry, progress: Progress | None
) -> tuple[Float32Array, list[Flag]]:
    """Return the HU on ``geometry``, values outside the field of view as air, and flags about them."""
    hu = np.empty(geometry.shape_zyx, dtype=np.float32)
    wrong_padding = 0
    blocks = _Blocks()
    for k, image in enumerate(images):
        stored = axes.turned(blocks.plane(image))
        slope, intercept = _rescale(image)
        np.multiply(stored, np.float32(slope), out=hu[k], casting="unsafe")
        hu[k] += np.float32(intercept)
        if image.padding is not None:
            if image.padding[1] * slope + intercept <= -500:
                padded = (stored >= image.padding[0]) & (stored <= image.padding[1])
                hu[k][padded] = min(image.padding[0] * slope + intercept, -4096.0)
            else:
                wrong_padding += 1
        if progress:
            progress(k + 1, len(images))
    flags = air_flags(np.where(hu[:, ::4, ::4] <= -4096, np.float32(-4096), hu[:, ::4, ::4]))
    hu[hu < OUTSIDE_HU] = AIR_HU
    if wrong_padding:
        words = f"The padding value of {wrong_padding} slices lies among tissue densities and was not used."
        flags.append(Flag("padding_implausible", "info", words, float(wrong_padding)))
    return hu, flags


class _Blocks:
    """Decodes each file once: the frames of a multi-frame file come from one block."""

    def __init__(self) -> None:
        self._last: tuple[PixelStore, StoredArray] | None = None

    def plane(self, image: Image) -> npt.NDArray[Any]:
        if self._last is None or self._last[0] is not image.store:
            self._last = image.store, stored_values(image.store)
        return np.asarray(self._last[1][image.frame or 0])


def _rescale(image: Image) -> tuple[float, float]:
    slope = 1.0 if image.slope is None else image.slope
    intercept = 0.0 if image.intercept is None else image.intercept
    if not 1e-3 <= slope <= 100 or abs(intercept) > 70_000:
        raise UnreadableInput("the rescaling to HU in a header is impossible; export the series again")
    return slope, intercept


def _acquisition(images: tuple[Image, ...]) -> Acquisition:
    first = images[0]
    thick = [image.thickness_mm for image in images if image.thickness_mm is not None and image.thickness_mm > 0]
    return Acquisition(
        kvp=first.kvp,
        manufacturer=first.words.manufacturer,
        kernel=first.words.kernel,
        slice_thickness_mm=max(thick, default=None),
        gantry_tilt_deg=first.tilt_deg,
        patient_age_years=first.age_years,
        contrast_agent=any(image.words.contrast for image in images),
    )


def _source(images: tuple[Image, ...], axes: StoredAxes, choice: str) -> Source:
    identity = images[0].identity
    return Source(
        kind="dicom",
        series_uid=identity.series_uid or None,
        study_uid=identity.study_uid or None,
        series_choice=choice,
        slices=tuple(
            SliceReference(image.identity.sop_uid, None if image.frame is None else image.frame + 1) for image in images
        ),
        stored_axes=(axes.transposed, axes.rows_flipped, axes.columns_flipped),
        headers=read_headers(images[0].store),
    )

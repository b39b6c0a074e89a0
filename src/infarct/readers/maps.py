"""Perfusion and diffusion: maps of any quantity, and scans of several moments, from NIfTI files or DICOM folders.

They hold no HU of a whole head, so that what `infarct.readers.read_scan` demands of a CT is not asked of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt

from infarct.errors import BadRequest, UnreadableInput
from infarct.quiet import quiet
from infarct.readers.axes import StoredAxes
from infarct.readers.dicom_files import find_images
from infarct.readers.dicom_image import Image
from infarct.readers.dicom_pixels import stored_values
from infarct.readers.dicom_volume import directions
from infarct.readers.foreign import foreign
from infarct.readers.nifti import _MM_PER_UNIT, _affine, _axes, is_nifti
from infarct.readers.slice_gaps import SAME_POSITION_MM
from infarct.types import Float32Array, Float64Array
from infarct.volume import Geometry

MAX_BYTES: Final = 4 << 30
"""Larger files are refused before anything is allocated."""
_S_PER_UNIT: Final = {8: 1.0, 16: 1e-3, 24: 1e-6}
"""Of the time step in a NIfTI header, by its units code: second, millisecond, microsecond."""
_DAY_S: Final = 86_400.0
_DAMAGED: Final = "a perfusion or diffusion file is truncated or damaged; copy it again"


@dataclass(frozen=True, eq=False)
class Moments:
    """Volumes of one place at several moments.

    ``volume(i)`` returns the volume of moment i, float32 (z, y, x) on ``geometry``; one is held at a time. ``times_s``
    (count,) rises from 0, None where the source does not say.
    """

    volume: Callable[[int], Float32Array]
    geometry: Geometry
    count: int
    times_s: Float64Array | None


def read_map(path: Path) -> tuple[Float32Array, Geometry]:
    """Return a map (float32, (z, y, x), in the unit of the source) of a NIfTI file or of the one series in a folder.

    Values that are not finite stay so. Raises `Refusal` with one line that holds neither path nor patient data.
    """
    moments = read_moments(path)
    if moments.count != 1:
        raise BadRequest(f"a map holds one image a slice, not {moments.count}; pass one map at a time")
    return moments.volume(0), moments.geometry


def read_moments(path: Path) -> Moments:
    """Return the moments of a 4D NIfTI file, or of the one series in a folder of DICOM files.

    Raises `Refusal` with one line that holds neither path nor patient data.
    """
    with quiet():
        if path.is_dir():
            return _dicom(find_images(path).images)
        if not path.is_file():
            raise UnreadableInput(
                "a perfusion or diffusion input does not exist; pass a NIfTI file or a folder of DICOM files"
            )
        if not is_nifti(path):
            raise UnreadableInput("a perfusion or diffusion input is neither a NIfTI file nor a folder of DICOM files")
        return _nifti(path)


def _nifti(path: Path) -> Moments:
    with foreign(_DAMAGED):
        image: Any = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
        sizes = (*shape, *(1,) * (4 - len(shape)))
        if not 2 <= len(shape) <= 4 or np.prod(sizes, dtype=np.float64) * image.get_data_dtype().itemsize > MAX_BYTES:
            raise UnreadableInput(
                "a perfusion or diffusion file has a size that no such scan has; pass the maps one by one"
            )
        stored = np.asanyarray(image.dataobj.get_unscaled()).reshape(sizes)
        slope, intercept = image.dataobj.slope, image.dataobj.inter
        units = int(image.header["xyzt_units"])
        step = float(image.header["pixdim"][4])
    if stored.dtype.kind not in "iuf":
        raise UnreadableInput(
            "a perfusion or diffusion file holds colours or complex numbers; pass maps with their own numbers"
        )
    affine, _ = _affine(image.header)
    affine = affine.copy()
    affine[:3] *= _MM_PER_UNIT.get(units & 0x07, 1.0)
    affine[:2] *= -1  # RAS to LPS
    order, flips = _axes(affine)
    turned = np.flip(stored.transpose(3, *order[::-1]), tuple(1 + i for i in range(3) if flips[::-1][i]))
    with foreign("the orientation in the NIfTI header is impossible; make the file again"):
        geometry = _placed(affine, [sizes[axis] for axis in order], order, flips)

    def volume(index: int) -> Float32Array:
        return np.ascontiguousarray(turned[index] * np.float32(slope) + np.float32(intercept), dtype=np.float32)

    step_s = step * _S_PER_UNIT.get(units & 0x38, 0.0)
    counted = np.arange(sizes[3], dtype=np.float64)
    times_s = np.multiply(counted, step_s, dtype=np.float64) if np.isfinite(step_s) and step_s > 0 else None
    return Moments(volume, geometry, sizes[3], times_s)


def _placed(
    affine_lps: Float64Array, size_xyz: list[int], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> Geometry:
    """Return the geometry of turned voxels. A scan's bounds on pixels and slices do not hold for maps."""
    stored = affine_lps[:3, list(order)]
    origin = affine_lps[:3, 3] + stored @ np.where(flips, np.array(size_xyz) - 1, 0)
    steps = stored * np.where(flips, -1, 1)
    lengths = np.linalg.norm(steps, axis=0)
    x, y = steps[:, 0] / lengths[0], steps[:, 1] / lengths[1]
    origins = origin + np.arange(size_xyz[2])[:, None] * steps[:, 2]
    return Geometry(origins, x, y, (float(lengths[1]), float(lengths[0])), (size_xyz[1], size_xyz[0]))


def _dicom(images: tuple[Image, ...]) -> Moments:
    _check_series(images)
    columns, rows = directions(images[0])
    axes = StoredAxes.of(columns, rows)
    places = _places(images, _normal(axes, columns, rows))
    counts = sorted({len(place) for place in places})
    if len(counts) > 1:
        found = f"{counts[0]} to {counts[-1]}"
        raise BadRequest(f"the series holds {found} images a slice; pass a folder with one whole series")
    evening_s = max((clock for image in images if (clock := _clock_s(image)) is not None), default=0.0) - _DAY_S / 2
    moments = [sorted(place, key=partial(_moment, evening_s=evening_s)) for place in places]
    first = images[0]
    origins = np.array([place[0].position_mm for place in moments], dtype=np.float64)
    size = first.store.format.rows, first.store.format.columns
    with foreign("the images of a series do not make a volume; export the series again"):
        geometry = axes.geometry(origins, columns, rows, first.spacing_mm_yx or (1.0, 1.0), size)

    def volume(index: int) -> Float32Array:
        return np.stack([_values(place[index], axes) for place in moments])

    return Moments(volume, geometry, counts[0], _times_s(moments, evening_s))


def _check_series(images: tuple[Image, ...]) -> None:
    """Raise `Refusal` unless the images are one series with numbers, of one patient, size and orientation."""
    if not images:
        raise UnreadableInput("no DICOM image is in a folder of maps; pass a folder with one series")
    series = {image.identity.series_uid for image in images}
    if len(series) > 1:
        raise BadRequest(f"a folder of maps holds {len(series)} series; pass a folder with one")
    if any(image.store.format.samples != 1 for image in images):
        raise UnreadableInput("the images are colour pictures; export maps that hold their own numbers")
    if any(image.position_mm is None or image.spacing_mm_yx is None for image in images):
        raise UnreadableInput("images of a map lack a position or a pixel spacing; export the original series")
    alike = {(image.store.format.rows, image.store.format.columns, image.identity.patient) for image in images}
    columns, rows = directions(images[0])
    turned = [max(np.abs(d[0] - columns).max(), np.abs(d[1] - rows).max()) for d in map(directions, images)]
    if len(alike) > 1 or max(turned) > 2e-3:
        raise UnreadableInput("the images of a series differ in size, orientation or patient; pass one series")


def _normal(axes: StoredAxes, columns: Float64Array, rows: Float64Array) -> Float64Array:
    """Return the direction along which turned slices must ascend."""
    x, y = (rows, columns) if axes.transposed else (columns, rows)
    x, y = x * (-1 if axes.columns_flipped else 1), y * (-1 if axes.rows_flipped else 1)
    return np.asarray(np.cross(x, y), dtype=np.float64)


def _places(images: Sequence[Image], normal: Float64Array) -> list[list[Image]]:
    """Return the images by their place along ``normal``, ascending."""
    placed = sorted(((float(np.array(image.position_mm) @ normal), image) for image in images), key=lambda p: p[0])
    places: list[list[Image]] = []
    last = -np.inf
    for position, image in placed:
        if position - last >= SAME_POSITION_MM:
            places.append([])
            last = position
        places[-1].append(image)
    return places


def _moment(image: Image, evening_s: float) -> tuple[float, float, float, float]:
    """Return what sorts the images of one place in time: the clock, then whatever counts moments."""
    identity = image.identity
    counted = [float(text) if text.isdigit() else 0.0 for text in (identity.acquisition[1], identity.acquisition[0])]
    return _since_s(_clock_s(image) or 0.0, evening_s), counted[0], counted[1], float(identity.instance_number or 0)


def _since_s(clock_s: float, evening_s: float) -> float:
    """Return a time of day that goes on after midnight: what lies half a day before the latest is the next day."""
    return clock_s + _DAY_S if clock_s < evening_s else clock_s


def _clock_s(image: Image) -> float | None:
    """Return the time of day at which an image was taken, in s; by its acquisition time, else its content time."""
    for text in image.identity.acquisition[2:4]:
        clock = text[8:] if text[:8].isdigit() and len(text.partition(".")[0]) >= 14 else text
        whole = clock.partition(".")[0]
        if len(whole) == 6 and whole.isdigit():
            try:
                return int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + float(clock[4:])
            except ValueError:
                continue
    return None


def _times_s(moments: list[list[Image]], evening_s: float) -> Float64Array | None:
    """Return the mean time of each moment over the slices, from 0; None where the clock is missing or stands still."""
    clocks = [[clock for image in place if (clock := _clock_s(image)) is not None] for place in moments]
    if any(len(clock) < len(place) for clock, place in zip(clocks, moments, strict=True)):
        return None
    times = np.array([[_since_s(clock, evening_s) for clock in place] for place in clocks]).mean(axis=0)
    if len(times) > 1 and np.diff(times).min() <= 0:
        return None
    return np.asarray(times - times[0], dtype=np.float64)


def _values(image: Image, axes: StoredAxes) -> Float32Array:
    slope = 1.0 if image.slope is None else image.slope
    intercept = 0.0 if image.intercept is None else image.intercept
    stored: npt.NDArray[Any] = axes.turned(stored_values(image.store)[image.frame or 0])
    values = stored * np.float32(slope) + np.float32(intercept)
    if image.padding is not None:
        values[(stored >= image.padding[0]) & (stored <= image.padding[1])] = 0
    return np.ascontiguousarray(values, dtype=np.float32)

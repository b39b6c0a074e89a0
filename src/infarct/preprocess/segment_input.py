"""What the segmentation network sees: one or two channels on a grid of its own.

Two settings are kept side by side. `PAPER` is the published preprocessing: the scan's own grid, skull stripped, brain
standardised, then scaled to 0..1. `EVERYDAY` suits scans of any slice thickness: a coarse grid upright to the
midsagittal plane, the skull left in, and the mirror image as a second channel, the same array with x reversed.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from scipy import ndimage

from infarct.preprocess.midplane import Midplane, mirrored
from infarct.preprocess.skull import CLIP_HU, strip_skull
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample, resample_mask
from infarct.volume.mask import bounding_box

Normalisation = Literal["none", "min_max", "standardised_min_max", "centred"]
"""HU clipped and divided by 80; scaled to 0..1; standardised by the brain, then scaled to 0..1; brain's level at 0."""

TISSUE_HU: Final = (15.0, 55.0)
"""What counts for the brain's level in `centred`: neither fluid nor blood."""
CENTRED_SCALE_HU: Final = 20.0
"""`centred` divides by this, so that grey and white matter lie about half a unit apart."""


@dataclass(frozen=True)
class InputSetting:
    """How a scan becomes channels; saved with the weights.

    ``spacing_mm_zyx`` None keeps the scan's own grid; else the grid is upright to the midsagittal plane with
    ``margin_mm`` of head around the brain. ``mirror`` adds the scan mirrored through that plane. ``strip`` sets all
    but the brain to zero, as the paper does; otherwise the skull stays in.
    """

    name: str
    spacing_mm_zyx: tuple[float, float, float] | None
    mirror: bool
    strip: bool
    normalisation: Normalisation
    margin_mm: float = 12.0

    def __post_init__(self) -> None:
        if self.normalisation not in get_args(Normalisation):
            raise ValueError("unknown normalisation")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 2 if self.mirror else 1


PAPER: Final = InputSetting("paper", None, mirror=False, strip=True, normalisation="standardised_min_max")
"""Segment paper, 2.1."""
EVERYDAY: Final = InputSetting("everyday", (5.0, 2.0, 2.0), mirror=True, strip=False, normalisation="centred")
"""Ours, for slices of any thickness: thin ones are averaged, which takes noise away."""


@dataclass(frozen=True, eq=False)
class SegmentInput:
    """``channels`` (float32, (c, z, y, x)) and ``brain`` (bool, (z, y, x)) on ``geometry``, cropped to the brain."""

    channels: Float32Array
    brain: BoolArray
    geometry: Geometry


def make_input(
    hu: Float32Array, geometry: Geometry, *, brain: BoolArray, plane: Midplane, setting: InputSetting
) -> SegmentInput:
    """Return the channels of a scan.

    ``hu`` (float32) and ``brain`` (bool), both (z, y, x), lie on ``geometry``; ``plane`` is the midsagittal plane.

    Raises `ValueError` where ``brain`` is empty, and `StepFailed` where the paper's skull strip leaves nothing.
    """
    if not brain.any():
        raise ValueError("an empty brain has no input")
    if setting.spacing_mm_zyx is None:
        mask = strip_skull(hu) if setting.strip else brain
        return _on_own_grid(hu, geometry, mask, plane, setting)
    grid = upright_grid(geometry, brain, plane, setting.spacing_mm_zyx, margin_mm=setting.margin_mm)
    head = resample(hu, geometry, grid, transform=np.eye(4), antialias=True)
    mask = resample_mask(brain, geometry, grid, transform=np.eye(4))
    own = normalised(head, mask, setting)
    other = own[:, :, ::-1]
    channels = np.stack([own, other]) if setting.mirror else own[None]
    return SegmentInput(np.ascontiguousarray(channels), mask, grid)


def upright_grid(
    geometry: Geometry,
    brain: BoolArray,
    plane: Midplane,
    spacing_mm_zyx: tuple[float, float, float],
    *,
    margin_mm: float,
) -> Geometry:
    """Return the even grid whose x axis is the plane's normal, centred on the plane, that holds the brain and a margin.

    Its z axis is as near to the slice normal as the plane allows. Reversing x mirrors the head.
    """
    directions = _directions(geometry, plane)
    points = geometry.index_to_world(_shell(brain)) @ directions
    centre_x = plane.offset_mm
    half_x = np.abs(points[:, 0] - centre_x).max() + margin_mm
    low, high = points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm
    sz, sy, sx = spacing_mm_zyx
    columns = 2 * int(np.ceil(half_x / sx))
    rows, slices = (int(np.ceil((high[axis] - low[axis]) / step)) + 1 for axis, step in ((1, sy), (2, sz)))
    middle_y, middle_z = (low[1] + high[1]) / 2, (low[2] + high[2]) / 2
    corner = (
        centre_x - (columns - 1) / 2 * sx,
        middle_y - (rows - 1) / 2 * sy,
        middle_z - (slices - 1) / 2 * sz,
    )
    return Geometry.regular(
        (slices, rows, columns), spacing_mm_zyx, origin_mm=directions @ corner, directions=directions
    )


def _directions(geometry: Geometry, plane: Midplane) -> Float64Array:
    across = plane.normal / np.linalg.norm(plane.normal)
    up = geometry.normal - (geometry.normal @ across) * across
    up = up / np.linalg.norm(up)
    return np.stack([across, np.cross(up, across), up], axis=1)


def _shell(mask: BoolArray) -> Float64Array:
    """Return the indices of the mask's outermost voxels of each row, which bound it as well as all do."""
    ends = mask & ~(ndimage.binary_erosion(mask, np.ones((1, 1, 3), dtype=bool), border_value=0))
    return np.argwhere(ends).astype(np.float64)


def normalised(hu: Float32Array, brain: BoolArray, setting: InputSetting) -> Float32Array:
    """Return ``hu`` (float32, (z, y, x)) clipped to 0-80 HU and normalised, float32."""
    clipped = np.clip(hu, *CLIP_HU)
    if setting.normalisation == "centred":
        values = (clipped - np.float32(brain_level_hu(clipped, brain))) / np.float32(CENTRED_SCALE_HU)
    else:
        values = _as_published(clipped, brain, setting)
    if setting.strip:
        values = np.where(brain, values, np.float32(0))
    return np.asarray(values, dtype=np.float32)


def brain_level_hu(hu: Float32Array, brain: BoolArray) -> float:
    """Return the mean of ``hu`` (float32, (z, y, x)) over the ``brain`` without fluid and blood (`TISSUE_HU`).

    Where there is no such voxel it is the middle of those bounds.
    """
    tissue = hu[brain & (hu > TISSUE_HU[0]) & (hu < TISSUE_HU[1])]
    return float(tissue.mean(dtype=np.float64)) if tissue.size else sum(TISSUE_HU) / 2


def _as_published(clipped: Float32Array, brain: BoolArray, setting: InputSetting) -> Float32Array:
    if setting.normalisation == "none":
        return np.asarray(clipped / np.float32(CLIP_HU[1]), dtype=np.float32)
    values = np.where(brain, clipped, np.float32(0)) if setting.strip else clipped
    if setting.normalisation == "standardised_min_max":
        inside = clipped[brain].astype(np.float64)
        spread = max(float(inside.std()), 1e-6)
        values = (clipped - np.float32(inside.mean())) / np.float32(spread)
        # Without this the scaling below would undo the standardising: it only works against a fixed background.
        values = np.where(brain, values, np.float32(0))
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - np.float32(low)) / np.float32(max(high - low, 1e-6)), dtype=np.float32)


def _on_own_grid(
    hu: Float32Array, geometry: Geometry, brain: BoolArray, plane: Midplane, setting: InputSetting
) -> SegmentInput:
    box = bounding_box(brain)
    own = normalised(hu, brain, setting)
    channels = [own[box]]
    if setting.mirror:
        channels.append(mirrored(own, geometry, plane, fill=float(own.min()))[box])
    return SegmentInput(np.ascontiguousarray(np.stack(channels)), brain[box], geometry.cropped(box))

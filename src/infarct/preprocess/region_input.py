"""What DA-Net sees: for each ASPECTS region a patch of either side, image and region, both in one orientation.

Source: Cao et al. 2022 (DOI 10.1002/hbm.25845), section 2.4, and the settings that its authors released. They strip the
skull; here it stays in, because stripped inputs lost accuracy and errors of the brain mask became false findings.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.anatomy import SIDES, Region, Side, region_label
from infarct.preprocess.head import WORK_PIXEL_MM
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.segment_input import upright_grid
from infarct.preprocess.window import Window
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume import Geometry, resample, resample_labels

Zyx = tuple[int, int, int]
Image = npt.NDArray[np.float32 | np.float16]

PAIR: Final[tuple[Side, Side]] = ("left", "right")
"""The sides of a pair, in order."""
LABELS: Final = 21
"""Background and twenty regions."""


@dataclass(frozen=True)
class RegionSetting:
    """How a scan becomes pairs of patches; saved with the weights.

    The grid is upright to the midsagittal plane, with ``margin_mm`` of head around the brain; patches are of
    ``patch_zyx`` voxels. The window spans -1 to 1; beyond the grid lies ``padding``.
    """

    name: str
    spacing_mm_zyx: tuple[float, float, float]
    patch_zyx: Zyx
    level_hu: float = 30.0
    width_hu: float = 60.0
    padding: float = -1.0
    margin_mm: float = 12.0

    def __post_init__(self) -> None:
        if min(self.patch_zyx) < 1 or min(*self.spacing_mm_zyx, self.width_hu) <= 0:
            raise ValueError("patches need at least a voxel, spacings and the window more than 0")

    @property
    def from_scan(self) -> bool:
        """Whether pixels are finer than those of the working grid, so that the scan's own grid is the source."""
        return min(self.spacing_mm_zyx[1:]) < WORK_PIXEL_MM


PAPER: Final = RegionSetting("paper", (5.0, 0.5, 0.5), (7, 130, 110))
"""The authors' released settings."""
EVERYDAY: Final = RegionSetting("everyday", (5.0, 1.5, 1.5), (7, 44, 37))
"""Ours, for two processor cores: as much of the head in a ninth of the voxels."""


@dataclass(frozen=True, eq=False)
class RegionInput:
    """``image`` (float32, or float16 as stored; -1 to 1) and ``regions`` (uint8 labels), (z, y, x) on ``geometry``.

    The grid is symmetric about the midsagittal plane: reversing x mirrors the head.
    """

    image: Image
    regions: LabelArray
    geometry: Geometry

    @cached_property
    def centroids_zyx(self) -> Float64Array:
        """Centroid of each label value in voxels, (21, 3); NaN where there is none."""
        index = np.nonzero(self.regions)
        found = self.regions[index]
        counts = np.bincount(found, minlength=LABELS)
        sums = np.stack([np.bincount(found, weights=axis, minlength=LABELS) for axis in index], axis=1)
        present = counts > 0
        centroids = np.full((LABELS, 3), np.nan)
        centroids[present] = sums[present] / counts[present, None]
        return centroids

    def has(self, region: Region) -> bool:
        """Return whether a region is there on both sides, so that there is a pair."""
        labels = [region_label(region, side) for side in SIDES]
        return bool(np.isfinite(self.centroids_zyx[labels]).all())


def make_region_input(
    hu: Float32Array,
    geometry: Geometry,
    *,
    brain: BoolArray,
    regions: LabelArray,
    plane: Midplane,
    setting: RegionSetting,
) -> RegionInput:
    """Return the input of a scan.

    ``hu`` (float32), ``brain`` (bool) and ``regions`` (uint8 labels), all (z, y, x), lie on ``geometry``; ``plane`` is
    the midsagittal plane. The brain only says how far the grid reaches.

    Raises `ValueError` where ``brain`` is empty.
    """
    if not brain.any():
        raise ValueError("an empty brain has no input")
    grid = upright_grid(geometry, brain, plane, setting.spacing_mm_zyx, margin_mm=setting.margin_mm)
    labels = resample_labels(regions, geometry, grid, transform=np.eye(4))
    return RegionInput(windowed(hu, geometry, grid, setting), labels, grid)


def windowed(hu: Float32Array, geometry: Geometry, grid: Geometry, setting: RegionSetting) -> Float32Array:
    """Return ``hu`` (float32, (z, y, x), on ``geometry``) on ``grid``, the window spanning -1 to 1, clipped."""
    head = resample(hu, geometry, grid, transform=np.eye(4), antialias=True)
    return 2 * Window(setting.level_hu, setting.width_hu).apply(head) - np.float32(1)


def region_pair(
    prepared: RegionInput, region: Region, setting: RegionSetting, shift_zyx: Zyx = (0, 0, 0)
) -> Float32Array | None:
    """Return the pair of a region: float32 (4, z, y, x), image and mask of the left side, then of the right side.

    The right side is flipped, so that both lie as the left does. Each patch is centred on the centroid of its own
    region, moved by ``shift_zyx`` voxels (of the left's orientation). None where the region is empty on either side.
    """
    if not prepared.has(region):
        return None
    channels = []
    for side in PAIR:
        start = _patch_start(prepared, region, side, setting, shift_zyx)
        image = _cut(oriented(prepared.image, side), start, setting.patch_zyx, beyond=setting.padding)
        labels = _cut(oriented(prepared.regions, side), start, setting.patch_zyx, beyond=0)
        channels += [image, (labels == region_label(region, side)).astype(np.float32)]
    return np.stack(channels)


def put_back(
    patch: Float32Array, prepared: RegionInput, region: Region, side: Side, *, setting: RegionSetting
) -> Float32Array:
    """Return a map of one side's patch (float32, (z, y, x)) on the input's grid; 0 where the patch does not reach.

    The right side's is flipped back.

    Raises `ValueError` where the map is not of the patch's size, or where there is no such pair.
    """
    if patch.shape != setting.patch_zyx or not prepared.has(region):
        raise ValueError("the map is not of the size of a patch, or there is no pair of this region")
    start = _patch_start(prepared, region, side, setting, (0, 0, 0))
    inside, at = _overlap(start, setting.patch_zyx, prepared.image.shape)
    whole = np.zeros(prepared.image.shape, dtype=np.float32)
    oriented(whole, side)[inside] = patch[at]
    return whole


def oriented(array: npt.NDArray[np.generic], side: Side) -> npt.NDArray[np.generic]:
    """Return a view of an input's array (z, y, x) in which ``side`` lies as the left side does."""
    return array if side == "left" else array[:, :, ::-1]


def own_half(prepared: RegionInput, region: Region, side: Side, setting: RegionSetting) -> BoolArray:
    """Return which columns of a side's patch lie on that side of the midsagittal plane, bool (x,), as it is cut."""
    first = _patch_start(prepared, region, side, setting, (0, 0, 0))[2]
    return np.asarray(np.arange(first, first + setting.patch_zyx[2]) >= prepared.image.shape[2] // 2)


def _patch_start(prepared: RegionInput, region: Region, side: Side, setting: RegionSetting, shift: Zyx) -> Zyx:
    """Return the index at which the patch of a side begins in the array as `oriented` gives it."""
    z, y, x = prepared.centroids_zyx[region_label(region, side)]
    if side == "right":
        x = prepared.image.shape[2] - 1 - x
    centre = (int(np.floor(place + 0.5)) for place in (z, y, x))
    first, second, third = (
        place + step - size // 2 for place, step, size in zip(centre, shift, setting.patch_zyx, strict=True)
    )
    return first, second, third


def _cut(array: npt.NDArray[np.generic], start: Zyx, size: Zyx, *, beyond: float) -> Float32Array:
    """Return the box of an array that begins at ``start``, float32."""
    inside, at = _overlap(start, size, array.shape)
    box = np.full(size, beyond, dtype=np.float32)
    box[at] = array[inside]
    return box


def _overlap(start: Zyx, size: Zyx, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return which part of an array a box covers, and which part of the box that is."""
    inside, at = [], []
    for first, count, length in zip(start, size, shape, strict=True):
        low, high = min(max(first, 0), length), min(max(first + count, 0), length)
        inside.append(slice(low, high))
        at.append(slice(low - first, high - first))
    return tuple(inside), tuple(at)

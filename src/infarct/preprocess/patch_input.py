"""What the patch CNN sees of a scan: patches about voxels, and the blocks of a slice that hold the patches of many.

They are cut from a picture of the scan. Two settings are kept side by side: `PAPER_PATCHES` is the published one, the
scan's own pixels in slices of 5 mm; `EVERYDAY_PATCHES` takes pixels of 1 mm, so that a patch shows more, and adds the
mirrored head. Source: the volumetry paper (DOI 10.1136/neurintsurg-2019-015471), Methods.

A patch at an edge reaches beyond the scan. What lies there is the nearest voxel of the scan, along all three axes: no
grey has to be invented, so there is no false edge where the field of view or the first slice cuts a head, and where the
scan ends in air it goes on as air. The same holds in training and in use, patch by patch and in blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from infarct.preprocess.midplane import Midplane, mirrored
from infarct.preprocess.segment_input import CENTRED_SCALE_HU, brain_level_hu
from infarct.preprocess.skull import CLIP_HU
from infarct.preprocess.tile_input import slab_geometry, slab_means, slabs_of
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, resample

PATCH_PX: Final = 19
"""Side of a patch (volumetry paper)."""
BEFORE_PX: Final = 9
"""Rows and columns of a patch before the voxel that it is about."""
ROOM_PX: Final = 15
"""By how much a block is larger than what is judged in it: the network's field less one."""
SLICES: Final = (-1, 0, 1)
"""Slices of a patch, against that of its voxel."""
Grey = Literal["hu", "centred"]
"""HU clipped to 0-80, scaled to 0..1; the same HU with the brain's level at 0, 20 HU to a unit."""
Channels = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Places = npt.NDArray[np.intp]
"""Voxels, (n, 3): slice, row, column."""


@dataclass(frozen=True)
class PatchSetting:
    """How a scan becomes the images that patches are cut from; saved with the weights.

    Slices much thinner than ``slab_mm`` are averaged; None never does. ``pixel_mm`` is the side of a pixel; None keeps
    the scan's own. ``mirror`` adds the mirrored head as a second image.

    Raises `ValueError` for unknown grey values and for lengths that are not above 0.
    """

    name: str
    slab_mm: float | None
    pixel_mm: float | None
    grey: Grey
    mirror: bool

    def __post_init__(self) -> None:
        if self.grey not in get_args(Grey):
            raise ValueError("unknown grey values")
        if any(length is not None and length <= 0 for length in (self.slab_mm, self.pixel_mm)):
            raise ValueError("lengths are more than 0")

    @property
    def images(self) -> int:
        """Number of images, each with three channels of a patch."""
        return 1 + self.mirror


PAPER_PATCHES: Final = PatchSetting("paper", 5.0, None, "hu", mirror=False)
"""Volumetry paper, Methods; the window of grey values is not stated, and our choice."""
EVERYDAY_PATCHES: Final = PatchSetting("everyday", 5.0, 1.0, "centred", mirror=True)
"""Ours, for two processor cores."""


@dataclass(frozen=True, eq=False)
class PatchPicture:
    """What patches are cut from: ``images`` (c, z, y, x), ``hu`` and ``brain`` (z, y, x), on ``geometry``.

    ``images`` are float32, ``hu`` is float32 in HU, ``brain`` bool. Slice i is the mean of the slices ``slabs[i]`` of
    the scan, whose geometry is ``source``; pixels are those of the ``setting``.
    """

    images: Float32Array
    hu: Float32Array
    brain: BoolArray
    geometry: Geometry
    source: Geometry
    slabs: tuple[slice, ...]
    setting: PatchSetting


def make_patch_picture(
    hu: Float32Array, geometry: Geometry, *, brain: BoolArray, plane: Midplane, setting: PatchSetting
) -> PatchPicture:
    """Return what patches are cut from.

    ``hu`` (float32) and ``brain`` (bool), both (z, y, x), lie on ``geometry``, the scan's own, which may be tilted and
    uneven; ``plane`` is the midsagittal plane.

    Raises `ValueError` where ``brain`` is empty.
    """
    if not brain.any():
        raise ValueError("an empty brain has no patches")
    slabs = tuple(slabs_of(geometry, setting.slab_mm))
    grid = _with_pixels(slab_geometry(geometry, list(slabs)), setting.pixel_mm)
    density = _brought(hu, geometry, slabs, grid)
    inside = _brought(brain.astype(np.float32), geometry, slabs, grid) >= 0.5
    own, beyond = _grey(density, inside, setting)
    images = [own, mirrored(own, grid, plane, fill=beyond)] if setting.mirror else [own]
    return PatchPicture(np.stack(images), density, inside, grid, geometry, slabs, setting)


def share_on_picture(picture: PatchPicture, mask: BoolArray) -> Float32Array:
    """Return the share, 0 to 1, of each voxel of the picture that a mask (bool, (z, y, x), on the scan) fills."""
    return _brought(mask.astype(np.float32), picture.source, picture.slabs, picture.geometry)


def on_picture(picture: PatchPicture, mask: BoolArray) -> BoolArray:
    """Return a mask (bool, (z, y, x), on the scan) on the picture: where at least half of a voxel is set."""
    return np.asarray(share_on_picture(picture, mask) >= 0.5)


def on_source(picture: PatchPicture, values: Float32Array) -> Float32Array:
    """Return ``values`` (float32, (z, y, x), on the picture) on the scan's own slices and pixels, float32.

    Each slice takes what its slab has; one that lies in no slab takes what the nearest has. A mask is where the answer
    for its float form is 0.5 or more.
    """
    thick = slab_geometry(picture.source, list(picture.slabs))
    same = picture.geometry.pixel_spacing_mm_yx == thick.pixel_spacing_mm_yx
    plain = values if same else resample(values, picture.geometry, thick, fill=0.0)
    return np.asarray(plain[slab_numbers(picture.slabs, picture.source.shape_zyx[0])], dtype=np.float32)


def slab_numbers(slabs: Sequence[slice], slices: int) -> npt.NDArray[np.intp]:
    """Return the number of the slab, (slices,), that each slice of a scan lies in, or is nearest to."""
    stops = np.array([part.stop for part in slabs])
    return np.minimum(np.searchsorted(stops, np.arange(slices), side="right"), len(slabs) - 1)


def _with_pixels(geometry: Geometry, pixel_mm: float | None) -> Geometry:
    """Return the same slices with square pixels of another side, centred in the old ones."""
    if pixel_mm is None:
        return geometry
    reach = (np.array(geometry.size_yx) - 1) * geometry.pixel_spacing_mm_yx
    size = np.rint(reach / pixel_mm).astype(int) + 1
    slack_y, slack_x = (reach - (size - 1) * pixel_mm) / 2
    shift = slack_y * geometry.y_direction + slack_x * geometry.x_direction
    rows, columns = (int(count) for count in size)
    return Geometry(
        geometry.origins_mm + shift, geometry.x_direction, geometry.y_direction, (pixel_mm, pixel_mm), (rows, columns)
    )


def _brought(values: Float32Array, geometry: Geometry, slabs: Sequence[slice], grid: Geometry) -> Float32Array:
    """Return ``values`` of a scan as means of slabs, on the pixels of ``grid``."""
    thick = slab_geometry(geometry, list(slabs))
    means = slab_means(values, list(slabs))
    same = grid.pixel_spacing_mm_yx == thick.pixel_spacing_mm_yx
    return means if same else resample(means, thick, grid, antialias=True)


def _grey(hu: Float32Array, brain: BoolArray, setting: PatchSetting) -> tuple[Float32Array, float]:
    """Return the grey values of a picture, and that of air."""
    clipped = np.clip(hu, *CLIP_HU)
    level, unit = (0.0, CLIP_HU[1]) if setting.grey == "hu" else (brain_level_hu(clipped, brain), CENTRED_SCALE_HU)
    values = np.asarray((clipped - np.float32(level)) / np.float32(unit), dtype=np.float32)
    return values, (CLIP_HU[0] - level) / unit


def cut_patches(images: Channels, places: Places) -> Float32Array:
    """Return the patch about each voxel of ``places`` (n, 3), float32 (n, 3 c, 19, 19), of ``images`` (c, z, y, x).

    Channels are the slice below, the voxel's own, and the slice above, image after image.
    """
    return _cut(images, places, PATCH_PX)


def cut_blocks(images: Channels, places: Places, side_px: int) -> Float32Array:
    """Return squares of slices in which ``side_px`` by ``side_px`` voxels can be judged, with the room around them.

    ``places`` (n, 3) are the first voxel judged in each; blocks may reach beyond the ``images`` (c, z, y, x). The
    answer is float32 (n, 3 c, side_px + 15, side_px + 15), with the channels of `cut_patches`.
    """
    return _cut(images, places, side_px + ROOM_PX)


def _cut(images: Channels, places: Places, size_px: int) -> Float32Array:
    """Return squares that begin `BEFORE_PX` before each place; indices beyond the images are those of their edge."""
    ahead = np.arange(size_px) - BEFORE_PX
    z, y, x = (
        np.clip(places[:, axis, None] + steps, 0, images.shape[axis + 1] - 1)
        for axis, steps in enumerate((np.array(SLICES), ahead, ahead))
    )
    cut = images[:, z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
    shape = len(places), len(images) * len(SLICES), size_px, size_px
    return np.ascontiguousarray(np.moveaxis(cut, 0, 1).reshape(shape), dtype=np.float32)

"""What localize sees: square tiles of slices, with what lies at the mirrored place, resized for the network.

Two settings are kept side by side. `PAPER` is the published one: 8-bit pictures without bone, tiles of 15 to 22 pixels
resized to 140. `EVERYDAY` keeps the skull in, shows the network each tile amid its surroundings, and the same
place of the mirrored head beside it. Source: the localize paper (DOI 10.1038/s41598-023-45573-7), Methods.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.segment_input import CENTRED_SCALE_HU, brain_level_hu
from infarct.preprocess.skull import CLIP_HU, remove_bone_and_falx
from infarct.preprocess.window import LOCALIZE
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample
from infarct.volume.mask import bounding_box

Grey = Literal["pictures", "centred"]
"""C40 W150 as 8-bit grey values, scaled to 0..1; HU clipped to 0-80 with the brain's level at 0, 20 HU to a unit."""
Channels = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Places = npt.NDArray[np.intp]
"""Tiles, (n, 3): slice of the picture, first row, first column."""

TILE_PX: Final = (15, 22)
"""The paper's range of tile sizes."""
LEAST_BRAIN: Final = 0.5
"""A tile is looked at where this part of it is brain."""
CLEAR_HU: Final = 20.0
"""Voxels count in the difference of the sides where both are within this of the brain's level: no fluid, no bone."""
CALM_MM: Final = 1.0
"""SD of the Gaussian, in plane, before dark gaps are closed."""
GAP_MM: Final = 3.0
"""Dark gaps up to twice as wide are closed: a sulcus on one side alone is no lesion."""
RIM_MM: Final = 2.0
"""What lies so near to fluid and bone holds a part of them."""
DIFFERENCE_HU: Final = 3.0
"""A unit of the differences of the sides: about the SD of their maps, so that a network sees them as it sees heads."""
MOST_HU: Final = 10.0
"""The two sides of a voxel count as no more different than this."""
FEWEST: Final = 0.05
"""Least share of such voxels about a place that a mean is divided by."""
BLOCK: Final = 4
"""A Gaussian mean is taken over blocks that are at least so many times smaller than its SD."""
THIN: Final = 0.7
"""Slices thinner than this part of a slab are averaged to slabs."""


@dataclass(frozen=True)
class TileSetting:
    """How a scan becomes tiles; saved with the weights.

    Tiles are squares of ``tile_mm``; None: of 15 to 22 pixels, so that they fit the picture. The network sees a square
    of ``field_tiles`` tiles about the middle of each, resized to ``size_px``. ``mirror`` adds the mirrored head, and
    each of ``differences`` the mean difference of the two about a voxel, by a Gaussian whose SDs in plane and across
    slices it gives in mm, in units of ``difference_hu``. ``strip`` takes bone and calcified falx out. Slices much
    thinner than ``slab_mm`` are averaged; None never does.
    """

    name: str
    tile_mm: float | None
    field_tiles: float
    size_px: int
    grey: Grey
    mirror: bool
    differences: tuple[tuple[float, float], ...]
    strip: bool
    slab_mm: float | None
    difference_hu: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "differences", tuple((float(own), float(across)) for own, across in self.differences))
        if self.grey not in get_args(Grey):
            raise ValueError("unknown grey values")
        if self.differences and not (self.mirror and self.grey == "centred"):
            raise ValueError("a difference needs the mirrored head, and densities")
        if any(own <= 0 or across < 0 for own, across in self.differences):
            raise ValueError("a difference is a mean over more than a voxel")
        lengths = self.tile_mm or 1, self.slab_mm or 1, self.difference_hu
        if self.field_tiles < 1 or self.size_px < 1 or min(lengths) <= 0:
            raise ValueError("a field holds at least its tile, and sizes are more than 0")

    @property
    def images(self) -> int:
        """Number of channels that are heads: the scan, and the mirrored one."""
        return 1 + self.mirror

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.images + len(self.differences)


PAPER: Final = TileSetting(
    "paper",
    None,
    1.0,
    140,
    "pictures",
    mirror=False,
    differences=(),
    strip=True,
    slab_mm=None,
    difference_hu=DIFFERENCE_HU,
)
"""Localize paper, Methods."""
EVERYDAY: Final = TileSetting(
    "everyday",
    8.0,
    4.0,
    48,
    "centred",
    mirror=True,
    differences=((3.0, 4.0), (6.0, 6.0), (14.0, 9.0)),
    strip=False,
    slab_mm=5.0,
    difference_hu=DIFFERENCE_HU,
)
"""Ours, for two processor cores."""


@dataclass(frozen=True, eq=False)
class TilePicture:
    """What tiles are cut from: ``channels`` ((c, z, y, x)) and ``brain`` (bool, (z, y, x)) on ``geometry``.

    Channels are float32, or float16 where a training has stored them.
    ``source_slices`` (z,) are the indices of the scan's slices that lie in the middle of each slice of the picture,
    whose rows and columns are the scan's own. ``tile_px`` is the side of a tile; ``beyond`` the grey of what lies
    outside.
    """

    channels: Channels
    brain: BoolArray
    geometry: Geometry
    plane: Midplane
    source_slices: npt.NDArray[np.intp]
    tile_px: int
    setting: TileSetting
    beyond: float


def make_picture(
    hu: Float32Array, geometry: Geometry, *, brain: BoolArray, plane: Midplane, setting: TileSetting
) -> TilePicture:
    """Return what tiles are cut from.

    ``hu`` (float32) and ``brain`` (bool), both (z, y, x), lie on ``geometry``, the scan's own, which may be tilted and
    uneven; ``plane`` is the midsagittal plane.

    Raises `ValueError` where ``brain`` is empty, and `StepFailed` where the paper's removal of bone leaves nothing.
    """
    if not brain.any():
        raise ValueError("an empty brain has no tiles")
    slabs = slabs_of(geometry, setting.slab_mm)
    thick = slab_geometry(geometry, slabs)
    density, inside = slab_means(hu, slabs), slab_means(brain.astype(np.float32), slabs) >= 0.5
    if setting.strip:
        inside = inside & remove_bone_and_falx(density, thick)
    own, beyond = _grey(density, inside, setting)
    tile_px = tile_side_px(thick, setting)
    channels = [own]
    if setting.mirror:
        across = np.full_like(own, beyond)
        seen = _seen(inside, round((setting.field_tiles / 2 + 1) * tile_px))
        across[seen] = resample(own, thick, thick.cropped(seen), transform=plane.reflection, fill=beyond)
        channels += [across, *side_differences(own, across, inside, thick, setting)]
    middles = np.array([(part.start + part.stop - 1) // 2 for part in slabs])
    return TilePicture(np.stack(channels), inside, thick, plane, middles, tile_px, setting, beyond)


def side_differences(
    own: Float32Array, across: Float32Array, brain: BoolArray, geometry: Geometry, setting: TileSetting
) -> list[Float32Array]:
    """Return a map of how much denser a head is than its mirror image, float32 (z, y, x), for each of the setting's.

    ``own`` and ``across`` (float32, (z, y, x)) are the two as the network sees them. Sulci of both are closed first.
    Fluid, bone and what is not ``brain`` (bool, (z, y, x)) on either side would hide a few HU, so the mean is over the
    other voxels alone; where there are none it is 0.
    """
    _, *plane = bounding_box(brain)
    box = slice(None), *plane
    sides = [_tissue(image[box], geometry) for image in (own, across)]
    clear = brain[box] & sides[0][1] & sides[1][1]
    unit, most = np.float32(CENTRED_SCALE_HU / setting.difference_hu), np.float32(MOST_HU / setting.difference_hu)
    difference = np.where(clear, np.clip(unit * (sides[0][0] - sides[1][0]), -most, most), np.float32(0))
    weight = clear.astype(np.float32)
    maps = []
    for in_plane_mm, across_mm in setting.differences:
        sigma = across_mm / geometry.spacing_mm_zyx[0], *(in_plane_mm / step for step in geometry.pixel_spacing_mm_yx)
        found = np.zeros_like(own)
        found[box] = mean_about(difference, weight, sigma)
        maps.append(found)
    return maps


def mean_about(values: Float32Array, weight: Float32Array, sigma: tuple[float, ...]) -> Float32Array:
    """Return the Gaussian mean of ``values`` that already are ``weight``ed, both (z, y, x); ``sigma`` are pixels.

    Wide means are taken over blocks of pixels and then interpolated.
    """
    step = int(min(sigma[1:]) / BLOCK)
    if step <= 1:
        return _smoothed_ratio(values, weight, sigma)
    rows, columns = (_by_blocks(size, step) for size in values.shape[1:])
    blocks, shares = (np.asarray(rows[0] @ image @ columns[0].T, np.float32) for image in (values, weight))
    means = _smoothed_ratio(blocks, shares, (sigma[0], *(sd / step for sd in sigma[1:])))
    return np.asarray(rows[1] @ means @ columns[1].T, dtype=np.float32)


def _smoothed_ratio(values: Float32Array, weight: Float32Array, sigma: tuple[float, ...]) -> Float32Array:
    sums, share = (ndimage.gaussian_filter(image, sigma) for image in (values, weight))
    return np.asarray(sums / np.maximum(share, np.float32(FEWEST)), dtype=np.float32)


def _by_blocks(size: int, step: int) -> tuple[Float32Array, Float32Array]:
    """Return the weights that bring ``size`` pixels to blocks of ``step``, alike at both ends, and those for back."""
    count = -(-size // step)
    beyond = (count * step - size) / 2
    return (
        resize_matrix(size, count, scale=step, start=-beyond, margin=0),
        resize_matrix(count, size, scale=1 / step, start=beyond / step, margin=0),
    )


def _tissue(grey: Float32Array, geometry: Geometry) -> tuple[Float32Array, BoolArray]:
    """Return centred values with narrow dark gaps closed, and where neither fluid nor bone lies near."""
    limit, spacing = np.float32(CLEAR_HU / CENTRED_SCALE_HU), geometry.pixel_spacing_mm_yx
    calm = ndimage.gaussian_filter(np.clip(grey, -1.25 * limit, 1.25 * limit), (0.0, *(CALM_MM / mm for mm in spacing)))
    gap_px, rim_px = ((1, *(2 * round(reach / mm) + 1 for mm in spacing)) for reach in (GAP_MM, RIM_MM))
    closed = ndimage.grey_closing(np.minimum(calm, limit), size=gap_px)
    return closed, ~ndimage.maximum_filter((calm >= limit) | (closed <= -limit), size=rim_px)


def tile_side_px(geometry: Geometry, setting: TileSetting) -> int:
    """Return the side of a tile in pixels: the setting's length, or the size of 15 to 22 that leaves least over."""
    if setting.tile_mm is not None:
        return max(1, round(setting.tile_mm / float(np.mean(geometry.pixel_spacing_mm_yx))))
    rows, columns = geometry.size_yx
    return min(range(TILE_PX[0], TILE_PX[1] + 1), key=lambda side: rows % side + columns % side)


def slabs_of(geometry: Geometry, slab_mm: float | None) -> list[slice]:
    """Return which slices of a scan are averaged, as equal groups; single slices where they are thick enough.

    What does not fill a group lies at both ends and is left out.
    """
    count, spacing = geometry.shape_zyx[0], geometry.spacing_mm_zyx[0]
    several = 1 if slab_mm is None or spacing >= THIN * slab_mm else min(round(slab_mm / spacing), count)
    first = count % several // 2
    return [slice(k, k + several) for k in range(first, count - several + 1, several)]


def slab_geometry(geometry: Geometry, slabs: list[slice]) -> Geometry:
    """Return the geometry of the slabs."""
    return replace(geometry, origins_mm=np.stack([geometry.origins_mm[part].mean(axis=0) for part in slabs]))


def slab_means(values: Float32Array, slabs: list[slice]) -> Float32Array:
    """Return the mean of each slab of ``values`` (float32, (z, y, x))."""
    return np.stack([values[part].mean(axis=0, dtype=np.float32) for part in slabs])


def tile_grid(picture: TilePicture, *, overlap: float = 0.0) -> Places:
    """Return the tiles of a regular grid that lie in the brain, slice by slice; ``overlap`` is that of neighbours.

    The grid begins at the corner of the picture. Raises `ValueError` for an overlap outside [0, 1).
    """
    if not 0 <= overlap < 1:
        raise ValueError("tiles overlap by 0 to less than 1")
    step = max(1, round(picture.tile_px * (1 - overlap)))
    rows, columns = (np.arange(0, size - picture.tile_px + 1, step) for size in picture.geometry.size_yx)
    every = np.stack(np.meshgrid(np.arange(len(picture.brain)), rows, columns, indexing="ij"), axis=-1).reshape(-1, 3)
    return every[tile_shares(picture.brain, every, picture.tile_px) >= LEAST_BRAIN]


def tile_shares(mask: BoolArray, places: Places, tile_px: int) -> Float64Array:
    """Return the part of each tile that lies in ``mask`` (bool, (z, y, x)), float64 (n,), 0 to 1.

    What lies beyond the mask's grid counts as outside it.
    """
    if not mask.any():
        return np.zeros(len(places))
    box = bounding_box(mask)
    within = mask[box]
    sums = np.zeros((len(within), within.shape[1] + 1, within.shape[2] + 1), dtype=np.int32)
    sums[:, 1:, 1:] = within.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, dtype=np.int32)
    slices, rows, columns = (places - [part.start for part in box]).T
    k = np.clip(slices, 0, len(within) - 1)
    top, bottom = (np.clip(rows + edge, 0, within.shape[1]) for edge in (0, tile_px))
    left, right = (np.clip(columns + edge, 0, within.shape[2]) for edge in (0, tile_px))
    counts = sums[k, bottom, right] - sums[k, top, right] - sums[k, bottom, left] + sums[k, top, left]
    return np.asarray(np.where(k == slices, counts, 0) / tile_px**2, dtype=np.float64)


def tile_centres_mm(picture: TilePicture, places: Places) -> Float64Array:
    """Return the middle of each tile in LPS mm, (n, 3)."""
    half = (picture.tile_px - 1) / 2
    return picture.geometry.index_to_world(places + np.array([0.0, half, half]))


def mirrored_places(picture: TilePicture, places: Places) -> tuple[Places, BoolArray]:
    """Return the tiles at the mirrored places, to the nearest pixel, and which of them lie wholly in the picture."""
    reflection = picture.plane.reflection
    across = tile_centres_mm(picture, places) @ reflection[:3, :3].T + reflection[:3, 3]
    half = (picture.tile_px - 1) / 2
    found = np.rint(picture.geometry.world_to_index(across) - np.array([0.0, half, half])).astype(np.intp)
    last = np.array([len(picture.brain) - 1, *(size - picture.tile_px for size in picture.geometry.size_yx)])
    return found, np.asarray(((found >= 0) & (found <= last)).all(axis=1))


def cut_tiles(picture: TilePicture, places: Places, *, margin_px: int = 0) -> Float32Array:
    """Return what the network sees of each tile, float32 (n, c, size, size).

    ``size`` is the setting's, and ``margin_px`` more of the surroundings at each edge, at the same scale.
    """
    size = picture.setting.size_px
    field_px = round(picture.setting.field_tiles * picture.tile_px)
    aside = (picture.tile_px - field_px) / 2  # a whole number of half pixels
    first = int(np.floor(aside - margin_px * field_px / size)) - 1
    window = field_px + 2 * (int(np.floor(aside)) - first) + 2
    resize = resize_matrix(window, size + 2 * margin_px, scale=field_px / size, start=aside - first, margin=margin_px)
    fields = np.zeros((len(places), len(picture.channels), window, window), dtype=np.float32)
    fields[:, : picture.setting.images] = picture.beyond  # and nothing differs out there
    for field, (k, *corner) in zip(fields, places.tolist(), strict=True):
        begins = [place + first for place in corner]
        parts = zip(begins, picture.geometry.size_yx, strict=True)
        ours, theirs = zip(*(_overlap(begin, window, size) for begin, size in parts), strict=True)
        field[:, *ours] = picture.channels[:, k, *theirs]
    return np.asarray(resize @ fields @ resize.T, dtype=np.float32)


def _overlap(begin: int, length: int, size: int) -> tuple[slice, slice]:
    """Return the part of ``length`` pixels from ``begin`` on that lies among ``size``: in itself, and among those."""
    first, last = (min(max(edge, 0), size) for edge in (begin, begin + length))
    return slice(first - begin, last - begin), slice(first, last)


def resize_matrix(length: int, size: int, *, scale: float, start: float, margin: int) -> Float32Array:
    """Return the weights, float32 (size, length), that bring ``length`` pixels to ``size`` of ``scale`` pixels each.

    Pixel ``margin`` of the result begins at the edge ``start``. Weights fall off linearly over a pixel of the result,
    or of the source where those are larger: linear interpolation enlarges, and a weighted mean shrinks.
    """
    middles = start + (np.arange(size) - margin + 0.5) * scale
    reach = max(1.0, scale)
    away = np.abs(np.arange(length) + 0.5 - middles[:, None])
    weights = np.clip(1 - away / reach, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _seen(brain: BoolArray, reach_px: int) -> tuple[slice, slice, slice]:
    """Return the box (z, y, x) of all slices that holds the ``brain`` and ``reach_px`` around it, where there is so
    much.
    """
    _, *parts = bounding_box(brain)
    rows, columns = (
        slice(max(0, part.start - reach_px), min(size, part.stop + reach_px))
        for part, size in zip(parts, brain.shape[1:], strict=True)
    )
    return slice(0, len(brain)), rows, columns


def _grey(hu: Float32Array, brain: BoolArray, setting: TileSetting) -> tuple[Float32Array, float]:
    """Return the grey values of a slice, and that of what lies outside of it."""
    if setting.grey == "pictures":
        values, beyond = (LOCALIZE.to_uint8(hu) / np.float32(255)).astype(np.float32), 0.0
    else:
        clipped = np.clip(hu, *CLIP_HU)
        level = brain_level_hu(clipped, brain)
        values = ((clipped - np.float32(level)) / np.float32(CENTRED_SCALE_HU)).astype(np.float32)
        beyond = float((CLIP_HU[0] - level) / CENTRED_SCALE_HU)
    if setting.strip:
        values, beyond = np.where(brain, values, np.float32(0)), 0.0
    return values, beyond

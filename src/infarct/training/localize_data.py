"""Which tiles a training of localize sees: a pure function of the seed and the number of the tile.

Infarct and normal tiles take turns. Tiles were cut with a margin; what varies them takes the network's tile out of it.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from infarct.phantom.grid import rng
from infarct.preprocess.segment_input import CENTRED_SCALE_HU
from infarct.preprocess.tile_input import TileSetting
from infarct.training.augment import NEIGHBOUR, smeared
from infarct.training.localize_recipe import LocalizeRecipe, TileVariation
from infarct.training.task import evenly
from infarct.training.tile_implants import SLICE_MM, Where, with_tile_implant
from infarct.training.tile_store import StoredTiles
from infarct.types import BoolArray, Float32Array, Float64Array

Rows = npt.NDArray[np.intp]

OWN: Final = "own"
TRIALS: Final = 4
"""So often a blob is drawn anew that does not fall as it should."""


@dataclass(frozen=True, eq=False)
class TileDraw:
    """How one tile varies: the ``row`` it stands in, what is put in (see `tile_implants`), the rest as in `varied`."""

    row: int
    affine: Float64Array
    contrast: float
    offset: float
    noise: Float32Array | None
    implant: Where | None = None


class TileDataset(Dataset[dict[str, Tensor]]):
    """Tile number k of a training: ``tiles`` float32 (c, size, size) and ``infarct`` float32, 1 or 0."""

    def __init__(self, stored: StoredTiles, recipe: LocalizeRecipe) -> None:
        self._stored = stored
        self._recipe = recipe
        normal = ~stored.infarct
        self._infarct = np.flatnonzero(stored.infarct)
        self._mirrored = np.flatnonzero(normal & ~stored.from_healthy)
        self._healthy = np.flatnonzero(normal & stored.from_healthy)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return tile ``number``, 0 or more; there is no last one."""
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Tensor]]:
        """Return several tiles, which is faster together."""
        draws = [self._drawn(number) for number in numbers]
        rows = np.array([draw.row for draw in draws])
        wide = np.asarray(self._stored.tiles[rows], dtype=np.float32)
        truth = self._stored.infarct[rows].astype(np.float32)
        for place, (number, draw) in enumerate(zip(numbers, draws, strict=True)):
            truth[place] = self._implanted(wide[place], draw, number) or truth[place]
        tiles = varied(wide, draws, self._recipe.phantoms.setting)
        infarct = torch.from_numpy(truth)
        return [{"tiles": tile, "infarct": truth} for tile, truth in zip(tiles, infarct, strict=True)]

    def _drawn(self, number: int) -> TileDraw:
        random = rng(self._recipe.seed, "tile", str(number))
        pool, implant = self._infarct if number % 2 == 0 else self._normal(random), None
        if len(self._healthy) and random.random() < self._recipe.implants.share:
            mirrors = self._recipe.phantoms.setting.mirror and number // 2 % 2
            normal: Where = "mirrored" if mirrors else "beside"
            pool, implant = self._healthy, normal if number % 2 else OWN
        row = int(pool[random.integers(len(pool))])
        varied = drawn_variation(row, self._recipe.variation, self._recipe.phantoms.setting, random=random)
        return replace(varied, implant=implant)

    def _implanted(self, wide: Float32Array, draw: TileDraw, number: int) -> bool:
        """Put a blob into a healthy tile (c, s, s), in place, where its draw says so; return whether it is infarct now.

        A tile that takes none after some trials stays as it is, healthy.
        """
        if draw.implant is None:
            return False
        random = rng(self._recipe.seed, "implant", str(number))
        for _ in range(TRIALS):
            changed = with_tile_implant(
                wide, self._recipe.phantoms.setting, self._recipe.implants, where=draw.implant, random=random
            )
            if changed is not None:
                wide[...] = changed
                return draw.implant == OWN
        return False

    def _normal(self, random: np.random.Generator) -> Rows:
        """Return the rows of one kind of normal tiles."""
        healthy = random.random() < self._recipe.both_healthy_share
        first, other = (self._healthy, self._mirrored) if healthy else (self._mirrored, self._healthy)
        return first if len(first) else other


def drawn_variation(
    row: int, variation: TileVariation, setting: TileSetting, *, random: np.random.Generator
) -> TileDraw:
    """Return a random variation of the tile in a row."""
    flip, turned = random.random(2) < (variation.flip_chance, variation.turned_share)
    turn, grow, contrast, offset = random.uniform(-1, 1, 4)
    shift = random.integers(-variation.shift_px, variation.shift_px, 2, endpoint=True)
    angle = np.radians(variation.rotation_deg) * turn * turned
    size = 1 + variation.scale * grow * turned
    matrix = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:, 0] *= -1 if flip else 1
    noise = None
    if variation.noise_sd:
        shape = (setting.images, setting.size_px, setting.size_px)
        sd = np.float32(variation.noise_sd * random.random() / (1 + 2 * NEIGHBOUR**2))
        noise = sd * random.standard_normal(shape, dtype=np.float32)
    affine = np.column_stack([matrix, shift])
    return TileDraw(row, affine, variation.contrast * contrast, variation.offset * offset, noise)


def varied(wide: Float32Array, draws: list[TileDraw], setting: TileSetting) -> Tensor:
    """Return tiles (n, c, size, size) out of ``wide`` ones (float32, (n, c, side, side)), each changed by its draw.

    ``affine`` (2, 3) takes x and y of a pixel against the middle of the tile to its place in the wide one; what lies
    beyond its border is as the border. Then all is multiplied by 1 + ``contrast``, and ``offset`` is added; the
    differences of the sides have no level of their own. ``noise``, white, is made as coarse as that of resampled CT.
    """
    size = setting.size_px
    tiles = _placed(torch.from_numpy(wide), np.stack([draw.affine for draw in draws]), size)
    images = slice(0, setting.images)
    column = np.array([(1 + draw.contrast, draw.offset) for draw in draws], dtype=np.float32).T[:, :, None, None, None]
    tiles *= torch.from_numpy(column[0])
    tiles[:, images] += torch.from_numpy(column[1])
    noises = [draw.noise for draw in draws if draw.noise is not None]
    if noises:
        noise = torch.from_numpy(smeared(smeared(np.stack(noises), 2), 3))
        tiles[:, images] += noise
        noise *= CENTRED_SCALE_HU / setting.difference_hu
        for channel, (in_plane_mm, across_mm) in enumerate(setting.differences, start=setting.images):
            smooth = torch.from_numpy(smoothing(setting, in_plane_mm))
            left = float(noise_left(across_mm))
            tiles[:, channel] += left * (smooth @ (noise[:, 0] - noise[:, 1]) @ smooth.T)
    return tiles


def noise_left(across_mm: float) -> float:
    """Return the share of the SD of noise, another in each slice, that a Gaussian over slices leaves."""
    if not across_mm:
        return 1.0
    weights = ndimage.gaussian_filter1d(np.eye(1, 41, 20)[0], across_mm / SLICE_MM)
    return float(np.linalg.norm(weights))


def smoothing(setting: TileSetting, in_plane_mm: float) -> Float32Array:
    """Return the matrix (size, size) that makes of white noise in a tile, along one axis, that of the smoothed sides.

    Each row is the Gaussian about its pixel. Where the tile cuts it off it is raised, so that the noise is everywhere
    as strong as in the middle of a large picture.
    """
    assert setting.tile_mm is not None
    sd_px = in_plane_mm * setting.size_px / (setting.field_tiles * setting.tile_mm)
    rows = ndimage.gaussian_filter1d(np.eye(setting.size_px), sd_px, axis=1, mode="constant")
    whole = 1 / np.sqrt(2 * np.sqrt(np.pi) * sd_px)  # the root of the sum of the squares of a Gaussian's weights
    return np.asarray(rows * whole / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _placed(wide: Tensor, affine: Float64Array, size: int) -> Tensor:
    """Return tiles of ``size`` pixels taken from ``wide`` ones, bilinearly; see `varied`."""
    half = (wide.shape[-1] - 1) / 2
    theta = affine * np.array([(size - 1) / 2, (size - 1) / 2, 1.0]) / half
    shape = [len(wide), wide.shape[1], size, size]
    grid = functional.affine_grid(torch.from_numpy(theta.astype(np.float32)), shape, align_corners=True)
    return functional.grid_sample(wide, grid, mode="bilinear", padding_mode="border", align_corners=True)


def plain_tiles(stored: StoredTiles, rows: Rows, setting: TileSetting) -> Float32Array:
    """Return tiles as they are, without their margin: float32 (n, c, size, size)."""
    margin = (stored.tiles.shape[-1] - setting.size_px) // 2
    inside = slice(margin, margin + setting.size_px)
    return np.asarray(stored.tiles[rows][..., inside, inside], dtype=np.float32)


def balanced_rows(infarct: BoolArray) -> Rows:
    """Return the rows of as many infarct tiles as normal ones: all of the rarer kind, the others spread over all."""
    kinds = [np.flatnonzero(kind).tolist() for kind in (infarct, ~infarct)]
    count = min(len(rows) for rows in kinds)
    return np.sort(np.array([row for rows in kinds for row in evenly(rows, count)], dtype=np.intp))

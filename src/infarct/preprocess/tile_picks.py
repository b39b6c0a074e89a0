"""Which tiles the localize paper takes of a scan whose infarct is known: its own, and those at their mirrored places.

Source: the localize paper (DOI 10.1038/s41598-023-45573-7), Methods: infarct tiles lie in the lesion, normal ones at
the mirrored place, so that both hemispheres give some where both are ill. How much of a tile is infarct it leaves open.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.preprocess.tile_input import (
    LEAST_BRAIN,
    Places,
    TilePicture,
    TileSetting,
    mirrored_places,
    slab_means,
    slabs_of,
    tile_grid,
    tile_shares,
)
from infarct.types import BoolArray
from infarct.volume import Geometry

INFARCT_SHARE: Final = 0.5
"""A tile is an infarct tile where this part of it is infarct."""
BEST_SHARE: Final = 0.25
"""A lesion without such a tile gives its best one, where that holds this much of it."""


@dataclass(frozen=True, eq=False)
class BalancedTiles:
    """Tiles of the infarct (n, 3), and normal ones (m, 3) at their mirrored places."""

    infarct: Places
    normal: Places


def mask_on_picture(mask: BoolArray, geometry: Geometry, setting: TileSetting) -> BoolArray:
    """Return a mask (bool, (z, y, x), on ``geometry``, the scan's) in the slices of the picture: half of a slab."""
    return np.asarray(slab_means(mask.astype(np.float32), slabs_of(geometry, setting.slab_mm)) >= 0.5)


def balanced_tiles(picture: TilePicture, infarct: BoolArray, ill: BoolArray) -> BalancedTiles:
    """Return the infarct tiles of the regular grid, and the normal tiles at their mirrored places.

    ``infarct`` and ``ill``, all that is not healthy, are bool (z, y, x) on the picture.
    """
    found = infarct_tiles(picture, tile_grid(picture), infarct)
    return BalancedTiles(found, np.unique(healthy_across(picture, found, infarct | ill), axis=0))


def infarct_tiles(picture: TilePicture, grid: Places, infarct: BoolArray) -> Places:
    """Return the tiles of a ``grid`` that are infarct, and the best tile of each lesion that none of them touches.

    ``infarct`` (bool, (z, y, x)) lies on the picture. The best tile may lie off the grid.
    """
    found = grid[tile_shares(infarct, grid, picture.tile_px) >= INFARCT_SHARE]
    labels, _ = ndimage.label(infarct, np.ones((3, 3, 3)))
    best = [
        tile
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if not tile_shares(labels == label, found, picture.tile_px).any()
        for tile in _best_tile(picture, infarct, labels == label, box)
    ]
    return np.concatenate([found, *best])


def healthy_across(picture: TilePicture, places: Places, ill: BoolArray) -> Places:
    """Return those mirrored places that lie in the brain and hold nothing of ``ill`` (bool, (z, y, x))."""
    found, inside = mirrored_places(picture, places)
    found = found[inside]
    brain = tile_shares(picture.brain, found, picture.tile_px) >= LEAST_BRAIN
    healthy: Places = found[brain & (tile_shares(ill, found, picture.tile_px) == 0)]
    return healthy


def _best_tile(
    picture: TilePicture, infarct: BoolArray, lesion: BoolArray, box: tuple[slice, slice, slice]
) -> list[Places]:
    """Return the tile (1, 3) that holds most of a lesion in its ``box``, in a list; nothing where that is little."""
    side = picture.tile_px
    if lesion[box].sum(axis=(1, 2)).max() < BEST_SHARE * side**2:
        return []
    slices = np.arange(box[0].start, box[0].stop)
    edges = [
        np.arange(max(0, part.start - side + 1), min(part.stop, size - side + 1))
        for part, size in zip(box[1:], picture.geometry.size_yx, strict=True)
    ]
    every = np.stack(np.meshgrid(slices, *edges, indexing="ij"), axis=-1).reshape(-1, 3)
    every = every[tile_shares(picture.brain, every, side) >= LEAST_BRAIN]
    shares = tile_shares(infarct, every, side)
    return [every[[int(shares.argmax())]]] if shares.size and shares.max() >= BEST_SHARE else []

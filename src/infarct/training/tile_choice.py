"""Which tiles of a head the localize network learns from, and what they are called.

Infarct tiles come from the lesion, normal ones from the mirrored place, as in the localize paper (Methods). Where the
network sees the mirrored place too, that alone would teach it that one of two sides is always ill: so at least
`HEALTHY_SHARE` of a head's tiles are healthy on both sides. Old infarcts and blood give a few normal tiles.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.preprocess.tile_input import Places, TilePicture, mirrored_places, tile_grid, tile_shares
from infarct.preprocess.tile_picks import INFARCT_SHARE, healthy_across, infarct_tiles
from infarct.types import BoolArray

HEALTHY_SHARE: Final = 0.4
"""At least this part of a head's tiles is free of lesions, and so is the mirrored place."""
ILL_PART: Final = 0.27
"""At most this part of a head's tiles is infarct, and as many are mirrored."""
OTHER_PART, OTHER_PART_ALONE = 0.06, 0.3
"""At most this part is old infarct or blood with its mirrored places: beside an acute infarct, and without one."""
OVERLAP: Final = 2 / 3
"""Of the grid that tiles are drawn from: small lesions lie in several of its tiles."""


@dataclass(frozen=True, eq=False)
class Lesions:
    """What is ill, bool (z, y, x): acute ``infarct``, and ``other``: old infarct, blood, staining."""

    infarct: BoolArray
    other: BoolArray


@dataclass(frozen=True, eq=False)
class Choice:
    """Tiles of a head. Each group is (n, 3), as `Places`.

    ``infarct`` tiles; places ``mirrored`` to them that are free of any lesion; places in and mirrored to ``other``
    lesions that hold no infarct; ``healthy`` tiles, free of any lesion, as their mirrored place is.
    """

    infarct: Places
    mirrored: Places
    other: Places
    healthy: Places

    @property
    def places(self) -> Places:
        """All tiles, group after group."""
        return np.concatenate([self.infarct, self.mirrored, self.other, self.healthy])


def choose_tiles(picture: TilePicture, lesions: Lesions, *, count: int, random: np.random.Generator) -> Choice:
    """Return at most ``count`` tiles of a head; the masks of ``lesions`` lie on the picture's geometry.

    A head with little that is healthy gives fewer tiles.
    """
    grid = tile_grid(picture, overlap=OVERLAP)
    any_lesion = lesions.infarct | lesions.other
    free = tile_shares(any_lesion, grid, picture.tile_px) == 0
    free[free] = _free_across(picture, grid[free], any_lesion)
    count = min(count, int(free.sum() / HEALTHY_SHARE))
    infarct = drawn_evenly(infarct_tiles(picture, grid, lesions.infarct), int(ILL_PART * count), random)
    mirrored = healthy_across(picture, infarct, any_lesion)
    part = OTHER_PART if len(infarct) else OTHER_PART_ALONE
    other = _other_tiles(picture, grid, lesions, int(part * count / 2), random)
    rest = count - len(infarct) - len(mirrored) - len(other)
    return Choice(infarct, mirrored, other, drawn_evenly(grid[free], rest, random))


def drawn_evenly(places: Places, count: int, random: np.random.Generator) -> Places:
    """Return ``count`` of the tiles, or all, at random; each slice gives as many as the others while it has some."""
    shuffled = places[random.permutation(len(places))]
    order = np.argsort(shuffled[:, 0], kind="stable")
    slices = shuffled[order, 0]
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order)) - np.searchsorted(slices, slices)
    first = np.argsort(rank, kind="stable")[:count]
    return shuffled[first]


def _free_across(picture: TilePicture, places: Places, ill: BoolArray) -> BoolArray:
    """Return whether the mirrored place of each tile lies in the picture and holds nothing of ``ill``."""
    found, inside = mirrored_places(picture, places)
    free = inside.copy()
    free[inside] = tile_shares(ill, found[inside], picture.tile_px) == 0
    return free


def _other_tiles(
    picture: TilePicture, grid: Places, lesions: Lesions, count: int, random: np.random.Generator
) -> Places:
    """Return up to ``count`` tiles of lesions that are no acute infarct, and the mirrored places."""
    within = tile_shares(lesions.other, grid, picture.tile_px) >= INFARCT_SHARE
    clear = tile_shares(lesions.infarct, grid, picture.tile_px) == 0
    own = drawn_evenly(grid[within & clear], count, random)
    return np.concatenate([own, healthy_across(picture, own, lesions.infarct | lesions.other)])

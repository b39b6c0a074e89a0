"""Which tiles are taken of a scan: against brute force, tile by tile."""

import numpy as np
import pytest

from infarct.preprocess.tile_input import Places, tile_grid
from infarct.preprocess.tile_picks import BEST_SHARE, INFARCT_SHARE, balanced_tiles, infarct_tiles, mask_on_picture
from infarct.types import BoolArray
from infarct.volume import Geometry
from unit.evaluation.tiled_case import BRAIN, EMPTY, GEOMETRY, GRID_TILES, INFARCT, OLD, OPPOSITE, SETTING, box, picture


def as_set(places: Places) -> set[tuple[int, ...]]:
    return {tuple(place) for place in places.tolist()}


def share(mask: BoolArray, place: tuple[int, ...]) -> float:
    k, row, column = place
    return float(mask[k, row : row + 4, column : column + 4].mean())


def test_normal_tiles_lie_across_and_are_free_of_old_infarcts() -> None:
    found = balanced_tiles(picture(), INFARCT, OLD)
    expected = {(k, row, column) for k in (2, 3) for row in (8, 12) for column in (24, 28)}
    assert as_set(found.infarct) == expected
    across = {(k, row, 36 - column) for k, row, column in expected}
    assert as_set(found.normal) == across - {(3, 8, 8)}


def test_a_bilateral_infarct_gives_normal_tiles_of_both_sides_where_free() -> None:
    """Left rows 8 to 15, right rows 12 to 19: what is ill on both sides, rows 12 to 15, gives none."""
    right = box(slice(2, 4), slice(12, 20), slice(8, 16))
    found = balanced_tiles(picture(), INFARCT | right, EMPTY)
    assert len(found.infarct) == 16
    assert {place[1] for place in as_set(found.normal) if place[2] < 20} == {8}
    assert {place[1] for place in as_set(found.normal) if place[2] >= 20} == {16}
    assert len(as_set(balanced_tiles(picture(), INFARCT | OPPOSITE, EMPTY).normal)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    infarct, ill = EMPTY.copy(), EMPTY.copy()
    for mask, count in ((infarct, 4), (ill, 4)):
        for _ in range(count):
            k, row, column = random.integers(0, (6, 30, 30))
            height, width = random.integers(1, 12, 2)
            mask[k, row : row + height, column : column + width] = True
    infarct &= BRAIN
    grid = [
        (k, r, c) for k in range(6) for r in range(0, 37, 4) for c in range(0, 37, 4) if share(BRAIN, (k, r, c)) >= 0.5
    ]
    assert len(grid) == GRID_TILES
    found = balanced_tiles(picture(), infarct, ill)
    regular = {place for place in grid if share(infarct, place) >= INFARCT_SHARE}
    assert regular <= as_set(found.infarct)
    assert all(share(infarct, place) >= BEST_SHARE for place in as_set(found.infarct) - regular)
    across = {(k, row, 36 - column) for k, row, column in as_set(found.infarct)}
    free = {place for place in across if share(infarct | ill, place) == 0 and share(BRAIN, place) >= 0.5}
    assert as_set(found.normal) == free


def test_a_small_lesion_between_tiles_gives_its_best_tile() -> None:
    """Three by three pixels are 9 of 16 of a tile that holds them all, of the grid's tiles at most 4 of 16."""
    small = box(slice(5, 6), slice(18, 21), slice(22, 25))
    tiles = infarct_tiles(picture(), tile_grid(picture()), small)
    assert tiles.shape == (1, 3)
    assert share(small, tuple(tiles[0])) == 9 / 16
    speck = box(slice(5, 6), slice(18, 19), slice(22, 25))
    assert len(infarct_tiles(picture(), tile_grid(picture()), speck)) == 0
    assert len(infarct_tiles(picture(), tile_grid(picture()), EMPTY)) == 0


def test_a_mask_of_thin_slices_fills_half_of_a_slab() -> None:
    thin = Geometry.regular((20, 40, 40), (1.0, 2.0, 2.0))
    mask = np.zeros(thin.shape_zyx, dtype=bool)
    mask[0:3, 10, 10] = mask[0:2, 20, 20] = True
    found = mask_on_picture(mask, thin, SETTING)
    assert found.shape == (4, 40, 40)
    assert np.argwhere(found).tolist() == [[0, 10, 10]]
    assert (mask_on_picture(INFARCT, GEOMETRY, SETTING) == INFARCT).all()

"""Which marked tiles belong together: clusters worked out by hand, and against labels of a drawn volume."""

import numpy as np
import pytest
from scipy import ndimage

from infarct.preprocess.tile_clusters import clusters_of

TILE_PX = 16


def labels(places, marked=None):
    places = np.array(places, dtype=np.intp).reshape(-1, 3)
    every = np.ones(len(places), dtype=bool) if marked is None else np.array(marked)
    return clusters_of(places, every, tile_px=TILE_PX).tolist()


@pytest.mark.parametrize(
    ("other", "together"),
    [
        ((4, 32, 48), True),  # beside
        ((4, 48, 48), True),  # at a corner
        ((4, 48, 16), True),  # at the other corner
        ((4, 40, 40), True),  # overlapping
        ((4, 32, 49), False),  # one pixel apart
        ((4, 64, 32), False),  # one tile between
        ((5, 32, 32), True),  # above
        ((3, 47, 47), True),  # below, by one pixel
        ((5, 32, 48), False),  # above, side by side
        ((5, 48, 48), False),  # above, at a corner
        ((6, 32, 32), False),  # one slice between
    ],
)
def test_a_pair_of_tiles(other, together):
    assert labels([(4, 32, 32), other]) == ([1, 1] if together else [1, 2])


def test_unmarked_tiles_belong_to_none_and_join_nothing():
    row = [(0, 0, 0), (0, 0, 16), (0, 0, 32), (0, 0, 48)]
    assert labels(row, [True, False, True, True]) == [1, 0, 2, 2]
    assert labels(row, [False] * 4) == [0, 0, 0, 0]


def test_clusters_count_from_their_first_tiles_and_reach_over_many():
    assert labels([(9, 0, 0), (0, 0, 0), (8, 8, 0), (1, 15, 15), (7, 16, 8)]) == [1, 2, 1, 2, 1]


def test_no_tiles_no_clusters():
    assert labels([]) == []


def test_a_plain_grid_is_labelled_like_its_volume():
    grid = np.random.default_rng(7).random((5, 12, 12)) < 0.2
    places = np.argwhere(np.ones_like(grid)) * np.array([1, TILE_PX, TILE_PX])
    joined = np.zeros((3, 3, 3), dtype=bool)
    joined[1], joined[0, 1, 1], joined[2, 1, 1] = True, True, True
    expected, count = ndimage.label(grid, structure=joined)
    found = clusters_of(places, grid.ravel(), tile_px=TILE_PX).reshape(grid.shape)
    assert found.max() == count
    assert len({*zip(expected.ravel().tolist(), found.ravel().tolist(), strict=True)}) == count + 1

"""Which tiles a head gives: every label against the masks counted by brute force, the balance, and both sides."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.tile_input import EVERYDAY, TilePicture
from infarct.training.tile_choice import HEALTHY_SHARE, Choice, Lesions, choose_tiles, drawn_evenly
from infarct.volume import Geometry

SHAPE = (6, 120, 128)
GRID = Geometry.regular(SHAPE, (5.0, 1.0, 1.0), origin_mm=(-63.5, -60.0, 0.0))
SIDE = 8
COUNT = 60


def head() -> TilePicture:
    """Return an ellipse of brain, mirrored exactly between columns 63 and 64."""
    _, row, column = np.indices(SHAPE)
    brain = ((row - 59.5) / 52) ** 2 + ((column - 63.5) / 45) ** 2 < 1
    channels = np.zeros((3, *SHAPE), dtype=np.float32)
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
    return TilePicture(channels, brain, GRID, plane, np.arange(SHAPE[0]), SIDE, EVERYDAY, -1.75)


def box(slices: slice, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[slices, rows, columns] = True
    return mask


NOTHING = np.zeros(SHAPE, dtype=bool)
LEFT = box(slice(2, 5), slice(40, 70), slice(80, 100))
RIGHT = box(slice(2, 4), slice(45, 65), slice(28, 45))
OLD = box(slice(1, 3), slice(80, 100), slice(75, 95))


def chosen(infarct=NOTHING, other=NOTHING, *, picture=None, count=COUNT, seed=0) -> Choice:
    random = np.random.Generator(np.random.Philox(seed))
    return choose_tiles(picture or head(), Lesions(infarct, other), count=count, random=random)


def share(mask, place):
    k, row, column = place
    return mask[k, row : row + SIDE, column : column + SIDE].mean()


def across(place):
    return place[0], place[1], SHAPE[2] - SIDE - place[2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("infarct", "other"),
    [(NOTHING, NOTHING), (LEFT, NOTHING), (LEFT, OLD), (LEFT | RIGHT, NOTHING), (NOTHING, OLD), (OLD, OLD)],
    ids=["healthy", "left", "left and old", "both", "old", "acute on old"],
)
def test_every_label_is_what_the_masks_say(infarct, other, seed):
    other = other & ~infarct
    found = chosen(infarct, other, seed=seed)
    ill = infarct | other
    for tile in found.infarct:
        assert share(infarct, tile) >= 0.5
    for tile in found.mirrored:
        assert share(ill, tile) == 0
        assert share(infarct, across(tile)) >= 0.5
    for tile in found.other:
        assert share(infarct, tile) == 0
        assert share(other, tile) >= 0.5 or (share(ill, tile) == 0 and share(other, across(tile)) >= 0.5)
    for tile in found.healthy:
        assert share(ill, tile) == share(ill, across(tile)) == 0
    brain = head().brain
    assert all(share(brain, tile) >= 0.5 for tile in found.places)
    assert len(found.places) == COUNT
    assert len(found.healthy) >= HEALTHY_SHARE * COUNT


def test_a_lesion_gives_as_many_normal_tiles_from_the_other_side():
    found = chosen(LEFT)
    assert len(found.infarct) == len(found.mirrored) == 16  # 27 % of 60
    assert (found.infarct[:, 2] > 63).all()
    assert (found.mirrored[:, 2] < 63).all()
    np.testing.assert_array_equal([across(tile) for tile in found.infarct], found.mirrored)
    assert len(found.other) == 0
    assert len(found.healthy) == 28


def test_an_old_infarct_or_blood_is_normal_and_never_infarct():
    alone = chosen(NOTHING, OLD)
    assert len(alone.infarct) == len(alone.mirrored) == 0
    assert len(alone.other) == 18  # nine in it and nine across
    beside = chosen(LEFT, OLD)
    assert len(beside.other) == 2
    assert len(beside.infarct) == 16


def test_where_both_sides_are_ill_normal_tiles_come_from_both():
    both = LEFT | LEFT[:, :, ::-1]
    found = chosen(both)
    assert len(found.infarct) == 16
    assert len(found.mirrored) == 0
    assert {bool(column > 63) for column in found.infarct[:, 2]} == {True, False}
    assert {bool(column > 63) for column in found.healthy[:, 2]} == {True, False}
    assert len(found.healthy) == 44


@pytest.mark.parametrize(("size", "tiles"), [(3, 0), (4, 1), (5, 1)])
def test_a_small_lesion_gives_its_best_tile(size, tiles):
    """Of 64 pixels 9 are too few, 16 are a quarter."""
    spot = box(slice(2, 3), slice(51, 51 + size), slice(88, 88 + size))
    found = chosen(spot)
    assert len(found.infarct) == tiles
    if tiles:
        assert share(spot, found.infarct[0]) == size**2 / 64


def test_a_small_lesion_beside_a_large_one_counts_too():
    spot = box(slice(5, 6), slice(31, 36), slice(50, 55))
    found = chosen(spot | LEFT)
    assert any(share(spot, tile) == 25 / 64 for tile in found.infarct)


def test_a_head_of_one_lesion_gives_few_tiles():
    """All but a band of the brain is ill: only what its healthy tiles allow is taken."""
    ill = head().brain.copy()
    ill[:, 100:] = False
    ill[1:] = head().brain[1:]
    found = chosen(ill)
    assert 0 < len(found.places) < COUNT
    assert len(found.healthy) >= HEALTHY_SHARE * len(found.places)
    assert len(chosen(head().brain).places) == 0


def test_the_same_numbers_give_the_same_tiles():
    np.testing.assert_array_equal(chosen(LEFT, OLD, seed=4).places, chosen(LEFT, OLD, seed=4).places)
    assert not np.array_equal(chosen(LEFT, OLD, seed=4).places, chosen(LEFT, OLD, seed=5).places)


def test_all_levels_of_a_healthy_head_take_part():
    picture = head()
    brain = picture.brain.copy()
    brain[5] = box(slice(5, 6), slice(50, 62), slice(58, 70))[5]  # the vertex
    found = chosen(picture=replace(picture, brain=brain))
    counts = np.bincount(found.healthy[:, 0], minlength=6)
    assert counts[:5].min() >= 10
    assert counts[5] >= 4


def test_tiles_are_drawn_evenly():
    random = np.random.default_rng(0)
    places = np.array([(0, 0, k) for k in range(50)] + [(1, 0, k) for k in range(3)] + [(4, 0, k) for k in range(9)])
    drawn = drawn_evenly(places, 20, random)
    assert np.bincount(drawn[:, 0]).tolist() == [9, 3, 0, 0, 8] or np.bincount(drawn[:, 0]).tolist() == [8, 3, 0, 0, 9]
    assert len(np.unique(drawn, axis=0)) == 20
    assert len(drawn_evenly(places, 100, random)) == 62
    assert len(drawn_evenly(places[:0], 5, random)) == len(drawn_evenly(places, 0, random)) == 0

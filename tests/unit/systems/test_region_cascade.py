"""The cascade on engines whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.errors import StepFailed
from infarct.preprocess.cascade_input import CascadeInput, CascadeSetting, Shrinking
from infarct.systems.region_cascade import (
    Cascade,
    box_around,
    exclusive,
    find_regions,
    labels_of,
    left_half,
    smoothed,
    tile_around,
)
from infarct.types import Float32Array

SHAPE = (8, 30, 24)
SETTING = CascadeSetting(
    (1, 3, 3), (8, 12, 12), (4, 12, 24), coordinates=False, prior=False, reach_mm=3.0, smoothing_mm=0.0
)


class Painted:
    """An engine that reads the class of a voxel off its brightness: background up to .05, region k at k / 10."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def __init__(self, classes: int = 11) -> None:
        self.tiles: list[Float32Array] = []
        self._classes = classes

    def run(self, batch: Float32Array) -> Float32Array:
        self.tiles.append(batch[0, 0].copy())
        image = batch[:, :1]
        steps = np.arange(self._classes, dtype=np.float32)[:, None, None, None]
        regions = -40 * np.abs(image * 10 - steps)
        return np.concatenate([regions, 40 * (image > 0.02) - 20], axis=1).astype(np.float32)


Painting = list[tuple[tuple[slice, slice, slice], float]]


def head(regions: Painting) -> CascadeInput:
    image = np.zeros(SHAPE, np.float32)
    image[:, 3:27, 3:21] = 0.04
    for place, value in regions:
        image[place] = value
    return CascadeInput(image, image > 0, None, (5.0, 1.0, 1.0))


PAIR: Painting = [
    ((slice(3, 5), slice(12, 18), slice(3, 9)), 0.4),
    ((slice(3, 5), slice(12, 18), slice(15, 21)), 0.4),
]


def test_finds_the_place_then_draws_there() -> None:
    given = head(PAIR)
    fine = Painted()
    found = find_regions(Cascade(Painted(), fine, SETTING), given)
    assert found.box == (slice(2, 6), slice(9, 21), slice(0, 24))
    labels = labels_of(found.probabilities, left_half(SHAPE))
    expected = np.zeros(SHAPE, np.uint8)
    expected[3:5, 12:18, 3:9], expected[3:5, 12:18, 15:21] = 4, 14
    np.testing.assert_array_equal(labels, expected)
    assert found.brain[:, 6:24, 6:18].all()
    assert not found.brain[:, :2].any()
    assert len(fine.tiles) == 2  # one tile, both ways


def test_mirroring_the_head_swaps_the_sides_exactly() -> None:
    random = np.random.default_rng(3)
    image = random.choice(np.array([0.04, 0.3, 0.7], np.float32), SHAPE)
    inside = np.ones(SHAPE, dtype=bool)
    labels = []
    for one in (image, image[:, :, ::-1].copy()):
        found = find_regions(Cascade(Painted(), Painted(), SETTING), CascadeInput(one, inside, None, (5, 1, 1)))
        labels.append(labels_of(found.probabilities, left_half(SHAPE)))
    swapped = np.where(labels[1] > 10, labels[1] - 10, np.where(labels[1] > 0, labels[1] + 10, 0))[:, :, ::-1]
    np.testing.assert_array_equal(labels[0], swapped)


def test_nothing_is_drawn_outside_the_skull() -> None:
    given = head(PAIR)
    half = given.inside.copy()
    half[:, :, 12:] = False
    cut = CascadeInput(given.image, half, None, given.spacing_mm_zyx)
    found = find_regions(Cascade(Painted(), Painted(), SETTING), cut)
    assert set(np.unique(labels_of(found.probabilities, left_half(SHAPE)))) == {0, 4}
    with pytest.raises(StepFailed, match="no ASPECTS regions"):
        find_regions(Cascade(Painted(), Painted(), SETTING), head([]))


def test_a_speck_does_not_widen_the_box() -> None:
    region = np.zeros((8, 10, 8), dtype=bool)
    region[3:5, 4:6, 1:7] = True
    region[7, 0, 0] = True
    given = head([])
    how = Shrinking.of(SHAPE, SETTING.factor_zyx)
    assert box_around(region, how, given, 0.0) == (slice(3, 5), slice(12, 18), slice(3, 21))


def test_the_fine_network_sees_the_one_tile_that_training_cuts() -> None:
    """However far around the box it may look: tiles that show other parts of the head are answered worse."""
    fine = Painted()
    given = head(PAIR)
    found = find_regions(Cascade(Painted(), fine, replace(SETTING, reach_mm=50.0)), given)
    assert found.box == (slice(2, 6), slice(9, 21), slice(0, 24))
    assert len(fine.tiles) == 2
    np.testing.assert_array_equal(fine.tiles[0], given.image[found.box])


def test_a_box_longer_than_a_tile_takes_several() -> None:
    tight, wide = (slice(0, 2), slice(5, 15), slice(0, 8)), (slice(0, 2), slice(3, 17), slice(0, 10))
    assert tile_around(tight, wide, (2, 30, 20), (4, 8, 12)) == (slice(0, 2), slice(3, 17), slice(0, 12))
    assert tile_around(tight, wide, (2, 30, 20), (4, 12, 5)) == (slice(0, 2), slice(4, 16), slice(0, 10))


def test_each_side_has_outputs_of_its_own_as_published() -> None:
    """Nothing is mirrored then: sides must not be mixed."""
    setting = replace(SETTING, sided=True)
    place = (slice(3, 5), slice(12, 18), slice(3, 9))
    fine = Painted(classes=21)
    found = find_regions(Cascade(Painted(classes=21), fine, setting), head([(place, 1.7)]))
    labels = labels_of(found.probabilities, left_half(SHAPE))
    assert set(np.unique(labels)) == {0, 17}
    assert len(fine.tiles) == 1


def test_probabilities_of_classes_exclude_each_other() -> None:
    logits = np.log(np.array([1, 2, 5, 3], np.float32))[:, None, None, None]
    assert exclusive(logits).ravel() == pytest.approx([1 / 8, 2 / 8, 5 / 8, 3 / 4])


def test_smoothing_keeps_sums_and_takes_specks_away() -> None:
    given = head(PAIR)
    random = np.random.default_rng(0)
    raw = random.dirichlet(np.ones(3), SHAPE).astype(np.float32).transpose(3, 0, 1, 2) * given.inside
    box = (slice(0, 8), slice(0, 30), slice(0, 24))
    calm = smoothed(raw, box, given, 2.0)
    np.testing.assert_allclose(calm.sum(axis=0), given.inside, atol=1e-5)
    assert calm[0][given.inside].std() < 0.3 * raw[0][given.inside].std()
    speck = np.zeros((2, *SHAPE), np.float32)
    speck[0] = given.inside
    speck[:, 4, 15, 12] = 0, 1
    assert (labels_of(smoothed(speck, box, given, 1.5), left_half(SHAPE)) == 0).all()

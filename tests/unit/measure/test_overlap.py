"""Overlap by hand; what empty masks give."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infarct.measure.overlap import Counts, count, volume_difference_ml, volume_difference_pct
from infarct.volume import Geometry


def box(*parts: slice, shape: tuple[int, int, int] = (4, 6, 7)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[parts] = True
    return mask


TRUTH = box(slice(1, 3), slice(2, 5), slice(1, 5))  # 24 voxels
SHIFTED = box(slice(1, 3), slice(2, 5), slice(3, 7))  # 24 voxels, 12 of them shared
NOTHING = box(slice(0, 0))


def test_counts_and_ratios_by_hand() -> None:
    counts = count(SHIFTED, TRUTH)
    assert counts == Counts(tp=12, fp=12, fn=12, tn=4 * 6 * 7 - 36)
    assert counts.dice == pytest.approx(0.5)
    assert counts.sensitivity == pytest.approx(0.5)
    assert counts.precision == pytest.approx(0.5)
    assert counts.specificity == pytest.approx(132 / 144)


def test_a_region_decides_what_counts() -> None:
    region = box(slice(1, 2), slice(0, 6), slice(0, 5))  # one slice, columns 0-4: 30 voxels
    assert count(SHIFTED, TRUTH, region=region) == Counts(tp=6, fp=0, fn=6, tn=18)


def test_a_missed_lesion_counts_as_no_overlap() -> None:
    counts = count(NOTHING, TRUTH)
    assert counts.dice == counts.sensitivity == 0
    assert math.isnan(counts.precision)
    assert counts.specificity == 1


@pytest.mark.parametrize("predicted", [NOTHING, SHIFTED])
def test_a_scan_without_lesion_has_no_overlap_to_find(predicted: np.ndarray) -> None:
    counts = count(predicted, NOTHING)
    assert math.isnan(counts.dice)
    assert math.isnan(counts.sensitivity)
    assert counts.specificity == pytest.approx(1 - predicted.mean())


def test_a_truth_that_fills_all_leaves_no_specificity() -> None:
    counts = count(TRUTH, np.ones_like(TRUTH))
    assert math.isnan(counts.specificity)
    assert counts.precision == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        count(TRUTH, TRUTH[1:])


def test_volume_difference_by_hand_on_uneven_slices() -> None:
    origins = np.array([[0, 0, z] for z in (0.0, 4, 8, 15)])  # slices stand for 4, 4, 5.5 and 7 mm
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (3.0, 2.0), (6, 7))
    truth, predicted = box(slice(0, 1), slice(0, 1), slice(0, 5)), box(slice(3, 4), slice(0, 1), slice(0, 5))
    assert volume_difference_ml(predicted, truth, geometry) == pytest.approx(5 * 6 * (7 - 4) / 1000)
    assert volume_difference_pct(predicted, truth, geometry) == pytest.approx(75)
    assert volume_difference_pct(NOTHING, truth, geometry) == pytest.approx(-100)
    assert math.isnan(volume_difference_pct(predicted, NOTHING, geometry))
    assert volume_difference_ml(NOTHING, NOTHING, geometry) == 0


@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))
def test_counts_against_sets(first: int, second: int) -> None:
    masks = [
        np.array([int(bit) for bit in f"{number:024b}"], dtype=bool).reshape(2, 3, 4) for number in (first, second)
    ]
    one, two = ({tuple(index) for index in np.argwhere(mask)} for mask in masks)
    counts = count(masks[0], masks[1])
    assert counts == Counts(len(one & two), len(one - two), len(two - one), 24 - len(one | two))
    assert count(masks[1], masks[0]).fp == counts.fn

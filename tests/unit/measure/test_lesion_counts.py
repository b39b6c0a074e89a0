"""Lesions found and missed: by hand, and against the slow obvious count."""

import math

import numpy as np
import pytest
from scipy import ndimage

from infarct.measure.lesions import LesionCounts, count_lesions
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((10, 30, 30), (5.0, 2.0, 2.0))  # a voxel is 0.02 ml
VOXEL_ML = 0.02


def boxes(*corners: tuple[int, int, int, int, int, int]) -> np.ndarray:
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    for z0, z1, y0, y1, x0, x1 in corners:
        mask[z0:z1, y0:y1, x0:x1] = True
    return mask


TWO = boxes((1, 3, 2, 7, 2, 7), (6, 8, 15, 20, 15, 20))  # 50 voxels each: 1 ml
NOTHING = boxes()


def test_one_found_one_missed_one_invented() -> None:
    predicted = boxes((1, 3, 2, 7, 4, 9), (4, 6, 25, 29, 2, 6))
    counts = count_lesions(predicted, TWO, GEOMETRY)
    assert counts == LesionCounts(tp=1, fp=1, fn=1)
    assert counts.f1 == pytest.approx(0.5)
    assert counts.sensitivity == pytest.approx(0.5)


@pytest.mark.parametrize(("columns", "found"), [(1, False), (2, True)])
def test_the_overlap_decides(columns: int, found: bool) -> None:
    """A column of the lesion in one slice is 5 of 50 voxels: exactly 10 %."""
    truth = boxes((1, 3, 2, 7, 2, 7))
    predicted = boxes((1, 2, 2, 7, 2, 2 + columns))
    assert count_lesions(predicted, truth, GEOMETRY, overlap=0.11).tp == int(found)
    assert count_lesions(predicted, truth, GEOMETRY, overlap=0.1).tp == 1


def test_one_prediction_may_find_two_lesions_and_two_fragments_one() -> None:
    whole = boxes((1, 8, 2, 20, 2, 20))
    assert count_lesions(whole, TWO, GEOMETRY, overlap=0.04) == LesionCounts(tp=2, fp=0, fn=0)
    fragments = boxes((1, 2, 2, 7, 2, 7), (2, 3, 2, 7, 2, 3))
    fragments[2, :, 3] = False
    assert count_lesions(fragments, boxes((1, 3, 2, 7, 2, 7)), GEOMETRY) == LesionCounts(tp=1, fp=0, fn=0)


def test_specks_are_neither_asked_for_nor_held_against() -> None:
    speck = boxes((0, 1, 0, 2, 0, 2))  # 4 voxels, 0.08 ml
    assert count_lesions(NOTHING, speck, GEOMETRY) == LesionCounts(0, 0, 0)
    assert count_lesions(speck, NOTHING, GEOMETRY) == LesionCounts(0, 0, 0)
    assert count_lesions(NOTHING, speck, GEOMETRY, minimum_ml=0.08) == LesionCounts(0, 0, 1)
    assert count_lesions(speck, NOTHING, GEOMETRY, minimum_ml=4 * VOXEL_ML) == LesionCounts(0, 1, 0)


def test_corners_join_a_lesion() -> None:
    corner = boxes((1, 3, 2, 7, 2, 7), (3, 5, 7, 12, 7, 12))
    assert count_lesions(corner, corner, GEOMETRY) == LesionCounts(tp=1, fp=0, fn=0)


def test_empty_masks() -> None:
    assert count_lesions(TWO, NOTHING, GEOMETRY) == LesionCounts(tp=0, fp=2, fn=0)
    assert count_lesions(NOTHING, TWO, GEOMETRY) == LesionCounts(tp=0, fp=0, fn=2)
    assert math.isnan(count_lesions(TWO, NOTHING, GEOMETRY).f1)
    assert count_lesions(NOTHING, TWO, GEOMETRY).f1 == 0
    assert math.isnan(count_lesions(NOTHING, NOTHING, GEOMETRY).sensitivity)


def test_an_overlap_of_nothing_is_no_rule() -> None:
    with pytest.raises(ValueError, match="overlap"):
        count_lesions(TWO, TWO, GEOMETRY, overlap=0.0)


def test_sizes_follow_uneven_slices() -> None:
    origins = np.array([[0, 0, z] for z in (0.0, 1, 2, 22, 42)])  # slices stand for 1, 1, 10.5, 20 and 20 mm
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (2.0, 2.0), (10, 10))
    thin, thick = np.zeros((2, 5, 10, 10), dtype=bool)
    thin[0, :2, :2] = thick[4, :2, :2] = True  # 0.016 and 0.32 ml
    assert count_lesions(thin, np.zeros_like(thin), geometry).fp == 0
    assert count_lesions(thick, np.zeros_like(thin), geometry).fp == 1


@pytest.mark.parametrize("seed", range(8))
def test_against_the_obvious_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted, truth = (
        ndimage.gaussian_filter(random.standard_normal(GEOMETRY.shape_zyx), (0.7, 1.5, 1.5)) > 0.12 for _ in range(2)
    )

    def judged(mask: np.ndarray, other: np.ndarray) -> list[bool]:
        labels, number = ndimage.label(mask, np.ones((3, 3, 3)))
        parts = [labels == label for label in range(1, number + 1)]
        return [(part & other).sum() >= 0.3 * part.sum() for part in parts if part.sum() * VOXEL_ML >= 0.1]

    found, right = judged(truth, predicted), judged(predicted, truth)
    assert len(found) > 3
    expected = LesionCounts(sum(found), len(right) - sum(right), len(found) - sum(found))
    assert count_lesions(predicted, truth, GEOMETRY, overlap=0.3) == expected

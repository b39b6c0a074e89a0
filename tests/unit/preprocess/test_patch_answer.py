"""From probabilities to masks, by hand."""

import numpy as np
import pytest
from scipy import ndimage

from infarct.preprocess.patch_answer import bleeding_scores, masks_at, pieces, smoothed, without_specks
from infarct.volume import Geometry

GRID = Geometry.regular((4, 30, 40), (5.0, 1.0, 2.0))
EVERYWHERE = np.ones(GRID.shape_zyx, dtype=bool)


def test_smoothing_is_in_plane_and_in_mm() -> None:
    chance = np.zeros((2, *GRID.shape_zyx), dtype=np.float32)
    chance[0, 2, 15, 20] = 1
    found = smoothed(chance, EVERYWHERE, GRID, smooth_mm=2.0)
    assert not found[1].any()
    assert not found[0, [0, 1, 3]].any()
    y, x = np.mgrid[:30, :40] - np.array([15, 20])[:, None, None]
    expected = np.exp(-(y**2 + (2 * x) ** 2) / 8)
    np.testing.assert_allclose(found[0, 2], expected / expected.sum(), atol=2e-3)


def test_nothing_leaks_over_the_edge_of_the_region() -> None:
    """An even probability stays even up to the edge, and 0 beyond; what lies outside does not count."""
    region = EVERYWHERE.copy()
    region[:, :, 25:] = False
    chance = np.where(region, 0.7, 0.1)[None].astype(np.float32)
    for smooth_mm in (0.0, 1.0, 3.0):
        found = smoothed(chance, region, GRID, smooth_mm=smooth_mm)
        np.testing.assert_allclose(found[0], np.where(region, 0.7, 0.0), atol=1e-5)


def test_pieces_below_the_least_volume_go() -> None:
    """A voxel is 0.01 ml; voxels that touch by a corner across slices are one piece."""
    mask = np.zeros(GRID.shape_zyx, dtype=bool)
    mask[0, 3, 3:8] = True
    mask[1, 10:12, 10:12] = True
    mask[2, 12, 12] = True
    labels, sizes_ml = pieces(mask, GRID)
    np.testing.assert_allclose(sorted(sizes_ml), [0.05, 0.05])
    assert labels.max() == 2
    mask[3, 20:23, 20:23] = True
    kept = without_specks(mask, GRID, least_ml=0.06)
    assert kept.sum() == 9
    assert kept[3, 20:23, 20:23].all()
    assert np.array_equal(without_specks(mask, GRID, least_ml=0.0), mask)
    assert not without_specks(mask, GRID, least_ml=1.0).any()
    assert not without_specks(np.zeros_like(mask), GRID, least_ml=1.0).any()


def test_uneven_slices_count_with_their_intervals() -> None:
    origins = np.array([[0, 0, 0], [0, 0, 2], [0, 0, 4], [0, 0, 14]], dtype=float)
    uneven = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (30, 40))
    mask = np.zeros(uneven.shape_zyx, dtype=bool)
    mask[0, 5:15, 5:15] = mask[3, 20:30, 20:30] = True
    _, sizes_ml = pieces(mask, uneven)
    assert sizes_ml == pytest.approx([0.2, 1.0])
    assert not without_specks(mask, uneven, least_ml=0.5)[0].any()


def test_pieces_are_those_of_scipy() -> None:
    mask = np.random.default_rng(1).random(GRID.shape_zyx) > 0.85
    labels, sizes_ml = pieces(mask, GRID)
    expected, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert np.array_equal(labels, expected)
    np.testing.assert_allclose(sizes_ml, [0.01 * (expected == k).sum() for k in range(1, count + 1)])


def test_each_network_has_its_own_cut_and_least_piece() -> None:
    chance = np.zeros((2, *EVERYWHERE.shape), dtype=np.float32)
    chance[:, 0, 0, 0] = 0.6
    region = EVERYWHERE.copy()
    marks = masks_at(chance, region, GRID, thresholds=(0.5, 0.7), least_ml=(0.0, 0.0), smooth_mm=0)
    assert marks[0].sum() == 1
    assert not marks[1].any()
    assert not masks_at(chance, region, GRID, thresholds=(0.5, 0.5), least_ml=(5.0, 5.0), smooth_mm=0).any()
    region[0, 0, 0] = False
    assert not masks_at(chance, region, GRID, thresholds=(0.0001, 0.0001), least_ml=(0.0, 0.0), smooth_mm=0).any()


def test_a_scan_without_blood_has_a_score() -> None:
    assert bleeding_scores([0.0, 0.9]) == pytest.approx([np.log(0.1), 0.0])

"""Calibration by hand, as a property, and as sums that add up."""

import math

import numpy as np
import pytest

from infarct.measure.calibration import Reliability, reliability

SHAPE = (2, 2, 3)
PROBABILITY = np.array([0.05, 0.05, 0.05, 0.05, 0.3, 0.3, 0.3, 0.3, 0.9, 0.9, 1.0, 0.5], np.float32).reshape(SHAPE)
TRUTH = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0], dtype=bool).reshape(SHAPE)


def test_bins_by_hand() -> None:
    found = reliability(PROBABILITY, TRUTH, bins=5)
    assert found.voxels == (4, 4, 1, 0, 3)  # 1.0 falls into the last bin
    assert found.positives == (0, 1, 0, 0, 3)
    np.testing.assert_allclose(found.mean_probability, [0.05, 0.3, 0.5, np.nan, 2.8 / 3], rtol=1e-6)
    np.testing.assert_allclose(found.observed, [0, 0.25, 0, np.nan, 1])


def test_scores_by_hand() -> None:
    found = reliability(PROBABILITY, TRUTH, bins=5)
    assert found.expected_calibration_error() == pytest.approx((0.2 + 0.2 + 0.5 + 0.2) / 12, rel=1e-5)
    assert found.expected_calibration_error(first_bin=1) == pytest.approx((0.2 + 0.5 + 0.2) / 8, rel=1e-5)
    squares = 4 * 0.05**2 + 0.7**2 + 3 * 0.3**2 + 2 * 0.1**2 + 0.5**2
    assert found.brier == pytest.approx(squares / 12, rel=1e-5)
    logs = 4 * math.log(0.95) + math.log(0.3) + 3 * math.log(0.7) + 2 * math.log(0.9) + math.log(0.5)
    assert found.nll == pytest.approx(-logs / 12, rel=1e-5)


def test_a_sure_error_stays_finite() -> None:
    found = reliability(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), dtype=bool))
    assert found.nll == pytest.approx(-math.log(1e-7))


def test_a_region_and_its_rest_add_up() -> None:
    region = np.zeros(SHAPE, dtype=bool)
    region[0, :, 1:] = True
    inside, outside = (reliability(PROBABILITY, TRUTH, region=part, bins=5) for part in (region, ~region))
    assert sum(inside.voxels) == 4
    total, whole = inside + outside, reliability(PROBABILITY, TRUTH, bins=5)
    assert (total.voxels, total.positives) == (whole.voxels, whole.positives)
    np.testing.assert_allclose(total.probability_sums, whole.probability_sums)
    assert (total.brier, total.nll) == pytest.approx((whole.brier, whole.nll))


def test_an_empty_region_gives_no_scores() -> None:
    found = reliability(PROBABILITY, TRUTH, region=np.zeros(SHAPE, dtype=bool), bins=5)
    assert found == Reliability((0,) * 5, (0,) * 5, (0.0,) * 5, 0.0, 0.0)
    scores = (found.brier, found.nll, found.expected_calibration_error(), *found.observed)
    assert all(math.isnan(score) for score in scores)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="0-1"):
        reliability(PROBABILITY * 2, TRUTH)


def test_a_true_probability_is_calibrated_and_a_sharpened_one_is_not() -> None:
    random = np.random.default_rng(4)
    probability = random.random((10, 100, 100)).astype(np.float32)
    truth = random.random(probability.shape) < probability
    assert reliability(probability, truth).expected_calibration_error() < 0.01
    odds = (probability / (1 - probability)) ** 3
    assert reliability(odds / (1 + odds), truth).expected_calibration_error() > 0.1

"""What is measured of tiles that networks judged, against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics

from infarct.evaluation.localize_study import KINDS, TileCalls, joined, measured


def drawn(seed: int, *, patients: int = 12, tiles: int = 40) -> TileCalls:
    random = np.random.default_rng(seed)
    kinds = random.integers(4, size=patients * tiles)
    logits = random.normal(0, 1, len(kinds)) + 0.8 * (kinds == 0)
    return TileCalls(tuple(f"p{seed}-{place // tiles}" for place in range(len(kinds))), kinds, logits)


def test_numbers_are_those_of_sklearn() -> None:
    calls = drawn(0)
    found = measured(calls, resamples=50)
    pairs = calls.kinds <= 1
    truth, scores = calls.kinds[pairs] == 0, calls.logits[pairs]
    called = 1 / (1 + np.exp(-scores)) >= 0.5
    values = {name: value.estimate for name, value in found.values.items()}
    assert values["average_precision"] == pytest.approx(metrics.average_precision_score(truth, scores))
    assert values["auc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert values["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert values["sensitivity"] == pytest.approx(metrics.recall_score(truth, called))
    assert values["specificity"] == pytest.approx(metrics.recall_score(~truth, ~called))
    assert values["precision"] == pytest.approx(metrics.precision_score(truth, called))
    assert values["f_score"] == pytest.approx(metrics.f1_score(truth, called))
    other = np.isin(calls.kinds, (0, KINDS.index("healthy")))
    assert values["healthy_auc"] == pytest.approx(metrics.roc_auc_score(calls.kinds[other] == 0, calls.logits[other]))
    assert (found.tiles, found.infarct_tiles, found.patients) == (pairs.sum(), truth.sum(), 12)
    assert all(value.low <= value.estimate <= value.high for value in found.values.values())


def test_patients_by_hand() -> None:
    """The first has both tiles right; of the second one of two is, and its infarct missed; the third's is other."""
    calls = TileCalls(("a", "a", "b", "b", "c"), np.array([0, 1, 0, 1, 2]), np.array([2.0, -1.0, -2.0, -3.0, 5.0]))
    found = measured(calls, resamples=10)
    assert found.patch_accuracy.estimate == 0.75
    assert found.recognised.estimate == 0.5
    assert (found.patients, found.tiles) == (2, 4)
    assert np.isnan(found.healthy_auc.estimate)


def test_parts_of_tiles() -> None:
    first, second = drawn(1, patients=2), drawn(2, patients=3)
    both = joined([first, second])
    assert both.patients == first.patients + second.patients
    chosen = both.of_patients(frozenset(second.patients))
    assert chosen.patients == second.patients
    np.testing.assert_array_equal(chosen.logits, second.logits)
    np.testing.assert_array_equal(both.of_kinds("other").kinds, 2)
    assert both.of_patients(frozenset()).patients == ()

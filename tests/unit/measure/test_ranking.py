"""Areas under curves by hand, and their intervals against the general way of drawing patients."""

import math

import numpy as np
import pytest

from infarct.measure.agreement import resampled, roc_auc
from infarct.measure.ranking import CLASSES, average_precision, ranking


def test_average_precision_by_hand() -> None:
    """Ranks 1 and 3 of four are positives: precision 1 at the first and 2/3 at the second."""
    truth = np.array([True, False, True, False])
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(truth, np.array([0.9, 0.1, 0.8, 0.2])) == 1.0
    assert average_precision(truth, np.full(4, 0.5)) == 0.5  # all tie: the share of positives


def test_average_precision_against_every_threshold() -> None:
    """Sum over falling thresholds of the gain in recall times precision, one threshold after the other."""
    random = np.random.default_rng(1)
    truth = random.random(60) < 0.4
    scores = np.round(random.random(60) + 0.4 * truth, 1)
    expected, before = 0.0, 0.0
    for level in sorted(set(scores), reverse=True):
        called = scores >= level
        recall = (called & truth).sum() / truth.sum()
        expected += (recall - before) * (called & truth).sum() / called.sum()
        before = recall
    assert average_precision(truth, scores) == pytest.approx(expected)


def test_intervals_are_those_of_drawing_whole_patients() -> None:
    random = np.random.default_rng(0)
    truth = random.random(120) < 0.3
    scores = np.round(random.random(120) + 0.5 * truth, 2)
    patients = np.repeat(np.arange(12), 10).tolist()
    found = ranking(truth, scores, patients, resamples=200)
    for ours, of in ((found.auc, roc_auc), (found.average_precision, average_precision)):
        theirs = resampled(lambda rows, of=of: of(truth[rows], scores[rows]), patients, resamples=200)  # type: ignore[misc]
        assert (ours.estimate, ours.low, ours.high) == pytest.approx((theirs.estimate, theirs.low, theirs.high))
        assert ours.low < ours.estimate < ours.high


def test_classes_of_many_scores_hardly_move_an_area() -> None:
    random = np.random.default_rng(2)
    truth = random.random(20 * CLASSES) < 0.01
    scores = random.normal(size=len(truth)) + 2.5 * truth
    patients = np.arange(len(truth)) % 10
    found = ranking(truth, scores, patients, resamples=20)
    for ours, of in ((found.auc, roc_auc), (found.average_precision, average_precision)):
        theirs = resampled(
            lambda rows, of=of: of(truth[rows], scores[rows]),  # type: ignore[misc]
            patients.tolist(),
            resamples=20,
        )
        assert ours.estimate == theirs.estimate
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=2e-3)


def test_one_kind_alone_is_not_ranked() -> None:
    scores = np.linspace(0, 1, 10)
    for truth in (np.zeros(10, dtype=bool), np.ones(10, dtype=bool)):
        found = ranking(truth, scores, range(10), resamples=5)
        assert all(math.isnan(value) for value in (found.auc.estimate, found.auc.low, found.average_precision.estimate))
    none = ranking(np.zeros(0, dtype=bool), np.zeros(0), [])
    assert (none.auc.count, none.auc.patients) == (0, 0)


def test_few_patients_have_no_interval() -> None:
    truth = np.array([True, False, True, False])
    found = ranking(truth, np.array([0.9, 0.2, 0.1, 0.3]), [1, 1, 2, 2])
    assert found.auc.estimate == 0.5
    assert math.isnan(found.auc.low)


def test_what_differs_in_number_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        ranking(np.ones(3, dtype=bool), np.ones(3), [1, 2])

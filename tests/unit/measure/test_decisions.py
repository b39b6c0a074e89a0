"""Decisions against hand counts, and their intervals against the general way of drawing patients."""

import math

import numpy as np
import pytest

from infarct.measure.agreement import accuracy, balanced_accuracy, resampled
from infarct.measure.bootstrap import Interval
from infarct.measure.decisions import decisions
from infarct.measure.overlap import Counts, count

TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 0], dtype=bool)
FOUND = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 0], dtype=bool)


def test_rates_by_hand() -> None:
    found = decisions(TRUTH, FOUND, list("aabbccddee"))
    assert (found.count, found.positives) == (10, 4)
    assert found.sensitivity.estimate == 3 / 4
    assert found.specificity.estimate == 5 / 6
    assert found.accuracy.estimate == 8 / 10
    assert found.balanced_accuracy.estimate == (3 / 4 + 5 / 6) / 2
    assert found.precision.estimate == 3 / 4
    assert found.f_score.estimate == 2 * 3 / (2 * 3 + 1 + 1)
    assert (found.accuracy.count, found.accuracy.patients) == (10, 5)


def test_intervals_are_those_of_drawing_whole_patients() -> None:
    random = np.random.default_rng(0)
    truth = random.random(120) < 0.3
    found = truth ^ (random.random(120) < 0.2)
    patients = np.repeat(np.arange(12), 10).tolist()
    drawn = decisions(truth, found, patients, resamples=200)

    def oracle(of: object) -> Interval:
        return resampled(lambda rows: of(count(found[rows], truth[rows])), patients, resamples=200)  # type: ignore[operator]

    def sensitivity(counts: Counts) -> float:
        return counts.sensitivity

    for ours, theirs in (
        (drawn.sensitivity, oracle(sensitivity)),
        (drawn.accuracy, oracle(accuracy)),
        (drawn.balanced_accuracy, oracle(balanced_accuracy)),
    ):
        assert (ours.estimate, ours.low, ours.high) == pytest.approx((theirs.estimate, theirs.low, theirs.high))
        assert ours.low < ours.estimate < ours.high


def test_what_is_not_defined_is_nan() -> None:
    found = decisions(TRUTH & False, FOUND, list("aabbccddee"))
    assert math.isnan(found.sensitivity.estimate)
    assert math.isnan(found.balanced_accuracy.low)
    assert found.specificity.estimate == 6 / 10
    none = decisions(TRUTH[:0], FOUND[:0], [])
    assert none.count == 0
    assert math.isnan(none.accuracy.estimate)


def test_few_patients_have_no_interval() -> None:
    found = decisions(TRUTH, FOUND, list("aaaabbbbbb"))
    assert found.accuracy.estimate == 0.8
    assert math.isnan(found.accuracy.low)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        decisions(TRUTH, FOUND, ["a"])

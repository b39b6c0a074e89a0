"""Intervals: by hand, against loops, against scipy, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from infarct.measure.bootstrap import draws, paired_difference, patient_bootstrap

RANDOM = np.random.default_rng(11)
VALUES = RANDOM.normal(0.6, 0.2, 40)
PATIENTS = [f"p{number}" for number in range(40)]


def resampled(values: np.ndarray, owner: np.ndarray, statistic: str) -> np.ndarray:
    """The slow obvious way: write out each resample."""
    found = []
    for row in draws(int(owner.max()) + 1, resamples=300, seed=5):
        parts = [np.tile(values[owner == patient], times) for patient, times in enumerate(row)]
        found.append(getattr(np, statistic)(np.concatenate(parts)))
    return np.array(found)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_against_written_out_resamples(statistic: str) -> None:
    owner = np.sort(np.r_[0, 0, 0, RANDOM.integers(1, 9, 22), np.arange(1, 9)])  # patients of one to several scans
    values = RANDOM.normal(0, 1, len(owner)).round(1)  # with ties
    found = patient_bootstrap(values, owner.tolist(), statistic=statistic, resamples=300, seed=5)
    low, high = np.percentile(resampled(values, owner, statistic), [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.estimate == pytest.approx(getattr(np, statistic)(values))
    assert (found.count, found.patients) == (33, 9)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_against_scipy(statistic: object) -> None:
    other = stats.bootstrap((VALUES,), statistic, n_resamples=4000, method="percentile", rng=1).confidence_interval
    found = patient_bootstrap(VALUES, PATIENTS, statistic=statistic.__name__, resamples=4000)  # type: ignore[attr-defined]
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_every_resample_has_as_many_patients() -> None:
    drawn = draws(7, resamples=500, seed=1)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.15)


def test_same_seed_same_interval() -> None:
    assert patient_bootstrap(VALUES, PATIENTS, seed=3) == patient_bootstrap(VALUES, PATIENTS, seed=3)
    assert patient_bootstrap(VALUES, PATIENTS, seed=3) != patient_bootstrap(VALUES, PATIENTS, seed=4)


def test_names_of_patients_do_not_matter_but_who_owns_what_does() -> None:
    """Scans of one patient that resemble each other tell less than as many patients."""
    values = np.repeat(RANDOM.normal(0, 1, 10), 4)
    apart = patient_bootstrap(values, list(range(40)))
    together = patient_bootstrap(values, [f"q{number // 4}" for number in range(40)])
    assert together.patients == 10
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_undefined_values_are_left_out() -> None:
    values = np.r_[VALUES, [math.nan] * 5]
    assert patient_bootstrap(values, [*PATIENTS, *"abcde"]) == patient_bootstrap(VALUES, PATIENTS)


def test_too_few_to_say() -> None:
    nothing = patient_bootstrap([math.nan], ["a"])
    assert (nothing.count, nothing.patients) == (0, 0)
    assert math.isnan(nothing.estimate)
    one = patient_bootstrap([0.2, 0.4], ["a", "a"])
    assert one.estimate == pytest.approx(0.3)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert not one.excludes_zero


def test_each_value_has_its_patient() -> None:
    with pytest.raises(ValueError, match="number"):
        patient_bootstrap([0.1, 0.2], ["a"])


def test_pairs_see_what_separate_intervals_do_not() -> None:
    better = VALUES + RANDOM.normal(0.02, 0.01, 40)
    difference = paired_difference(VALUES, better, PATIENTS)
    assert difference.estimate == pytest.approx((better - VALUES).mean())
    assert difference.excludes_zero
    assert patient_bootstrap(better, PATIENTS).low < patient_bootstrap(VALUES, PATIENTS).high
    gap = np.r_[math.nan, better[1:]]
    assert paired_difference(VALUES, gap, PATIENTS).count == 39
    assert not paired_difference(VALUES, VALUES, PATIENTS).excludes_zero


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for trial in range(400):
        owner = np.repeat(np.arange(30), 2)
        values = np.repeat(random.normal(0, 1, 30), 2) + random.normal(0, 0.5, 60)
        found = patient_bootstrap(values, owner.tolist(), resamples=500, seed=trial)
        held += found.low <= 0 <= found.high
    assert 0.9 < held / 400 < 0.98

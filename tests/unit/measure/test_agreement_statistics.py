"""Agreement: published examples, numbers by hand, other libraries, and what must not change them."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from infarct.measure.agreement import (
    Agreement,
    KappaWeights,
    accuracy,
    balanced_accuracy,
    bland_altman,
    dichotomised,
    icc,
    kolmogorov_smirnov,
    paired_t,
    resampled,
    roc_auc,
    spearman,
    weighted_kappa,
)
from infarct.measure.bootstrap import patient_bootstrap
from infarct.measure.overlap import Counts

SHROUT_AND_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Six targets rated by four judges (Shrout and Fleiss, Psychological Bulletin 1979;86:420, table 2)."""
RANDOM = np.random.default_rng(8)
REFERENCE = RANDOM.integers(0, 11, 60)
READINGS = np.clip(REFERENCE + RANDOM.integers(-3, 3, 60), 0, 10)


@pytest.mark.parametrize(
    ("kind", "estimate", "low", "high"), [("absolute", 0.290, 0.019, 0.761), ("consistency", 0.715, 0.342, 0.946)]
)
def test_icc_of_the_published_table(kind: Agreement, estimate: float, low: float, high: float) -> None:
    """.29 and .71 are Shrout and Fleiss' table 4; the bounds are those of R's psych::ICC on the same table."""
    found = icc(SHROUT_AND_FLEISS, kind)
    assert (found.estimate, found.low, found.high) == pytest.approx((estimate, low, high), abs=6e-4)
    assert (found.count, found.patients) == (6, 6)


def test_icc_by_hand() -> None:
    """Pairs (2, 4), (4, 6), (6, 8) are McGraw and Wong's: consistency 1, absolute agreement 2/3.

    Mean squares: patients 2 * (4 + 0 + 4) / 2 = 8, readers 3 * (1 + 1) / 1 = 6, error 0: 8 / (8 + 2 * 6 / 3).
    """
    pairs = [[2, 4], [4, 6], [6, 8]]
    assert icc(pairs, "consistency").estimate == 1
    assert icc(pairs, "absolute").estimate == pytest.approx(2 / 3)
    assert math.isnan(icc(pairs, "absolute").low)


def test_icc_does_not_mind_scale_and_shift_but_only_consistency_bears_bias() -> None:
    table = np.stack([REFERENCE, READINGS], axis=1).astype(float)
    biased = table + np.array([0.0, 2.0])
    for kind in ("absolute", "consistency"):
        one, other = icc(table, kind), icc(3 * table - 7, kind)
        assert (other.estimate, other.low, other.high) == pytest.approx((one.estimate, one.low, one.high))
        assert one.low < one.estimate < one.high
    assert icc(biased, "consistency").estimate == pytest.approx(icc(table, "consistency").estimate)
    assert icc(biased, "absolute").estimate < icc(table, "absolute").estimate - 0.05


@pytest.mark.parametrize(("kind", "truth", "least"), [("absolute", 4 / 6, 0.90), ("consistency", 4 / 5, 0.92)])
def test_bounds_hold_the_truth_about_as_often_as_they_say(kind: Agreement, truth: float, least: float) -> None:
    """Patients of variance 4, readers of 1, error of 1: the ICC is 4/6 with the readers' bias and 4/5 without.

    Of 4000 such tables the exact bounds hold the truth in 94 %, the approximate ones of absolute agreement in 93 %.
    """
    random = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        patients, readers, error = random.normal(size=(20, 1)), random.normal(size=(1, 6)), random.normal(size=(20, 6))
        found = icc(2 * patients + readers + error, kind)
        held += found.low <= truth <= found.high
    assert least <= held / 400 <= 0.98


@pytest.mark.parametrize("ratings", [[[1, 2]], [[1], [2]], [[5, 5], [5, 5]], np.empty((0, 2))])
def test_icc_of_too_little_is_not_defined(ratings: npt.ArrayLike) -> None:
    for kind in ("absolute", "consistency"):
        assert math.isnan(icc(ratings, kind).estimate)


def test_bland_altman_by_hand() -> None:
    """Differences -1, 0, 0, 1, 5: mean 1, squares about it 4 + 1 + 1 + 0 + 16 = 22, SD sqrt(5.5), t(4) 2.776."""
    found = bland_altman([5, 5, 6, 7, 1], [4, 5, 6, 8, 6])
    sd = math.sqrt(5.5)
    assert found.mean.estimate == 1
    assert (found.sd, found.low, found.high) == pytest.approx((sd, 1 - 1.96 * sd, 1 + 1.96 * sd))
    assert found.mean.high - 1 == pytest.approx(2.7764 * sd / math.sqrt(5), abs=1e-4)
    assert math.isnan(bland_altman([3], [4]).sd)


def test_spearman_counts_ranks() -> None:
    assert spearman([1, 2, 3, 4], [10, 100, 1000, 5]).statistic == pytest.approx(-0.2)  # 1 - 6 * 12 / (4 * 15)
    assert spearman(REFERENCE, np.exp(REFERENCE)).statistic == pytest.approx(1)
    assert math.isnan(spearman(REFERENCE, np.full(60, 3)).statistic)
    assert spearman(REFERENCE, READINGS).p_value < 1e-6


def test_weighted_kappa_by_hand() -> None:
    """Readings 0, 0, 1, 2 and 0, 1, 1, 0: differences 0, 1, 0, 2, mean 3/4, mean square 5/4.

    All 16 pairs: 0 with 0, 1, 1, 0 gives 2, twice; 1 gives 2; 2 gives 6: 12/16, squared 2 + 2 + 2 + 10 = 16/16.
    """
    pair = [0, 0, 1, 2], [0, 1, 1, 0]
    assert weighted_kappa(*pair, "linear") == pytest.approx(0)
    assert weighted_kappa(*pair, "quadratic") == pytest.approx(-1 / 4)
    assert weighted_kappa(REFERENCE, REFERENCE, "linear") == 1
    assert math.isnan(weighted_kappa([3, 3], [3, 3], "quadratic"))


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_against_scikit_learn(weights: KappaWeights) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    expected = metrics.cohen_kappa_score(REFERENCE, READINGS, weights=weights, labels=list(range(11)))
    assert weighted_kappa(REFERENCE, READINGS, weights) == pytest.approx(expected)


def test_paired_t_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, SD 1, t = 2 sqrt(3) with 2 degrees of freedom, where p = 1 - t / sqrt(2 + t^2)."""
    found = paired_t([0, 0, 0], [1, 2, 3])
    assert found.statistic == pytest.approx(2 * math.sqrt(3))
    assert found.p_value == pytest.approx(1 - math.sqrt(12 / 14))
    assert paired_t([1, 2, 3], [0, 0, 0]).statistic == -found.statistic
    assert math.isnan(paired_t([1, 2], [2, 3]).p_value)


def test_kolmogorov_smirnov_by_hand() -> None:
    """Two groups of three apart: distance 1, which 2 of the 20 ways to split six values give."""
    found = kolmogorov_smirnov([1, 2, 3], [4, 5, 6])
    assert (found.statistic, found.p_value) == pytest.approx((1, 0.1))
    assert kolmogorov_smirnov(REFERENCE, REFERENCE).statistic == 0
    assert math.isnan(kolmogorov_smirnov([], [1]).statistic)


def test_roc_auc_counts_pairs() -> None:
    truth = np.array([True, True, False, False])
    assert roc_auc(truth, [3, 1, 1, 0]) == pytest.approx(3.5 / 4)  # one tie
    assert roc_auc(truth, [1, 1, 1, 1]) == 0.5
    assert roc_auc(~truth, [3, 1, 1, 0]) == pytest.approx(0.5 / 4)
    assert math.isnan(roc_auc(np.ones(4, dtype=bool), [3, 1, 1, 0]))
    assert math.isnan(roc_auc(np.zeros(0, dtype=bool), []))


def test_roc_auc_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth = REFERENCE > 6
    assert roc_auc(truth, READINGS) == pytest.approx(metrics.roc_auc_score(truth, READINGS))


def test_dichotomised_by_hand() -> None:
    reference, readings = [10, 9, 7, 6, 5, 4, 0], [10, 6, 8, 7, 5, 5, 1]
    above = dichotomised(reference, readings, 6)
    assert above == Counts(tp=2, fp=1, fn=1, tn=3)
    assert dichotomised(reference, readings, 6, "at_most") == Counts(tp=3, fp=1, fn=1, tn=2)
    assert dichotomised(reference, readings, 4) == Counts(tp=5, fp=1, fn=0, tn=1)
    assert accuracy(above) == pytest.approx(5 / 7)
    assert balanced_accuracy(above) == pytest.approx((2 / 3 + 3 / 4) / 2)


@pytest.mark.parametrize("cut", [4, 6])
def test_both_polarities_are_one_table(cut: int) -> None:
    above, at_most = (dichotomised(REFERENCE, READINGS, cut, positive) for positive in ("above", "at_most"))
    assert (above.sensitivity, above.specificity) == (at_most.specificity, at_most.sensitivity)
    assert balanced_accuracy(above) == balanced_accuracy(at_most)
    same_side = [(a > cut) == (b > cut) for a, b in zip(REFERENCE, READINGS, strict=True)]
    assert accuracy(above) == accuracy(at_most) == np.mean(same_side)


def test_rates_of_nothing_are_not_defined() -> None:
    assert math.isnan(accuracy(Counts(0, 0, 0, 0)))
    assert math.isnan(balanced_accuracy(Counts(3, 0, 1, 0)))


def test_resampled_mean_is_that_of_the_other_bootstrap() -> None:
    patients = RANDOM.integers(0, 12, 60).tolist()
    found = resampled(lambda rows: float(READINGS[rows].mean()), patients, resamples=300, seed=4)
    expected = patient_bootstrap(READINGS, patients, resamples=300, seed=4)
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))
    assert (found.count, found.patients) == (60, 12)


def test_resampled_auc_holds_its_estimate_and_bears_resamples_of_one_class() -> None:
    truth = np.array([True, False, False, False, False, True])
    scores = np.array([0.9, 0.1, 0.4, 0.2, 0.95, 0.5])
    found = resampled(lambda rows: roc_auc(truth[rows], scores[rows]), range(6), resamples=200)
    assert found.estimate == pytest.approx(6 / 8)
    assert 0 <= found.low < found.estimate < found.high <= 1


def test_resampled_few_patients_have_no_interval() -> None:
    found = resampled(lambda rows: float(len(rows)), ["a", "a", "b"])
    assert (found.estimate, found.patients) == (3, 2)
    assert math.isnan(found.low)


@pytest.mark.parametrize("measure", [bland_altman, spearman, paired_t, lambda a, b: weighted_kappa(a, b, "linear")])
def test_readings_that_do_not_belong_together_are_refused(measure: Callable[..., object]) -> None:
    for first, second in (([1, 2], [1, 2, 3]), ([], []), ([[1, 2]], [[1, 2]])):
        with pytest.raises(ValueError, match="readings differ in number"):
            measure(first, second)
    with pytest.raises(ValueError, match="not finite"):
        measure([1, 2, 3], [1, math.nan, 3])


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="table"):
        icc([1, 2, 3], "absolute")
    with pytest.raises(ValueError, match="differ in number"):
        roc_auc(np.array([True, False]), [1, 2, 3])

import math
from statistics import NormalDist

import numpy as np
import pytest

from infarct.phantom.draws import EVEN_ROOTS, Printed, Quantiles, Stream, even_step, normal_score, pick
from infarct.phantom.patient import SPLITS

LINEAR = Quantiles(((0.0, 2.0), (0.5, 4.0), (1.0, 10.0)))
LOGARITHMIC = Quantiles(((0.0, 1.0), (0.5, 10.0), (1.0, 1000.0)), logarithmic=True)


def stream(index: int = 0) -> Stream:
    return Stream(index, "train", "aspects", "part")


def test_quantiles_run_straight_between_their_points() -> None:
    assert [LINEAR(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [2.0, 3.0, 4.0, 7.0, 10.0]


def test_logarithmic_quantiles_run_straight_in_the_logarithm() -> None:
    assert LOGARITHMIC(0.25) == pytest.approx(math.sqrt(10))
    assert LOGARITHMIC(0.75) == pytest.approx(100)


@pytest.mark.parametrize("quantiles", [LINEAR, LOGARITHMIC])
def test_share_below_inverts_the_quantiles(quantiles: Quantiles) -> None:
    for share in (0.01, 0.3, 0.5, 0.99):
        assert quantiles.share_below(quantiles(share)) == pytest.approx(share)
    assert quantiles.share_below(0.5) == 0
    assert quantiles.share_below(2000) == 1


def test_share_below_counts_a_value_that_many_have() -> None:
    assert Quantiles(((0.0, 0.0), (0.6, 0.0), (1.0, 5.0))).share_below(0.0) == pytest.approx(0.6)


def evens(quantity: Printed, first: int = 0, count: int = 300) -> np.ndarray:
    return np.array([stream(index).even(quantity) for index in range(first, first + count)])


def test_even_numbers_advance_by_a_fixed_step() -> None:
    assert even_step("stroke") == pytest.approx((math.sqrt(5) - 1) / 2)
    assert even_step("site") == pytest.approx(math.sqrt(2) - 1)
    steps = np.diff(evens("stroke", 10, 5)) % 1
    assert steps == pytest.approx(np.full(4, (math.sqrt(5) - 1) / 2))


@pytest.mark.parametrize("first", [0, 300, 12345])
@pytest.mark.parametrize("quantity", EVEN_ROOTS)
def test_even_numbers_fill_the_interval_evenly(quantity: Printed, first: int) -> None:
    """Any k-th smallest of 300 is k / 300, give or take 4 patients; random numbers stray by 17."""
    ranks = 300 * np.sort(evens(quantity, first)) - np.arange(300)
    assert np.abs(ranks - 0.5).max() < 4


def test_even_numbers_of_two_quantities_are_hardly_correlated() -> None:
    for count, limit in ((300, 0.12), (3000, 0.03)):
        found = np.corrcoef([evens(quantity, 0, count) for quantity in EVEN_ROOTS])
        assert np.abs(found - np.eye(len(EVEN_ROOTS))).max() < limit


def test_even_numbers_are_the_same_in_all_parts_and_others_in_other_cohorts() -> None:
    assert Stream(3, "train", "aspects", "head").even("age") == stream(3).even("age")
    cohorts = [("train", "aspects"), ("test", "aspects"), ("train", "acute")]
    assert len({Stream(3, split, preset, "part").even("age") for split, preset in cohorts}) == 3
    assert len({Stream(3, split, "aspects", "part").even("stroke") for split in SPLITS}) == 4


def test_pick_returns_the_key_whose_part_a_share_lies_in() -> None:
    weights = {"a": 1.0, "b": 3.0}
    assert [pick(weights, share) for share in (0.0, 0.24, 0.26, 1.0)] == ["a", "a", "b", "b"]


def test_a_stream_repeats_itself_and_differs_from_its_neighbours() -> None:
    first = [stream(0).share() for _ in range(2)]
    assert first[0] == first[1]
    others = [
        stream(1).share(),
        Stream(0, "test", "aspects", "part").share(),
        Stream(0, "train", "acute", "part").share(),
        Stream(0, "train", "aspects", "other").share(),
    ]
    assert len({first[0], *others}) == 5


def test_normal_numbers_have_their_moments_and_stay_within_their_limits() -> None:
    one = stream()
    free = np.array([one.normal(10, 2) for _ in range(4000)])
    assert free.mean() == pytest.approx(10, abs=0.12)
    assert free.std() == pytest.approx(2, abs=0.1)
    cut = np.array([one.normal(10, 2, 10, 12) for _ in range(4000)])
    assert cut.min() >= 10
    assert cut.max() <= 12
    # Half of what lies within one SD above the mean.
    share = (NormalDist().cdf(1) - 0.5) / 2 + 0.5
    assert np.median(cut) == pytest.approx(10 + 2 * normal_score(share), abs=0.05)


def test_lognormal_numbers_have_their_median_and_coefficient_of_variation() -> None:
    one = stream()
    values = np.array([one.lognormal(1.0, 0.5) for _ in range(6000)])
    assert np.median(values) == pytest.approx(1.0, abs=0.03)
    assert values.std() / values.mean() == pytest.approx(0.5, abs=0.04)
    assert min(one.lognormal(1.0, 0.5, 1.2, 1.4) for _ in range(100)) >= 1.2


def test_choices_and_counts_follow_their_weights() -> None:
    one = stream()
    drawn = [one.choice({"a": 1.0, "b": 3.0}) for _ in range(4000)]
    assert drawn.count("b") / 4000 == pytest.approx(0.75, abs=0.025)
    counts = np.array([one.count(1.5, 8) for _ in range(4000)])
    assert counts.mean() == pytest.approx(1.5, abs=0.08)
    assert (counts == 0).mean() == pytest.approx(math.exp(-1.5), abs=0.03)
    assert max(one.count(50.0, 8) for _ in range(50)) == 8


def test_seeds_of_splits_never_meet() -> None:
    ranges = [
        (split, Stream(7, split, "acute", "head").seed() >> 56) for split in ("train", "validation", "test", "shifted")
    ]
    assert ranges == [("train", 0), ("validation", 1), ("test", 2), ("shifted", 3)]

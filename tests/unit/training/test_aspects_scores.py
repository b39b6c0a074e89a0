import numpy as np
import pytest
from scipy import special

from infarct.training.aspects_scores import Judged, best_cut, fit_scale, joined, probability, summary_of


def judged(logits: list[float], affected: list[int]) -> Judged:
    return Judged(np.array(logits, dtype=float), np.array(affected, dtype=bool))


def test_best_cut_by_hand() -> None:
    """Between 1 and 2: both affected above it, two of three others below."""
    cut, accuracy = best_cut(judged([3, 0, 2, 1, 2.5], [1, 0, 1, 0, 0]))
    assert cut == 1.5
    assert accuracy == pytest.approx(5 / 6)
    assert best_cut(judged([1, 2], [0, 1])) == (1.5, 1.0)
    assert best_cut(judged([2, 1], [0, 1]))[1] == 0.5
    assert best_cut(judged([1, 1, 1], [0, 1, 1]))[1] == 0.5  # no cut lies between equal logits
    assert best_cut(judged([1, 2], [1, 1])) == (0.0, 0.5)


def test_best_cut_against_all_cuts() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        logits, affected = np.round(random.normal(size=30), 1), random.random(30) < 0.3
        affected[:2] = True, False
        cut, accuracy = best_cut(Judged(logits, affected))

        def reached(at: float, logits: np.ndarray = logits, affected: np.ndarray = affected) -> float:
            return float(((logits[affected] >= at).mean() + (logits[~affected] < at).mean()) / 2)

        assert accuracy == pytest.approx(max(reached(at) for at in [*logits, 99.0]))
        assert reached(cut) == pytest.approx(accuracy)


def test_scale_is_found_again() -> None:
    """Logits of which half, less 2, is the true log odds."""
    random = np.random.default_rng(2)
    logits = random.normal(2, 4, 20_000)
    affected = random.random(len(logits)) < special.expit(logits / 2 - 2)
    temperature, bias = fit_scale(Judged(logits, affected))
    assert temperature == pytest.approx(2, rel=0.06)
    assert bias == pytest.approx(-2, abs=0.1)
    mean = probability(logits, temperature=temperature, bias=bias).mean()
    assert mean == pytest.approx(affected.mean(), abs=1e-3)
    assert fit_scale(judged([1, 2], [0, 0])) == (1.0, 0.0)


def test_scale_stays_in_bounds_where_all_is_told_apart() -> None:
    temperature, bias = fit_scale(judged([-1, 1], [0, 1]))
    assert temperature == pytest.approx(0.2)
    assert abs(bias) < 8


def test_the_score_is_the_mean_area_of_groups_that_tell() -> None:
    sure, wrong = judged([0, 1], [0, 1]), judged([1, 0], [0, 1])
    summary = summary_of({"one": sure, "two": wrong, "none": judged([1], [0])})
    assert summary == {
        "val_auc_one": 1.0,
        "val_balanced_accuracy_one": 1.0,
        "val_auc_two": 0.0,
        "val_balanced_accuracy_two": 0.5,
        "val_auc": 0.5,
        "val_score": 0.5,
    }
    assert summary_of({"none": joined([])}) == {"val_score": 0.5}

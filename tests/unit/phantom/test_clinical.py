from functools import cache

import numpy as np
import pytest
from scipy import stats

from infarct.anatomy import REGIONS
from infarct.phantom.clinical import read_aspects
from infarct.phantom.patient import Patient, Stroke
from infarct.phantom.presets import draw
from unit.phantom.crude_aspects import crude_regions, icc_single

SEEN_HU = np.full(10, 5.0)


@cache
def aspects_patients() -> tuple[Patient, ...]:
    return tuple(draw("aspects", index) for index in range(500))


def strokes() -> list[Stroke]:
    return [patient.stroke for patient in aspects_patients() if patient.stroke is not None]


def correlation(first: list[float], second: list[float]) -> float:
    return float(stats.spearmanr(first, second).statistic)


def test_outcome_goes_with_the_final_infarct_with_age_and_with_the_first_score() -> None:
    clinical = [patient.clinical for patient in aspects_patients()]
    mrs = [row.mrs90 for row in clinical]
    assert 0.3 < correlation([stroke.final_ml for stroke in strokes()], mrs) < 0.6
    assert 0.15 < correlation([row.age for row in clinical], mrs) < 0.45
    assert 0.2 < correlation([row.nihss for row in clinical], mrs) < 0.7
    assert 0.15 < correlation([stroke.core_ml for stroke in strokes()], [row.nihss for row in clinical]) < 0.45
    assert correlation([row.nihss for row in clinical], [row.nihss_24h for row in clinical]) > 0.3


def test_the_left_side_scores_higher_on_the_nihss() -> None:
    left = [p.clinical.nihss for p in aspects_patients() if p.stroke is not None and p.stroke.side == "left"]
    right = [p.clinical.nihss for p in aspects_patients() if p.stroke is not None and p.stroke.side == "right"]
    assert 0.3 < np.mean(left) - np.mean(right) < 4


def test_scores_stay_on_their_scales() -> None:
    for patient in (*aspects_patients(), *(draw("mimics", index) for index in range(100))):
        assert 0 <= patient.clinical.nihss <= 42
        assert 0 <= patient.clinical.nihss_24h <= 42
        assert 0 <= patient.clinical.mrs90 <= 6


def test_readers_take_regions_by_name_or_in_order() -> None:
    shares = np.linspace(0, 1, 10)
    named = dict(zip(REGIONS, shares, strict=True))
    assert (read_aspects(named, SEEN_HU, 3, 0) == read_aspects(shares, SEEN_HU, 3, 0)).all()


def test_a_reader_repeats_himself_and_differs_from_the_other() -> None:
    shares = np.full(10, 0.2)
    calls = [[read_aspects(shares, np.full(10, 3.0), seed, reader).sum() for seed in range(60)] for reader in (0, 1, 0)]
    assert calls[0] == calls[2]
    assert calls[0] != calls[1]


def test_readers_call_what_is_plain_and_seldom_what_is_not_there() -> None:
    plain = [read_aspects(np.ones(10), np.full(10, 8.0), seed, 0).mean() for seed in range(100)]
    empty = [read_aspects(np.zeros(10), np.zeros(10), seed, 0).mean() for seed in range(400)]
    assert np.mean(plain) > 0.99
    assert np.mean(empty) < 0.15


def test_readers_call_more_where_more_is_seen() -> None:
    rates = [np.mean([read_aspects(np.ones(10), np.full(10, hu), s, 1).mean() for s in range(200)]) for hu in (0, 2, 4)]
    assert rates[0] < rates[1] < rates[2]


def test_two_readers_agree_as_radiologists_do() -> None:
    scores = []
    for patient, stroke in zip(aspects_patients(), strokes(), strict=True):
        shares, visible_hu = crude_regions(patient)
        scores.append([10 - read_aspects(shares, visible_hu, stroke.seed, reader).sum() for reader in (0, 1)])
    assert 0.5 < icc_single(np.array(scores, dtype=np.float64)) < 0.8


def test_icc_of_worked_scores() -> None:
    # Shrout & Fleiss, Psychol Bull 1979;86:420, table 2: ICC(2,1) = .29.
    scores = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc_single(np.array(scores, dtype=np.float64)) == pytest.approx(0.29, abs=0.005)

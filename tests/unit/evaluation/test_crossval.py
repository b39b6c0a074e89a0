"""No patient is on both sides; the table by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest

from infarct.cohorts import Case
from infarct.errors import BadRequest
from infarct.evaluation.crossval import cross_validate, fold_table
from infarct.evaluation.segment import CaseResult
from unit.evaluation.drawn_results import drawn_case


def never() -> NoReturn:
    raise AssertionError("cross-validation reads no image itself")


CASES = [Case(f"scan-{n}", f"patient-{n // 2}", "acute", never, lesion_free=n >= 20) for n in range(24)]


def fit(cases: Sequence[Case], fold: int) -> tuple[int, frozenset[str]]:
    return fold, frozenset(case.patient for case in cases)


def predict(model: tuple[int, frozenset[str]], case: Case) -> CaseResult:
    fold, seen = model
    assert case.patient not in seen
    number = int(case.id.removeprefix("scan-"))
    return replace(drawn_case(f"fold {fold}", number), about=replace(drawn_case("x", 0).about, id=case.id))


def test_every_scan_is_tested_once_and_no_patient_on_both_sides() -> None:
    done = cross_validate(CASES, fit, predict, k=5)
    assert [fold.number for fold in done] == [0, 1, 2, 3, 4]
    tested = [case.about.id for fold in done for case in fold.results]
    assert sorted(tested) == sorted(case.id for case in CASES)


def test_same_seed_same_folds() -> None:
    one, two, other = (cross_validate(CASES, fit, predict, k=3, seed=seed) for seed in (1, 1, 2))
    assert repr(one) == repr(two)
    assert repr(one) != repr(other)


def test_more_folds_than_patients_are_refused() -> None:
    with pytest.raises(BadRequest):
        cross_validate(CASES[:4], fit, predict, k=5)


def test_the_table_of_folds_by_hand() -> None:
    done = cross_validate(CASES, fit, predict, k=4)
    table = fold_table(done)
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "mean ± SD of the folds", "all scans"]
    means = [np.mean([case.counts.dice for case in fold.results]) for fold in done]
    over, everything = table.rows[4][2], table.rows[5][2]
    assert [row[2].mean.estimate for row in table.rows[:4]] == pytest.approx(means)  # type: ignore[union-attr]
    assert over.mean.estimate == pytest.approx(np.mean(means))  # type: ignore[union-attr]
    assert over.sd == pytest.approx(np.std(means, ddof=1))  # type: ignore[union-attr]
    assert everything.count == 24  # type: ignore[union-attr]


def test_folds_without_a_lesion_have_no_mean() -> None:
    done = [replace(fold, results=()) for fold in cross_validate(CASES, fit, predict, k=2)]
    assert fold_table(done).rows[2][2].count == 0  # type: ignore[union-attr]

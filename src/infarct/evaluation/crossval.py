"""Cross-validation by patient: no patient is trained on and tested on in the same fold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from infarct.cohorts import Case
from infarct.cohorts.folds import folds
from infarct.evaluation.segment import MEASURES, PAPER_MEASURES, CaseResult
from infarct.evaluation.segment_tables import HOW_TO_READ
from infarct.evaluation.summary import Spread, spread
from infarct.evaluation.tables import Cell, Column, Table
from infarct.measure.bootstrap import Interval

Model = TypeVar("Model")


@dataclass(frozen=True)
class Fold:
    """The results of the scans that one fold's model was not trained on."""

    number: int
    results: tuple[CaseResult, ...]


def cross_validate(
    cases: Sequence[Case],
    fit: Callable[[Sequence[Case], int], Model],
    predict: Callable[[Model, Case], CaseResult],
    *,
    k: int = 5,
    seed: int = 0,
) -> tuple[Fold, ...]:
    """Train ``k`` times and test each model on the patients that it has not seen.

    ``fit`` takes the training cases and the number of the fold, ``predict`` a model and one case. One model is in
    memory at a time. Raises `BadRequest` with fewer patients than folds.
    """
    groups = folds(cases, k, seed=seed)
    done: list[Fold] = []
    for number, held_out in enumerate(groups):
        model = fit([case for other in groups if other is not held_out for case in other], number)
        done.append(Fold(number, tuple(predict(model, case) for case in held_out)))
        del model
    return tuple(done)


def fold_table(done: Sequence[Fold]) -> Table:
    """Return the paper's measures a fold, then over folds (mean ± SD of the folds' means) and over all scans.

    The paper does not say over what its ± runs; its size fits folds.
    """
    columns = (
        Column("fold", "Fold"),
        Column("scans", "Scans with a lesion"),
        *(Column(name, MEASURES[name].title, MEASURES[name].digits) for name in PAPER_MEASURES),
    )
    each = [_row(str(fold.number + 1), fold.results) for fold in done]
    everything = _row("all scans", [case for fold in done for case in fold.results])
    over = tuple(over_folds([_spread(fold.results, name).mean.estimate for fold in done]) for name in PAPER_MEASURES)
    rows = (*each, ("mean ± SD of the folds", None, *over), everything)
    return Table("folds", "Cross-validation by patient", columns, rows, HOW_TO_READ)


def _row(name: str, results: Sequence[CaseResult]) -> tuple[Cell, ...]:
    scans = sum(case.has_lesion for case in results)
    return (name, scans, *(_spread(results, measure) for measure in PAPER_MEASURES))


def _spread(results: Sequence[CaseResult], name: str) -> Spread:
    cases = [case for case in results if case.has_lesion]
    return spread((MEASURES[name].of(case) for case in cases), cases)


def over_folds(means: Sequence[float]) -> Spread:
    """Return mean and sample SD of one number a fold; so few have no interval worth showing."""
    known = np.array([mean for mean in means if math.isfinite(mean)])
    if not len(known):
        return spread([], [])
    centre, median = (
        Interval(float(value), math.nan, math.nan, len(known), len(known)) for value in (known.mean(), np.median(known))
    )
    lower, upper = np.percentile(known, [25, 75])
    sd = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return Spread(centre, median, sd, float(lower), float(upper))

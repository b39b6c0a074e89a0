"""How well scores rank what is ill above what is not: areas under ROC and precision-recall curve, over many decisions.

Tiles of a cohort are millions. Resamples therefore do not draw decisions anew but add up how many positives and
negatives of each patient have a score in each of at most a thousand classes; the estimates are exact.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.measure.agreement import roc_auc
from infarct.measure.bootstrap import FEWEST_PATIENTS, LEVEL, RESAMPLES, SEED, Interval, draws
from infarct.types import BoolArray, Float64Array

CLASSES: Final = 1000
"""Classes of scores in resamples, half of them even over the positives and half over the negatives: of a brain's tiles
hardly any are positives, and the few highest scores decide the average precision."""


@dataclass(frozen=True)
class Ranking:
    """Areas under the ROC and under the precision-recall curve (average precision), nan where not defined."""

    auc: Interval
    average_precision: Interval


def average_precision(truth: BoolArray, scores: Float64Array) -> float:
    """Return the mean precision over the positives of ``truth`` (bool, (n,)), by falling ``scores`` (n,).

    Equal scores are one step. nan without positives or without negatives: nothing is ranked then.
    """
    levels, found = np.unique(-scores, return_inverse=True)
    positives, negatives = (np.bincount(found[kind], minlength=len(levels)) for kind in (truth, ~truth))
    return float(_average_precision(positives[None].astype(np.float64), negatives[None].astype(np.float64))[0])


def ranking(
    truth: BoolArray,
    scores: Float64Array,
    patients: Sequence[Hashable] | npt.NDArray[np.intp],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Ranking:
    """Return how ``scores`` (finite, (n,)) rank ``truth`` (bool, (n,)), with 95 % intervals from drawing patients.

    ``patients`` says whose each decision is. Resamples in which an area is not defined are left out; with fewer than
    `FEWEST_PATIENTS` patients the bounds are nan. Raises `ValueError` where the three differ in number.
    """
    if truth.shape != scores.shape or len(truth) != len(patients):
        raise ValueError("truth, scores and patients differ in number")
    exact = (roc_auc(truth, scores), average_precision(truth, scores))
    order = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    drawn = [np.zeros(0), np.zeros(0)]
    if len(order) >= FEWEST_PATIENTS:
        owner = np.array([order[patient] for patient in patients], dtype=np.intp)
        once = np.ones((1, len(order)), dtype=np.int64)
        times = np.concatenate([once, draws(len(order), resamples=resamples, seed=seed)])
        # What classes change in the whole sample they change in resamples too: it is taken off again.
        drawn = [
            found[1:] + (value - found[0])
            for value, found in zip(exact, _resampled(truth, scores, owner, times), strict=True)
        ]
    auc, precision = (
        Interval(value, *_bounds(found), len(truth), len(order)) for value, found in zip(exact, drawn, strict=True)
    )
    return Ranking(auc, precision)


def _resampled(
    truth: BoolArray, scores: Float64Array, owner: npt.NDArray[np.intp], drawn: npt.NDArray[np.int64]
) -> list[Float64Array]:
    """Return both areas in each resample."""
    level = _classes(truth, scores)
    size, patients = int(level.max()) + 1, drawn.shape[1]
    times = drawn.astype(np.float64)
    positives, negatives = (
        times @ np.bincount(owner[kind] * size + level[kind], minlength=patients * size).reshape(patients, size)
        for kind in (truth, ~truth)
    )
    return [_auc(positives, negatives), _average_precision(positives, negatives)]


def _classes(truth: BoolArray, scores: Float64Array) -> npt.NDArray[np.intp]:
    """Return the class of each score (n,), 0 that of the highest; each score its own where they are few."""
    levels, level = np.unique(-scores, return_inverse=True)
    if len(levels) > CLASSES:
        parts = np.linspace(0, 1, CLASSES // 2)
        kinds = [-scores[kind] for kind in (truth, ~truth) if kind.any()]
        edges = np.unique(np.concatenate([np.quantile(kind, parts) for kind in kinds]))
        level = np.searchsorted(edges, -scores, side="left")
    return np.asarray(level, dtype=np.intp)


def _auc(positives: Float64Array, negatives: Float64Array) -> Float64Array:
    """Return the area under the ROC (r,) of counts by class of falling score, (r, c); ties count half."""
    below = negatives.sum(axis=1, keepdims=True) - np.cumsum(negatives, axis=1)
    won = (positives * (below + negatives / 2)).sum(axis=1)
    return _divided(won, positives.sum(axis=1) * negatives.sum(axis=1))


def _average_precision(positives: Float64Array, negatives: Float64Array) -> Float64Array:
    """Return the average precision (r,) of counts by class of falling score, (r, c)."""
    found, called = np.cumsum(positives, axis=1), np.cumsum(positives + negatives, axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    both = positives.any(axis=1) & negatives.any(axis=1)
    return _divided((positives * precision).sum(axis=1), positives.sum(axis=1) * both)


def _divided(part: Float64Array, whole: Float64Array) -> Float64Array:
    return np.divide(part, whole, out=np.full_like(whole, math.nan), where=whole > 0)


def _bounds(values: Float64Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)

"""Many yes-or-no decisions, several of each patient: how often they are right, with intervals from drawing patients."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from infarct.measure.bootstrap import FEWEST_PATIENTS, LEVEL, RESAMPLES, SEED, Interval, draws
from infarct.types import BoolArray, Float64Array

Ratio: TypeAlias = Callable[[Float64Array], Float64Array]
"""Takes counts (..., 4) of true and false positives, false and true negatives, and returns a number for each."""


@dataclass(frozen=True)
class Decisions:
    """How decisions compare with the truth; a number that is not defined, such as a sensitivity without positives, is
    nan. ``count`` decisions, of which ``positives`` are truly so; ``f_score`` is the harmonic mean of precision and
    sensitivity."""

    count: int
    positives: int
    sensitivity: Interval
    specificity: Interval
    accuracy: Interval
    balanced_accuracy: Interval
    precision: Interval
    f_score: Interval


def decisions(
    truth: BoolArray,
    found: BoolArray,
    patients: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Decisions:
    """Return how ``found`` compares with ``truth``, both bool (n,); ``patients`` says whose each decision is.

    Patients are drawn with all their decisions, the same draws for every number; resamples in which one is not defined
    are left out of its interval, and with fewer than `FEWEST_PATIENTS` patients the bounds are nan. Raises `ValueError`
    where the three differ in number.
    """
    if truth.shape != found.shape or len(truth) != len(patients):
        raise ValueError("truth, decisions and patients differ in number")
    order = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    owner = np.array([order[patient] for patient in patients], dtype=np.intp)
    kinds = (truth & found, ~truth & found, truth & ~found, ~truth & ~found)
    counts = np.stack([np.bincount(owner[kind], minlength=len(order)) for kind in kinds], axis=1).astype(np.float64)
    enough = len(order) >= FEWEST_PATIENTS
    drawn = draws(len(order), resamples=resamples, seed=seed) @ counts if enough else np.zeros((0, 4))
    total = counts.sum(axis=0)

    def interval(ratio: Ratio) -> Interval:
        low, high = _bounds(ratio(drawn))
        return Interval(float(ratio(total)), low, high, len(truth), len(order))

    return Decisions(
        count=len(truth),
        positives=int(truth.sum()),
        sensitivity=interval(_sensitivity),
        specificity=interval(_specificity),
        accuracy=interval(lambda n: _divided(n[..., 0] + n[..., 3], n.sum(axis=-1))),
        balanced_accuracy=interval(lambda n: (_sensitivity(n) + _specificity(n)) / 2),
        precision=interval(lambda n: _divided(n[..., 0], n[..., 0] + n[..., 1])),
        f_score=interval(lambda n: _divided(2 * n[..., 0], 2 * n[..., 0] + n[..., 1] + n[..., 2])),
    )


def _sensitivity(counts: Float64Array) -> Float64Array:
    return _divided(counts[..., 0], counts[..., 0] + counts[..., 2])


def _specificity(counts: Float64Array) -> Float64Array:
    return _divided(counts[..., 3], counts[..., 3] + counts[..., 1])


def _divided(part: Float64Array, whole: Float64Array) -> Float64Array:
    return np.divide(part, whole, out=np.full_like(whole, math.nan), where=whole > 0)


def _bounds(values: Float64Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)

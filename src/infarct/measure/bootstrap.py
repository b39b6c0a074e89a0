"""Confidence intervals by drawing patients anew, with all their scans.

Scans of one patient resemble each other, so patients are drawn, not scans. Values that are nan, where a measure is not
defined, are left out beforehand. The random numbers come from Philox with a given seed: same values, same interval.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from infarct.types import BoolArray, Float64Array

Statistic: TypeAlias = Literal["mean", "median"]

RESAMPLES: Final = 2000
LEVEL: Final = 0.95
SEED: Final = 0
FEWEST_PATIENTS: Final = 5
"""With fewer there is no interval: resamples of so few hardly differ, and bounds from them would look too sure."""


@dataclass(frozen=True)
class Interval:
    """A statistic of ``count`` values of ``patients`` patients, and the bounds of its confidence interval.

    Without a value all three are nan; with fewer than `FEWEST_PATIENTS` the bounds are.
    """

    estimate: float
    low: float
    high: float
    count: int
    patients: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the bounds; False where they are nan."""
        return self.low > 0 or self.high < 0


def patient_bootstrap(
    values: Sequence[float] | Float64Array,
    patients: Sequence[Hashable],
    *,
    statistic: Statistic = "mean",
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the mean or median of ``values`` (n,) with its 95 % percentile interval over ``patients`` (n,).

    ``patients`` says whose each value is. nan values are left out; see `Interval` for what few values give.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) != len(patients):
        raise ValueError("values and patients differ in number")
    kept = np.isfinite(given)
    owner = _numbered([patient for patient, keep in zip(patients, kept, strict=True) if keep])
    return _interval(given[kept], owner, statistic=statistic, resamples=resamples, seed=seed)


def paired_difference(
    first: Sequence[float] | Float64Array,
    second: Sequence[float] | Float64Array,
    patients: Sequence[Hashable],
    *,
    statistic: Statistic = "mean",
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the mean or median of ``second`` less ``first``, both (n,) over the same scans, with its interval.

    A scan counts where both are defined.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    return patient_bootstrap(difference, patients, statistic=statistic, resamples=resamples, seed=seed)


def _interval(
    values: Float64Array, owner: npt.NDArray[np.intp], *, statistic: Statistic, resamples: int, seed: int
) -> Interval:
    patients = int(owner.max()) + 1 if len(owner) else 0
    if not patients:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    estimate = float(np.mean(values) if statistic == "mean" else np.median(values))
    if patients < FEWEST_PATIENTS:
        return Interval(estimate, math.nan, math.nan, len(values), patients)
    drawn = draws(patients, resamples=resamples, seed=seed)
    found = _means(values, owner, drawn) if statistic == "mean" else _medians(values, owner, drawn)
    low, high = np.percentile(found, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(estimate, float(low), float(high), len(values), patients)


@lru_cache(maxsize=16)  # the tables of a cohort ask for the same draws again and again
def draws(patients: int, *, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Return how often each patient is drawn in each resample, (resamples, patients); each row adds up to patients.

    The array is shared and read-only.
    """
    random = np.random.Generator(np.random.Philox(seed))
    drawn = random.integers(patients, size=(resamples, patients))
    drawn += np.arange(resamples)[:, None] * patients
    counts = np.bincount(drawn.ravel(), minlength=resamples * patients).reshape(resamples, patients)
    counts.flags.writeable = False
    return counts


def _means(values: Float64Array, owner: npt.NDArray[np.intp], drawn: npt.NDArray[np.int64]) -> Float64Array:
    sums, counts = np.bincount(owner, values), np.bincount(owner)
    return np.asarray((drawn @ sums) / (drawn @ counts), dtype=np.float64)


def _medians(values: Float64Array, owner: npt.NDArray[np.intp], drawn: npt.NDArray[np.int64]) -> Float64Array:
    """Return the median of each resample: values in order, each as often as its patient was drawn."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    reached = np.cumsum(drawn[:, owner[order]], axis=1)
    twice = 2 * reached
    total = reached[:, -1:]
    lower: BoolArray = twice >= total
    upper: BoolArray = twice > total
    return np.asarray((ordered[lower.argmax(axis=1)] + ordered[upper.argmax(axis=1)]) / 2, dtype=np.float64)


def _numbered(patients: Sequence[Hashable]) -> npt.NDArray[np.intp]:
    """Return a number from 0 for each patient, in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.intp)

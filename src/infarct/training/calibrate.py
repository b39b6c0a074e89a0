"""The operating point of trained weights, chosen on validation cases and on nothing else.

1. A temperature for each output: the one that makes its probabilities inside the brain most likely (least negative log
   likelihood; Guo et al., ICML 2017). It changes no order, so masks depend on it only through the threshold.
2. The threshold of old infarcts: the best mean Dice over the cases that have one.
3. The threshold of acute infarcts and the smallest lesion together, on a grid: the best mean Dice over the cases with
   an acute lesion, among the points that mark at most `FALSE_ML` in the median case without one. Where no point does,
   the one that marks least there, and of those the one with the best Dice. Of equals the first: lower threshold, then
   smaller lesion.

Masks are made as `systems.segment` makes them: old where it is likely enough and at least as likely as acute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize, special

from infarct.training.cases import ACUTE, OLD
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray

FALSE_ML: Final = 3.0
"""Tolerated volume (ml) in the median case without an acute lesion."""
THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(2, 19))
LEAST_OLD_DICE: Final = 0.1
MINIMA_ML: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
SMALLEST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits are infinite; as in `systems.segment`."""
BINS: Final = 4_001
TARGETS: Final = (ACUTE, OLD)
"""Label values of the outputs, in order."""
UNCALIBRATED: Final = "nothing"


@dataclass(frozen=True)
class OperatingPoint:
    """What is chosen on validation cases: a temperature and a threshold for each output, and the smallest lesion."""

    temperature: tuple[float, ...]
    threshold: tuple[float, ...]
    minimum_ml: float
    calibrated_on: str = UNCALIBRATED


@dataclass(frozen=True, eq=False)
class Predicted:
    """A validation case: uncalibrated ``probabilities`` float32 (k, z, y, x), 0 outside the brain; ``labels`` uint8
    (z, y, x) as in prepared cases; the volume of a voxel.
    """

    probabilities: Float32Array
    labels: LabelArray
    voxel_ml: float


def calibrate(cases: Sequence[Predicted], *, calibrated_on: str) -> OperatingPoint:
    """Return the operating point by the rule above; ``calibrated_on`` says what the cases are.

    An output that no case teaches anything (no voxel that it should mark) keeps temperature 1 and threshold .5.

    Raises `ValueError` without cases.
    """
    if not cases:
        raise ValueError("an operating point needs validation cases")
    outputs = len(cases[0].probabilities)
    temperatures = tuple(fit_temperature(cases, output) for output in range(outputs))
    adjusted = [_adjusted(case, temperatures) for case in cases]
    old = best_old_threshold(adjusted) if outputs > 1 else 0.5
    acute, minimum_ml = best_acute_point(adjusted, old_threshold=old)
    thresholds = (acute, old)[:outputs]
    return OperatingPoint(temperatures, thresholds, minimum_ml, calibrated_on)


def fit_temperature(cases: Sequence[Predicted], output: int) -> float:
    """Return the temperature (.2 to 5) by which the logits of an output are to be divided; 1 without positives.

    Logits are counted in bins of 0.007, which is exact enough and needs no memory for all voxels of all cases.
    """
    limit = float(special.logit(1 - SMALLEST))
    edges = np.linspace(-limit, limit, BINS)
    counts = np.zeros((2, BINS - 1))
    for case in cases:
        brain = case.labels > 0
        logits = _logits(case.probabilities[output][brain])
        truth = case.labels[brain] == TARGETS[output]
        for value in (0, 1):
            counts[value] += np.histogram(logits[truth == bool(value)], edges)[0]
    if not counts[1].any():
        return 1.0
    middles = (edges[1:] + edges[:-1]) / 2

    def loss(log_temperature: float) -> float:
        scaled = middles / np.exp(log_temperature)
        return float(counts[1] @ np.logaddexp(0, -scaled) + counts[0] @ np.logaddexp(0, scaled))

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def knows_old(cases: Sequence[Predicted]) -> bool:
    """Return whether old infarcts are found at all: a mean Dice of `LEAST_OLD_DICE` at the best threshold.

    An output that marks none answers "no old infarct" for every scan. Where no case has one nothing speaks against it.
    """
    taught = [case for case in cases if (case.labels == OLD).any()]
    if not taught:
        return True
    adjusted = [_adjusted(case, [fit_temperature(cases, output) for output in range(2)]) for case in taught]
    threshold = best_old_threshold(adjusted)
    return float(np.mean([_dice(_old(case, threshold), case.labels == OLD) for case in adjusted])) >= LEAST_OLD_DICE


def best_old_threshold(cases: Sequence[Predicted], thresholds: Sequence[float] = THRESHOLDS) -> float:
    """Return the threshold with the best mean Dice of old infarcts (calibrated ``cases``); .5 where none has one."""
    taught = [case for case in cases if (case.labels == OLD).any()]
    if not taught:
        return 0.5
    means = [np.mean([_dice(_old(case, value), case.labels == OLD) for case in taught]) for value in thresholds]
    return float(thresholds[int(np.argmax(means))])


def best_acute_point(
    cases: Sequence[Predicted],
    *,
    old_threshold: float,
    thresholds: Sequence[float] = THRESHOLDS,
    minima_ml: Sequence[float] = MINIMA_ML,
    false_ml: float = FALSE_ML,
) -> tuple[float, float]:
    """Return threshold and smallest lesion (ml) for acute infarcts of calibrated ``cases``, by the rule above."""
    with_lesion = [case for case in cases if (case.labels == ACUTE).any()]
    without = [case for case in cases if not (case.labels == ACUTE).any()]
    dice = np.zeros((len(thresholds), len(minima_ml)))
    marked_ml = np.zeros_like(dice)
    for row, threshold in enumerate(thresholds):
        grids = [_by_minimum(case, threshold, old_threshold, minima_ml) for case in with_lesion]
        if grids:
            dice[row] = np.mean([grid[0] for grid in grids], axis=0)
        grids = [_by_minimum(case, threshold, old_threshold, minima_ml) for case in without]
        if grids:
            marked_ml[row] = np.median([grid[1] for grid in grids], axis=0)
    allowed = marked_ml <= max(false_ml, float(marked_ml.min()))
    row, column = divmod(int(np.argmax(np.where(allowed, dice, -1.0))), len(minima_ml))
    return float(thresholds[row]), float(minima_ml[column])


@dataclass(frozen=True)
class Outcome:
    """``dice`` of the acute infarct, None without one, and the volume marked as acute (ml)."""

    dice: float | None
    marked_ml: float


def acute_outcomes(cases: Sequence[Predicted], point: OperatingPoint) -> list[Outcome]:
    """Return how uncalibrated cases come out at an operating point."""
    outcomes = []
    for case in cases:
        old = point.threshold[1] if len(point.threshold) > 1 else 1.0
        adjusted = _adjusted(case, point.temperature)
        dice, marked_ml = _by_minimum(adjusted, point.threshold[0], old, (point.minimum_ml,))
        lesion = bool((case.labels == ACUTE).any())
        outcomes.append(Outcome(float(dice[0]) if lesion else None, float(marked_ml[0])))
    return outcomes


def _by_minimum(
    case: Predicted, threshold: float, old_threshold: float, minima_ml: Sequence[float]
) -> tuple[Float64Array, Float64Array]:
    """Return Dice and marked volume (ml) of acute lesions for each smallest volume."""
    mask = case.probabilities[0] >= threshold
    if len(case.probabilities) > 1:
        mask &= ~_old(case, old_threshold)
    components: npt.NDArray[np.int32]
    components, count = ndimage.label(mask)
    truth = case.labels == ACUTE
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    hits = np.bincount(components[truth], minlength=count + 1)[1:]
    kept = sizes >= np.array(minima_ml)[:, None] / case.voxel_ml
    marked = (kept * sizes).sum(axis=1)
    return 2 * (kept * hits).sum(axis=1) / np.maximum(marked + truth.sum(), 1), marked * case.voxel_ml


def _old(case: Predicted, threshold: float) -> BoolArray:
    acute, old = case.probabilities[:2]
    return np.asarray((old >= threshold) & (old >= acute))


def _dice(mask: BoolArray, truth: BoolArray) -> float:
    return 2 * int((mask & truth).sum()) / max(int(mask.sum()) + int(truth.sum()), 1)


def _adjusted(case: Predicted, temperatures: Sequence[float]) -> Predicted:
    """Return the case with calibrated probabilities."""
    scaled = [
        np.where(part > 0, special.expit(_logits(part) / value), 0)
        for part, value in zip(case.probabilities, temperatures, strict=True)
    ]
    return Predicted(np.stack(scaled).astype(np.float32), case.labels, case.voxel_ml)


def _logits(probabilities: Float32Array) -> Float64Array:
    clipped = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(special.logit(clipped), dtype=np.float64)

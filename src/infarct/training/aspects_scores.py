"""How well affected regions are told from others: while a method is trained, for its operating point and its card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from infarct.anatomy import Region
from infarct.measure.agreement import balanced_accuracy, roc_auc
from infarct.measure.overlap import count
from infarct.types import BoolArray, Float64Array

CHANCE = 0.5
"""AUC and balanced accuracy of one who guesses."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Sides of regions as a method judged them: ``logits`` float64 (n,) and which are ``affected``, bool (n,)."""

    logits: Float64Array
    affected: BoolArray

    @property
    def has_both(self) -> bool:
        """Whether there are affected and other ones, without which nothing can be measured."""
        return bool(self.affected.any() and not self.affected.all())


Measured = dict[str, dict[Region, Judged]]
"""By group and region: what a method made of the validation cases."""


@dataclass(frozen=True)
class RegionPoint:
    """The operating point of a group: probability is sigmoid(logit / ``temperature`` + ``bias``), and from
    ``threshold`` on a region counts as affected.
    """

    temperature: float = 1.0
    bias: float = 0.0
    threshold: float = 0.5


def joined(parts: Sequence[Judged]) -> Judged:
    """Return the judgements of several cases as one."""
    return Judged(
        np.concatenate([np.zeros(0), *(part.logits for part in parts)]),
        np.concatenate([np.zeros(0, dtype=bool), *(part.affected for part in parts)]),
    )


def best_cut(judged: Judged) -> tuple[float, float]:
    """Return the logit from which on regions count as affected, and the balanced accuracy that this reaches.

    It is the cut with the best balanced accuracy; it lies in the middle between two logits, and of equally good ones it
    is the lowest. Where there are not both kinds it is 0, with the balanced accuracy of chance.
    """
    if not judged.has_both:
        return 0.0, CHANCE
    order = np.argsort(judged.logits, kind="stable")
    logits, affected = judged.logits[order], judged.affected[order]
    missed = np.concatenate([[0], np.cumsum(affected)]) / affected.sum()
    refused = np.concatenate([[0], np.cumsum(~affected)]) / (~affected).sum()
    accuracy = (1 - missed + refused) / 2
    possible = np.concatenate([[True], np.diff(logits) > 0, [True]])
    place = int(np.argmax(np.where(possible, accuracy, -1.0)))
    around = np.concatenate([[logits[0] - 1], logits, [logits[-1] + 1]])
    return float((around[place] + around[place + 1]) / 2), float(accuracy[place])


def fit_scale(judged: Judged) -> tuple[float, float]:
    """Return temperature and bias with which sigmoid(logit / temperature + bias) is most likely (Platt 1999).

    The bias is needed as well as the temperature: class weights make a network answer as if both kinds were equally
    frequent. Where there are not both kinds, 1 and 0.
    """
    if not judged.has_both:
        return 1.0, 0.0

    def loss(scale: Float64Array) -> float:
        values = judged.logits * np.exp(-scale[0]) + scale[1]
        return float(np.where(judged.affected, np.logaddexp(0, -values), np.logaddexp(0, values)).mean())

    limits = ((np.log(0.2), np.log(5.0)), (-8.0, 8.0))
    found = optimize.minimize(loss, np.zeros(2), bounds=limits)
    return float(np.exp(found.x[0])), float(found.x[1])


def probability(logits: Float64Array, *, temperature: float, bias: float) -> Float64Array:
    """Return calibrated probabilities of logits, of any shape."""
    return np.asarray(special.expit(logits / temperature + bias), dtype=np.float64)


def summary_of(groups: dict[str, Judged]) -> dict[str, float]:
    """Return what is logged of a validation: AUC and best balanced accuracy of each group, and the mean AUC as score.

    Of a group without both kinds nothing is told; where there is no other, the score is that of chance.
    """
    summary: dict[str, float] = {}
    known = {name: judged for name, judged in groups.items() if judged.has_both}
    for name, judged in known.items():
        summary[f"val_auc_{name}"] = roc_auc(judged.affected, judged.logits)
        summary[f"val_balanced_accuracy_{name}"] = best_cut(judged)[1]
    areas = [summary[f"val_auc_{name}"] for name in known]
    if areas:
        summary["val_auc"] = float(np.mean(areas))
    summary["val_score"] = summary.get("val_auc", CHANCE)
    return summary


def operating_point(judged: Judged) -> RegionPoint:
    """Return temperature, bias and threshold for a group."""
    temperature, bias = fit_scale(judged)
    cut = np.array(best_cut(judged)[0]) if judged.has_both else np.array(-bias * temperature)
    return RegionPoint(temperature, bias, float(probability(cut, temperature=temperature, bias=bias)))


def operating_points(measured: Measured) -> dict[str, RegionPoint]:
    """Return the operating point of each group."""
    return {group: operating_point(joined(list(found.values()))) for group, found in measured.items()}


def group_settings(
    groups: Mapping[str, Sequence[Region]], points: Mapping[str, RegionPoint] | None
) -> list[dict[str, Any]]:
    """Return groups of regions as they stand in a weight file; without ``points`` they are not calibrated."""
    return [
        {"name": group, "regions": list(regions), **asdict(points[group] if points else RegionPoint())}
        for group, regions in groups.items()
    ]


def metrics_of(measured: Measured, points: Mapping[str, RegionPoint]) -> dict[str, Any]:
    """Return what the model card tells of the calibrated weights, as JSON; None where no case tells."""
    groups = [
        {"group": group, **_row(joined(list(found.values())), points[group])} for group, found in measured.items()
    ]
    regions = [
        {"region": region, **_row(judged, points[group])}
        for group, found in measured.items()
        for region, judged in found.items()
    ]
    return {"validation_after_calibration": groups, "validation_by_region": regions}


def _row(judged: Judged, point: RegionPoint) -> dict[str, Any]:
    found = probability(judged.logits, temperature=point.temperature, bias=point.bias) >= point.threshold
    counts = count(found, judged.affected)
    measured = {
        "auc": roc_auc(judged.affected, judged.logits),
        "balanced_accuracy": balanced_accuracy(counts),
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
    }
    told = {name: round(value, 4) if np.isfinite(value) else None for name, value in measured.items()}
    return {"sides": len(found), "affected": int(judged.affected.sum()), **told}

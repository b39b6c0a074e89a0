"""How well tiles are judged: the operating point on balanced tiles and on whole brains, and what the card tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from infarct.measure.agreement import roc_auc
from infarct.measure.overlap import count
from infarct.measure.ranking import average_precision
from infarct.preprocess.tile_clusters import clusters_of
from infarct.preprocess.tile_input import Places
from infarct.preprocess.tile_picks import BEST_SHARE
from infarct.training.aspects_scores import Judged, best_cut, fit_scale, probability
from infarct.types import Float64Array

MOST_FALSE_CLUSTERS: Final = 1.0
"""In a healthy head, on the mean."""
LEVELS: Final = 400
"""Thresholds that are tried: all of the highest few dozen probabilities, then every so many, ever fewer."""


@dataclass(frozen=True)
class TilePoint:
    """The operating point: probability is sigmoid(logit / ``temperature`` + ``bias``).

    From ``threshold`` on a tile counts as infarct among as many normal ones, from ``whole_threshold`` on in a brain.
    """

    temperature: float = 1.0
    bias: float = 0.0
    threshold: float = 0.5
    whole_threshold: float = 0.5


@dataclass(frozen=True, eq=False)
class JudgedHead:
    """All tiles (n, 3) of the brain of a whole validation case, of ``tile_px`` pixels, as a method judged them.

    ``logits`` and ``shares``, the part of each tile that is infarct, are float64 (n,). ``healthy`` heads are those of
    healthy people, with nothing that imitates an infarct either.
    """

    places: Places
    logits: Float64Array
    shares: Float64Array
    tile_px: int
    healthy: bool

    @property
    def ill(self) -> bool:
        """Whether a tile shows an infarct."""
        return bool((self.shares >= BEST_SHARE).any())


def tile_point(judged: Judged, heads: Sequence[JudgedHead]) -> TilePoint:
    """Return the operating point for balanced tiles and whole heads; see `whole_cut`.

    Without healthy heads the threshold for whole brains is that for balanced tiles.
    """
    temperature, bias = fit_scale(judged)
    cut = best_cut(judged)[0] if judged.has_both else -bias * temperature
    healthy = [head for head in heads if head.healthy and len(head.places)]
    cuts = np.array([cut, whole_cut(healthy) if healthy else cut])
    threshold, whole_threshold = probability(cuts, temperature=temperature, bias=bias)
    return TilePoint(temperature, bias, float(threshold), float(whole_threshold))


def whole_cut(heads: Sequence[JudgedHead]) -> float:
    """Return the lowest logit from which on tiles can be marked with `MOST_FALSE_CLUSTERS` a head on the mean.

    Clusters grow together as more tiles are marked, and a brain that is marked as a whole is one. So what counts is the
    first cut from above that gives too many: no cut that is higher does. It lies in the middle between two logits.
    """
    levels = np.unique(np.concatenate([head.logits for head in heads]))[::-1]
    around = np.concatenate([[levels[0] + 1], levels, [levels[-1] - 1]])
    allowed = 0
    for level in np.unique(np.geomspace(1, len(levels), LEVELS).round().astype(int)):
        if np.mean([false_clusters(head, levels[level - 1]) for head in heads]) > MOST_FALSE_CLUSTERS:
            break
        allowed = int(level)
    return float((around[allowed] + around[allowed + 1]) / 2)


def false_clusters(head: JudgedHead, cut: float) -> int:
    """Return how many clusters of tiles are marked in a head, from a logit on."""
    return int(clusters_of(head.places, head.logits >= cut, tile_px=head.tile_px).max(initial=0))


def metrics_of(judged: Judged, heads: Sequence[JudgedHead], point: TilePoint) -> dict[str, Any]:
    """Return what the model card tells of the calibrated weights, as JSON; None where nothing tells.

    ``judged`` are balanced tiles. An ill patient is found where a marked tile shows an infarct.
    """
    found = probability(judged.logits, temperature=point.temperature, bias=point.bias) >= point.threshold
    counts = count(found, judged.affected)
    measured = {
        "auc": roc_auc(judged.affected, judged.logits),
        "average_precision": average_precision(judged.affected, judged.logits),
        "accuracy": float(np.mean(found == judged.affected)) if len(found) else np.nan,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
    }
    told = {name: _rounded(value) for name, value in measured.items()}
    return {
        "validation_after_calibration": {"balanced_tiles": len(found), **told},
        "validation_whole_brains": _whole(heads, point),
    }


def _whole(heads: Sequence[JudgedHead], point: TilePoint) -> dict[str, Any]:
    marked = [
        probability(head.logits, temperature=point.temperature, bias=point.bias) >= point.whole_threshold
        for head in heads
    ]
    clusters = [
        int(clusters_of(head.places, chosen, tile_px=head.tile_px).max(initial=0))
        for head, chosen in zip(heads, marked, strict=True)
        if head.healthy
    ]
    found = [
        bool((chosen & (head.shares >= BEST_SHARE)).any())
        for head, chosen in zip(heads, marked, strict=True)
        if head.ill
    ]
    return {
        "healthy_heads": len(clusters),
        "false_clusters_a_healthy_head": _rounded(float(np.mean(clusters))) if clusters else None,
        "ill_patients": len(found),
        "share_of_ill_patients_found": _rounded(float(np.mean(found))) if found else None,
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None

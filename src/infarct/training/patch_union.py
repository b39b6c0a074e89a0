"""Cut-offs of several patch CNNs chosen together, for what all of them mark: each alone is blind to the others' heads.

The volumetry paper chooses the cut-off of each network on scans of its own class. In use all networks run on every
scan, and what any marks counts: a network with a low cut-off then marks much in scans of the other classes. Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.measure.severity import SEVERITIES
from infarct.preprocess.patch_answer import pieces, smoothed
from infarct.training.patch_data import is_other, is_wanted, region_of
from infarct.training.patch_scores import LEAST_ML, THRESHOLDS, JudgedCase, Judging, PatchPoint
from infarct.types import Float32Array, Float64Array

Packed = npt.NDArray[np.uint8]
ROUNDS: Final = 5
"""Networks take turns so many times at most; they hardly move after the second."""
BITS_OF_BYTE: Final = np.array([value.bit_count() for value in range(256)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PackedHead:
    """A head with an infarct; voxels that count are bits.

    ``marks`` (k, thresholds, least volumes, bytes) is what each network marks at each point of the grid of
    `patch_scores.THRESHOLDS` and `patch_scores.LEAST_ML`; ``truth`` (bytes) is the infarct.
    """

    severity: str
    marks: Packed
    truth: Packed


def united_point(judged: Sequence[JudgedCase], recipe: Judging, start: PatchPoint) -> PatchPoint:
    """Return ``start`` with the cut-offs and least volumes with which the union of the networks does best.

    That is the mean Dice over the heads of a class, averaged over the classes. The networks take turns: each takes its
    best point with the others as they are, until none moves. Without a head with an infarct ``start`` is kept.
    """
    heads = [_packed(one, recipe, start.smooth_mm) for one in judged if one.case.severity in SEVERITIES]
    if not heads:
        return start
    chosen = [
        (THRESHOLDS.index(threshold), LEAST_ML.index(least))
        for threshold, least in zip(start.thresholds, start.least_ml, strict=True)
    ]
    for _ in range(ROUNDS):
        before = list(chosen)
        for k in range(len(chosen)):
            table = _union_dice(heads, chosen, k)
            if table.max() > table[chosen[k]]:
                row, column = divmod(int(table.argmax()), len(LEAST_ML))
                chosen[k] = (row, column)
        if chosen == before:
            break
    return replace(
        start,
        thresholds=tuple(THRESHOLDS[row] for row, _ in chosen),
        least_ml=tuple(LEAST_ML[column] for _, column in chosen),
    )


def _packed(one: JudgedCase, recipe: Judging, smooth_mm: float) -> PackedHead:
    case = one.case
    truth = is_wanted(case.marks, case.blood, recipe.system)
    counted = truth | is_other(case.marks, case.blood, recipe.system)
    region = region_of(case.marks, recipe.system)
    chances = smoothed(one.probabilities.astype(np.float32), region, case.geometry, smooth_mm=smooth_mm)
    marks = [[_marked(chance, threshold, one, counted) for threshold in THRESHOLDS] for chance in chances]
    return PackedHead(str(case.severity), np.array(marks), np.packbits(truth[counted]))


def _marked(chance: Float32Array, threshold: float, one: JudgedCase, counted: npt.NDArray[np.bool_]) -> Packed:
    """Return the bits (least volumes, bytes) of what lies at or above a threshold in pieces of each least volume."""
    labels, sizes_ml = pieces(chance >= threshold, one.case.geometry)
    inside = labels[counted]
    large = sizes_ml >= np.array(LEAST_ML)[:, None]
    kept = np.concatenate([np.zeros((len(LEAST_ML), 1), dtype=bool), large], axis=1)
    return np.packbits(kept[:, inside], axis=1)


def _union_dice(heads: Sequence[PackedHead], chosen: Sequence[tuple[int, int]], k: int) -> Float64Array:
    """Return the mean Dice (thresholds, least volumes) of the union over the classes, for each point of network k."""
    by_class: dict[str, list[Float64Array]] = {}
    for head in heads:
        others = np.zeros_like(head.truth)
        for other, point in enumerate(chosen):
            if other != k:
                others |= head.marks[(other, *point)]
        union = head.marks[k] | others
        marked, hits, wanted = (BITS_OF_BYTE[bits].sum(axis=-1) for bits in (union, union & head.truth, head.truth))
        by_class.setdefault(head.severity, []).append(2 * hits / (marked + wanted))
    return np.asarray(np.mean([np.mean(tables, axis=0) for tables in by_class.values()], axis=0))

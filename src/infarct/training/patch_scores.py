"""How well whole heads are judged by the patch CNNs: the operating point on validation heads, and what the card tells.

Cut-off and least volume are those with the best mean Dice over the heads that a network is meant for, as in the paper;
the smoothing is the one with which all networks do best. Masks are made as `preprocess.patch_answer` makes them. Blood
does not count in the search for infarcts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from infarct.measure.agreement import roc_auc
from infarct.measure.overlap import Counts, count
from infarct.measure.severity import SEVERITIES
from infarct.preprocess.patch_answer import bleeding_scores, masks_at, pieces, smoothed, sure_of
from infarct.training.aspects_scores import Judged, fit_scale
from infarct.training.patch_cases import STAINED
from infarct.training.patch_data import is_free, is_meant_for, is_other, is_wanted, region_of
from infarct.training.patch_recipe import PatchSystem
from infarct.training.patch_store import PatchCase
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import volume_ml

THRESHOLDS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Half of the patches of a training are what is looked for, and few voxels of a head: cut-offs are high."""
LEAST_ML: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SMOOTH_MM: Final = (0.0, 1.0, 2.0, 3.0)
FALSE_ALARMS: Final = 0.03
"""Tolerated share of heads with neither blood nor contrast staining in which blood is suspected."""
SUSPECTED_STEP_ML: Final = 0.1
COUNTED_ML: Final = 2.0
"""So much blood is to be found."""
UNKNOWN_SUSPECTED_ML: Final = 1.0
"""From this volume on blood is suspected where no head without blood tells more."""
HEALTHY: Final = "healthy"


class Judging(Protocol):
    """What a recipe tells of the networks that judge: `PatchRecipe`, or `HeadRecipe`."""

    @property
    def system(self) -> PatchSystem: ...  # noqa: D102
    @property
    def networks(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class PatchPoint:
    """The operating point of some networks: ``thresholds`` and ``least_ml`` of each, and ``smooth_mm`` of all."""

    thresholds: tuple[float, ...]
    least_ml: tuple[float, ...]
    smooth_mm: float


@dataclass(frozen=True)
class ScanPoint:
    """Which marked pieces are blood, and how probable blood in a scan is: see `systems.hemorrhage.HemorrhageConfig`."""

    suspected_threshold: float = 0.5
    suspected_ml: float = UNKNOWN_SUSPECTED_ML
    scan_temperature: float = 1.0
    scan_bias: float = 0.0


@dataclass(frozen=True, eq=False)
class JudgedCase:
    """A validation head with the ``probabilities``, float16 (k, z, y, x), of each network in each voxel of its region.

    They are not smoothed, and 0 outside the region.
    """

    case: PatchCase
    probabilities: npt.NDArray[np.float16]


def uncalibrated(networks: Sequence[str]) -> PatchPoint:
    """Return the point that nothing has chosen."""
    return PatchPoint((0.5,) * len(networks), (0.0,) * len(networks), 0.0)


def patch_point(judged: Sequence[JudgedCase], recipe: Judging) -> PatchPoint:
    """Return the operating point by the rule above; a network that no head is meant for keeps .5 and 0 ml.

    Of equally good points the first is taken: less smoothing, a lower cut-off, a smaller volume.
    """
    tables = {smooth_mm: _tables(judged, recipe, smooth_mm) for smooth_mm in SMOOTH_MM}
    best = {smooth_mm: [table.max() for table in found if table is not None] for smooth_mm, found in tables.items()}
    smooth_mm = max(SMOOTH_MM, key=lambda value: float(np.mean(best[value])) if best[value] else 0.0)
    thresholds, least_ml = [], []
    for table in tables[smooth_mm]:
        row, column = divmod(int(table.argmax()), len(LEAST_ML)) if table is not None else (None, 0)
        thresholds.append(0.5 if row is None else THRESHOLDS[row])
        least_ml.append(LEAST_ML[column])
    return PatchPoint(tuple(thresholds), tuple(least_ml), smooth_mm if any(best.values()) else 0.0)


def _tables(judged: Sequence[JudgedCase], recipe: Judging, smooth_mm: float) -> list[Float64Array | None]:
    """Return the mean Dice (thresholds, least volumes) of each network over the heads it is meant for, None without."""
    found: list[list[Float64Array]] = [[] for _ in recipe.networks]
    for one in judged:
        mine = [k for k, name in enumerate(recipe.networks) if is_meant_for(one.case, name, recipe.system)]
        if not mine:
            continue
        region = region_of(one.case.marks, recipe.system)
        chances = smoothed(one.probabilities[mine].astype(np.float32), region, one.case.geometry, smooth_mm=smooth_mm)
        for k, chance in zip(mine, chances, strict=True):
            found[k].append(dice_table(chance, one.case, recipe.system))
    return [np.mean(tables, axis=0) if tables else None for tables in found]


def dice_table(chance: Float32Array, case: PatchCase, system: PatchSystem) -> Float64Array:
    """Return the Dice of a head's ``chance`` (float32, (z, y, x)) for each of `THRESHOLDS` and `LEAST_ML`."""
    truth = is_wanted(case.marks, case.blood, system)
    counted = truth | is_other(case.marks, case.blood, system)
    table = np.zeros((len(THRESHOLDS), len(LEAST_ML)))
    for row, threshold in enumerate(THRESHOLDS):
        labels, sizes_ml = pieces(chance >= threshold, case.geometry)
        marked, hits = (np.bincount(labels[part], minlength=len(sizes_ml) + 1)[1:] for part in (counted, truth))
        kept = sizes_ml >= np.array(LEAST_ML)[:, None]
        table[row] = 2 * (kept * hits).sum(axis=1) / ((kept * marked).sum(axis=1) + truth.sum())
    return table


def masks_of(one: JudgedCase, point: PatchPoint, system: PatchSystem) -> BoolArray:
    """Return the mask of each network in a head, bool (k, z, y, x)."""
    region, geometry = region_of(one.case.marks, system), one.case.geometry
    return masks_at(
        one.probabilities.astype(np.float32),
        region,
        geometry,
        thresholds=point.thresholds,
        least_ml=point.least_ml,
        smooth_mm=point.smooth_mm,
    )


def scan_point(judged: Sequence[JudgedCase], point: PatchPoint) -> ScanPoint:
    """Return what a marked piece must hold to be blood, and what makes a probability of it.

    Of the thresholds from that of the mask on, the one is taken whose volumes best tell heads with at least
    `COUNTED_ML` of blood from plain ones (AUC), the lowest of equally good ones.
    """
    thresholds = [threshold for threshold in THRESHOLDS if threshold >= point.thresholds[0]] or [point.thresholds[0]]
    volumes = np.array([_sure_ml(one, point, thresholds) for one in judged]).reshape(len(judged), len(thresholds))
    bleeding = np.array([not is_free(one.case, "hemorrhage") for one in judged], dtype=bool)
    large = np.array([volume_ml(one.case.blood > 0, one.case.geometry) >= COUNTED_ML for one in judged], dtype=bool)
    plain = np.array([is_plain(one.case) for one in judged], dtype=bool)
    told = large | plain
    best = 0
    if large.any() and plain.any():
        best = int(np.argmax([roc_auc(large[told], column[told]) for column in volumes.T]))
    chosen = volumes[:, best]
    temperature, bias = fit_scale(Judged(bleeding_scores(chosen), bleeding))
    return ScanPoint(thresholds[best], suspected_limit_ml(chosen[plain].tolist()), temperature, bias)


def _sure_ml(one: JudgedCase, point: PatchPoint, thresholds: Sequence[float]) -> list[float]:
    """Return the largest volume of a marked piece that reaches each threshold."""
    mask, smooth = _blood_of(one, point)
    return [sure_of(mask, smooth >= threshold, one.case.geometry, least_ml=0.0)[1] for threshold in thresholds]


def blood_mask(one: JudgedCase, point: PatchPoint, scan: ScanPoint) -> BoolArray:
    """Return what counts as blood in a head, bool (z, y, x)."""
    mask, smooth = _blood_of(one, point)
    return sure_of(mask, smooth >= scan.suspected_threshold, one.case.geometry, least_ml=scan.suspected_ml)[0]


def _blood_of(one: JudgedCase, point: PatchPoint) -> tuple[BoolArray, Float32Array]:
    """Return what is marked in a head and the smoothed probabilities, both (z, y, x)."""
    region = region_of(one.case.marks, "hemorrhage")
    chances = one.probabilities.astype(np.float32)
    smooth = smoothed(chances, region, one.case.geometry, smooth_mm=point.smooth_mm)[0]
    return masks_of(one, point, "hemorrhage")[0], smooth


def is_plain(case: PatchCase) -> bool:
    """Return whether a head shows neither blood nor contrast staining, which looks like it."""
    return is_free(case, "hemorrhage") and not (case.marks & STAINED).any()


def suspected_limit_ml(plain_ml: Sequence[float]) -> float:
    """Return the smallest volume, in steps of 0.1 ml, that at most `FALSE_ALARMS` of the heads without blood reach.

    With fewer than 34 heads none of them reaches it; without any it is `UNKNOWN_SUSPECTED_ML`.
    """
    if not plain_ml:
        return UNKNOWN_SUSPECTED_ML
    allowed = math.floor(FALSE_ALARMS * len(plain_ml))
    largest = sorted(plain_ml, reverse=True)[allowed]
    steps = math.floor(largest / SUSPECTED_STEP_ML + 1e-9) + 1
    return round(steps * SUSPECTED_STEP_ML, 6)


def volumetry_metrics(judged: Sequence[JudgedCase], recipe: Judging, point: PatchPoint) -> dict[str, Any]:
    """Return what the model card tells of the calibrated networks for infarcts, as JSON; None where no head tells.

    By network: the mean Dice over the heads it is meant for. By kind of head: what the union of all networks reaches,
    and how much each marks that is no infarct, in the median head.
    """
    found = [(one.case, masks_of(one, point, recipe.system)) for one in judged]
    networks = []
    for k, name in enumerate(recipe.networks):
        dices = [
            _counts(masks[k], case, recipe.system).dice
            for case, masks in found
            if is_meant_for(case, name, recipe.system)
        ]
        networks.append({"network": name, "heads": len(dices), "mean_dice": _mean(dices)})
    union = []
    for kind in (*SEVERITIES, HEALTHY, "mimics"):
        mine = [(case, masks) for case, masks in found if _kind(case) == kind]
        united = [(case, np.any(masks, axis=0)) for case, masks in mine]
        row: dict[str, Any] = {
            "heads": kind,
            "number": len(mine),
            "mean_dice": _mean([_counts(mask, case, recipe.system).dice for case, mask in united]),
            "median_false_ml": _median([_false_ml(mask, case, recipe.system) for case, mask in united]),
        }
        for k, name in enumerate(recipe.networks):
            row[f"false_ml_{name}"] = _median([_false_ml(masks[k], case, recipe.system) for case, masks in mine])
        union.append(row)
    return {"validation_after_calibration": networks, "validation_union": union}


def hemorrhage_metrics(
    judged: Sequence[JudgedCase], recipe: Judging, point: PatchPoint, scan: ScanPoint
) -> dict[str, Any]:
    """Return what the model card tells of the calibrated network for blood, as JSON; None where no head tells."""
    found = [(one.case, blood_mask(one, point, scan)) for one in judged]
    ill = [(case, mask) for case, mask in found if not is_free(case, recipe.system)]
    free = [(case, mask) for case, mask in found if is_free(case, recipe.system)]
    healthy = [(case, mask) for case, mask in free if case.preset == HEALTHY]
    large = [(case, mask) for case, mask in ill if volume_ml(case.blood > 0, case.geometry) >= COUNTED_ML]
    counts = [_counts(mask, case, recipe.system) for case, mask in ill]
    return {
        "validation_after_calibration": {
            "heads_with_blood": len(ill),
            "mean_dice": _mean([each.dice for each in counts]),
            "mean_sensitivity_of_voxels": _mean([each.sensitivity for each in counts]),
            "share_suspected": _share_suspected(ill),
            "heads_with_2_ml": len(large),
            "share_suspected_of_2_ml": _share_suspected(large),
            "heads_without_blood": len(free),
            "share_suspected_without_blood": _share_suspected(free),
            "healthy_heads": len(healthy),
            "share_suspected_of_healthy": _share_suspected(healthy),
        }
    }


def _share_suspected(found: Sequence[tuple[PatchCase, BoolArray]]) -> float | None:
    return _mean([float(mask.any()) for _, mask in found])


def _counts(mask: BoolArray, case: PatchCase, system: PatchSystem) -> Counts:
    truth = is_wanted(case.marks, case.blood, system)
    return count(mask, truth, region=truth | is_other(case.marks, case.blood, system))


def _false_ml(mask: BoolArray, case: PatchCase, system: PatchSystem) -> float:
    return volume_ml(mask & is_other(case.marks, case.blood, system), case.geometry)


def _kind(case: PatchCase) -> str:
    return case.severity or case.preset


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return round(float(np.mean(known)), 4) if known else None


def _median(values: Sequence[float]) -> float | None:
    return round(float(np.median(values)), 3) if values else None

"""The last part of a training of DA-Net: its best checkpoint, calibrated on the validation cases, as a weight set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from infarct.anatomy import Region
from infarct.measure.agreement import balanced_accuracy, roc_auc
from infarct.measure.overlap import count
from infarct.preprocess.region_input import RegionSetting
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.training.aspects_module import NETWORK
from infarct.training.aspects_recipe import AspectsRecipe, aspects_recipe_of
from infarct.training.aspects_scores import Judged, best_cut, fit_scale, joined, probability
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.pairs import affected_sides, pair_of
from infarct.training.recipe import ABOUT
from infarct.training.region_store import StoredRegions, load_region_cases, read_region_index
from infarct.weights import WeightSet

SYSTEM: Final = "aspects"


@dataclass(frozen=True)
class RegionPoint:
    """The operating point of a group: probability is sigmoid(logit / ``temperature`` + ``bias``), and from
    ``threshold`` on a region counts as affected.
    """

    temperature: float = 1.0
    bias: float = 0.0
    threshold: float = 0.5


Measured = dict[str, dict[Region, Judged]]
"""By group and region: what a network made of the validation cases."""


def finish_aspects(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``: all networks in one set, see `WeightSet.part`.

    ``cases`` are the prepared cases it was trained on. For each group temperature and bias are those that make the
    validation cases most likely, and the threshold that of the best balanced accuracy; without validation cases 1, 0
    and .5. The model card tells how the weights do on the cases that calibrated them, and says that.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    weights = export_networks(checkpoint, name=name)
    index = read_region_index(cases)
    validation = load_region_cases(index, index.of("validation"))
    if not validation:
        return weights
    recipe = aspects_recipe_of(load_checkpoint(checkpoint)[ABOUT]["recipe"])
    threads = torch.get_num_threads()  # as many as training used
    measured = {
        group: judge(make_engine(weights.part(group), device=device, threads=threads), validation, regions, recipe)
        for group, regions in recipe.groups.items()
    }
    points = {group: operating_point(joined(list(found.values()))) for group, found in measured.items()}
    calibrated_on = f"{len(validation)} {kind_of(cases)}"
    return export_networks(
        checkpoint, name=name, points=points, calibrated_on=calibrated_on, metrics=_metrics(measured, points)
    )


def export_networks(
    checkpoint: Path,
    *,
    name: str,
    points: Mapping[str, RegionPoint] | None = None,
    calibrated_on: str = UNCALIBRATED,
    metrics: Mapping[str, Any] | None = None,
) -> WeightSet:
    """Return the weights in a checkpoint, averaged where the recipe averages, with operating points by group.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = aspects_recipe_of(about["recipe"])
    card = card_of(about, recipe)
    groups = [
        {"name": group, "regions": list(regions), **asdict(points[group] if points else RegionPoint())}
        for group, regions in recipe.groups.items()
    ]
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=NETWORK,
        network_config=about["recipe"]["network_config"],
        settings={"input": about["setting"], "groups": groups, "calibrated_on": calibrated_on},
        tensors=tensors_of(stored["state_dict"]),
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def judge(
    engine: Engine, cases: Sequence[StoredRegions], regions: Sequence[Region], recipe: AspectsRecipe
) -> dict[Region, Judged]:
    """Return what an engine makes of some regions of both sides of cases; a region that none shows is left out."""
    setting = recipe.phantoms.setting
    found = {
        region: [_judged(engine, case, region, setting) for case in cases if case.input.has(region)]
        for region in regions
    }
    return {region: joined(parts) for region, parts in found.items() if parts}


def _judged(engine: Engine, case: StoredRegions, region: Region, setting: RegionSetting) -> Judged:
    cams = engine.run(pair_of(case, region, setting)[None])
    return Judged(cams[0].mean(axis=(1, 2, 3), dtype=np.float64), affected_sides(case, region))


def operating_point(judged: Judged) -> RegionPoint:
    """Return temperature, bias and threshold for a group."""
    temperature, bias = fit_scale(judged)
    cut = np.array(best_cut(judged)[0]) if judged.has_both else np.array(-bias * temperature)
    return RegionPoint(temperature, bias, float(probability(cut, temperature=temperature, bias=bias)))


def _metrics(measured: Measured, points: Mapping[str, RegionPoint]) -> dict[str, Any]:
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

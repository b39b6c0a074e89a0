"""The last part of a training of DA-Net: its best checkpoint, calibrated on the validation cases, as a weight set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from infarct.anatomy import Region
from infarct.preprocess.region_input import RegionSetting
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.training.aspects_module import NETWORK
from infarct.training.aspects_recipe import AspectsRecipe, aspects_recipe_of
from infarct.training.aspects_scores import (
    Judged,
    Measured,
    RegionPoint,
    group_settings,
    joined,
    metrics_of,
    operating_points,
)
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.pairs import affected_sides, pair_of
from infarct.training.recipe import ABOUT
from infarct.training.region_store import StoredRegions, load_region_cases, read_region_index
from infarct.weights import WeightSet

SYSTEM: Final = "aspects"


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
    engines = group_engines(weights, recipe, device=device)
    measured = judge_groups(engines, validation, recipe)
    points = operating_points(measured)
    calibrated_on = f"{len(validation)} {kind_of(cases)}"
    return export_networks(
        checkpoint, name=name, points=points, calibrated_on=calibrated_on, metrics=metrics_of(measured, points)
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
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=NETWORK,
        network_config=about["recipe"]["network_config"],
        settings={
            "input": about["setting"],
            "groups": group_settings(recipe.groups, points),
            "calibrated_on": calibrated_on,
        },
        tensors=tensors_of(stored["state_dict"]),
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def group_engines(
    weights: WeightSet, recipe: AspectsRecipe, *, device: DeviceChoice = "auto", cache: Path | None = None
) -> dict[str, Engine]:
    """Return what runs the network of each group, with as many threads as torch has; ``cache`` as in `make_engine`."""
    threads = torch.get_num_threads()  # as many as training used
    return {
        group: make_engine(weights.part(group), device=device, threads=threads, cache=cache) for group in recipe.groups
    }


def judge_groups(engines: Mapping[str, Engine], cases: Sequence[StoredRegions], recipe: AspectsRecipe) -> Measured:
    """Return what the engines make of all regions of cases, group by group."""
    return {group: judge(engines[group], cases, regions, recipe) for group, regions in recipe.groups.items()}


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

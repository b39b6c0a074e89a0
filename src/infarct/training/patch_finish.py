"""The last part of a training for infarct volume or blood: its best checkpoint, calibrated on validation heads, as a
weight set. Patch CNNs and 3D networks for whole heads alike.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from infarct.networks.patch_cnn import side_by_side
from infarct.networks.pooled_unet import UNET_PART
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.systems.patch_maps import PatchConfig, chances_of, patch_config
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.head_recipe import HeadRecipe, head_recipe_of, is_head_recipe
from infarct.training.patch_data import region_of
from infarct.training.patch_recipe import PatchRecipe, PatchSystem, patch_recipe_of
from infarct.training.patch_scores import (
    JudgedCase,
    PatchPoint,
    ScanPoint,
    hemorrhage_metrics,
    patch_point,
    scan_point,
    uncalibrated,
    volumetry_metrics,
)
from infarct.training.patch_store import PatchCase, load_patch_cases, read_patch_index
from infarct.training.patch_union import united_point
from infarct.training.recipe import ABOUT
from infarct.weights import WeightSet

DENSE_NETWORK: Final = "patch_cnn_dense"
"""Judges every voxel of a slice at once, with the tensors that were trained patch by patch."""
POOLED_NETWORK: Final = "pooled_unet"
"""Judges boxes of a picture, with the tensors that were trained on averaged pixels."""


def finish_patches(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``: patch CNNs side by side in one.

    ``cases`` are the prepared heads it was trained on; see `patch_scores` for the operating point, chosen on whole
    validation heads. Without any nothing is calibrated. The model card tells how the weights do on the heads that
    calibrated them, and says that.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    weights = export_patches(checkpoint, name=name)
    index = read_patch_index(cases)
    validation = load_patch_cases(index, index.of("validation"))
    if not validation:
        return weights
    recipe = _recipe_of(load_checkpoint(checkpoint)[ABOUT])
    engine = make_engine(weights, device=device, threads=torch.get_num_threads())  # as many as training used
    config = patch_config(weights.settings, weights.network_config, (recipe.networks,))
    judged = judge_cases(engine, validation, recipe.system, config)
    point = patch_point(judged, recipe)
    if recipe.united:
        point = united_point(judged, recipe, point)
    scan = scan_point(judged, point) if recipe.system == "hemorrhage" else None
    metrics = hemorrhage_metrics(judged, recipe, point, scan) if scan else volumetry_metrics(judged, recipe, point)
    calibrated_on = f"{len(validation)} {kind_of(cases)}"
    return export_patches(checkpoint, name=name, point=point, scan=scan, calibrated_on=calibrated_on, metrics=metrics)


def export_patches(
    checkpoint: Path,
    *,
    name: str,
    point: PatchPoint | None = None,
    scan: ScanPoint | None = None,
    calibrated_on: str = UNCALIBRATED,
    metrics: Mapping[str, Any] | None = None,
) -> WeightSet:
    """Return the network, or networks, in a checkpoint, averaged where the recipe averages, with an operating point.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = _recipe_of(about)
    card = card_of(about, recipe)
    chosen = point or uncalibrated(recipe.networks)
    settings = {
        "input": about["setting"],
        "outputs": list(recipe.networks),
        "thresholds": list(chosen.thresholds),
        "least_ml": list(chosen.least_ml),
        "smooth_mm": chosen.smooth_mm,
        "calibrated_on": calibrated_on,
    }
    if isinstance(recipe, HeadRecipe):
        settings["tile_zyx"] = list(recipe.tile_zyx)
    if recipe.system == "hemorrhage":
        limit = scan or ScanPoint()
        settings |= {
            "suspected_threshold": limit.suspected_threshold,
            "suspected_ml": limit.suspected_ml,
            "scan_temperature": limit.scan_temperature,
            "scan_bias": limit.scan_bias,
        }
    tensors = tensors_of(stored["state_dict"])
    if isinstance(recipe, HeadRecipe):
        network, config = POOLED_NETWORK, pooled_config(recipe)
        tensors = {f"{UNET_PART}{key}": part for key, part in tensors.items()}
    else:
        network, config = DENSE_NETWORK, {**recipe.network_config, "outputs": len(recipe.networks)}
        tensors = side_by_side([_part(tensors, f"{name}.") for name in recipe.networks])
    return WeightSet(
        system=recipe.system,
        name=name,
        network=network,
        network_config=config,
        settings=settings,
        tensors=tensors,
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def _part(tensors: Mapping[str, npt.NDArray[np.float16]], prefix: str) -> dict[str, npt.NDArray[np.float16]]:
    return {key.removeprefix(prefix): part for key, part in tensors.items() if key.startswith(prefix)}


def pooled_config(recipe: HeadRecipe) -> dict[str, Any]:
    """Return the configuration of the network that averages pixels itself."""
    config = recipe.network_config
    return {
        "images": config["in_channels"],
        "outputs": config["out_channels"],
        "base": config["base"],
        "strides": config["strides"],
        "smooth": config["smooth"],
        "pool_px": recipe.pool_px,
    }


def judge_cases(
    engine: Engine, cases: Sequence[PatchCase], system: PatchSystem, config: PatchConfig
) -> list[JudgedCase]:
    """Return what an engine makes of whole heads."""
    return [
        JudgedCase(case, chances_of(engine, case.images, region_of(case.marks, system), config).astype(np.float16))
        for case in cases
    ]


def _recipe_of(about: Mapping[str, Any]) -> PatchRecipe | HeadRecipe:
    data = about["recipe"]
    return head_recipe_of(data) if is_head_recipe(data) else patch_recipe_of(data)

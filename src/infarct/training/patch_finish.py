"""The last part of a training of patch CNNs: its best checkpoint, calibrated on validation heads, as a weight set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from infarct.networks.patch_cnn import side_by_side
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.runtime.slices import predict_slices
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.patch_data import region_of
from infarct.training.patch_recipe import PatchRecipe, patch_recipe_of
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


def finish_patches(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``: all its networks side by side in one.

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
    recipe = patch_recipe_of(load_checkpoint(checkpoint)[ABOUT]["recipe"])
    engine = make_engine(weights, device=device, threads=torch.get_num_threads())  # as many as training used
    judged = judge_cases(engine, validation, recipe)
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
    """Return the networks in a checkpoint, averaged where the recipe averages, with an operating point.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = patch_recipe_of(about["recipe"])
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
    if recipe.system == "hemorrhage":
        told = scan or ScanPoint()
        settings |= {
            "suspected_ml": told.suspected_ml,
            "scan_temperature": told.scan_temperature,
            "scan_bias": told.scan_bias,
        }
    tensors = tensors_of(stored["state_dict"])
    parts = [
        {key.removeprefix(f"{network}."): part for key, part in tensors.items() if key.startswith(f"{network}.")}
        for network in recipe.networks
    ]
    return WeightSet(
        system=recipe.system,
        name=name,
        network=DENSE_NETWORK,
        network_config={**recipe.network_config, "outputs": len(recipe.networks)},
        settings=settings,
        tensors=side_by_side(parts),
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def judge_cases(engine: Engine, cases: Sequence[PatchCase], recipe: PatchRecipe) -> list[JudgedCase]:
    """Return what an engine makes of whole heads."""
    return [
        JudgedCase(case, predict_slices(engine, case.images, region_of(case.marks, recipe.system)).astype(np.float16))
        for case in cases
    ]

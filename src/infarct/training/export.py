"""From a checkpoint to a weight set that infarct can load, ship and run."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from infarct.errors import UnreadableInput
from infarct.networks.se_res_unet import HEAD
from infarct.training.calibrate import OperatingPoint
from infarct.training.cases import ACUTE, OLD
from infarct.training.module import AnyRecipe
from infarct.training.recipe import ABOUT, Recipe, recipe_of
from infarct.weights import WeightSet

AVERAGE, NETWORK = "average.module.", "network."
"""How the tensors of the averaged and of the trained network begin in a checkpoint; the averaged ones are taken."""
PHANTOMS = "phantoms"
"""The kind of cases, as `kind_of` says it, that a recipe's plan is about."""


def export_checkpoint(
    checkpoint: Path,
    *,
    name: str,
    system: str = "segment",
    point: OperatingPoint | None = None,
    card: Mapping[str, Any] | None = None,
) -> WeightSet:
    """Return the weights in a checkpoint that `fit` wrote: the averaged ones, where the recipe averages.

    An output for old infarcts that no training case had is left out: it has learned to answer no, without knowing. So
    is one that ``point`` has nothing for.
    Without ``point`` the temperature is 1, the threshold .5 and nothing is too small. The model card tells data,
    recipe, machine, steps, time and the last validation; ``card`` (JSON) adds to it and stands over it.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = recipe_of(about["recipe"])
    outputs = len(point.temperature) if point else _taught(recipe, about["data"])
    point = point or OperatingPoint((1.0,) * outputs, (0.5,) * outputs, 0.0)
    settings = {
        "input": about["setting"],
        "tile_zyx": list(recipe.patch_zyx),
        "temperature": list(point.temperature),
        "threshold": list(point.threshold),
        "minimum_ml": point.minimum_ml,
        "calibrated_on": point.calibrated_on,
    }
    return WeightSet(
        system=system,
        name=name,
        network=recipe.network,
        network_config={**about["recipe"]["network_config"], "out_channels": outputs},
        settings=settings,
        tensors={
            name: values[:outputs] if name in HEAD else values
            for name, values in tensors_of(stored["state_dict"]).items()
        },
        card={**card_of(about, recipe), **(card or {})},
    )


def told_by(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint tells of its training: recipe, input setting, cases, machine, progress.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    return dict(load_checkpoint(checkpoint)[ABOUT])


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, of which nothing is executed.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if isinstance(stored, dict) and ABOUT in stored and "state_dict" in stored:
            return stored
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UnreadableInput("the checkpoint cannot be read: it is missing, damaged or of another kind") from error
    raise UnreadableInput("the file is no checkpoint of a training by infarct")


def _taught(recipe: Recipe, data: Mapping[str, Any]) -> int:
    """Return how many outputs, from the first on, the training cases had something to mark for."""
    if recipe.targets == (ACUTE, OLD) and data.get("training_cases_with_old") == 0:
        return 1
    return len(recipe.targets)


def tensors_of(state: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[np.float16]]:
    """Return what `network_state` gives as a weight file holds it."""
    return {name: tensor.half().numpy() for name, tensor in network_state(state).items()}


def network_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the network's tensors in a checkpoint's state, by their names in the network: averaged, if there are."""
    prefix = AVERAGE if any(name.startswith(AVERAGE) for name in state) else NETWORK
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def card_of(about: Mapping[str, Any], recipe: AnyRecipe) -> dict[str, Any]:
    """Return the model card; the recipe's plan of phantoms is in it only where they were trained on."""
    hours = about["seconds"] / 3600
    on_phantoms = about["data"].get("kind", PHANTOMS) == PHANTOMS
    return {
        "data": about["data"],
        "recipe": {name: part for name, part in about["recipe"].items() if name != "phantoms" or on_phantoms},
        "training": {
            "steps": about["steps"],
            "of_steps": recipe.steps,
            "patches_seen": about["steps"] * recipe.patches_a_step * about["devices"],
            "devices": about["devices"],
            "hours": round(hours, 3),
            **about["machine"],
            **about["versions"],
        },
        "metrics": {"validation_while_training": about["validation"]},
    }

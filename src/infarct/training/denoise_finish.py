"""The last part of a training of DnCNN: its best checkpoint as a weight set, measured on the validation cases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from infarct.networks.dncnn import DnCnnConfig
from infarct.runtime import make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.systems.denoise import SYSTEM
from infarct.training.cases import kind_of
from infarct.training.denoise_cases import load_pairs, read_pair_index
from infarct.training.denoise_module import NETWORK, score_pair, summary_of
from infarct.training.denoise_recipe import denoise_recipe_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.recipe import ABOUT
from infarct.weights import WeightSet

FACTORS: Final = (0.5, 1.0, 2.0)
"""Of the scan's own noise."""


def finish_denoise(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``.

    ``cases`` are the prepared pairs it was trained on; the model card tells how the weights do on all validation cases
    at several doses.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    trained_on = kind_of(cases)
    weights = export_denoiser(checkpoint, name=name, trained_on=trained_on)
    index = read_pair_index(cases)
    validation = load_pairs(index, index.of("validation"))
    if not validation:
        return weights
    window = denoise_recipe_of(load_checkpoint(checkpoint)[ABOUT]["recipe"]).phantoms.setting
    engine = make_engine(weights, device=device, threads=torch.get_num_threads())  # as many as training used
    rows = []
    for factor in FACTORS:
        summary = summary_of([score_pair(case, engine, window, factor=factor) for case in validation])
        told = {"psnr_db": round(summary["val_psnr"], 2), "gain_db": round(summary["val_psnr_gain"], 2)}
        rows.append({"noise_factor": factor, "cases": len(validation), **told})
    return export_denoiser(checkpoint, name=name, trained_on=trained_on, metrics={"validation_by_noise": rows})


def export_denoiser(
    checkpoint: Path, *, name: str, trained_on: str, metrics: Mapping[str, Any] | None = None
) -> WeightSet:
    """Return the weights in a checkpoint, averaged where the recipe averages.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = denoise_recipe_of(about["recipe"])
    card = card_of(about, recipe)
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=NETWORK,
        network_config=about["recipe"]["network_config"],
        settings={"input": about["setting"], "trained_on": trained_on},
        tensors=tensors_of(stored["state_dict"]),
        card={"summary": _form(recipe.network_config), **card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def _form(network: Mapping[str, Any]) -> str:
    """Return what a network is, in words: where it is not as wide as published, that is said."""
    config, published = DnCnnConfig(**network), DnCnnConfig()
    width = f"{config.width} channels" + (
        f" ({published.width} as published)" if config.width != published.width else ""
    )
    return f"DnCNN, {config.depth} convolutions, {width}; trained on noise of unknown level."

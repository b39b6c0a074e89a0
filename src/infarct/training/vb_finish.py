"""The last part of a training of the cascade: its best checkpoint as a weight set, measured on the validation cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from infarct.anatomy import region_of_label
from infarct.preprocess.region_input import LABELS
from infarct.runtime import make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.systems.region_cascade import Cascade
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, tensors_of
from infarct.training.finish import best_checkpoint
from infarct.training.recipe import ABOUT
from infarct.training.region_store import read_region_index
from infarct.training.vb_data import as_registered
from infarct.training.vb_module import NETWORK, HeadScore, score_head
from infarct.training.vb_recipe import STAGES, vb_recipe_of
from infarct.training.vb_store import load_heads
from infarct.types import Float64Array
from infarct.weights import WeightSet

SYSTEM: Final = "regions"


def finish_regions(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``: both networks in one set, see `WeightSet.part`.

    ``cases`` are the prepared cases it was trained on; the model card tells how the weights do on all validation cases.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    trained_on = kind_of(cases)
    weights = export_cascade(checkpoint, name=name, trained_on=trained_on)
    index = read_region_index(cases)
    recipe = vb_recipe_of(load_checkpoint(checkpoint)[ABOUT]["recipe"])
    validation = as_registered(load_heads(index, index.of("validation")), recipe)
    if not validation:
        return weights
    threads = torch.get_num_threads()  # as many as training used
    coarse, fine = (make_engine(weights.part(stage), device=device, threads=threads) for stage in STAGES)
    scores = [score_head(Cascade(coarse, fine, recipe.cascade), case) for case in validation]
    return export_cascade(checkpoint, name=name, trained_on=trained_on, metrics=metrics_of(scores))


def export_cascade(
    checkpoint: Path, *, name: str, trained_on: str, metrics: Mapping[str, Any] | None = None
) -> WeightSet:
    """Return the weights in a checkpoint, averaged where the recipe averages.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = vb_recipe_of(about["recipe"])
    card = card_of(about, recipe)
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=NETWORK,
        network_config=about["recipe"]["network_config"],
        settings={"input": about["setting"], "cascade": about["recipe"]["cascade"], "trained_on": trained_on},
        tensors=tensors_of(stored["state_dict"]),
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def metrics_of(scores: Sequence[HeadScore]) -> dict[str, Any]:
    """Return what the model card tells of validation cases, as JSON; None where no case tells."""
    dices = np.array([score.dice for score in scores])
    rows = []
    for label, column in zip(range(1, LABELS), dices.T, strict=True):
        region, side = region_of_label(label)
        known = column[np.isfinite(column)]
        row = {"region": region, "side": side, "cases": len(known)}
        rows.append({**row, "mean_dice": _rounded(known), "lowest_dice": _rounded(known[known.argsort()[:1]])})
    known = dices[np.isfinite(dices)]
    summary = {
        "cases": len(scores),
        "mean_dice": _rounded(known),
        "cases_without_any_region_found": sum(bool(np.nanmax(row, initial=0.0) == 0) for row in dices),
        "mean_brain_dice": _rounded(np.array([score.brain for score in scores])),
    }
    return {"validation_of_the_cascade": summary, "validation_by_region": rows}


def _rounded(values: Float64Array) -> float | None:
    """Return the mean, None of nothing."""
    return round(float(values.mean()), 4) if len(values) else None

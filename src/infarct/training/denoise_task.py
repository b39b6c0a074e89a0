"""Training DnCNN: what is taken from its prepared pairs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infarct.errors import BadRequest
from infarct.training.denoise_cases import PairIndex, load_pairs, read_pair_index
from infarct.training.denoise_data import PatchDataset
from infarct.training.denoise_module import DenoiseModule
from infarct.training.denoise_recipe import DenoiseRecipe
from infarct.training.module import CaseFeed
from infarct.training.task import Made, Task, check_roles, evenly


def denoise_task(recipe: DenoiseRecipe, cases: Path) -> Task:
    """Return the training by ``recipe`` on the prepared pairs in a folder.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they do not fit the recipe.
    """
    index = read_pair_index(cases)
    training, validation = index.of("train"), index.of("validation")
    check_roles(training, validation)
    if index.setting != json.loads(json.dumps(asdict(recipe.phantoms.setting))):
        raise BadRequest(f"the prepared cases are for another window than the recipe {recipe.name!r} takes")
    counts = {"training_cases": len(training), "validation_cases": len(validation)}
    return Task(cases, index.setting, counts, lambda about, workers: _made(recipe, index, about, workers))


def _made(recipe: DenoiseRecipe, index: PairIndex, about: dict[str, Any], workers: int) -> Made:
    training = load_pairs(index, index.of("train"))
    validation = load_pairs(index, evenly(index.of("validation"), recipe.validation_cases))
    module = DenoiseModule(recipe, validation=validation, about=about)
    return module, CaseFeed(recipe, PatchDataset(training, recipe), validation=len(validation), workers=workers)

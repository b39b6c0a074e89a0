"""Training the cascade of VB-Nets: what is taken from its prepared cases."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infarct.errors import BadRequest
from infarct.training.module import CaseFeed
from infarct.training.region_store import RegionIndex, read_region_index
from infarct.training.task import Made, Task, check_roles, evenly
from infarct.training.vb_data import HeadDataset, as_registered
from infarct.training.vb_module import VbModule
from infarct.training.vb_recipe import VbRecipe
from infarct.training.vb_store import load_heads


def vb_task(recipe: VbRecipe, cases: Path) -> Task:
    """Return the training by ``recipe`` on the prepared cases in a folder.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they do not fit the recipe.
    """
    index = read_region_index(cases)
    training, validation = index.of("train"), index.of("validation")
    check_roles(training, validation)
    if index.setting != json.loads(json.dumps(asdict(recipe.phantoms.setting))):
        raise BadRequest(f"the prepared cases are not on the grid that the recipe {recipe.name!r} takes")
    counts = {"training_cases": len(training), "validation_cases": len(validation)}
    return Task(cases, index.setting, counts, lambda about, workers: _made(recipe, index, about, workers))


def _made(recipe: VbRecipe, index: RegionIndex, about: dict[str, Any], workers: int) -> Made:
    training = load_heads(index, index.of("train"))
    validation = as_registered(load_heads(index, evenly(index.of("validation"), recipe.validation_cases)), recipe)
    module = VbModule(recipe, validation=validation, about=about)
    return module, CaseFeed(recipe, HeadDataset(training, recipe), validation=len(validation), workers=workers)

"""Training the patch CNNs: what is taken from the prepared heads."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from infarct.errors import BadRequest
from infarct.training.module import CaseFeed
from infarct.training.patch_cases import PatchPlan
from infarct.training.patch_data import PatchDataset
from infarct.training.patch_module import PatchModule
from infarct.training.patch_recipe import PatchRecipe
from infarct.training.patch_store import PatchIndex, load_patch_cases, read_patch_index
from infarct.training.task import Made, Task, check_roles


def patch_task(recipe: PatchRecipe, cases: Path) -> Task:
    """Return the training by ``recipe`` on the prepared heads in a folder.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they do not fit the recipe.
    """
    index = heads_for(cases, recipe.phantoms)
    return Task(cases, asdict(index.setting), index.counts, lambda about, workers: _made(recipe, index, about, workers))


def heads_for(cases: Path, plan: PatchPlan) -> PatchIndex:
    """Return the index of the prepared heads in a folder.

    Raises `UnreadableInput` where there are none, and `BadRequest` where none is to train on, a patient has two roles,
    or they are not the pictures of ``plan``.
    """
    index = read_patch_index(cases)
    check_roles(index.of("train"), index.of("validation"))
    if index.setting != plan.setting:
        raise BadRequest("the prepared heads are not the pictures that the recipe takes")
    return index


def _made(recipe: PatchRecipe, index: PatchIndex, about: dict[str, Any], workers: int) -> Made:
    training, validation = (load_patch_cases(index, index.of(role)) for role in ("train", "validation"))
    data = PatchDataset(training, recipe)
    module = PatchModule(recipe, validation=validation, about=about)
    return module, CaseFeed(recipe, data, validation=module.validation_items, workers=workers)

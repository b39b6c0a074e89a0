"""Training DA-Net: what is taken from its prepared cases."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from infarct.anatomy import Region
from infarct.errors import BadRequest
from infarct.training.aspects_module import AspectsModule
from infarct.training.aspects_recipe import AspectsRecipe
from infarct.training.module import CaseFeed
from infarct.training.pairs import PairDataset, affected_sides, places_of
from infarct.training.region_store import RegionIndex, StoredRegions, load_region_cases, read_region_index
from infarct.training.task import Made, Task, check_roles


def aspects_task(recipe: AspectsRecipe, cases: Path) -> Task:
    """Return the training by ``recipe`` on the prepared cases in a folder.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they do not fit the recipe.
    """
    index = read_region_index(cases)
    check_roles(index.of("train"), index.of("validation"))
    if index.setting != json.loads(json.dumps(asdict(recipe.phantoms.setting))):
        raise BadRequest(f"the prepared cases are not on the grid that the recipe {recipe.name!r} takes")
    return Task(cases, index.setting, index.counts, lambda about, workers: _made(recipe, index, about, workers))


def positive_share(cases: Sequence[StoredRegions], regions: Sequence[Region]) -> float:
    """Return the share of affected ones among all sides of all pairs of some regions."""
    places = places_of(cases, regions)
    return float(np.mean([affected_sides(cases[place.case], place.region) for place in places]))


def _made(recipe: AspectsRecipe, index: RegionIndex, about: dict[str, Any], workers: int) -> Made:
    training, validation = (load_region_cases(index, index.of(role)) for role in ("train", "validation"))
    for name, regions in recipe.groups.items():
        if not places_of(training, regions):
            raise BadRequest(f"no case to train on shows a {name} region on both sides")
    shares = {name: positive_share(training, regions) for name, regions in recipe.groups.items()}
    module = AspectsModule(recipe, positive_share=shares, validation=validation, about=about)
    return module, CaseFeed(recipe, PairDataset(training, recipe), validation=len(validation), workers=workers)

"""Training localize: what is taken from its prepared tiles."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from infarct.errors import BadRequest
from infarct.training.localize_data import TileDataset
from infarct.training.localize_module import LocalizeModule
from infarct.training.localize_recipe import LocalizeRecipe
from infarct.training.module import CaseFeed
from infarct.training.task import Made, Task, check_pretrained, check_roles
from infarct.training.tile_store import TileIndex, open_tiles, read_tile_index


def localize_task(recipe: LocalizeRecipe, cases: Path, pretrained: Path | None = None) -> Task:
    """Return the training by ``recipe`` on the prepared tiles in a folder; ``pretrained`` as the recipe tells.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they, or the pretrained weights, do not fit
    the recipe.
    """
    check_pretrained(recipe.pretrained_sha256, pretrained)
    index = read_tile_index(cases)
    check_roles(index.of("train"), index.of("validation"))
    if index.setting != recipe.phantoms.setting:
        raise BadRequest(f"the prepared tiles are not cut as the recipe {recipe.name!r} takes them")
    setting = asdict(index.setting)
    return Task(cases, setting, index.counts, lambda about, workers: _made(recipe, index, pretrained, about, workers))


def _made(
    recipe: LocalizeRecipe, index: TileIndex, pretrained: Path | None, about: dict[str, Any], workers: int
) -> Made:
    training, validation = (open_tiles(index, role) for role in ("train", "validation"))
    if training.infarct.all() or not training.infarct.any():
        raise BadRequest("training needs infarct tiles and normal ones")
    module = LocalizeModule(recipe, validation=validation, about=about, pretrained=pretrained)
    feed = CaseFeed(recipe, TileDataset(training, recipe), validation=module.validation_batches, workers=workers)
    return module, feed

"""The experiments of the localize paper in miniature: drawn patients, and trainings of a fraction of a second."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from infarct.preprocess.tile_input import TileSetting, cut_tiles
from infarct.reproduce.localize_rows import TileRow, TileStudy, fold_rows, input_rows, model_rows, trial_rows
from infarct.training.cases import CLAIM, PhantomShare, orders_of, write_index
from infarct.training.localize_recipe import LocalizeRecipe
from infarct.training.tile_cases import MARGIN_PX, TILES, PreparedTiles, TilePlan
from infarct.training.tile_choice import Lesions, choose_tiles
from unit.training.prepared_tiles import SHAPE, TINY, blob_picture, tiny_localize

PATIENTS = 10
ALONE = replace(TINY, name="paper, 32 px", field_tiles=1.0, mirror=False, differences=())
LARGER = replace(ALONE, name="paper, 36 px", size_px=36)
NETWORK = {"width": 0.06, "dense": (8, 4)}


def miniature_localize() -> TileStudy:
    """Return a few rows of each table, each a training of three steps."""
    plan = TilePlan((PhantomShare("hyperacute", PATIENTS, 0),), ALONE, tiles_a_case=20)
    config = {"in_channels": 1, "size_px": 32, **NETWORK}
    recipe = tiny_localize(network_config=config, phantoms=plan, batch=4, steps=3, validate_every=3)
    models = [row for row in model_rows(recipe, [ALONE, LARGER]) if _is_small(row)]
    folds = [_tiny(row) for row in fold_rows(recipe, 2)]
    inputs = [_tiny(row) for row in input_rows(recipe)[2:4]]
    rows = (*models, *trial_rows(recipe, 2), *inputs, *folds)
    return TileStudy("reduced", plan, (TINY, ALONE, LARGER), rows, "In miniature.")


def _is_small(row: TileRow) -> bool:
    return (row.recipe.network, row.recipe.phantoms.setting.size_px) == ("vgg16", 36)


def _tiny(row: TileRow) -> TileRow:
    """Return the row with the tiny input that shows what its own does, with one map of differences at most."""
    own = row.recipe.phantoms.setting
    if own in (ALONE, LARGER):
        return row
    setting = replace(TINY, name=own.name, mirror=own.mirror, differences=TINY.differences[: len(own.differences)])
    plan = replace(row.recipe.phantoms, setting=setting)
    config = {**row.recipe.network_config, "in_channels": setting.channels, "size_px": setting.size_px}
    return replace(row, recipe=_replaced(row.recipe, plan, config))


def _replaced(recipe: LocalizeRecipe, plan: TilePlan, config: Mapping[str, object]) -> LocalizeRecipe:
    return replace(recipe, phantoms=plan, network_config=config)


def prepare_spots(
    plan: TilePlan,
    places: Mapping[Path, TileSetting],
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, ...]:
    """Write drawn patients, all ill, where phantoms would be prepared."""
    del jobs
    orders = orders_of(plan.shares)
    on_done(len(orders), len(orders))
    return tuple(_written(plan, folder, setting) for folder, setting in places.items())


def _written(plan: TilePlan, folder: Path, setting: TileSetting) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cases, tiles = [], []
    for order in orders_of(plan.shares):
        picture, infarct = blob_picture(order.index, ill=True, setting=setting)
        random = np.random.default_rng(order.index)
        choice = choose_tiles(picture, Lesions(infarct, np.zeros(SHAPE, bool)), count=plan.tiles_a_case, random=random)
        tiles.append(cut_tiles(picture, choice.places, margin_px=MARGIN_PX))
        groups = (len(part) for part in (choice.infarct, choice.mirrored, choice.other, choice.healthy))
        name = f"{order.preset}-{order.role}-{order.index:04d}"
        cases.append(PreparedTiles(order.file, name, name, order.preset, order.role, *groups))
    np.save(folder / TILES, np.concatenate(tiles).astype(np.float16))
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    return write_index(folder, setting, cases)

"""The last part of a training of localize: its best checkpoint, calibrated on the validation tiles, as a weight set."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from infarct.networks import build
from infarct.networks.batch_norm import with_unit_variance
from infarct.networks.transfer import infarct_logits
from infarct.preprocess.tile_input import TileSetting, cut_tiles, tile_grid, tile_shares
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.training.aspects_scores import Judged
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import kind_of
from infarct.training.export import card_of, load_checkpoint, network_state
from infarct.training.finish import best_checkpoint
from infarct.training.localize_data import Rows, balanced_rows, plain_tiles
from infarct.training.localize_recipe import localize_recipe_of
from infarct.training.localize_scores import JudgedHead, TilePoint, metrics_of, tile_point
from infarct.training.recipe import ABOUT
from infarct.training.tile_store import (
    StoredPicture,
    StoredTiles,
    TileIndex,
    load_pictures,
    open_tiles,
    read_tile_index,
)
from infarct.types import Float32Array, Float64Array
from infarct.weights import WeightSet

SYSTEM: Final = "localize"
HEALTHY: Final = "healthy"
"""The preset of heads in which each marked tile is a false one."""
CUT: Final = 1_024
"""Tiles that are cut at once."""
BATCH: Final = 64
"""Tiles that the network sees at once."""


def finish_localize(output: Path, cases: Path, *, name: str, device: DeviceChoice = "auto") -> WeightSet:
    """Return the best weights of the training in ``output``, with an operating point.

    ``cases`` are the prepared tiles it was trained on. Temperature and bias are those that make the balanced validation
    tiles most likely, the threshold is that of their best balanced accuracy; that for whole brains lets at most one
    false cluster through in a healthy validation head on the mean. Without validation tiles of both kinds nothing is
    calibrated. The model card tells how the weights do on the cases that calibrated them, and says that.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    weights = export_localize(checkpoint, name=name)
    index = read_tile_index(cases)
    engine = localize_engine(weights, device=device)
    judged = judge_validation(engine, index)
    if not judged.has_both:
        return weights
    heads = [judge_head(engine, stored) for stored in load_pictures(index)]
    point = tile_point(judged, heads)
    metrics = metrics_of(judged, heads, point)
    calibrated_on = f"{len(index.of('validation'))} {kind_of(cases)}"
    return export_localize(checkpoint, name=name, point=point, calibrated_on=calibrated_on, metrics=metrics)


def localize_engine(weights: WeightSet, *, device: DeviceChoice = "auto", cache: Path | None = None) -> Engine:
    """Return what runs trained weights, with as many threads as training used; ``cache`` as in `make_engine`."""
    return make_engine(weights, device=device, threads=torch.get_num_threads(), cache=cache)


def export_localize(
    checkpoint: Path,
    *,
    name: str,
    point: TilePoint | None = None,
    calibrated_on: str = UNCALIBRATED,
    metrics: Mapping[str, Any] | None = None,
) -> WeightSet:
    """Return the weights in a checkpoint, averaged where the recipe averages, with an operating point.

    Raises `UnreadableInput` where the file is no such checkpoint.
    """
    stored = load_checkpoint(checkpoint)
    about = stored[ABOUT]
    recipe = localize_recipe_of(about["recipe"])
    card = card_of(about, recipe)
    network = build(recipe.network, recipe.network_config)
    network.load_state_dict(network_state(stored["state_dict"]))
    with_unit_variance(network)
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=recipe.network,
        network_config=about["recipe"]["network_config"],
        settings={"input": about["setting"], **asdict(point or TilePoint()), "calibrated_on": calibrated_on},
        tensors={key: tensor.half().numpy() for key, tensor in network.state_dict().items()},
        card={**card, "metrics": {**card["metrics"], **(metrics or {})}},
    )


def judge_validation(engine: Engine, index: TileIndex) -> Judged:
    """Return what an engine makes of as many infarct tiles as normal ones of the validation cases."""
    stored = open_tiles(index, "validation")
    rows = balanced_rows(stored.infarct)
    return Judged(judge_tiles(engine, stored, rows, index.setting), stored.infarct[rows])


def judge_tiles(engine: Engine, stored: StoredTiles, rows: Rows, setting: TileSetting) -> Float64Array:
    """Return the logits, (n,), of some ``rows`` of stored tiles."""
    parts = [rows[first : first + CUT] for first in range(0, len(rows), CUT)]
    logits = [_logits(engine, plain_tiles(stored, part, setting)) for part in parts]
    return np.concatenate([np.zeros(0), *logits])


def judge_head(engine: Engine, stored: StoredPicture) -> JudgedHead:
    """Return what an engine makes of all tiles of a whole picture."""
    picture = stored.picture
    places = tile_grid(picture)
    parts = [places[first : first + CUT] for first in range(0, len(places), CUT)]
    logits = np.concatenate([np.zeros(0), *(_logits(engine, cut_tiles(picture, part)) for part in parts)])
    shares = tile_shares(stored.infarct, places, picture.tile_px)
    return JudgedHead(places, logits, shares, picture.tile_px, stored.preset == HEALTHY)


def _logits(engine: Engine, tiles: Float32Array) -> Float64Array:
    outputs = [engine.run(tiles[first : first + BATCH]) for first in range(0, len(tiles), BATCH)]
    return np.asarray(infarct_logits(torch.from_numpy(np.concatenate(outputs)).double()).numpy(), dtype=np.float64)

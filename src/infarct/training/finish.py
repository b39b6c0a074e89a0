"""The last part of a training: its best checkpoint, calibrated on the validation cases, as a weight set."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infarct.errors import BadRequest
from infarct.runtime import Engine, make_engine
from infarct.runtime.engine import DeviceChoice
from infarct.training.calibrate import OperatingPoint, Predicted, acute_outcomes, calibrate, knows_old
from infarct.training.cases import kind_of
from infarct.training.export import export_checkpoint, told_by
from infarct.training.fit import BEST, LAST
from infarct.training.recipe import Recipe, recipe_of
from infarct.training.store import StoredCase, load_cases, read_index
from infarct.training.validation import predict_case
from infarct.weights import WeightSet


def finish(
    output: Path, cases: Path, *, name: str, system: str = "segment", device: DeviceChoice = "auto"
) -> WeightSet:
    """Return the best weights of the training in ``output``, with an operating point chosen on all validation cases.

    ``cases`` are the prepared cases it was trained on. Without validation cases the last weights are returned as they
    are. An output for old infarcts that finds none is left out. The model card tells how the calibrated weights do on
    the cases that calibrated them, and says that.

    Raises `BadRequest` where ``output`` holds no checkpoint.
    """
    checkpoint = best_checkpoint(output)
    weights = export_checkpoint(checkpoint, name=name, system=system)
    index = read_index(cases)
    validation = load_cases(index, index.of("validation"))
    if not validation:
        return weights
    recipe = recipe_of(told_by(checkpoint)["recipe"])
    engine = make_engine(weights, device=device, threads=torch.get_num_threads())  # as many as training used
    predicted = predictions(engine, validation, recipe=recipe)
    if len(predicted[0].probabilities) > 1 and not knows_old(predicted):
        predicted = [replace(case, probabilities=case.probabilities[:1]) for case in predicted]
    point = calibrate(predicted, calibrated_on=f"{len(predicted)} {kind_of(cases)}")
    metrics = {**weights.card["metrics"], "validation_after_calibration": summary(predicted, point)}
    return export_checkpoint(checkpoint, name=name, system=system, point=point, card={"metrics": metrics})


def best_checkpoint(output: Path) -> Path:
    """Return the best checkpoint of the training in ``output``, the last one where nothing was validated.

    Raises `BadRequest` where there is none.
    """
    for path in (output / BEST, output / LAST):
        if path.exists():
            return path
    raise BadRequest("the folder holds no checkpoint of a training")


def predictions(engine: Engine, cases: Sequence[StoredCase], *, recipe: Recipe) -> list[Predicted]:
    """Return what an engine predicts of prepared cases, uncalibrated, and as the system would run it."""
    return [
        Predicted(
            predict_case(engine, case, recipe=recipe, both_ways=len(case.channels) == 2),
            np.array(case.labels),
            case.voxel_ml,
        )
        for case in cases
    ]


def summary(cases: Sequence[Predicted], point: OperatingPoint) -> dict[str, Any]:
    """Return Dice and falsely marked volume of acute infarcts at an operating point, as JSON; None where none tells."""
    outcomes = acute_outcomes(cases, point)
    dices = [outcome.dice for outcome in outcomes if outcome.dice is not None]
    false_ml = [outcome.marked_ml for outcome in outcomes if outcome.dice is None]
    return {
        "cases_with_acute": len(dices),
        "mean_dice": round(float(np.mean(dices)), 4) if dices else None,
        "cases_without_acute": len(false_ml),
        "median_false_ml": round(float(np.median(false_ml)), 3) if false_ml else None,
    }

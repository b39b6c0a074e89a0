"""The learning curve of a training, from its logs."""

import csv
from pathlib import Path

from infarct.errors import UnreadableInput
from infarct.training.fit import LOGS

Curve = dict[str, dict[int, float]]
"""By name (loss, dice, val_dice, ...): the value at each step that has one, steps counted from 0."""


def read_curve(output: Path) -> Curve:
    """Return the curve of the training in ``output``, steps in order.

    Steps that a killed training had done after its last checkpoint count as the resumed one did them. A training too
    short to have logged anything has an empty curve.

    Raises `UnreadableInput` where ``output`` holds no training.
    """
    folder = output / LOGS / "csv"
    if not folder.is_dir():
        raise UnreadableInput("the folder holds no logs of a training")
    curve: Curve = {}
    parts = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.rpartition("_")[2]))
    for path in parts:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name in row.keys() - {"step", "epoch"}:
                    if row[name]:
                        curve.setdefault(name, {})[int(row["step"])] = float(row[name])
    return {name: dict(sorted(points.items())) for name, points in sorted(curve.items())}

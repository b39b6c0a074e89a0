"""How well a network segments whole cases, while it is trained.

The score that chooses the best checkpoint is the mean Dice of acute infarcts over the cases that have one, less 0.01
for each ml marked in the median case that has none: 3 ml, which is tolerable, cost as much as .03 of Dice. It is that
of the best threshold: which one ships is chosen later (`training.calibrate`), and is often far from 0.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from infarct.runtime import Engine, predict_tiled
from infarct.runtime.engine import Device, EngineName
from infarct.training.recipe import Precision, VolumeRecipe
from infarct.training.store import StoredCase
from infarct.types import Float32Array

DICE_A_ML: Final = 0.01
THRESHOLDS: Final = tuple(round(0.1 * step, 1) for step in range(1, 10))
SMALLEST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""


@dataclass(frozen=True)
class CaseScore:
    """``dice`` of the first target, None without a lesion, and ``marked_ml`` at each of `THRESHOLDS`; the ``loss``."""

    dice: tuple[float, ...] | None
    marked_ml: tuple[float, ...]
    loss: float


class ModuleEngine:
    """Runs a module that is being trained, as the runtime's engines run finished weights; it stays where it is."""

    name: EngineName = "torch"
    version: str = torch.__version__

    def __init__(self, module: nn.Module, *, device: torch.device, precision: Precision) -> None:
        self._module = module
        self._device = device
        self.device: Device = "cuda" if device.type == "cuda" else "cpu"
        self.precision = precision
        self.threads = torch.get_num_threads() if self.device == "cpu" else 0

    def run(self, batch: Float32Array) -> Float32Array:
        """Map ``batch`` (float32, (n, c, z, y, x)) to logits (float32, (n, k, z, y, x))."""
        bf16 = torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")
        with torch.no_grad(), bf16:
            logits = self._module(torch.tensor(batch, device=self._device))
        answer: Float32Array = logits.float().cpu().numpy()
        return answer


def score_case(
    engine: Engine, case: StoredCase, *, recipe: VolumeRecipe, loss: Callable[[Tensor, Tensor], Tensor]
) -> CaseScore:
    """Return the score of a case that is segmented tile by tile; ``loss`` takes logits and labels, batches of one."""
    probabilities = predict_case(engine, case, recipe=recipe)
    truth = case.labels == recipe.targets[0]
    marked = [probabilities[0] >= threshold for threshold in THRESHOLDS]
    logits = torch.logit(torch.from_numpy(probabilities)[None], SMALLEST)
    total = float(loss(logits, torch.from_numpy(np.array(case.labels))[None]))
    wanted, marked_ml = int(truth.sum()), tuple(int(one.sum()) * case.voxel_ml for one in marked)
    if not wanted:
        return CaseScore(None, marked_ml, total)
    dice = tuple(2 * int((truth & one).sum()) / (wanted + int(one.sum())) for one in marked)
    return CaseScore(dice, marked_ml, total)


def predict_case(engine: Engine, case: StoredCase, *, recipe: VolumeRecipe, both_ways: bool = False) -> Float32Array:
    """Return probabilities (float32, (k, z, y, x)) of a case, 0 outside the brain; tiles are the recipe's patches."""
    channels, brain = case.channels.astype(np.float32), case.labels > 0
    return predict_tiled(
        engine, channels, brain, tile_zyx=recipe.patch_zyx, overlap=recipe.overlap, both_ways=both_ways
    )


def summary_of(scores: Sequence[CaseScore]) -> dict[str, float]:
    """Return what is logged of cases, at the threshold with the best score: nothing that no case tells."""
    dices = [score.dice for score in scores if score.dice is not None]
    false_ml = [score.marked_ml for score in scores if score.dice is None]
    dice = np.mean(dices, axis=0) if dices else np.zeros(len(THRESHOLDS))
    false = np.median(false_ml, axis=0) if false_ml else np.zeros(len(THRESHOLDS))
    best = int(np.argmax(dice - DICE_A_ML * false))
    summary = {"val_loss": float(np.mean([score.loss for score in scores])), "val_threshold": THRESHOLDS[best]}
    if dices:
        summary["val_dice"] = float(dice[best])
    if false_ml:
        summary["val_false_ml"] = float(false[best])
    summary["val_score"] = float(dice[best] - DICE_A_ML * false[best])
    return summary

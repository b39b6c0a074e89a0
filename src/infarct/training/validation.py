"""How well a network segments whole cases, while it is trained.

The score that chooses the best checkpoint is the mean Dice of acute infarcts over the cases that have one, less 0.01
for each ml marked in the median case that has none: 3 ml, which is tolerable, cost as much as .03 of Dice. The
threshold is 0.5; it is chosen later (`training.calibrate`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from infarct.runtime import Engine, predict_tiled
from infarct.runtime.engine import Device, EngineName
from infarct.training.recipe import Precision, Recipe
from infarct.training.store import StoredCase
from infarct.types import Float32Array

DICE_A_ML: Final = 0.01
THRESHOLD: Final = 0.5
SMALLEST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""


@dataclass(frozen=True)
class CaseScore:
    """``dice`` of the first target at threshold 0.5, None without a lesion; ``marked_ml`` of it; the ``loss``."""

    dice: float | None
    marked_ml: float
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
    engine: Engine, case: StoredCase, *, recipe: Recipe, loss: Callable[[Tensor, Tensor], Tensor]
) -> CaseScore:
    """Return the score of a case that is segmented tile by tile; ``loss`` takes logits and labels, batches of one."""
    probabilities = predict_case(engine, case, recipe=recipe)
    truth = case.labels == recipe.targets[0]
    marked = probabilities[0] >= THRESHOLD
    logits = torch.logit(torch.from_numpy(probabilities)[None], SMALLEST)
    both = int(truth.sum()) + int(marked.sum())
    dice = 2 * int((truth & marked).sum()) / both if truth.any() else None
    total = float(loss(logits, torch.from_numpy(np.array(case.labels))[None]))
    return CaseScore(dice, int(marked.sum()) * case.voxel_ml, total)


def predict_case(engine: Engine, case: StoredCase, *, recipe: Recipe, both_ways: bool = False) -> Float32Array:
    """Return probabilities (float32, (k, z, y, x)) of a case, 0 outside the brain; tiles are the recipe's patches."""
    channels, brain = case.channels.astype(np.float32), case.labels > 0
    return predict_tiled(
        engine, channels, brain, tile_zyx=recipe.patch_zyx, overlap=recipe.overlap, both_ways=both_ways
    )


def summary_of(scores: Sequence[CaseScore]) -> dict[str, float]:
    """Return what is logged of the scores of cases: nothing that no case tells."""
    dices = [score.dice for score in scores if score.dice is not None]
    false_ml = [score.marked_ml for score in scores if score.dice is None]
    summary = {"val_loss": float(np.mean([score.loss for score in scores]))}
    if dices:
        summary["val_dice"] = float(np.mean(dices))
    if false_ml:
        summary["val_false_ml"] = float(np.median(false_ml))
    summary["val_score"] = summary.get("val_dice", 0.0) - DICE_A_ML * summary.get("val_false_ml", 0.0)
    return summary

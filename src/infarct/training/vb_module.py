"""A recipe for the cascade as lightning wants it: both networks, trained side by side, validated as they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from infarct.anatomy import REGIONS, SIDES, region_label
from infarct.errors import StepFailed
from infarct.measure.overlap import count
from infarct.preprocess.cascade_input import class_of_label
from infarct.preprocess.region_input import LABELS
from infarct.systems.region_cascade import Cascade, find_regions, labels_of, left_half
from infarct.training.module import RecipeModule, fresh
from infarct.training.recipe import Precision
from infarct.training.validation import ModuleEngine
from infarct.training.vb_data import BRAIN
from infarct.training.vb_losses import RegionLossParts, region_loss
from infarct.training.vb_recipe import STAGES, VbRecipe
from infarct.training.vb_store import StoredHead
from infarct.types import LabelArray

NETWORK = "vb_net"


@dataclass(frozen=True)
class HeadScore:
    """``dice`` of each label value from 1 on, nan where a case has no such region; that of the ``brain``."""

    dice: tuple[float, ...]
    brain: float


class VbModule(RecipeModule):
    """Trains both networks of a recipe; ``validation`` are whole cases."""

    def __init__(self, recipe: VbRecipe, *, validation: Sequence[StoredHead], about: dict[str, Any]) -> None:
        networks = {
            stage: fresh(NETWORK, recipe.network_config, recipe.seed + number) for number, stage in enumerate(STAGES)
        }
        super().__init__(recipe, nn.ModuleDict(networks), about=about)
        self.recipe = recipe
        self._validation = validation
        self._scores: list[HeadScore] = []
        self.class_of: Tensor
        table = class_of_label(sided=recipe.cascade.sided).astype(np.int64)
        self.register_buffer("class_of", torch.from_numpy(table), persistent=False)

    def loss(self, logits: Tensor, labels: Tensor) -> RegionLossParts:
        """Return the recipe's loss for ``logits`` (n, k, z, y, x) and the ``labels`` (n, z, y, x) of items."""
        classes = self.class_of[(labels.long() - BRAIN).clamp(min=0)]
        return region_loss(logits, classes, labels > 0, self.recipe.loss)

    def training_step(self, batch: dict[str, Mapping[str, Tensor]], _: int) -> Tensor:
        """Return the sum of both networks' losses of a batch, and log it, in detail the fine one's."""
        assert isinstance(self.network, nn.ModuleDict)
        answers = {stage: self.network[stage](batch[stage]["channels"]) for stage in STAGES}
        parts = {stage: self.loss(answers[stage], batch[stage]["labels"]) for stage in STAGES}
        total = parts["coarse"].total + parts["fine"].total
        fine = parts["fine"]
        self.log_dict(
            {
                "loss": total.detach(),
                "loss_coarse": parts["coarse"].total.detach(),
                "cross_entropy": fine.cross_entropy.detach(),
                "dice": 1 - fine.dice.detach(),
                "brain_loss": fine.brain.detach(),
            }
        )
        self.log_rate()
        return total

    def validation_step(self, number: int, _: int) -> None:
        """Run the cascade on a whole validation case and keep its score."""
        networks = self.best_network
        assert isinstance(networks, nn.ModuleDict)
        precision: Precision = "bf16" if self.about["machine"]["precision"] == "bf16" else "fp32"
        coarse, fine = (ModuleEngine(networks[stage], device=self.device, precision=precision) for stage in STAGES)
        self._scores.append(score_head(Cascade(coarse, fine, self.recipe.cascade), self._validation[number]))

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the cases of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        self.tell(summary_of(scores), cases=len(scores))


def score_head(cascade: Cascade, case: StoredHead) -> HeadScore:
    """Return how well a cascade draws the regions of a case; where it finds none, every Dice is 0."""
    try:
        found = find_regions(cascade, case.given)
        labels = labels_of(found.probabilities, left_half(case.regions.shape))
        brain = count(found.brain, np.asarray(case.intracranial)).dice
    except StepFailed:
        labels, brain = np.zeros(case.regions.shape, dtype=np.uint8), 0.0
    return HeadScore(region_dices(labels, np.asarray(case.regions)), brain)


def region_dices(labels: LabelArray, truth: LabelArray) -> tuple[float, ...]:
    """Return the Dice of each label value, 1 to 20 (uint8, (z, y, x)); nan where ``truth`` has no such region."""
    return tuple(count(labels == label, truth == label).dice for label in range(1, LABELS))


def summary_of(scores: Sequence[HeadScore]) -> dict[str, float]:
    """Return what is logged of cases: the mean Dice over the twenty regions (which is the score), of each region over
    both sides, of the worst region, and of the brain. A region that a case lacks tells nothing.
    """
    if not scores:
        return {"val_score": 0.0}
    dices = np.array([score.dice for score in scores])
    regions = {}
    for region in REGIONS:
        both = dices[:, [region_label(region, side) - 1 for side in SIDES]]
        if np.isfinite(both).any():
            regions[region] = float(np.nanmean(both))
    mean = float(np.nanmean(dices)) if regions else 0.0
    return {
        "val_score": mean,
        "val_dice": mean,
        "val_worst_dice": min(regions.values(), default=0.0),
        "val_brain_dice": float(np.mean([score.brain for score in scores])),
        **{f"val_dice_{region}": value for region, value in regions.items()},
    }

"""A recipe for the patch CNNs as lightning wants it: networks that share nothing, trained side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.measure.agreement import roc_auc
from infarct.phantom.grid import rng
from infarct.training.aspects_scores import Judged, joined
from infarct.training.module import RecipeModule, fresh
from infarct.training.patch_data import (
    hard_places,
    is_meant_for,
    is_wanted,
    other_places,
    varied_patches,
)
from infarct.training.patch_recipe import PatchRecipe, PatchVariation
from infarct.training.patch_store import PatchCase
from infarct.types import Float32Array

NETWORK: Final = "patch_cnn"
VALIDATED: Final = 64
"""Patches of each kind of a validation head."""


@dataclass(frozen=True)
class PatchScore:
    """What a network made of patches of a validation head: the mean ``loss``, and what was ``judged``."""

    network: str
    loss: float
    judged: Judged


class PatchModule(RecipeModule):
    """Trains the networks of a recipe; patches of ``validation`` heads validate those that are meant for them."""

    def __init__(self, recipe: PatchRecipe, *, validation: Sequence[PatchCase], about: dict[str, Any]) -> None:
        networks = {
            name: fresh(NETWORK, recipe.network_config, recipe.seed + number)
            for number, name in enumerate(recipe.networks)
        }
        # Convolutions in two dimensions are a fifth faster so.
        together = nn.ModuleDict(networks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(recipe, together, about=about)
        self.recipe = recipe
        self._validation = [
            (name, case) for name in recipe.networks for case in validation if is_meant_for(case, name, recipe.system)
        ]
        self._scores: list[PatchScore] = []

    @property
    def validation_items(self) -> int:
        """Number of pairs of a network and a head that validates it."""
        return len(self._validation)

    def training_step(self, batch: dict[str, dict[str, Tensor]], _: int) -> Tensor:
        """Return the sum of the networks' losses of a batch, and log each and their mean."""
        losses = {name: self._loss(self.network, name, part)[0] for name, part in batch.items()}
        total = torch.stack(list(losses.values()))
        self.log_dict(
            {"loss": total.detach().mean(), **{f"loss_{name}": loss.detach() for name, loss in losses.items()}}
        )
        self.log_rate()
        return total.sum()

    def validation_step(self, number: int, _: int) -> None:
        """Judge patches of a validation head and keep what comes out."""
        name, case = self._validation[number]
        patches = torch.from_numpy(validation_patches(case, self.recipe)).to(self.device)
        wanted = torch.arange(len(patches), device=self.device) < VALIDATED
        loss, logits = self._loss(self.best_network, name, {"patches": patches[None], "wanted": wanted[None].float()})
        judged = Judged(logits.double().cpu().numpy(), wanted.cpu().numpy())
        self._scores.append(PatchScore(name, float(loss), judged))

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the heads of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        self.tell(summary_of(scores), cases=len(scores))

    def _loss(self, networks: nn.Module, name: str, part: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean loss of a network, and its logits (n,), for items with patches (k, n, c, 19, 19)."""
        assert isinstance(networks, nn.ModuleDict)
        patches = part["patches"].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        logits = networks[name](patches).float().flatten()
        return functional.binary_cross_entropy_with_logits(logits, part["wanted"].flatten()), logits


def validation_patches(case: PatchCase, recipe: PatchRecipe) -> Float32Array:
    """Return `VALIDATED` patches of what is looked for in a head and as many others, the same each time."""
    random = rng(recipe.seed, "validation", case.id[-16:])
    wanted = np.flatnonzero(is_wanted(case.marks, case.blood, recipe.system)).astype(np.int32)
    others = other_places(case, hard_places(case, recipe), VALIDATED, recipe, random=random)
    places = np.concatenate([random.choice(wanted, VALIDATED), others])
    return varied_patches(case, places, PatchVariation(), random=random)


def summary_of(scores: Sequence[PatchScore]) -> dict[str, float]:
    """Return what is logged of a validation: loss and AUC of each network and on the mean of the networks.

    The score is the mean loss, and greater is better; 0 where no head validates.
    """
    if not scores:
        return {"val_score": 0.0}
    summary: dict[str, float] = {}
    names = list(dict.fromkeys(score.network for score in scores))
    for name in names:
        mine = [score for score in scores if score.network == name]
        judged = joined([score.judged for score in mine])
        summary[f"val_loss_{name}"] = float(np.mean([score.loss for score in mine]))
        summary[f"val_auc_{name}"] = roc_auc(judged.affected, judged.logits)
    loss = float(np.mean([summary[f"val_loss_{name}"] for name in names]))
    area = float(np.mean([summary[f"val_auc_{name}"] for name in names]))
    return {**summary, "val_loss": loss, "val_auc": area, "val_score": -loss}

"""A recipe for DA-Net as lightning wants it: a network for each group of regions, trained side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from infarct.anatomy import Region
from infarct.networks.da_net import logits_of
from infarct.training.aspects_losses import AspectsLossParts, aspects_loss
from infarct.training.aspects_recipe import AspectsRecipe
from infarct.training.aspects_scores import Judged, joined, summary_of
from infarct.training.module import RecipeModule, fresh
from infarct.training.pairs import MASKS, affected_sides, pair_of
from infarct.training.region_store import StoredRegions

NETWORK = "da_net"
CaseScore = tuple[float, dict[str, Judged]]
"""Loss of a case, and what was judged of it in each group."""


class AspectsModule(RecipeModule):
    """Trains the networks of a recipe, one for each group of regions.

    ``positive_share`` is the share of affected ones among all sides of all pairs of a group in the training cases;
    ``validation`` are whole cases.
    """

    def __init__(
        self,
        recipe: AspectsRecipe,
        *,
        positive_share: Mapping[str, float],
        validation: Sequence[StoredRegions],
        about: dict[str, Any],
    ) -> None:
        networks = {
            name: fresh(NETWORK, recipe.network_config, recipe.seed + number)
            for number, name in enumerate(recipe.groups)
        }
        super().__init__(recipe, nn.ModuleDict(networks), about=about)
        self.recipe = recipe
        self._positive_share = positive_share
        self._validation = validation
        self._scores: list[CaseScore] = []

    def loss(self, group: str, cams: Tensor, batch: Mapping[str, Tensor]) -> AspectsLossParts:
        """Return the recipe's loss of a group's answer ``cams`` (n, 2, z', y', x')."""
        return aspects_loss(
            cams,
            batch["affected"],
            masks=batch["pair"][:, MASKS],
            positive_share=self._positive_share[group] if self.recipe.class_weights else None,
            attention_weight=self.recipe.attention_weight,
        )

    def training_step(self, batch: dict[str, dict[str, Tensor]], _: int) -> Tensor:
        """Return the sum of the groups' losses of a batch, and log their mean."""
        parts = [self.loss(name, self._answer(self.network, name, part), part) for name, part in batch.items()]
        total = torch.stack([part.total for part in parts])
        self.log_dict(
            {
                "loss": total.detach().mean(),
                "bce": torch.stack([part.bce.detach() for part in parts]).mean(),
                "attention": torch.stack([part.attention.detach() for part in parts]).mean(),
            }
        )
        self.log_rate()
        return total.sum()

    def validation_step(self, number: int, _: int) -> None:
        """Judge all pairs of a validation case and keep what comes out."""
        case = self._validation[number]
        losses: list[Tensor] = []
        found: dict[str, Judged] = {}
        for name, regions in self.recipe.groups.items():
            batch = self._whole(case, regions)
            if batch is not None:
                cams = self._answer(self.best_network, name, batch).float()
                losses.append(self.loss(name, cams, batch).total)
                logits = logits_of(cams).flatten().double().cpu().numpy()
                found[name] = Judged(logits, batch["affected"].flatten().cpu().numpy() > 0)
        if losses:
            self._scores.append((float(torch.stack(losses).mean()), found))

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the cases of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        groups = {name: joined([found[name] for _, found in scores if name in found]) for name in self.recipe.groups}
        loss = {"val_loss": float(np.mean([value for value, _ in scores]))} if scores else {}
        self.tell({**loss, **summary_of(groups)}, cases=len(scores))

    def _whole(self, case: StoredRegions, regions: Sequence[Region]) -> dict[str, Tensor] | None:
        """Return all pairs of a case as a batch, None where it has none."""
        there = [region for region in regions if case.input.has(region)]
        if not there:
            return None
        pairs = [pair_of(case, region, self.recipe.phantoms.setting) for region in there]
        affected = [affected_sides(case, region).astype(np.float32) for region in there]
        return {
            "pair": torch.from_numpy(np.stack(pairs)).to(self.device),
            "affected": torch.from_numpy(np.stack(affected)).to(self.device),
        }

    def _answer(self, networks: nn.Module, group: str, batch: Mapping[str, Tensor]) -> Tensor:
        assert isinstance(networks, nn.ModuleDict)
        cams: Tensor = networks[group](batch["pair"])
        return cams

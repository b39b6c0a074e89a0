"""A recipe for a network on tiles as lightning wants it."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.measure.agreement import roc_auc
from infarct.measure.ranking import average_precision
from infarct.networks.pretrained import load_pretrained
from infarct.networks.transfer import infarct_logits
from infarct.training.aspects_scores import Judged, best_cut, joined
from infarct.training.localize_data import balanced_rows, plain_tiles
from infarct.training.localize_recipe import BestBy, LocalizeRecipe, TileLoss
from infarct.training.module import RecipeModule, fresh
from infarct.training.tile_store import StoredTiles

VALIDATION_BATCH: Final = 256
TileScore = tuple[float, Judged]
"""Sum of the losses of some tiles, and what was judged of them."""


def tile_loss(outputs: Tensor, infarct: Tensor, kind: TileLoss) -> Tensor:
    """Return the mean loss of ``outputs`` (n, 2), logits of infarct and of normal tissue; ``infarct`` (n,) is 1 or 0.

    Categorical cross-entropy of two sigmoids divided by their sum is binary cross-entropy of `infarct_logits`. "bce" is
    that of both sigmoids against the one-hot vector, as a mean over the two.
    """
    if kind == "renormalised":
        return functional.binary_cross_entropy_with_logits(infarct_logits(outputs), infarct)
    return functional.binary_cross_entropy_with_logits(outputs, torch.stack([infarct, 1 - infarct], dim=1))


class LocalizeModule(RecipeModule):
    """Trains the network of a recipe.

    Of the ``validation`` tiles as many infarct ones as normal ones are judged; ``pretrained`` is a file of weights
    trained on ImageNet.
    """

    def __init__(
        self,
        recipe: LocalizeRecipe,
        *,
        validation: StoredTiles,
        about: dict[str, Any],
        pretrained: Path | None = None,
    ) -> None:
        network = fresh(recipe.network, recipe.network_config, recipe.seed)
        if pretrained is not None:
            load_pretrained(network, pretrained, grey=True)
        # Convolutions in two dimensions are a fifth faster so.
        super().__init__(recipe, network.to(memory_format=torch.channels_last), about=about)  # type: ignore[call-overload]
        self.recipe = recipe
        self._validation = validation
        self._rows = balanced_rows(validation.infarct)
        self._scores: list[TileScore] = []

    @property
    def validation_batches(self) -> int:
        """Number of batches of the validation."""
        return -(-len(self._rows) // VALIDATION_BATCH)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of a batch, and log it."""
        outputs = self.network(batch["tiles"].contiguous(memory_format=torch.channels_last))
        loss = tile_loss(outputs.float(), batch["infarct"], self.recipe.loss)
        self.log("loss", loss.detach())
        self.log_rate()
        return loss

    def validation_step(self, number: int, _: int) -> None:
        """Judge a batch of validation tiles and keep what comes out."""
        rows = self._rows[number * VALIDATION_BATCH : (number + 1) * VALIDATION_BATCH]
        tiles = torch.from_numpy(plain_tiles(self._validation, rows, self.recipe.phantoms.setting)).to(self.device)
        infarct = self._validation.infarct[rows]
        truth = torch.from_numpy(infarct.astype(np.float32)).to(self.device)
        outputs = self.best_network(tiles.contiguous(memory_format=torch.channels_last)).float()
        loss = len(rows) * float(tile_loss(outputs, truth, self.recipe.loss))
        self._scores.append((loss, Judged(infarct_logits(outputs).double().cpu().numpy(), infarct)))

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the tiles of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        self.tell(summary_of(scores, self.recipe.best_by), cases=len(self._validation.cases))


def summary_of(scores: list[TileScore], best_by: BestBy) -> dict[str, float]:
    """Return what is logged of a validation; the score is the loss or the ROC AUC, and greater is better."""
    judged = joined([part for _, part in scores])
    loss, area = sum(part for part, _ in scores) / len(judged.logits), roc_auc(judged.affected, judged.logits)
    return {
        "val_loss": loss,
        "val_auc": area,
        "val_average_precision": average_precision(judged.affected, judged.logits),
        "val_balanced_accuracy": best_cut(judged)[1],
        "val_score": -loss if best_by == "loss" else area,
    }

"""A recipe as lightning wants it: steps, optimiser, averaged weights, validation on whole cases."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.networks.pooled_unet import UNET_PART
from infarct.networks.se_res_unet import HEAD
from infarct.phantom.grid import rng
from infarct.training.aspects_recipe import AspectsRecipe
from infarct.training.denoise_recipe import DenoiseRecipe
from infarct.training.head_recipe import HeadRecipe
from infarct.training.localize_recipe import LocalizeRecipe
from infarct.training.losses import LossParts, segmentation_loss, targets_of
from infarct.training.patch_recipe import PatchRecipe
from infarct.training.recipe import ABOUT, Precision, Recipe
from infarct.training.sampler import StepSampler
from infarct.training.store import StoredCase
from infarct.training.validation import CaseScore, ModuleEngine, score_case, summary_of
from infarct.training.vb_recipe import VbRecipe
from infarct.weights import load_weights

AnyRecipe = Recipe | AspectsRecipe | VbRecipe | DenoiseRecipe | LocalizeRecipe | PatchRecipe | HeadRecipe
Score = TypeVar("Score")


class RecipeModule(pl.LightningModule):
    """What all trainings share: optimiser, schedule, averaged weights, and what a checkpoint tells.

    ``network`` is what is trained; ``about`` is JSON that travels with each checkpoint. ``average`` holds the averaged
    weights, None where the recipe wants none; what batch normalisation has counted is averaged like weights.
    """

    def __init__(self, recipe: AnyRecipe, network: nn.Module, *, about: dict[str, Any]) -> None:
        super().__init__()
        self.about = about
        self.network = network
        self.average: AveragedModel | None = None
        if recipe.average_decay is not None:
            follow = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
            self.average.requires_grad_(False)
        self._plan = recipe
        self._last_summary: dict[str, float] | None = None
        self._seconds_before = 0.0
        self._begun = time.monotonic()

    @property
    def best_network(self) -> nn.Module:
        """The network with averaged weights where there are any."""
        return self.network if self.average is None else self.average.module

    @property
    def seconds(self) -> float:
        """Time spent on this training so far, before it was resumed too."""
        return self._seconds_before + time.monotonic() - self._begun

    def of_all_devices(self, scores: list[Score]) -> list[Score]:
        """Return what all devices have gathered, in the order of the devices."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return scores
        gathered: list[list[Score]] = [[]] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(gathered, scores)
        return [score for part in gathered for score in part]

    def tell(self, summary: dict[str, float], *, cases: int) -> None:
        """Log the summary of a validation over so many cases, and keep it for the checkpoints."""
        self._last_summary = {"steps": self.global_step, "cases": cases, **summary}
        self.log_dict(summary)

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule, which advances with each step."""
        recipe = self._plan
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        optimiser = kind(self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = LambdaLR(optimiser, rate_of(recipe))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then let the average follow: before a checkpoint of this step is written."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_fit_start(self) -> None:
        """Start the clock."""
        self._begun = time.monotonic()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Let dropout depend on the seed, the step and the device alone, so that a training can be resumed."""
        del batch, batch_idx
        words = (str(self.global_step), str(self.global_rank))
        torch.manual_seed(int(rng(self._plan.seed, "dropout", *words).integers(2**62)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what an export needs to know."""
        checkpoint[ABOUT] = {
            **self.about,
            "seconds": self.seconds,
            "steps": self.global_step,
            "devices": self.trainer.world_size,
            "validation": self._last_summary,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the time spent before, and the last validation."""
        self._seconds_before = float(checkpoint[ABOUT]["seconds"])
        self._last_summary = checkpoint[ABOUT]["validation"]

    def log_rate(self) -> None:
        """Log the learning rate."""
        self.log("rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]


class SegmentationModule(RecipeModule):
    """Trains the network of a recipe.

    ``positive_share`` is the share of positive voxels in all training cases, one for each output; ``validation`` are
    the whole cases; ``pretrained`` is a file of weights of the same network.
    """

    def __init__(
        self,
        recipe: Recipe | HeadRecipe,
        *,
        positive_share: Sequence[float],
        validation: Sequence[StoredCase],
        about: dict[str, Any],
        pretrained: Path | None = None,
    ) -> None:
        network = fresh(recipe.network, recipe.network_config, recipe.seed)
        if pretrained is not None:
            begin_with(network, pretrained)
        super().__init__(recipe, network, about=about)
        self.recipe = recipe
        self._validation = validation
        self.positive_share: Tensor
        self.register_buffer("positive_share", torch.tensor(positive_share, dtype=torch.float32), persistent=False)
        self._scores: list[CaseScore] = []

    def loss(self, logits: Tensor, labels: Tensor) -> LossParts:
        """Return the recipe's loss for ``logits`` (n, k, z, y, x) and ``labels`` (n, z, y, x)."""
        return segmentation_loss(
            logits,
            targets_of(labels, self.recipe.targets),
            counted=labels > 0 if self.recipe.loss.inside_brain else torch.ones_like(labels, dtype=torch.bool),
            positive_share=self.positive_share,
            setting=self.recipe.loss,
        )

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of a batch, and log it."""
        logits = self.network(batch["channels"])
        parts = self.loss(logits, batch["labels"])
        self.log_dict({"loss": parts.total.detach(), "bce": parts.bce.detach(), "dice_loss": parts.dice.detach()})
        self.log_rate()
        acute = batch["labels"] == self.recipe.targets[0]
        marked = logits[:, 0].detach() > 0
        both = acute.sum() + (marked & (batch["labels"] > 0)).sum()
        self.log("dice", 2 * (marked & acute).sum() / both.clamp(min=1))
        return parts.total

    def validation_step(self, number: int, _: int) -> None:
        """Segment a whole validation case and keep its score."""
        precision: Precision = "bf16" if self.about["machine"]["precision"] == "bf16" else "fp32"
        engine = ModuleEngine(self.best_network, device=self.device, precision=precision)
        score = score_case(engine, self._validation[number], recipe=self.recipe, loss=self._case_loss)
        self._scores.append(score)

    def _case_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.loss(logits.to(self.device), labels.to(self.device)).total

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the cases of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        self.tell(summary_of(scores), cases=len(scores))


class CaseFeed(pl.LightningDataModule):
    """Batches of a data set for each step, and the numbers of the validation cases, dealt out over the devices."""

    def __init__(self, recipe: AnyRecipe, training: Dataset[Any], *, validation: int, workers: int) -> None:
        super().__init__()
        self._recipe = recipe
        self._training = training
        self._validation = validation
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches from the step on that is next."""
        assert self.trainer is not None
        sampler = StepSampler(
            self._recipe.steps,
            self._recipe.batch,
            first_step=self.trainer.global_step,
            device=self.trainer.global_rank,
            devices=self.trainer.world_size,
        )
        return DataLoader(
            self._training,
            batch_sampler=sampler,
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[int]:
        """Return the numbers of this device's share of the validation cases."""
        assert self.trainer is not None
        # Each device takes a case, if there is one: a device without would not take part in the summary of all.
        first = self.trainer.global_rank % max(self._validation, 1)
        share = range(first, self._validation, self.trainer.world_size)
        return DataLoader(list(share), batch_size=None)  # type: ignore[arg-type]


def begin_with(network: nn.Module, pretrained: Path) -> None:
    """Give a network the tensors in a file of weights that infarct wrote: of it, or of one that pools for it.

    An output that the file has not, because its training had nothing to mark there, begins as it is. Raises
    `BadRequest` where the tensors are of another network, or the file is none of infarct's.
    """
    tensors = {
        name.removeprefix(UNET_PART): torch.from_numpy(values.astype(np.float32))
        for name, values in load_weights(pretrained).tensors.items()
    }
    own = network.state_dict()
    for name in HEAD:
        if name in own and name in tensors and tensors[name].shape[1:] == own[name].shape[1:]:
            tensors[name] = torch.cat([tensors[name], own[name][len(tensors[name]) :]])
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadRequest("the pretrained weights are of another network than the recipe's") from error


def rate_of(recipe: AnyRecipe) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the step, from 0."""
    schedule = recipe.schedule
    floor = schedule.floor / recipe.learning_rate

    def factor(step: int) -> float:
        if schedule.kind == "halving":
            fallen = max(schedule.factor ** (step // schedule.halve_every), floor)
        else:
            fallen = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / recipe.steps, 1.0))) / 2
        return fallen * min((step + 1) / (schedule.warm_up + 1), 1.0)

    return factor


def fresh(network: str, config: Mapping[str, Any], seed: int) -> nn.Module:
    """Return a network with weights drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(network, config)

"""From prepared cases to a checkpoint, whatever is trained."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import lightning
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

import infarct
from infarct.errors import BadRequest
from infarct.files import write_whole
from infarct.runtime.allocator import keep_freed_memory
from infarct.runtime.engine import available_cores
from infarct.training.aspects_recipe import AspectsRecipe
from infarct.training.aspects_task import aspects_task
from infarct.training.cases import check_new_output, digest_of, kind_of
from infarct.training.denoise_recipe import DenoiseRecipe
from infarct.training.denoise_task import denoise_task
from infarct.training.export import told_by
from infarct.training.head_recipe import HeadRecipe
from infarct.training.head_task import head_task
from infarct.training.localize_recipe import LocalizeRecipe
from infarct.training.localize_task import localize_task
from infarct.training.module import AnyRecipe
from infarct.training.patch_recipe import PatchRecipe
from infarct.training.patch_task import patch_task
from infarct.training.processor import computes_in_bf16, processor_name
from infarct.training.progress import ProgressLine
from infarct.training.recipe import Precision
from infarct.training.segment_task import segment_task
from infarct.training.task import Task
from infarct.training.vb_recipe import VbRecipe
from infarct.training.vb_task import vb_task

LAST: Final = "last.ckpt"
BEST: Final = "best.ckpt"
RECIPE: Final = "recipe.json"
LOGS: Final = "logs"
MOST_WORKERS: Final = 8
"""Cutting and varying a patch takes 20 ms of a core; a GPU wants about 50 a second."""


@dataclass(frozen=True)
class Machine:
    """Where a training runs; the first four are lightning's own flags.

    ``workers`` are processes that cut patches, for each device; 0: the training itself; None: as many as a GPU can use,
    none without one. Every ``log_every``-th step is logged; ``quiet`` leaves out the line on stderr. Each device takes
    a batch of its own, so the recipe's batch grows with their number.
    """

    accelerator: str = "auto"
    devices: str | int = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    workers: int | None = None
    log_every: int = 10
    quiet: bool = False


def fit(
    recipe: AnyRecipe,
    cases: Path,
    output: Path,
    *,
    resume: bool = False,
    machine: Machine | None = None,
    pretrained: Path | None = None,
) -> Path:
    """Train what a recipe is for on the prepared cases in ``cases`` and return the path of the last checkpoint.

    In ``output`` lie then `last.ckpt`, `best.ckpt` (by validation score; none without a validation), `recipe.json` and
    `logs`. ``resume`` goes on from the last checkpoint there, and gives the curve of an uninterrupted training.
    ``pretrained`` is the file of weights that a recipe which names one begins with: trained on ImageNet for localize,
    written by infarct for the segmentation and the 3D network on whole heads.

    Raises `BadRequest` where the output is in use, or was begun by another recipe or on other cases, or where the cases
    do not fit the recipe.
    """
    keep_freed_memory()  # before anything large is allocated
    machine = machine or Machine()
    task = _task(recipe, cases, pretrained)
    _claim(recipe, task, output, resume=resume)
    last = output / LAST
    precision = usable_precision(recipe.precision, machine.accelerator)
    module, feed = task.make(_about(recipe, task, precision), _workers(machine))
    with _quiet():
        trainer = _trainer(recipe, output, machine, precision)
        trainer.fit(module, feed, ckpt_path=last if resume and last.exists() else None, weights_only=True)
    return last


def _task(recipe: AnyRecipe, cases: Path, pretrained: Path | None) -> Task:
    if isinstance(recipe, AspectsRecipe):
        return aspects_task(recipe, cases)
    if isinstance(recipe, VbRecipe):
        return vb_task(recipe, cases)
    if isinstance(recipe, DenoiseRecipe):
        return denoise_task(recipe, cases)
    if isinstance(recipe, LocalizeRecipe):
        return localize_task(recipe, cases, pretrained)
    if isinstance(recipe, PatchRecipe):
        return patch_task(recipe, cases)
    if isinstance(recipe, HeadRecipe):
        return head_task(recipe, cases, pretrained)
    return segment_task(recipe, cases, pretrained)


class Keeper(Checkpoint):
    """Saves the last state every ``every`` steps, after validations and at the end, and the one with the best score."""

    def __init__(self, output: Path, every: int) -> None:
        self._output = output
        self._every = every
        self._best: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save the last state, if it is time."""
        del pl_module, outputs, batch, batch_idx
        if trainer.global_step % self._every == 0:
            trainer.save_checkpoint(self._output / LAST)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best state if this is it, and the last one, which knows the best score."""
        del pl_module
        score = float(trainer.callback_metrics["val_score"])
        if self._best is None or score > self._best:
            self._best = score
            trainer.save_checkpoint(self._output / BEST)
        trainer.save_checkpoint(self._output / LAST)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        del pl_module
        trainer.save_checkpoint(self._output / LAST)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score, for a training that is resumed."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score."""
        self._best = state_dict["best"]


def usable_precision(wanted: Precision, accelerator: str) -> Precision:
    """Return ``wanted``, or fp32 on a processor that would only imitate bf16."""
    return "fp32" if _on_cpu(accelerator) and not computes_in_bf16() else wanted


def _workers(machine: Machine) -> int:
    if machine.workers is not None:
        return machine.workers
    return 0 if _on_cpu(machine.accelerator) else min(available_cores() - 1, MOST_WORKERS)


def _on_cpu(accelerator: str) -> bool:
    return accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())


def _trainer(recipe: AnyRecipe, output: Path, machine: Machine, precision: Precision) -> pl.Trainer:
    return pl.Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.num_nodes,
        strategy=machine.strategy,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_steps=recipe.steps,
        max_epochs=-1,
        val_check_interval=min(recipe.validate_every, recipe.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=recipe.clip_norm,
        use_distributed_sampler=False,
        benchmark=True,  # patches are of one size, so a GPU may look for its fastest convolutions once
        log_every_n_steps=min(machine.log_every, recipe.steps),
        logger=_loggers(output),
        callbacks=[Keeper(output, recipe.checkpoint_every), *([] if machine.quiet else [ProgressLine()])],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=output,
    )


def _loggers(output: Path) -> list[Logger]:
    """Return a CSV log, and a TensorBoard one where that is installed; a resumed training begins new files.

    Each row is written at once, so that a killed training leaves the curve up to its last checkpoint.
    """
    loggers: list[Logger] = [CSVLogger(output / LOGS, name="csv", flush_logs_every_n_steps=1)]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(output / LOGS, name="tensorboard"))
    return loggers


def check_output(recipe: AnyRecipe, output: Path, *, resume: bool) -> None:
    """Raise `BadRequest` where a training by ``recipe`` cannot begin, or go on, in ``output``.

    Only the first process looks: with several devices the others come when it has begun.
    """
    if not is_first_process():
        return
    path = output / RECIPE
    if resume and path.exists():
        try:
            same = recipe.is_told_by(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise BadRequest("the training there cannot be resumed: its recipe is damaged") from error
        if not same:
            raise BadRequest("the training there is by another recipe; resume with the same, or give a new folder")
        return
    check_new_output(output)


def is_first_process() -> bool:
    """Return whether this is the only process of a training, or the first of those on several devices."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _claim(recipe: AnyRecipe, task: Task, output: Path, *, resume: bool) -> None:
    """Check the output and write the recipe into it, whole or not at all."""
    check_output(recipe, output, resume=resume)
    if not is_first_process():
        return
    if resume:
        _check_same_cases(task, output / LAST)
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / RECIPE, (json.dumps(recipe.as_data(), indent=2) + "\n").encode())


def _check_same_cases(task: Task, last: Path) -> None:
    if not last.exists():
        return
    before = told_by(last)["data"].get("digest")
    if before is not None and before != digest_of(task.folder):  # checkpoints of older versions do not tell
        raise BadRequest("the training there is on other cases; resume with the same, or give a new folder")


def _about(recipe: AnyRecipe, task: Task, precision: Precision) -> dict[str, Any]:
    about = {
        "recipe": recipe.as_data(),
        "setting": dict(task.setting),
        "data": {"kind": kind_of(task.folder), "digest": digest_of(task.folder), **task.counts},
        "machine": {
            "processor": processor_name(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "precision": precision,
        },
        "versions": {"infarct": infarct.__version__, "torch": torch.__version__, "lightning": lightning.__version__},
    }
    return dict(json.loads(json.dumps(about)))  # plain data, which a checkpoint may hold and load without code


@contextmanager
def _quiet() -> Iterator[None]:
    """Let lightning tell only of what may be wrong, and not warn of what is so on purpose."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*ended before the epoch ended.*",  # the loader begins at the right step by itself
            ".*does not have many workers.*",  # cutting patches takes a small part of a step
            ".*LeafSpec.* is deprecated.*",  # lightning's own affair with torch
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            log.setLevel(level)

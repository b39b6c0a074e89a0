"""What a training says on stderr while it runs."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

import lightning.pytorch as pl
from torch import Tensor

MEMORY: Final = 0.98
"""Share of the shown loss and Dice that the steps before make up: about the last 50 steps."""
EVERY_S: Final = 10.0
"""A line of a log each so many seconds; a terminal's line is renewed each second."""


class ProgressLine(pl.Callback):
    """Shows step, loss, Dice or AUC, speed, time left: a renewed line on a terminal, lines of a log elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._renewed = self._stream.isatty()
        self._shown: dict[str, Tensor] = {}
        self._first_step = 0
        self._begun = self._told = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._first_step = trainer.global_step
        self._begun = self._told = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show where the training is, now and then."""
        del pl_module, outputs, batch, batch_idx
        now = time.monotonic()
        last = trainer.global_step >= trainer.max_steps
        self._remember(trainer.callback_metrics)
        if last or now - self._told >= (1.0 if self._renewed else EVERY_S):
            self._told = now
            self._show(trainer, now - self._begun, end=last)

    def _remember(self, metrics: Mapping[str, Tensor]) -> None:
        for name in ("loss", "dice"):
            if name in metrics:
                value = metrics[name]  # stays on its device: reading it would hold a GPU up
                self._shown[name] = MEMORY * self._shown.get(name, value) + (1 - MEMORY) * value

    def _show(self, trainer: pl.Trainer, seconds: float, *, end: bool) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        pace_s = seconds / max(step - self._first_step, 1)
        parts = [f"step {step}/{trainer.max_steps}"]
        parts += [f"{name} {float(value):.3f}" for name, value in self._shown.items()]
        named = {"val_dice": "validation dice", "val_false_ml": "false ml", "val_auc": "validation AUC"}
        parts += [
            f"{text} {float(trainer.callback_metrics[key]):.3f}"
            for key, text in named.items()
            if key in trainer.callback_metrics
        ]
        parts += [f"{pace_s:.2f} s a step", f"{_duration((int(trainer.max_steps) - step) * pace_s)} left"]
        line = "  ".join(parts)
        self._stream.write(f"\r{line:<110}" + ("\n" if end else "") if self._renewed else f"{line}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"

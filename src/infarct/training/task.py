"""What the trainer needs to know of what it trains."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import lightning.pytorch as pl

from infarct.errors import BadRequest, UnreadableInput

Case = TypeVar("Case")
Made = tuple[pl.LightningModule, pl.LightningDataModule]


@dataclass(frozen=True)
class Task:
    """One training: the folder of prepared cases with their input ``setting``, what a model card tells of the cases in
    ``counts``, and ``make``, which reads them and gives module and batches. ``make`` takes the JSON that travels with
    checkpoints and the number of processes that cut patches.
    """

    folder: Path
    setting: Mapping[str, Any]
    counts: Mapping[str, int]
    make: Callable[[dict[str, Any], int], Made]


class HasPatient(Protocol):
    """A prepared case of whatever kind."""

    @property
    def patient(self) -> str: ...  # noqa: D102


def check_roles(training: Sequence[HasPatient], validation: Sequence[HasPatient]) -> None:
    """Raise `BadRequest` where there is nothing to train on, or where a patient has both roles."""
    if not training:
        raise BadRequest("the folder holds no case to train on")
    shared = {case.patient for case in training} & {case.patient for case in validation}
    if shared:
        raise BadRequest(f"{len(shared)} patients are in training and in validation; give each one role")


def sha256_of(pretrained: Path | None) -> str | None:
    """Return the sha256 of the file of weights that a training begins with, None where there is none.

    Raises `UnreadableInput` where it cannot be read.
    """
    try:
        return None if pretrained is None else hashlib.sha256(pretrained.read_bytes()).hexdigest()
    except OSError as error:
        raise UnreadableInput(f"the file of pretrained weights cannot be read ({error.strerror})") from error


def check_pretrained(named: str | None, pretrained: Path | None) -> None:
    """Raise `BadRequest` where a file of weights, or none, is not the one that a recipe names by its sha256."""
    if named != sha256_of(pretrained):
        raise BadRequest("the pretrained weights are not those that the recipe names")


def evenly(cases: Sequence[Case], count: int) -> list[Case]:
    """Return at most ``count`` cases, spread over all of them."""
    if len(cases) <= count:
        return list(cases)
    return [cases[place * len(cases) // count] for place in range(count)]

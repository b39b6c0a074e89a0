"""``infarct phantom``."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import check_output, step_bar
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.phantom.assembly import Pair


class PresetChoice(StrEnum):
    """A population of patients."""

    hyperacute = "hyperacute"
    aspects = "aspects"
    acute = "acute"
    followup = "followup"
    healthy = "healthy"
    mimics = "mimics"
    mixed = "mixed"


class SplitChoice(StrEnum):
    """Which patients of a preset: none is in two splits."""

    train = "train"
    validation = "validation"
    test = "test"
    shifted = "shifted"


class FormatChoice(StrEnum):
    """How CT scans are stored."""

    nifti = "nifti"
    dicom = "dicom"


THICK_PRESETS = (PresetChoice.hyperacute, PresetChoice.aspects, PresetChoice.followup)
THICK_GB, THIN_GB = 4.0, 8.0
"""Memory that a process needs where all scans have thick slices, and where some have hundreds of thin ones."""
PAIR_CHOICES: tuple["Pair", ...] = ("perfusion", "diffusion", "followup")


def phantom(
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder, or one with the same cohort to go on.")],
    preset: Annotated[PresetChoice, typer.Option(help="Population of patients.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="Number of patients.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Index of the first patient; the next follow.")] = 0,
    split: Annotated[SplitChoice, typer.Option(help="Patients to draw from; test and shifted never train.")] = (
        SplitChoice.train
    ),
    store: Annotated[FormatChoice, typer.Option("--format", help="How CT scans are stored.")] = FormatChoice.nifti,
    pairs: Annotated[
        str, typer.Option(help=f"What to make beside the acute CT: some of {', '.join(PAIR_CHOICES)}, or none.")
    ] = ",".join(PAIR_CHOICES),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as cores and memory allow if not given.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Make phantom patients with known truth: scans, masks, a clinical table and a page of pictures."""
    wanted = _pairs(pairs)
    if not (output / "cohort.json").is_file():
        check_output(output)
    with step_bar(count, quiet=quiet) as steps:
        steps.reach(0, "starting")
        from infarct.export.cohort import make_cohort
        from infarct.export.order import CohortOrder

        def show(done: int) -> None:
            steps.reach(done, f"{done} of {count}")

        order = CohortOrder(preset.value, split.value, seed, count, store.value, wanted)
        page = make_cohort(order, output, jobs=jobs or _jobs(preset), on_done=show)
    typer.echo(page)


def _pairs(text: str) -> "tuple[Pair, ...]":
    """Return the pairs that a comma-separated text names. Raises `BadRequest` for any other word."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return ()
    for word in words:
        if word not in PAIR_CHOICES:
            raise BadRequest(f"--pairs takes {', '.join(PAIR_CHOICES)} or none, not {word[:40]!r}")
    return tuple(pair for pair in PAIR_CHOICES if pair in words)


def _jobs(preset: PresetChoice) -> int:
    """Return how many processes the cores and the memory of this machine allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not hasattr(os, "sysconf"):
        return 1
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    needed_gb = THICK_GB if preset in THICK_PRESETS else THIN_GB
    return max(min(cores, int(memory_gb / needed_gb)), 1)

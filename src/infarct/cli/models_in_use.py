"""Which trained systems take part in an analysis, and on what they run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.pipeline import Models

SYSTEM_CHOICES = ("segment",)


class DeviceChoice(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PrecisionChoice(StrEnum):
    """How networks compute."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"


SystemsOption = Annotated[
    str | None,
    typer.Option(
        "--systems",
        help=f"Trained systems to run beside the baseline: some of {', '.join(SYSTEM_CHOICES)}, or none. If not given: "
        "those whose weights are shipped or given.",
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Your own weight file for the segmentation, or a shipped name.")
]
DeviceOption = Annotated[DeviceChoice, typer.Option("--device", help="Where networks run.")]
PrecisionOption = Annotated[PrecisionChoice, typer.Option("--precision", help="How networks compute; recorded.")]


def check_systems(systems: str | None, weights: Path | None) -> tuple[str, ...]:
    """Return the systems to run: those that a comma-separated text names, none for "none".

    If None those that can run: with the weights given, or with shipped ones.

    Raises `BadRequest` for any other word, and for weights of a system that is left out.
    """
    if systems is None:
        from infarct.weights import shipped

        ready = {entry.system for entry in shipped() if entry.default} | ({"segment"} if weights else set())
        return tuple(name for name in SYSTEM_CHOICES if name in ready)
    words = [word.strip() for word in systems.split(",") if word.strip()]
    for word in words:
        if word not in (*SYSTEM_CHOICES, "none"):
            raise BadRequest(f"--systems takes {', '.join(SYSTEM_CHOICES)} or none, not {word[:40]!r}")
    wanted = tuple(name for name in SYSTEM_CHOICES if name in words)
    if weights is not None and "segment" not in wanted:
        raise BadRequest("--weights is for the segmentation, which --systems leaves out")
    return wanted


def load_models(
    systems: str | None = None,
    *,
    weights: Path | None = None,
    device: DeviceChoice = DeviceChoice.auto,
    precision: PrecisionChoice = PrecisionChoice.fp32,
) -> "Models":
    """Return the models that were asked for. Raises `BadRequest` for an unknown system or weights that do not load."""
    wanted = check_systems(systems, weights)
    from infarct.pipeline import Models

    if "segment" not in wanted:
        return Models()
    from infarct.systems.segment import load_segmenter

    return Models(segment=load_segmenter(weights, device=device.value, precision=precision.value))

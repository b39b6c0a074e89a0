"""Which trained systems take part in an analysis, and on what they run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infarct.pipeline import Models

SYSTEM_CHOICES = ("aspects", "segment")


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
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Your own weight file, or a shipped name.")]
SeveralWeightsOption = Annotated[
    list[Path] | None,
    typer.Option("--weights", help="Your own weight file, or a shipped name; once for each system."),
]
DeviceOption = Annotated[DeviceChoice, typer.Option("--device", help="Where networks run.")]
PrecisionOption = Annotated[PrecisionChoice, typer.Option("--precision", help="How networks compute; recorded.")]


def check_systems(systems: str | None, weights: "Sequence[Path] | None") -> "Mapping[str, Path | None]":
    """Return the systems to run, with the weights given for each: those that a comma-separated text names, none for
    "none".

    If None those that can run: with the weights given, or with shipped ones.

    Raises `BadRequest` for any other word, for weights that do not load, for two of one system, and for weights of a
    system that is left out.
    """
    from infarct.weights import shipped

    given = _by_system(weights or ())
    if systems is None:
        ready = {entry.system for entry in shipped() if entry.default} | set(given)
        return {name: given.get(name) for name in SYSTEM_CHOICES if name in ready}
    words = [word.strip() for word in systems.split(",") if word.strip()]
    for word in words:
        if word not in (*SYSTEM_CHOICES, "none"):
            raise BadRequest(f"--systems takes {', '.join(SYSTEM_CHOICES)} or none, not {word[:40]!r}")
    for name in given:
        if name not in words:
            raise BadRequest(f"--weights has weights for {name}, which --systems leaves out")
    return {name: given.get(name) for name in SYSTEM_CHOICES if name in words}


def _by_system(weights: "Sequence[Path]") -> dict[str, Path]:
    """Return the weights by the system that they are for."""
    from infarct.weights import load_weights

    found: dict[str, Path] = {}
    for path in weights:
        system = load_weights(path).system
        if system not in SYSTEM_CHOICES:
            raise BadRequest(f"the weights are for {system[:40]!r}, which is no system that analyze runs")
        if system in found:
            raise BadRequest(f"--weights has two weights for {system}")
        found[system] = path
    return found


def load_models(
    systems: str | None = None,
    *,
    weights: "Sequence[Path] | None" = None,
    device: DeviceChoice = DeviceChoice.auto,
    precision: PrecisionChoice = PrecisionChoice.fp32,
) -> "Models":
    """Return the models that were asked for. Raises `BadRequest` for an unknown system or weights that do not load."""
    wanted = check_systems(systems, weights)
    from infarct.pipeline import Models
    from infarct.systems.aspects import load_scorer
    from infarct.systems.segment import load_segmenter

    return Models(
        segment=load_segmenter(wanted["segment"], device=device.value, precision=precision.value)
        if "segment" in wanted
        else None,
        aspects=load_scorer(wanted["aspects"], device=device.value, precision=precision.value)
        if "aspects" in wanted
        else None,
    )

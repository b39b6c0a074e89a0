"""Which trained systems take part in an analysis, and on what they run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from infarct.pipeline import Models
    from infarct.systems.scoring import RegionScorer

SYSTEM_CHOICES = ("aspects", "radiomics", "segment", "localize", "volumetry", "hemorrhage")
SCORERS = ("aspects", "radiomics")
"""Systems that score ASPECTS: DA-Net, preferred, and the forests of radiomics. One of them takes part."""
DRAWER = "regions"
"""The system that draws the ASPECTS regions: VB-Net."""
LATE = "volumetry"
"""The system that is of follow-up scans."""


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


class RegionsChoice(StrEnum):
    """What draws the ASPECTS regions."""

    vbnet = "vbnet"
    atlas = "atlas"


SystemsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--systems",
        metavar="<str>",
        help=f"Trained systems to run beside the baseline: some of {', '.join(SYSTEM_CHOICES)}, or none. If not given: "
        "those whose weights are shipped or given; of volumetry the shipped ones from 12 h after onset or with "
        "--previous.",
    ),
]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Your own weight file, or a shipped name.")]
SeveralWeightsOption = Annotated[
    list[Path] | None,
    typer.Option("--weights", help="Your own weight file, or a shipped name; once for each system."),
]
RegionsOption = Annotated[
    RegionsChoice | None,
    typer.Option(
        "--regions",
        help="What draws the ASPECTS regions: the network, or the atlas. If not given: the network where its weights "
        "are shipped or given.",
    ),
]
DeviceOption = Annotated[DeviceChoice, typer.Option("--device", help="Where networks run.")]
PrecisionOption = Annotated[PrecisionChoice, typer.Option("--precision", help="How networks compute; recorded.")]


def named_systems(systems: str | None) -> tuple[str, ...]:
    """Return the systems that the user's comma-separated text names, in its order."""
    return tuple(word.strip() for word in (systems or "").split(",") if word.strip())


def check_systems(
    systems: str | None,
    weights: "Sequence[Path] | None",
    regions: RegionsChoice | None = None,
    *,
    followup: bool = False,
) -> "Mapping[str, Path | None]":
    """Return the systems to run, with the weights given for each: those that a comma-separated text names, none for
    "none".

    If None those that can run: with the weights given, or with shipped ones. One system alone scores ASPECTS: of
    shipped ones DA-Net, and those given before any. The network that draws ASPECTS regions is among them where
    ``regions`` names it, or names nothing and it can run; of ``systems`` only "none" leaves it out. ``followup`` says
    that the scan is known to be one: of others shipped weights measure a follow-up infarct only if named.

    Raises `BadRequest` for any other word, for weights that do not load, for two of one system, for weights of a
    system that is left out, and where two systems shall score ASPECTS.
    """
    from infarct.weights import shipped

    given = weights_by_system(weights or ())
    drawer = drawer_weights(given, regions)
    given.pop(DRAWER, None)
    _check_one_scorer(given)
    if systems is None:
        ready = {entry.system for entry in shipped() if entry.default}
        ready = (ready if followup else ready - {LATE}) | set(given)
        scorers = [name for name in SCORERS if name in given] or [name for name in SCORERS if name in ready]
        ready -= set(SCORERS) - set(scorers[:1])
        return {**{name: given.get(name) for name in SYSTEM_CHOICES if name in ready}, **drawer}
    words = named_systems(systems)
    if "none" in words and regions is None and drawer.get(DRAWER) is None:
        drawer = {}  # of no trained system at all, unless the user names it
    for word in words:
        if word not in (*SYSTEM_CHOICES, "none"):
            raise BadRequest(f"--systems takes {', '.join(SYSTEM_CHOICES)} or none, not {word[:40]!r}")
    for name in given:
        if name not in words:
            raise BadRequest(f"--weights has weights for {name}, which --systems leaves out")
    _check_one_scorer(words)
    return {**{name: given.get(name) for name in SYSTEM_CHOICES if name in words}, **drawer}


def drawer_weights(given: "Mapping[str, Path]", regions: RegionsChoice | None) -> "Mapping[str, Path | None]":
    """Return what is to draw the ASPECTS regions: the network with its weights, None for shipped ones, or nothing
    where the atlas does. ``given`` are the user's weights by system.

    Raises `BadRequest` where weights are given to a network that the user leaves out.
    """
    from infarct.weights import shipped

    if regions is RegionsChoice.atlas and DRAWER in given:
        raise BadRequest("--weights has weights for regions, which --regions atlas leaves out")
    ready = DRAWER in given or any(entry.default for entry in shipped(DRAWER))
    draws = regions is RegionsChoice.vbnet or (regions is None and ready)
    return {DRAWER: given.get(DRAWER)} if draws else {}


def _check_one_scorer(systems: "Collection[str]") -> None:
    if all(name in systems for name in SCORERS):
        raise BadRequest(f"one system scores ASPECTS: {' or '.join(SCORERS)}, not both")


def weights_by_system(weights: "Sequence[Path]") -> dict[str, Path]:
    """Return the weights by the system that they are for.

    Raises `BadRequest` for weights that do not load, for none that an analysis uses, and for two of one system.
    """
    from infarct.weights import load_weights

    found: dict[str, Path] = {}
    for path in weights:
        system = load_weights(path).system
        if system not in (*SYSTEM_CHOICES, DRAWER):
            raise BadRequest(f"the weights are for {system[:40]!r}, which is no system that analyze runs")
        if system in found:
            raise BadRequest(f"--weights has two weights for {system}")
        found[system] = path
    return found


def load_models(
    systems: str | None = None,
    *,
    weights: "Sequence[Path] | None" = None,
    regions: RegionsChoice | None = None,
    followup: bool = False,
    device: DeviceChoice = DeviceChoice.auto,
    precision: PrecisionChoice = PrecisionChoice.fp32,
) -> "Models":
    """Return the models that `check_systems` chooses.

    Raises `BadRequest` for an unknown system or weights that do not load.
    """
    wanted = check_systems(systems, weights, regions, followup=followup)
    from infarct.pipeline import Models
    from infarct.systems.aspects import load_scorer
    from infarct.systems.hemorrhage import load_hemorrhage
    from infarct.systems.localize import load_localizer
    from infarct.systems.radiomics import load_forests
    from infarct.systems.regions_vbnet import load_drawer
    from infarct.systems.segment import load_segmenter
    from infarct.systems.volumetry import load_volumetry

    scorer: RegionScorer | None = None
    if "aspects" in wanted:
        scorer = load_scorer(wanted["aspects"], device=device.value, precision=precision.value)
    elif "radiomics" in wanted:
        scorer = load_forests(wanted["radiomics"])

    return Models(
        regions=load_drawer(wanted[DRAWER], device=device.value, precision=precision.value)
        if DRAWER in wanted
        else None,
        segment=load_segmenter(wanted["segment"], device=device.value, precision=precision.value)
        if "segment" in wanted
        else None,
        aspects=scorer,
        localize=load_localizer(wanted["localize"], device=device.value, precision=precision.value)
        if "localize" in wanted
        else None,
        hemorrhage=load_hemorrhage(wanted["hemorrhage"], device=device.value, precision=precision.value)
        if "hemorrhage" in wanted
        else None,
        volumetry=load_volumetry(wanted["volumetry"], device=device.value, precision=precision.value)
        if "volumetry" in wanted
        else None,
    )

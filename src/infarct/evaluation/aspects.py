"""One scan's ASPECTS by one or several methods against its truth: everything that tables and figures are made of.

What is not known, was not looked at or could not be judged is None and stays out of every number: a region that the
system could not judge is left out of the figures of regions, a scan whose score is null out of the figures of scores,
and both are counted.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.cohorts import AspectsTruth
from infarct.evaluation.result import Form
from infarct.findings import Aspects, RegionMethod
from infarct.measure.overlap import count
from infarct.types import LabelArray

CORE: Final = "core"
SYSTEM: Final = "system"
FINAL: Final = "system, its own side"
"""The system's final score, of the side that it chose or was told; `SYSTEM` is its score of the side of the stroke."""
FULL_SCORE: Final = len(REGIONS)


@dataclass(frozen=True)
class AspectsAbout:
    """What is known of a scan and its patient besides the regions; None where it is not.

    ``id`` and ``patient`` are keys, which name nobody; ``group`` is the cohort, ``side`` that of the stroke, None
    without one, ``fingerprint`` what scan and truth were read from.
    """

    id: str
    patient: str
    group: str
    side: Side | None = None
    kvp: float | None = None
    onset_h: float | None = None
    core_ml: float | None = None
    age: float | None = None
    nihss: int | None = None
    mrs90: int | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class RegionResult:
    """One region: whether it is affected by core and by each reader, what the system says, and how it was drawn.

    ``affected`` is None where the system could not judge it, ``probability`` where it gave none. ``dice`` is that of
    the system's region with the true one, None where the scan does not show it or nobody drew it. Where the network was
    to draw, ``network_dice`` is that of its own region, used or not, and ``atlas_dice`` that of the atlas.
    """

    region: Region
    side: Side
    core: bool | None
    readers: tuple[bool | None, ...]
    affected: bool | None
    probability: float | None
    dice: float | None
    network_dice: float | None = None
    atlas_dice: float | None = None

    def call(self, judge: str) -> bool | None:
        """Return what a judge says: `CORE`, `SYSTEM`, or a reader as `reader_name` calls him; None where unknown."""
        readers = {reader_name(number): call for number, call in enumerate(self.readers)}
        return ({CORE: self.core, SYSTEM: self.affected} | readers).get(judge)


@dataclass(frozen=True)
class AspectsResult:
    """What the system says of one scan, beside its truth; the twenty ``regions`` in the order of their labels.

    ``drawn_by`` tells whose regions it scored, ``regions_disagree`` that network and atlas drew them differently.
    ``score_interval`` is the lowest and the highest score of its central 95 %.
    """

    about: AspectsAbout
    regions: tuple[RegionResult, ...]
    score: int | None
    side: str
    left_score: int | None
    right_score: int | None
    seconds: float | None = None
    drawn_by: RegionMethod = "atlas"
    regions_disagree: bool = False
    score_interval: tuple[int, int] | None = None

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of the readers."""
        return tuple(reader_name(number) for number in range(len(self.regions[0].readers)))

    @property
    def affected_side(self) -> tuple[RegionResult, ...]:
        """The ten regions of the side of the stroke; none without a stroke."""
        return tuple(region for region in self.regions if region.side == self.about.side)

    @property
    def not_judged(self) -> int:
        """How many of the twenty regions the system could not judge."""
        return sum(region.affected is None for region in self.regions)

    @property
    def interval_holds(self) -> bool | None:
        """Whether the interval of the score holds the score by core of the side that it is of; None where unknown."""
        scored = [region for region in self.regions if self.side not in SIDES or region.side == self.side]
        if self.score_interval is None or any(region.core is None for region in scored):
            return None
        affected = [sum(bool(one.core) for one in scored if one.side == side) for side in SIDES]
        low, high = self.score_interval
        return low <= FULL_SCORE - max(affected) <= high

    def score_by(self, judge: str) -> int | None:
        """Return a judge's ASPECTS of the side of the stroke, or the system's own score where it is `FINAL`.

        None without a stroke, and where a region is unknown.
        """
        if self.about.side is None or judge == FINAL:
            return self.score if self.about.side is not None else None
        if judge == SYSTEM:
            return self.left_score if self.about.side == "left" else self.right_score
        calls = [region.call(judge) for region in self.affected_side]
        return None if None in calls else FULL_SCORE - sum(map(bool, calls))


@dataclass(frozen=True)
class ScanResults:
    """What every method says of one scan, by the method's name; at least one."""

    by_method: dict[str, AspectsResult]

    @property
    def about(self) -> AspectsAbout:
        """What is known of the scan, which is the same for all methods."""
        return next(iter(self.by_method.values())).about


@dataclass(frozen=True, eq=False)
class RegionMaps:
    """Regions (uint8, (z, y, x)) on the scan's geometry, of all who drew them; those of ``used`` are scored.

    ``disagree`` says that network and atlas drew differently.
    """

    by_drawer: Mapping[RegionMethod, LabelArray]
    used: RegionMethod = "atlas"
    disagree: bool = False

    @property
    def labels(self) -> LabelArray:
        """The regions that are scored."""
        return self.by_drawer[self.used]


@dataclass(frozen=True)
class Scored:
    """A method's findings, and what they took from the scan on, None if not measured."""

    aspects: Aspects
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What the methods found in one scan, by their names, in the same regions."""

    by_method: Mapping[str, Scored]
    regions: RegionMaps


def reader_name(number: int) -> str:
    """Return how reader ``number``, from 0, is called in tables."""
    return f"reader {number + 1}"


def evaluate_regions(
    answer: Answer, truth: AspectsTruth, regions: LabelArray | None, about: AspectsAbout
) -> ScanResults:
    """Return the results of one scan; ``regions`` (uint8, (z, y, x)) are the true ones, None where nobody drew them.

    Raises `ValueError` where the maps differ in shape, or findings lack a region.
    """
    maps = answer.regions
    dice = (
        {name: region_dice(labels, regions) for name, labels in maps.by_drawer.items()} if regions is not None else {}
    )
    return ScanResults(
        {
            name: AspectsResult(
                about=about,
                regions=_regions(one.aspects, truth, dice, maps.used),
                score=one.aspects.score,
                side=one.aspects.side,
                left_score=one.aspects.left_score,
                right_score=one.aspects.right_score,
                seconds=one.seconds,
                drawn_by=maps.used,
                regions_disagree=maps.disagree,
                score_interval=one.aspects.score_interval,
            )
            for name, one in answer.by_method.items()
        }
    )


def _regions(
    aspects: Aspects, truth: AspectsTruth, dice: Mapping[RegionMethod, Mapping[int, float]], used: RegionMethod
) -> tuple[RegionResult, ...]:
    """Return a method's twenty regions; ``dice`` is that of each label by who drew it, ``used`` whose are scored."""
    found = {(finding.region, finding.side): finding for finding in aspects.regions}
    both = len(dice) > 1

    def dice_of(drawer: RegionMethod, label: int) -> float | None:
        return dice.get(drawer, {}).get(label)

    rows = []
    for place, (side, region) in enumerate((side, region) for side in SIDES for region in REGIONS):
        if (region, side) not in found:
            raise ValueError(f"the findings lack region {region} of the {side} side")
        finding, label = found[region, side], region_label(region, side)
        rows.append(
            RegionResult(
                region=region,
                side=side,
                core=truth.by_core[place],
                readers=tuple(calls[place] for calls in truth.by_readers),
                affected=finding.affected,
                probability=finding.probability,
                dice=dice_of(used, label),
                network_dice=dice_of("vbnet", label) if both else None,
                atlas_dice=dice_of("atlas", label) if both else None,
            )
        )
    return tuple(rows)


def region_dice(found: LabelArray, truth: LabelArray) -> dict[int, float]:
    """Return the Dice of each label (1 to 20) that ``truth`` holds, by its value; 0 for one that was not drawn.

    Raises `ValueError` where the shapes differ.
    """
    labels = np.flatnonzero(np.bincount(truth.ravel(), minlength=1)[1:]) + 1
    return {int(label): count(found == label, truth == label).dice for label in labels}


def _read(stored: Mapping[str, Any]) -> ScanResults:
    by_method = {str(name): _read_result(one) for name, one in stored["by_method"].items()}
    if not by_method:
        raise ValueError("a scan has results of no method")
    return ScanResults(by_method)


def _read_result(stored: Mapping[str, Any]) -> AspectsResult:
    found = dict(stored)
    about = AspectsAbout(**found.pop("about"))
    regions = tuple(RegionResult(**(one | {"readers": tuple(one["readers"])})) for one in found.pop("regions"))
    interval = found.pop("score_interval")
    return AspectsResult(
        about=about, regions=regions, score_interval=None if interval is None else tuple(interval), **found
    )


ASPECTS_FORM: Final = Form(asdict, _read)

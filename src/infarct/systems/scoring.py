"""What the trained ASPECTS methods share: the input that they see, their operating points, and a head scored by them.

What is measured of the regions, what cannot be judged and how twenty regions become a score is the same for every
method, trained or not: `systems.regions`.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from scipy import special

from infarct.anatomy import REGIONS, Region, Side
from infarct.errors import BadRequest
from infarct.findings import Aspects
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import RegionInput, RegionSetting, make_region_input
from infarct.runtime import Engine
from infarct.systems.regions import (
    Judged,
    MeasuredRegion,
    RegionConfig,
    SideRule,
    measure_regions,
    region_findings,
    score,
)
from infarct.types import BoolArray, Float32Array
from infarct.volume import Scan, resample, resample_labels, resample_mask
from infarct.weights import WeightSet


@dataclass(frozen=True)
class RegionGroup:
    """Regions with one operating point: probability is sigmoid(logit / ``temperature`` + ``bias``), and from
    ``threshold`` on a region counts as affected.
    """

    name: str
    regions: tuple[Region, ...]
    temperature: float
    bias: float
    threshold: float


@dataclass(frozen=True)
class AspectsConfig:
    """What the weights say of their own use, and how regions are measured; saved with every result."""

    input: RegionSetting
    groups: tuple[RegionGroup, ...]
    calibrated_on: str
    regions: RegionConfig = field(default_factory=RegionConfig)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a method made of a region of one side: its ``logit``, and where it looked, on the input's grid.

    ``attention`` is float32, 0 to 1, (z, y, x); None of a method that does not tell.
    """

    logit: float
    attention: Float32Array | None = None


Looks: TypeAlias = Mapping[tuple[Region, Side], Seen]


class RegionScorer(Protocol):
    """A trained method on its weights, ready to read scans; ``engine`` is None where no network runs."""

    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def weights(self) -> WeightSet: ...  # noqa: D102
    @property
    def config(self) -> AspectsConfig: ...  # noqa: D102
    @property
    def engine(self) -> Engine | None: ...  # noqa: D102

    def look(self, prepared: RegionInput) -> Looks:
        """Return what the method makes of each region that can be compared with its other side."""
        ...


@dataclass(frozen=True, eq=False)
class AspectsResult:
    """The score, and how much each voxel weighed in it: ``attention`` float32 0 to 1, (z, y, x), on the working grid.

    A voxel in several patches has the largest of its weights; the affected regions alone are drawn. None where the
    method does not tell.
    """

    aspects: Aspects
    attention: Float32Array | None


def config_of(settings: Mapping[str, Any]) -> AspectsConfig:
    """Return the settings that are stored with the weights.

    Raises `BadRequest` where they are not complete, or where their groups are not the ten regions, each once.
    """
    try:
        stored = dict(settings["input"])
        for name in ("spacing_mm_zyx", "patch_zyx"):
            stored[name] = tuple(stored[name])
        groups = tuple(RegionGroup(**{**group, "regions": tuple(group["regions"])}) for group in settings["groups"])
        if sorted(region for group in groups for region in group.regions) != sorted(REGIONS):
            raise ValueError("the groups are not the ten regions, each once")
        if not all(group.temperature > 0 and np.isfinite(group.bias) and 0 <= group.threshold <= 1 for group in groups):
            raise ValueError("a group's operating point is out of range")
        return AspectsConfig(RegionSetting(**stored), groups, str(settings["calibrated_on"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error


def score_head(
    scan: Scan,
    head: Head,
    scorer: RegionScorer,
    *,
    old: BoolArray,
    symptomatic_side: Side | None = None,
    side_rule: SideRule = "evidence",
) -> AspectsResult:
    """Return the ASPECTS of a prepared head; ``old`` (bool, (z, y, x), working grid) are its old infarcts."""
    measured = measure_regions(head, old, scorer.config.regions)
    prepared = prepare(scan, head, scorer.config.input)
    seen = scorer.look(prepared)
    regions = region_findings(measured, judge(measured, seen, scorer.config))
    affected = {(finding.region, finding.side) for finding in regions if finding.affected}
    return AspectsResult(
        aspects=score(regions, method=scorer.method, symptomatic_side=symptomatic_side, side_rule=side_rule),
        attention=_attention(seen, affected, prepared, head),
    )


def prepare(scan: Scan, head: Head, setting: RegionSetting) -> RegionInput:
    """Return what regions are cut from: the scan itself where the setting has finer pixels than the working grid."""
    if not setting.from_scan:
        return make_region_input(
            head.hu,
            head.geometry,
            brain=head.brain,
            regions=head.aspects_regions,
            plane=head.midplane,
            setting=setting,
        )
    return make_region_input(
        scan.hu,
        scan.geometry,
        brain=resample_mask(head.brain, head.geometry, scan.geometry),
        regions=resample_labels(head.aspects_regions, head.geometry, scan.geometry),
        plane=head.midplane,
        setting=setting,
    )


def judge(measured: Sequence[MeasuredRegion], seen: Looks, config: AspectsConfig) -> tuple[Judged | None, ...]:
    """Return a method's answer to measured regions, in their order; None where it saw no pair."""
    groups = {region: group for group in config.groups for region in group.regions}

    def one(region: MeasuredRegion) -> Judged | None:
        looked = seen.get((region.region, region.side))
        if looked is None:
            return None
        group = groups[region.region]
        probability = float(special.expit(looked.logit / group.temperature + group.bias))
        return Judged(probability, probability >= group.threshold)

    return tuple(one(region) for region in measured)


def _attention(
    seen: Looks, affected: Set[tuple[Region, Side]], prepared: RegionInput, head: Head
) -> Float32Array | None:
    """Return the attention to the affected regions on the head's grid, None where the method tells none."""
    drawn = np.zeros(prepared.image.shape, dtype=np.float32)
    for place, one in seen.items():
        if one.attention is None:
            return None
        if place in affected:
            np.maximum(drawn, one.attention, out=drawn)
    return resample(drawn, prepared.geometry, head.geometry, transform=np.eye(4), fill=0.0)

"""ASPECTS by DA-Net: each region of both sides as a pair of patches, own and other side compared in feature space.

Source: the ASPECTS paper (Cao et al. 2022, DOI 10.1002/hbm.25845). What is measured of the regions, what cannot be
judged and how twenty regions become a score is the same for every method: `systems.regions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from scipy import special

from infarct.anatomy import REGIONS, Region, Side
from infarct.errors import BadRequest
from infarct.findings import Aspects
from infarct.networks.da_net import attention_of
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import PAIR, RegionInput, RegionSetting, make_region_input, put_back, region_pair
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
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
from infarct.weights import WeightSet, load_for

METHOD: Final = "da_net"
SYSTEM: Final = "aspects"


@dataclass(frozen=True)
class RegionGroup:
    """The regions that one network judges: probability is sigmoid(logit / ``temperature`` + ``bias``), and from
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
class Scorer:
    """Weights on engines, one for each group of regions, ready to read scans."""

    weights: WeightSet
    engines: Mapping[str, Engine]
    config: AspectsConfig

    @property
    def engine(self) -> Engine:
        """One of the engines, which are all alike."""
        return next(iter(self.engines.values()))


@dataclass(frozen=True, eq=False)
class AspectsResult:
    """The score, and how much each voxel weighed in it: ``attention`` float32 0 to 1, (z, y, x), on the working grid.

    A voxel in several patches has the largest of its weights; the affected regions alone are drawn.
    """

    aspects: Aspects
    attention: Float32Array


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network made of a region of one side: its ``logit``, and its attention on the input's grid."""

    logit: float
    attention: Float32Array


def load_scorer(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Scorer:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    config = config_of(loaded.settings)
    engines = {
        group.name: make_engine(
            loaded.part(group.name), device=device, precision=precision, engine=engine, cache=cache, threads=threads
        )
        for group in config.groups
    }
    return Scorer(loaded, engines, config)


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
    scorer: Scorer,
    *,
    old: BoolArray,
    symptomatic_side: Side | None = None,
    side_rule: SideRule = "evidence",
) -> AspectsResult:
    """Return the ASPECTS of a prepared head; ``old`` (bool, (z, y, x), working grid) are its old infarcts."""
    measured = measure_regions(head, old, scorer.config.regions)
    prepared = prepare(scan, head, scorer.config.input)
    seen = look(prepared, scorer)
    regions = region_findings(measured, judge(measured, seen, scorer.config))
    affected = [(finding.region, finding.side) for finding in regions if finding.affected]
    drawn = np.zeros(prepared.image.shape, dtype=np.float32)
    for place in affected:
        np.maximum(drawn, seen[place].attention, out=drawn)
    return AspectsResult(
        aspects=score(regions, method=METHOD, symptomatic_side=symptomatic_side, side_rule=side_rule),
        attention=resample(drawn, prepared.geometry, head.geometry, transform=np.eye(4), fill=0.0),
    )


def prepare(scan: Scan, head: Head, setting: RegionSetting) -> RegionInput:
    """Return what the network's patches are cut from: the scan itself where its setting has finer pixels than ours."""
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


def look(prepared: RegionInput, scorer: Scorer) -> dict[tuple[Region, Side], Seen]:
    """Return what the networks make of each region that is there on both sides."""
    found: dict[tuple[Region, Side], Seen] = {}
    setting = scorer.config.input
    for group in scorer.config.groups:
        for region in group.regions:
            pair = region_pair(prepared, region, setting)
            if pair is None:
                continue
            cams = scorer.engines[group.name].run(pair[None])
            attention = attention_of(torch.from_numpy(cams), setting.patch_zyx)[0].numpy()
            for place, side in enumerate(PAIR):
                logit = float(cams[0, place].mean(dtype=np.float64))
                whole = put_back(attention[place], prepared, region, side, setting=setting)
                found[region, side] = Seen(logit, whole)
    return found


def judge(
    measured: Sequence[MeasuredRegion], seen: Mapping[tuple[Region, Side], Seen], config: AspectsConfig
) -> tuple[Judged | None, ...]:
    """Return the network's answer to measured regions, in their order; None where it saw no pair."""
    groups = {region: group for group in config.groups for region in group.regions}

    def one(region: MeasuredRegion) -> Judged | None:
        looked = seen.get((region.region, region.side))
        if looked is None:
            return None
        group = groups[region.region]
        probability = float(special.expit(looked.logit / group.temperature + group.bias))
        return Judged(probability, probability >= group.threshold)

    return tuple(one(region) for region in measured)

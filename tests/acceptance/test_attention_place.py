"""Attention lies on the slices and on the side of the regions that it was paid to, in the scan's own geometry."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from acceptance.stored_scans import tilted_uneven_geometry
from infarct.anatomy import CORTICAL_REGIONS, REGIONS, SIDES, SUBCORTICAL_REGIONS, Region, Side, region_label
from infarct.measure.overlap import count
from infarct.pipeline import Models, analyze
from infarct.preprocess.region_input import EVERYDAY, RegionInput
from infarct.systems.scoring import AspectsConfig, Looks, RegionGroup, RegionScorer, Seen
from infarct.weights import WeightSet
from plain_head import PlainSetup, Pose, make_plain_patient

AFFECTED: dict[Side, Region] = {"left": "M2", "right": "M6"}


def look(prepared: RegionInput) -> Looks:
    """Two regions are affected, and the attention to each region is the region."""
    return {
        (region, side): Seen(
            5.0 if AFFECTED[side] == region else -5.0,
            (prepared.regions == region_label(region, side)).astype(np.float32),
        )
        for region in REGIONS
        for side in SIDES
    }


def scorer() -> RegionScorer:
    groups = tuple(
        RegionGroup(name, regions, 1.0, 0.0, 0.5)
        for name, regions in (("cortical", CORTICAL_REGIONS), ("subcortical", SUBCORTICAL_REGIONS))
    )
    weights = WeightSet("aspects", "mine", "da_net", {}, {}, {"a": np.zeros(1)}, {})
    config = AspectsConfig(EVERYDAY, groups, "nothing")
    made = SimpleNamespace(method="da_net", weights=weights, config=config, engine=None, look=look)
    return cast(RegionScorer, made)


@pytest.mark.slow
@pytest.mark.parametrize("tilted", [False, True])
def test_attention_lies_on_its_regions(*, tilted: bool) -> None:
    """Only what resampling rounds off is lost: the head is turned, the gantry tilted, slices have two spacings."""
    geometry = tilted_uneven_geometry() if tilted else None
    scan = make_plain_patient(3, PlainSetup(pose=Pose(5, -4, 6), geometry=geometry, pixel_spacing_mm=1.0)).scan
    maps = analyze(scan, models=Models(aspects=scorer())).maps
    assert maps.aspects_attention is not None
    assert maps.aspects_regions is not None
    expected = np.isin(maps.aspects_regions, [region_label(region, side) for side, region in AFFECTED.items()])
    assert count(maps.aspects_attention >= 0.5, expected).dice > 0.8
    assert maps.aspects_attention.min() >= 0
    assert maps.aspects_attention.max() <= 1

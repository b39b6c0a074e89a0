"""ASPECTS by DA-Net: mirrored heads, what is not judged, operating points, broken settings."""

from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pytest
import torch

from infarct.anatomy import CORTICAL_REGIONS, REGIONS, SIDES, SUBCORTICAL_REGIONS, Region, Side, opposite, region_label
from infarct.errors import BadRequest
from infarct.networks import build
from infarct.pipeline import Models, analyze
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import RegionInput, RegionSetting
from infarct.runtime import make_engine
from infarct.systems.aspects import Scorer, load_scorer
from infarct.systems.regions import Contrast, MeasuredRegion
from infarct.systems.scoring import RegionGroup, Seen, config_of, judge, score_head
from infarct.volume import Geometry
from infarct.weights import WeightSet, save_weights
from plain_head import PlainPatient

TINY: Final = RegionSetting("tiny", (5.0, 4.0, 4.0), (3, 12, 12))
NETWORK: Final = {"initial": 4, "growth": 4, "depths": (1, 1), "strides": ((1, 1, 1), (1, 2, 2))}


def group(name: str, regions: tuple[Region, ...], *, threshold: float = 0.5) -> dict[str, Any]:
    return asdict(RegionGroup(name, regions, temperature=2.0, bias=-1.0, threshold=threshold))


def weights(**settings: Any) -> WeightSet:
    """Random weights of two small networks, the same each time."""
    torch.manual_seed(0)
    tensors = {}
    for name in ("cortical", "subcortical"):
        state = build("da_net", NETWORK).state_dict()
        tensors |= {f"{name}.{key}": np.asarray(value) for key, value in state.items() if value.ndim}
    kept = {
        "input": asdict(TINY),
        "groups": [group("cortical", CORTICAL_REGIONS), group("subcortical", SUBCORTICAL_REGIONS)],
        "calibrated_on": "nothing",
    }
    return WeightSet("aspects", "tiny", "da_net", NETWORK, kept | settings, tensors, {})


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    random = weights()
    config = config_of(random.settings)
    engines = {
        one.name: make_engine(random.part(one.name), device="cpu", engine="torch", threads=1) for one in config.groups
    }
    return Scorer(random, engines, config)


def boxes(missing: tuple[Region, Side] | None = None) -> RegionInput:
    """A head of noise, with a box for each region: the left's are not where the right's are mirrored."""
    random = np.random.default_rng(3)
    regions = np.zeros((10, 40, 40), dtype=np.uint8)
    for number, region in enumerate(REGIONS):
        for side in SIDES:
            if (region, side) != missing:
                x = 24 + number % 3 * 4 if side == "left" else 9 - number % 4 * 2
                regions[2 + number % 6, 2 + 3 * number : 5 + 3 * number, x : x + 3] = region_label(region, side)
    image = random.uniform(-1, 1, regions.shape).astype(np.float32)
    return RegionInput(image, regions, Geometry.regular((10, 40, 40), TINY.spacing_mm_zyx))


def mirrored(prepared: RegionInput) -> RegionInput:
    """The mirrored patient: x reversed, and left and right labels changed."""
    labels = prepared.regions[:, :, ::-1].astype(int)
    swapped = np.select([labels > 10, labels > 0], [labels - 10, labels + 10]).astype(np.uint8)
    return RegionInput(np.ascontiguousarray(prepared.image[:, :, ::-1]), swapped, prepared.geometry)


def test_a_mirrored_head_has_the_sides_changed(scorer: Scorer) -> None:
    own, other = scorer.look(boxes()), scorer.look(mirrored(boxes()))
    assert set(own) == {(region, side) for region in REGIONS for side in SIDES}
    for (region, side), seen in own.items():
        turned = other[region, opposite(side)]
        assert turned.logit == pytest.approx(seen.logit, abs=1e-5)
        assert turned.attention is not None
        assert seen.attention is not None
        np.testing.assert_allclose(turned.attention[:, :, ::-1], seen.attention, atol=1e-5)
    assert len({round(seen.logit, 6) for seen in own.values()}) > 15


def test_attention_lies_around_its_region(scorer: Scorer) -> None:
    prepared = boxes()
    for (region, side), seen in scorer.look(prepared).items():
        assert seen.attention is not None
        where = np.argwhere(prepared.regions == region_label(region, side)).mean(axis=0)
        reach = np.abs(np.argwhere(seen.attention > 0) - where).max(axis=0)
        assert (reach <= np.array(TINY.patch_zyx) / 2 + 1).all()
        assert 0 < seen.attention.max() <= 1


def test_a_region_missing_on_one_side_is_not_seen_on_either(scorer: Scorer) -> None:
    found = scorer.look(boxes(missing=("M2", "left")))
    assert ("M2", "left") not in found
    assert ("M2", "right") not in found
    assert len(found) == 18


def measured(region: Region, side: Side) -> MeasuredRegion:
    return MeasuredRegion(region, side, 10.0, Contrast(30.0, 34.0, 0.5), old=False)


def test_operating_point_by_hand(scorer: Scorer) -> None:
    """A logit of 2 over a temperature of 2 less 1 is 0: a probability of one half, which is the threshold."""
    nowhere = np.zeros((1, 1, 1), dtype=np.float32)
    seen = {("M1", "left"): Seen(2.0, nowhere), ("C", "right"): Seen(1.9, nowhere)}
    order = [measured("C", "right"), measured("M1", "left"), measured("M1", "right")]
    low, at, none = judge(order, seen, scorer.config)  # type: ignore[arg-type]
    assert at is not None
    assert at.probability == 0.5
    assert at.affected
    assert low is not None
    assert low.probability == pytest.approx(1 / (1 + np.exp(0.05)))
    assert not low.affected
    assert none is None


def test_a_head_is_scored(left_head: Head, left_patient: PlainPatient, scorer: Scorer) -> None:
    result = score_head(left_patient.scan, left_head, scorer, old=np.zeros_like(left_head.brain))
    assert result.aspects.method == "da_net"
    assert all(region.probability is not None for region in result.aspects.regions if region.evaluable)
    assert result.attention is not None
    assert result.attention.shape == left_head.hu.shape
    assert result.attention.dtype == np.float32
    drawn = {region.side for region in result.aspects.regions if region.affected}
    assert (result.attention.max() > 0) == bool(drawn)


def test_paper_patches_are_cut_from_the_scan_itself(
    left_head: Head, left_patient: PlainPatient, scorer: Scorer
) -> None:
    fine = replace(TINY, spacing_mm_zyx=(5.0, 0.5, 0.5), patch_zyx=(3, 40, 40))
    config = replace(scorer.config, input=fine)
    result = score_head(
        left_patient.scan, left_head, replace(scorer, config=config), old=np.zeros_like(left_head.brain)
    )
    assert sum(region.evaluable for region in result.aspects.regions) >= 18


def test_an_old_infarct_is_no_point_whatever_the_network_says(
    left_head: Head, left_patient: PlainPatient, scorer: Scorer
) -> None:
    old = left_head.aspects_regions == region_label("M5", "right")
    groups = tuple(replace(one, threshold=0.0) for one in scorer.config.groups)
    eager = replace(scorer, config=replace(scorer.config, groups=groups))
    result = score_head(left_patient.scan, left_head, eager, old=old)
    found = {(region.region, region.side): region for region in result.aspects.regions}
    assert found["M5", "right"].affected is False
    assert not found["M5", "right"].evaluable
    assert found["M5", "left"].affected


@pytest.mark.parametrize(
    "settings",
    [
        {"input": {}},
        {"groups": [group("cortical", CORTICAL_REGIONS)]},
        {"groups": [group("cortical", CORTICAL_REGIONS), group("subcortical", (*SUBCORTICAL_REGIONS, "M1"))]},
        {"groups": [group("cortical", CORTICAL_REGIONS), group("subcortical", SUBCORTICAL_REGIONS, threshold=1.5)]},
        {"groups": [{"name": "all"}]},
    ],
)
def test_broken_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="lack a setting or hold a wrong one"):
        config_of({**weights().settings, **settings})


def test_weights_for_something_else_are_refused(tmp_path) -> None:
    save_weights(replace(weights(), system="segment", sha256=""), tmp_path / "weights")
    with pytest.raises(BadRequest, match="for segment, not for aspects"):
        load_scorer(tmp_path / "weights")
    save_weights(weights(), tmp_path / "own")
    assert set(load_scorer(tmp_path / "own", device="cpu", engine="torch").engines) == {"cortical", "subcortical"}


def test_the_pipeline_takes_aspects_from_the_network(left_patient: PlainPatient, scorer: Scorer) -> None:
    analysis = analyze(left_patient.scan, models=Models(aspects=scorer))
    findings, attention = analysis.findings, analysis.maps.aspects_attention
    assert attention is not None
    assert attention.shape == left_patient.scan.geometry.shape_zyx
    assert findings.aspects is not None
    assert findings.aspects.method == "da_net"
    assert findings.infarct is not None
    assert findings.infarct.method == "asymmetry"
    assert [used.system for used in findings.provenance.weights] == ["aspects"]
    assert list(analysis.cards) == [used.sha256 for used in findings.provenance.weights]
    assert findings.provenance.engine == "torch"
    assert findings.provenance.config["aspects"]["calibrated_on"] == "nothing"
    assert "aspects" in findings.timings_s

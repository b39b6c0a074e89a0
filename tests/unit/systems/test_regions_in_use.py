"""The network's regions in an analysis: what is scored, drawn and told."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from infarct import pipeline
from infarct.pipeline import Models, analyze
from infarct.preprocess.cascade_input import CascadeSetting
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import EVERYDAY
from infarct.systems.region_cascade import Cascade
from infarct.systems.region_choice import ChosenRegions
from infarct.systems.regions_vbnet import RegionDrawer
from infarct.types import Flag, LabelArray
from infarct.volume import Scan, resample_labels
from infarct.weights import WeightSet, card_of
from plain_head import PlainPatient

FLAG = Flag("regions_disagree", "warning", "Two ways disagree.", 0.4)


def drawer() -> RegionDrawer:
    engine = SimpleNamespace(name="torch", version="0", precision="fp32", device="cpu", threads=1)
    weights = WeightSet("regions", "mine", "vb_net", {}, {"trained_on": "phantoms"}, {"a": np.zeros(1)}, {})
    setting = CascadeSetting((1, 3, 3), (4, 8, 8), (4, 8, 8))
    return RegionDrawer(weights, cast(Cascade, SimpleNamespace(fine=engine, setting=setting)), EVERYDAY)


def test_every_method_looks_at_what_the_network_draws(
    left_patient: PlainPatient, left_head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that draws the atlas's regions but for the left caudate: nobody can judge that one."""
    labels: LabelArray = np.where(left_head.aspects_regions == 11, 0, left_head.aspects_regions).astype(np.uint8)

    def choose(scan: Scan, head: Head, used: RegionDrawer) -> ChosenRegions:
        assert scan is left_patient.scan
        assert used.weights.name == "mine"
        np.testing.assert_array_equal(head.aspects_regions, left_head.aspects_regions)
        return ChosenRegions(labels, "vbnet", 0.4, {"vbnet": 18, "atlas": 17}, None, (FLAG,))

    monkeypatch.setattr(pipeline, "choose_regions", choose)
    analysis = analyze(left_patient.scan, models=Models(regions=drawer()))
    findings, maps = analysis.findings, analysis.maps
    assert findings.aspects is not None
    assert findings.aspects.regions_method == "vbnet"
    lost = [(one.region, one.side) for one in findings.aspects.regions if one.volume_ml == 0]
    assert lost == [("C", "left")]
    assert FLAG in findings.quality.flags
    assert "regions" in findings.timings_s
    expected = resample_labels(labels, left_head.geometry, left_patient.scan.geometry)
    np.testing.assert_array_equal(maps.aspects_regions, expected)
    (used,) = findings.provenance.weights
    assert (used.system, used.name, used.calibrated_on) == ("regions", "mine", "phantoms")
    assert analysis.cards == {used.sha256: card_of(drawer().weights)}
    assert findings.provenance.config["region_choice"] == {"least_dice": 0.5}
    assert findings.provenance.config["regions"]["cascade"]["prior"] is True
    assert findings.provenance.engine == "torch"


def test_without_the_network_they_are_the_atlas_s(left_patient: PlainPatient) -> None:
    findings = analyze(left_patient.scan).findings
    assert findings.aspects is not None
    assert findings.aspects.regions_method == "atlas"
    assert "regions" not in findings.timings_s
    assert "region_choice" not in findings.provenance.config

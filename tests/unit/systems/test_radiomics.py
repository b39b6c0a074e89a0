"""ASPECTS by radiomics: from weight file to findings, alone or through the pipeline, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grown_forests import TINY, forest_weights, mirrored_boxes, noisy_boxes

from infarct.anatomy import opposite, region_label
from infarct.errors import BadRequest
from infarct.pipeline import Models, analyze
from infarct.preprocess.head import Head
from infarct.systems.radiomics import ForestScorer, forest_scorer, load_forests
from infarct.systems.scoring import score_head
from infarct.weights import load_weights, save_weights
from plain_head import PlainPatient


@pytest.fixture(scope="module")
def scorer() -> ForestScorer:
    return forest_scorer(forest_weights())


def test_weights_come_back_as_they_were(tmp_path: Path, scorer: ForestScorer) -> None:
    path = save_weights(forest_weights(), tmp_path / "mine")
    assert load_weights(path).sha256 == forest_weights().sha256
    again = load_forests(path)
    assert again.config == scorer.config
    before, after = scorer.look(noisy_boxes()), again.look(noisy_boxes())
    assert {place: seen.logit for place, seen in after.items()} == {place: seen.logit for place, seen in before.items()}


def test_a_mirrored_head_has_the_sides_changed(scorer: ForestScorer) -> None:
    own, other = scorer.look(noisy_boxes()), scorer.look(mirrored_boxes(noisy_boxes()))
    assert len(own) == 20
    for (region, side), seen in own.items():
        assert other[region, opposite(side)].logit == seen.logit


def test_a_head_is_scored(left_head: Head, left_patient: PlainPatient, scorer: ForestScorer) -> None:
    old = left_head.aspects_regions == region_label("M5", "right")
    result = score_head(left_patient.scan, left_head, scorer, old=old)
    assert result.attention is None
    assert result.aspects.method == "radiomics"
    found = {(region.region, region.side): region for region in result.aspects.regions}
    assert sum(region.evaluable for region in found.values()) >= 17
    assert found["M5", "right"].affected is False  # an old infarct is no point
    for region in found.values():
        if region.evaluable:
            assert region.probability is not None
            assert region.affected == (region.probability >= 0.3)


@pytest.mark.slow
def test_the_pipeline_takes_aspects_from_the_forests(
    left_head: Head, left_patient: PlainPatient, scorer: ForestScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infarct.pipeline.prepare_head", lambda *_: left_head)
    findings = analyze(left_patient.scan, models=Models(aspects=scorer)).findings
    assert findings.aspects is not None
    assert findings.aspects.method == "radiomics"
    assert [(used.system, used.sha256) for used in findings.provenance.weights] == [
        ("radiomics", scorer.weights.sha256)
    ]
    assert (findings.provenance.engine, findings.provenance.device) == ("numpy", "cpu")
    assert findings.provenance.config["radiomics"]["radiomics"]["highest_hu"] == 60.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": {}}, "lack a setting"),
        ({"groups": []}, "lack a setting"),
        ({"radiomics": {"bin_width_hu": 0.0}}, "lack a setting"),
        ({"radiomics": {"bin_width_hu": 1e-9}}, "lack a setting"),
        ({"radiomics": {"bins": 3}}, "lack a setting"),
        ({"features": ["stat_mean"]}, "other features"),
    ],
)
def test_broken_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        forest_scorer(forest_weights(**settings))


def test_weights_of_something_else_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    save_weights(replace(forest_weights(), system="aspects", sha256=""), tmp_path / "other")
    with pytest.raises(BadRequest, match="for aspects, not for radiomics"):
        load_forests(tmp_path / "other")
    content = save_weights(forest_weights(TINY), tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(content[:-40])
    with pytest.raises(BadRequest, match="damaged"):
        load_forests(tmp_path / "cut")
    tensors = dict(forest_weights().tensors)
    looped = np.zeros_like(tensors["M6.right"])
    save_weights(replace(forest_weights(), tensors={**tensors, "M6.right": looped}, sha256=""), tmp_path / "looped")
    with pytest.raises(BadRequest, match="damaged"):
        load_forests(tmp_path / "looped")

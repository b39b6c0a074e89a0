"""Localize in the pipeline: findings, map, provenance; and a flag where it fails."""

from dataclasses import replace

import numpy as np
import pytest

from infarct import pipeline
from infarct.errors import StepFailed
from infarct.findings import Analysis
from infarct.pipeline import STEPS, Models, analyze
from infarct.preprocess.head import Head
from infarct.systems.localize import Localizer
from infarct.writers import render_html
from plain_head import PlainPatient
from unit.systems.tiny_localizer import dark_localizer, flat_patient


@pytest.fixture
def run(left_patient: PlainPatient, left_head: Head, monkeypatch: pytest.MonkeyPatch):
    """Return what analyses the patient, whose head is prepared already."""
    monkeypatch.setattr(pipeline, "prepare_head", lambda *_: left_head)

    def analysed(localizer: Localizer | None) -> Analysis:
        return analyze(flat_patient(left_patient).scan, models=Models(localize=localizer))

    return analysed


class Failing:
    """An engine that does not reach an answer."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, _: np.ndarray) -> np.ndarray:
        raise StepFailed("the engine gave up")


def test_the_findings_have_the_tiles_and_where_they_come_from(run, left_patient: PlainPatient) -> None:
    analysis = run(dark_localizer(overlap=0.5))
    findings, maps = analysis.findings, analysis.maps
    assert findings.localization is not None
    assert findings.localization.lesion_side == "left"
    assert list(findings.timings_s) == [step for step in STEPS if step in findings.timings_s]
    assert findings.timings_s["localize"] > 0
    assert [(used.system, used.calibrated_on) for used in findings.provenance.weights] == [("localize", "phantoms")]
    assert findings.provenance.config["localize"]["overlap"] == 0.5
    assert findings.provenance.config["localize"]["input"]["name"] == "everyday"
    assert maps.patch_probability is not None
    assert maps.patch_probability.shape == left_patient.scan.geometry.shape_zyx
    assert maps.patch_probability[left_patient.truth.infarct].mean() > 0.6
    assert not maps.patch_probability[~maps.brain_mask].any()
    page = render_html(flat_patient(left_patient).scan, analysis)
    assert f"{len(findings.localization.patches)} tiles marked" in page


def test_an_engine_that_fails_is_flagged_and_the_rest_stands(run) -> None:
    analysis = run(replace(dark_localizer(), engine=Failing()))
    findings = analysis.findings
    assert findings.localization is None
    assert analysis.maps.patch_probability is None
    assert findings.infarct is not None
    (flag,) = [flag for flag in findings.quality.flags if flag.code == "system_failed"]
    assert flag.severity == "critical"
    assert flag.message == "The search tile by tile did not reach an answer: the engine gave up."


def test_two_systems_that_fail_are_both_told() -> None:
    (flag,) = pipeline._failure_flags("The first failed.", "", "The second failed.")
    assert flag.message == "The first failed. The second failed."
    assert pipeline._failure_flags("", "") == ()

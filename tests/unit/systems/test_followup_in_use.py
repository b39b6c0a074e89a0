"""Volumetry and hemorrhage in the whole pipeline: when they run, what is told, what is flagged, and the maps."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from infarct import pipeline
from infarct.errors import StepFailed
from infarct.findings import Analysis, EarlierScan
from infarct.pipeline import Models, Request, analyze
from infarct.preprocess.head import Head
from infarct.volume import volume_ml
from plain_head import PlainPatient
from unit.systems.known_voxels import HEMORRHAGE, VOLUMETRY, detector_of, volumetry_of

SMOOTH = replace(VOLUMETRY, smooth_mm=4.0, thresholds=(0.5, 0.5, 0.5), least_ml=(2.0,) * 3)
MODELS = Models(
    volumetry=volumetry_of((2, 15), (15, 24), (20, 29.5), config=SMOOTH),
    hemorrhage=detector_of(300, 400, replace(HEMORRHAGE, suspected_ml=500.0)),
)
EARLIER = EarlierScan(
    section="infarct",
    method="asymmetry",
    volume_ml=10.0,
    onset_h=3.0,
    midline_shift_mm=None,
    midline_shift_side=None,
    critical=True,
)


def codes(analysis: Analysis) -> set[str]:
    return {flag.code for flag in analysis.findings.quality.flags}


@pytest.fixture(scope="module", autouse=True)
def _prepared(left_head: Head) -> Iterator[None]:
    """The patient's head is prepared already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "prepare_head", lambda *_: left_head)
        yield


@pytest.fixture(scope="module")
def late(left_patient: PlainPatient, _prepared: None) -> Analysis:
    return analyze(left_patient.scan, Request(onset_hours=30.0, earlier=EARLIER), models=MODELS)


def test_the_followup_infarct_is_told_and_drawn(left_patient: PlainPatient, late: Analysis) -> None:
    told, labels = late.findings.followup_infarct, late.maps.followup_infarct
    assert told is not None
    assert labels is not None
    assert labels.shape == left_patient.scan.hu.shape
    assert told.side == "left"
    assert volume_ml(labels > 0, left_patient.scan.geometry) == pytest.approx(told.volume_ml, rel=0.02)
    assert (labels > 0)[left_patient.truth.infarct].mean() > 0.3
    assert (labels > 0)[~left_patient.truth.intracranial].sum() < 0.01 * (labels > 0).sum()
    assert told.growth_ml == pytest.approx(told.volume_ml - 10)
    assert told.midline_shift_mm is not None
    assert told.midline_shift_mm < 2.5
    assert "volumetry" in late.findings.timings_s


def test_the_doubts_are_flagged(late: Analysis) -> None:
    assert {"growth_between_methods", "earlier_doubtful"} <= codes(late)
    assert not codes(late) & {"followup_onset_unknown", "followup_outside_window", "followup_blood_by_rule"}
    assert not codes(late) & {"systems_left_out", "midline_shift_uncertain", "system_failed"}


def test_the_weights_and_settings_are_told(late: Analysis) -> None:
    made = late.findings.provenance
    assert [w.system for w in made.weights] == ["hemorrhage", "volumetry"]
    assert made.config["volumetry"]["outputs"] == ("severe", "intermediate", "subtle")
    assert made.config["hemorrhage"]["suspected_ml"] == 500
    assert "earlier" not in made.config["request"]


def test_hemorrhage_runs_in_every_run(late: Analysis) -> None:
    assert late.findings.hemorrhage is not None
    assert late.findings.hemorrhage.method == "patch_cnn_dense"
    assert late.findings.hemorrhage.probability is not None
    assert late.maps.hemorrhage is not None
    assert not late.maps.hemorrhage.any()


def test_outside_of_the_window_it_is_not_measured_and_said_so(left_patient: PlainPatient) -> None:
    early = analyze(left_patient.scan, Request(onset_hours=5.0, earlier=EARLIER), models=MODELS)
    assert early.findings.followup_infarct is None
    assert early.maps.followup_infarct is None
    assert "volumetry" not in early.findings.timings_s
    assert {"systems_left_out", "growth_not_measured"} <= codes(early)


def test_asked_for_by_name_it_is_measured_at_any_time(left_patient: PlainPatient) -> None:
    models = replace(MODELS, hemorrhage=None)
    asked = analyze(left_patient.scan, Request(onset_hours=5.0, named=("volumetry",)), models=models)
    assert asked.findings.followup_infarct is not None
    assert {"followup_outside_window", "followup_blood_by_rule"} <= codes(asked)
    assert asked.findings.hemorrhage is not None
    assert asked.findings.hemorrhage.method == "rule"


def test_a_failure_is_flagged_and_the_rest_stands(left_patient: PlainPatient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StepFailed("part of the skull is missing or open")

    monkeypatch.setattr(pipeline, "measure_followup", fail)
    monkeypatch.setattr(pipeline, "find_hemorrhage", fail)
    found = analyze(left_patient.scan, Request(), models=MODELS)
    (flag,) = [flag for flag in found.findings.quality.flags if flag.code == "system_failed"]
    assert "follow-up infarct was not measured: part of the skull" in flag.message
    assert "density and place alone were judged" in flag.message
    assert found.findings.followup_infarct is None
    assert found.findings.hemorrhage is not None
    assert found.findings.hemorrhage.method == "rule"
    assert found.findings.aspects is not None

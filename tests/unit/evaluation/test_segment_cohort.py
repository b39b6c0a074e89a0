"""What one case gives, and what tells evaluations apart."""

import math
from dataclasses import replace

import pytest

from infarct.cohorts import LabelledScan
from infarct.cohorts.case import key_of
from infarct.errors import StepFailed
from infarct.evaluation import segment_cohort
from infarct.evaluation.named_cohorts import Named, tasks_of
from infarct.evaluation.run import ONLY_REPORT
from infarct.evaluation.segment import Prediction
from infarct.evaluation.segment_cohort import (
    SegmentOrder,
    evaluate_labelled,
    segment_work,
    settings_of,
)
from infarct.systems.segment import Segmenter
from infarct.volume import Scan
from unit.evaluation.made_up_case import CASE, LESION, SCAN, SEGMENTER, Fake, answer


def test_one_case_by_hand() -> None:
    found = evaluate_labelled(CASE, CASE.load(), answer, group="here")
    about = found.result.about
    assert (about.id, about.patient, about.group, about.target, about.onset_h) == (
        CASE.key, CASE.patient_key, "here", "final", 7.0,
    )  # fmt: skip
    assert math.isnan(about.detectability)
    assert (found.result.counts.tp, found.result.counts.fn, found.result.counts.fp) == (300, 100, 0)
    assert found.result.counts.tn == LESION.size - 400  # the system's brain stands in for the truth's
    assert found.pictures[ONLY_REPORT].startswith(b"\x89PNG")


def test_a_case_nobody_labelled_has_no_answer() -> None:
    with pytest.raises(StepFailed, match="no lesion mask"):
        evaluate_labelled(CASE, LabelledScan(SCAN), answer, group="here")


def test_work_finds_its_case_and_averages_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def predict(scan: Scan, _: Segmenter) -> Prediction:
        seen.append(len(scan.hu))
        return answer(scan)

    monkeypatch.setattr(segment_cohort, "predict_scan", predict)
    cohorts = (Named("a", (CASE,)), Named("b", (replace(CASE, id="scan-7"), replace(CASE, id="scan-8"))))
    tasks = tasks_of(cohorts)
    keys = [key_of(f"scan-{number}") for number in (1, 7, 8)]
    assert [(task.group, task.id, task.picture) for task in tasks] == [
        ("a", keys[0], f"0-{keys[0]}.png"),
        ("b", keys[1], f"1-{keys[1]}.png"),
        ("b", keys[2], f"1-{keys[2]}.png"),
    ]
    results = [segment_work(cohorts, SEGMENTER, slice_mm=slice_mm)(tasks[2]).result for slice_mm in (None, 5.0)]
    assert seen == [10, 5]
    assert [result.about.id for result in results] == [keys[2]] * 2
    assert [result.about.fingerprint for result in results] == [cohorts[1].cases[1].fingerprint] * 2
    assert results[0].truth_ml == pytest.approx(results[1].truth_ml)


def test_settings_tell_evaluations_apart_but_not_how_many_scans() -> None:
    order = SegmentOrder(("x",), "w")
    few, many = (Named("x", (CASE,) * count) for count in (1, 2))
    base = settings_of(order, [few], SEGMENTER)
    assert base["engine"]["precision"] == "fp32"
    assert "scan-1" not in str(base)
    assert settings_of(order, [many], SEGMENTER) == base
    others = (
        settings_of(replace(order, slice_mm=5.0), [few], SEGMENTER),
        settings_of(replace(order, split="test"), [few], SEGMENTER),
        settings_of(order, [Named("x", (replace(CASE, id="other"),))], SEGMENTER),
        settings_of(order, [few], replace(SEGMENTER, weights=Fake(sha256="def"))),  # type: ignore[arg-type]
        settings_of(order, [few], replace(SEGMENTER, engine=Fake(precision="bf16"))),  # type: ignore[arg-type]
    )
    assert all(other != base for other in others)

"""Which scans are evaluated, under which name, and what one case gives."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infarct.cohorts import Cohort, LabelledScan
from infarct.cohorts.case import key_of
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import segment_cohort
from infarct.evaluation.segment import Prediction
from infarct.evaluation.segment_cohort import (
    Named,
    SegmentOrder,
    evaluate_labelled,
    open_named,
    segment_work,
    settings_of,
    tasks_of,
)
from infarct.systems.segment import Segmenter
from infarct.volume import Scan
from unit.evaluation.made_up_case import CASE, LESION, SCAN, SEGMENTER, Fake, answer


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = Cohort("isles24", (CASE, replace(CASE, id="scan-2")))
    monkeypatch.setattr(segment_cohort, "open_cohort", lambda _: cohort)


def opened(*cohorts: str, **order: Any) -> list[tuple[str, int]]:
    return [(one.name, len(one.cases)) for one in open_named(SegmentOrder(cohorts, **order))]


@pytest.mark.usefixtures("two_cases")
def test_cohorts_and_their_names() -> None:
    assert opened("folder") == [("isles24", 2)]
    assert opened("mine=folder", "folder", first=1) == [("mine", 1), ("isles24", 1)]
    assert opened("folder", slice_mm=5.0) == [("isles24 5 mm", 2)]


def test_a_part_of_a_cohort_is_chosen_before_the_first_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("train", "train", "test", "test")
    cases = tuple(replace(CASE, id=f"{n}", stratum={"split": part}) for n, part in enumerate(parts))
    monkeypatch.setattr(segment_cohort, "open_cohort", lambda _: Cohort("cpaisd", cases))
    (found,) = open_named(SegmentOrder(("folder",), split="test", first=1))
    assert found.cases == (cases[2],)
    with pytest.raises(BadRequest, match="its parts are test, train"):
        opened("folder", split="val")
    with pytest.raises(BadRequest, match="not parted"):
        opened("phantom:acute:test", split="val", first=1)


def test_phantoms_by_preset_and_split() -> None:
    assert opened("phantom:acute:test") == [("acute test", 60)]
    assert opened("phantom:acute:shifted", "x=phantom:healthy:validation", first=3) == [("acute shifted", 3), ("x", 3)]


@pytest.mark.usefixtures("two_cases")
@pytest.mark.parametrize(
    ("cohorts", "said"),
    [
        (("phantom:acut:test",), "phantom:PRESET:SPLIT"),
        (("phantom:acute",), "phantom:PRESET:SPLIT"),
        (("phantom:acute:test:thin",), "phantom:PRESET:SPLIT"),
        (("phantom:acute:train",), "--first"),
        (("folder", "folder"), "same name"),
    ],
)
def test_what_is_no_cohort_is_refused(cohorts: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        opened(*cohorts)


def test_an_empty_cohort_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_cohort, "open_cohort", lambda _: Cohort("apis", ()))
    with pytest.raises(BadRequest, match="no case"):
        opened("folder")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        opened(str(tmp_path / "nowhere"))


def test_one_case_by_hand() -> None:
    found = evaluate_labelled(CASE, CASE.load(), answer, group="here")
    about = found.result.about
    assert (about.id, about.patient, about.group, about.target, about.onset_h) == (
        CASE.key, CASE.patient_key, "here", "final", 7.0,
    )  # fmt: skip
    assert math.isnan(about.detectability)
    assert (found.result.counts.tp, found.result.counts.fn, found.result.counts.fp) == (300, 100, 0)
    assert found.result.counts.tn == LESION.size - 400  # the system's brain stands in for the truth's
    assert found.picture.startswith(b"\x89PNG")


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

"""Runs go on, fail case by case, and leave everything or nothing behind."""

import io
import json
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import run, segment_report
from infarct.evaluation.figures import Drawing
from infarct.evaluation.record import Record
from infarct.evaluation.result import Failure
from infarct.evaluation.run import ONLY_REPORT, Evaluated, Task, Work, evaluate_all
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.segment_form import SEGMENT_FORM as FORM
from infarct.evaluation.segment_report import write_segment_report
from infarct.findings import INTENDED_USE
from unit.evaluation.drawn_results import drawn_case

SETTINGS = {"weights": "abc"}
FINGERPRINT = "as they were"


def tasks(count: int) -> list[Task]:
    return [Task("here", f"here-{index:04d}", 0, index, FINGERPRINT) for index in range(count)]


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), "navy").save(stream, "PNG")
    return stream.getvalue()


class Counted:
    """Evaluates by drawing results; case 2 has no answer. Counts what it was asked for."""

    def __init__(self) -> None:
        self.begun = 0
        self.asked: list[int] = []

    def begin(self) -> Work[CaseResult]:
        self.begun += 1
        return self.work

    def work(self, task: Task) -> Evaluated[CaseResult]:
        self.asked.append(task.index)
        if task.index == 2:
            raise StepFailed("no brain found in the scan")
        result = drawn_case("here", task.index, healthy=0.3)
        about = replace(result.about, fingerprint=task.fingerprint)
        return Evaluated(replace(result, about=about), {ONLY_REPORT: picture()})


class Pool:
    """Stands for a pool of processes and runs all in this one, the last submitted first."""

    def __init__(self, *_: object, initializer: Callable[..., None], initargs: tuple[Any, ...], **__: object) -> None:
        initializer(*initargs)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Any, *arguments: object) -> "Future[object]":
        future: Future[object] = Future()
        future.set_result(work(*arguments))
        return future


def test_results_come_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    counted = Counted()
    seen: list[int] = []
    outcomes = evaluate_all(tasks(5), counted.begin, Record(tmp_path, SETTINGS, FORM), tmp_path, on_done=seen.append)
    assert [outcome.about.id if isinstance(outcome, CaseResult) else outcome.id for outcome in outcomes] == [
        task.id for task in tasks(5)
    ]
    assert outcomes[2] == Failure("here-0002", "here", "no brain found in the scan")
    assert seen == [0, 1, 2, 3, 4, 5]
    assert {path.name for path in (tmp_path / "cases").iterdir()} == {f"0-here-000{n}.png" for n in (0, 1, 3, 4)}


def test_a_second_run_does_only_what_is_missing(tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    seen: list[int] = []
    evaluate_all(tasks(3), first.begin, Record(tmp_path, SETTINGS, FORM), tmp_path)
    outcomes = evaluate_all(tasks(5), second.begin, Record(tmp_path, SETTINGS, FORM), tmp_path, on_done=seen.append)
    assert second.asked == [2, 3, 4]  # what had no answer is tried again
    assert seen == [2, 3, 4, 5]
    assert len(outcomes) == 5
    third = Counted()
    assert len(evaluate_all(tasks(2), third.begin, Record(tmp_path, SETTINGS, FORM), tmp_path)) == 2
    assert third.begun == 0


def test_a_scan_whose_files_changed_is_evaluated_again(tmp_path: Path) -> None:
    evaluate_all(tasks(2), Counted().begin, Record(tmp_path, SETTINGS, FORM), tmp_path)
    changed, again = [tasks(2)[0], replace(tasks(2)[1], fingerprint="corrected")], Counted()
    outcomes = evaluate_all(changed, again.begin, Record(tmp_path, SETTINGS, FORM), tmp_path)
    assert again.asked == [1]
    assert isinstance(outcomes[1], CaseResult)
    assert outcomes[1].about.fingerprint == "corrected"


def test_a_pictures_name_stays_in_its_folder() -> None:
    assert Task("here", "../up/a b", 1, 0, "").picture == "1-.._up_a_b.png"


def test_an_interrupted_run_keeps_what_is_done(tmp_path: Path) -> None:
    def interrupted(task: Task) -> Evaluated[CaseResult]:
        if task.index == 3:
            raise KeyboardInterrupt
        return Counted().work(task)

    with pytest.raises(KeyboardInterrupt):
        evaluate_all(tasks(5), lambda: interrupted, Record(tmp_path, SETTINGS, FORM), tmp_path)
    assert len(Record(tmp_path, SETTINGS, FORM).done) == 2


def test_several_processes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(run, "_begin_worker", lambda begin: run._WORKING.__setitem__(slice(None), [begin()]))
    alone, together = tmp_path / "alone", tmp_path / "together"
    found = []
    for folder, jobs in ((alone, 1), (together, 2)):
        folder.mkdir()
        found.append(evaluate_all(tasks(7), Counted().begin, Record(folder, SETTINGS, FORM), folder, jobs=jobs))
    assert repr(found[0]) == repr(found[1])


def test_a_stopped_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(run, "ProcessPoolExecutor", broken)
    with pytest.raises(BadRequest, match="fewer --jobs"):
        evaluate_all(tasks(2), Counted().begin, Record(tmp_path, SETTINGS, FORM), tmp_path, jobs=2)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_whole", full)
    with pytest.raises(BadRequest, match="No space left"):
        evaluate_all(tasks(2), Counted().begin, Record(tmp_path, SETTINGS, FORM), tmp_path)


def reported(folder: Path, count: int = 12) -> Path:
    outcomes = evaluate_all(tasks(count), Counted().begin, Record(folder, SETTINGS, FORM), folder)
    return write_segment_report(outcomes, tasks(count), folder, SETTINGS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_is_complete_and_says_what_it_may_be_used_for(tmp_path: Path) -> None:
    tables = reported(tmp_path)
    assert tables.read_text().splitlines()[2] == INTENDED_USE
    files = contents(tmp_path)
    assert {"metrics.json", "tables.md", "results.jsonl", "tables/cases.csv", "figures/gallery.png"} <= set(files)
    for name, content in files.items():
        if not name.endswith(".png"):
            assert INTENDED_USE.encode() in content, name
    assert not [name for name in files if "partial" in name]
    metrics = json.loads(files["metrics.json"])
    assert metrics["settings"] == SETTINGS
    assert metrics["without_answer"] == [{"id": "here-0002", "group": "here", "reason": "no brain found in the scan"}]
    whole = metrics["strata"][0]
    assert whole["scans"] + metrics["lesion_free"][0]["scans"] == 11
    assert 0 < whole["measures"]["dice"]["mean"]["estimate"] < 1
    assert 0 < metrics["calibration"][0]["brier"] < 1


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one figure only: all of them take a second."""

    def draw(results: list[CaseResult], *_: object) -> list[Drawing]:
        return [Drawing("dice_by_volume", Figure(figsize=(1 + 0.1 * len(results), 1)))]

    monkeypatch.setattr(segment_report, "segment_figures", draw)


@pytest.mark.usefixtures("one_figure")
def test_a_report_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    reported(tmp_path, 4)
    before = contents(tmp_path)
    reported(tmp_path, 10)
    after = contents(tmp_path)
    assert before["metrics.json"] != after["metrics.json"]
    reported(tmp_path, 4)
    again = contents(tmp_path)
    assert {name: again[name] for name in before if name.startswith(("tables", "figures", "metrics"))} == {
        name: content for name, content in before.items() if name.startswith(("tables", "figures", "metrics"))
    }


@pytest.mark.usefixtures("one_figure")
def test_a_report_that_fails_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported(tmp_path, 4)
    before = contents(tmp_path)
    outcomes = [drawn_case("here", index) for index in range(4)]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment_report, "metrics_of", full)
    with pytest.raises(OSError, match="space"):
        write_segment_report(outcomes, tasks(4), tmp_path, SETTINGS)
    assert contents(tmp_path) == before


def test_a_report_of_failures_alone(tmp_path: Path) -> None:
    outcomes = [Failure(task.id, "here", "no brain") for task in tasks(2)]
    write_segment_report(outcomes, tasks(2), tmp_path, SETTINGS)
    assert "Scans without an answer" in (tmp_path / "tables.md").read_text()
    assert not list((tmp_path / "figures").iterdir())

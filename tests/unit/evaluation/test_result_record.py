"""Results survive the disk, interruptions and other settings."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from infarct.errors import BadRequest
from infarct.evaluation.record import RESULTS_FILE, Record, as_json, outcome_of
from infarct.evaluation.result import Failure, Outcome
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.segment_form import SEGMENT_FORM as FORM
from infarct.findings import INTENDED_USE
from unit.evaluation.drawn_results import drawn_results

SETTINGS = {"weights": "abc", "tile": (1, 2, 3)}
RESULTS = drawn_results("here", 6, healthy=0.4)


def test_every_result_comes_back_as_it_was() -> None:
    bare = replace(RESULTS[0], old=None, calibration=None)
    outcomes: list[Outcome[CaseResult]] = [*RESULTS, bare, Failure("a", "here", "no brain")]
    for outcome in outcomes:
        line = json.dumps(as_json(outcome, FORM), allow_nan=False)
        assert repr(outcome_of(json.loads(line), FORM)) == repr(outcome)


def test_what_is_not_defined_is_null() -> None:
    free = next(case for case in RESULTS if not case.has_lesion)
    stored = as_json(free, FORM)["case"]
    assert stored["surface_mean_mm"] is None
    assert stored["about"]["detectability"] is None
    back = outcome_of(json.loads(json.dumps({"case": stored})), FORM)
    assert not isinstance(back, Failure)
    assert math.isnan(back.surface_mean_mm)


def test_an_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = Record(tmp_path, SETTINGS, FORM)
    first.add(RESULTS[0])
    first.add(Failure("broken", "here", "no brain"))
    again = Record(tmp_path, SETTINGS, FORM)
    assert first.done == again.done == {("here", RESULTS[0].about.id)}  # a failure is tried again
    again.add(RESULTS[1])
    third = Record(tmp_path, SETTINGS, FORM)
    assert repr(third.outcome("here", RESULTS[1].about.id)) == repr(RESULTS[1])
    with pytest.raises(KeyError):
        third.outcome("here", "broken")
    header = json.loads((tmp_path / RESULTS_FILE).read_text().splitlines()[0])
    assert header["intended_use"] == INTENDED_USE


def test_an_answer_counts_for_the_same_files_only(tmp_path: Path) -> None:
    old = replace(RESULTS[0], about=replace(RESULTS[0].about, fingerprint="old"))
    new = replace(RESULTS[0], truth_ml=5.0, about=replace(old.about, fingerprint="new"))
    name = old.about.id
    record = Record(tmp_path, SETTINGS, FORM)
    record.add(old)
    assert record.holds("here", name, fingerprint="old")
    assert not record.holds("here", name, fingerprint="new")
    assert not record.holds("there", name, fingerprint="old")
    record.add(new)
    again = Record(tmp_path, SETTINGS, FORM)
    assert again.holds("here", name, fingerprint="new")
    assert repr(again.outcome("here", name)) == repr(new)
    assert len((tmp_path / RESULTS_FILE).read_text().splitlines()) == 2  # what no longer counts is not kept
    again.add(Failure(name, "here", "no brain"))
    assert not again.holds("here", name, fingerprint="new")
    assert Record(tmp_path, SETTINGS, FORM).done == set()


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    record = Record(tmp_path, SETTINGS, FORM)
    record.add(RESULTS[0])
    whole = (tmp_path / RESULTS_FILE).read_bytes()
    record.add(RESULTS[1])
    content = (tmp_path / RESULTS_FILE).read_bytes()
    (tmp_path / RESULTS_FILE).write_bytes(content[: len(whole) + 40])
    again = Record(tmp_path, SETTINGS, FORM)
    assert again.done == {("here", RESULTS[0].about.id)}
    assert (tmp_path / RESULTS_FILE).read_bytes() == whole
    again.add(RESULTS[1])
    assert (tmp_path / RESULTS_FILE).read_bytes() == content


def test_other_settings_are_another_evaluation(tmp_path: Path) -> None:
    Record(tmp_path, SETTINGS, FORM)
    with pytest.raises(BadRequest, match="another evaluation"):
        Record(tmp_path, SETTINGS | {"weights": "def"}, FORM)


@pytest.mark.parametrize(
    "content", [b"", b"{}\nnonsense\n", b'{"settings": 1}\n{"case": {"about": 3}}\n', b"\xff\xfe\n"]
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RESULTS_FILE).write_bytes(content)
    with pytest.raises(BadRequest, match=r"damaged|another evaluation"):
        Record(tmp_path, SETTINGS, FORM)

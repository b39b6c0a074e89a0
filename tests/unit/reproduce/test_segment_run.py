"""The experiments of the segment paper: what is trained on what, and that nothing finished is done again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.evaluation.segment import CaseAbout
from infarct.reproduce import segment_run
from infarct.reproduce.place import claim_folder
from infarct.reproduce.segment_rows import FULL_MODEL, Study
from infarct.reproduce.segment_run import (
    RowResult,
    as_trained,
    case_result,
    claim_of,
    prepare_study,
    run_study,
    splits_of,
)
from infarct.reproduce.side_by_side import side_by_side
from infarct.training.fit import Machine, fit
from infarct.training.store import read_index
from infarct.types import Float32Array
from unit.reproduce.miniature import miniature, prepare_blobs
from unit.training.prepared_blobs import blob_case

MACHINE = Machine(accelerator="cpu", devices=1, quiet=True)
HELD_OUT = {"acute-validation-0000", "acute-validation-0001"}


@pytest.fixture(autouse=True)
def without_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make up the patients, and let torch test: a conversion takes seconds."""
    monkeypatch.setattr(segment_run, "prepare_in_settings", prepare_blobs)
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str], set[str]]]:
    """Return a list that fills with what is trained: the setting, and who trains and is held out."""
    calls: list[tuple[str, set[str], set[str]]] = []

    def watched(recipe: Any, cases: Path, output: Path, **rest: Any) -> Path:
        index = read_index(cases)
        roles = [{case.id for case in index.cases if case.role == role} for role in ("train", "validation")]
        calls.append((str(index.setting["name"]), *roles))
        return fit(recipe, cases, output, **rest)

    monkeypatch.setattr(segment_run, "fit", watched)
    return calls


def run(study: Study, folder: Path, lines: list[str] | None = None) -> tuple[RowResult, ...]:
    prepared = prepare_study(study, folder)
    tell = (lambda _: None) if lines is None else lines.append
    return run_study(study, prepared, folder, tell=tell, machine=MACHINE)


def test_a_single_split_tests_on_the_patients_not_trained_on(tmp_path: Path, trained: list[Any]) -> None:
    study, lines = miniature(), []
    found = run(study, tmp_path / "out", lines)
    assert [one.row.name for one in found] == [row.name for row in study.rows]
    assert [{case.about.id for case in one.all()} for one in found] == [HELD_OUT] * 4
    assert {name for name, *_ in trained} == {row.setting.name for row in study.rows}
    for _, training, held_out in trained:
        assert held_out == HELD_OUT
        assert len(training) == 3
    assert {name: set(one.folds) for one in found if (name := one.row.name) == FULL_MODEL} == {FULL_MODEL: {25, 50, 75}}
    assert all(set(one.folds) == {25} for one in found if one.row.name != FULL_MODEL)
    assert lines[0] == "row 1 of 4: no preprocessing: training"
    assert all(case.seconds > 0 for case in found[0].all())
    again: list[str] = []
    same = run(study, tmp_path / "out", again)
    assert len(trained) == 4, "finished rows are not trained again"
    assert again == [f"row {n} of 4: {row.name}: done before" for n, row in enumerate(study.rows, 1)]
    assert [[case.counts for case in one.all()] for one in same] == [[c.counts for c in one.all()] for one in found]


def test_goes_on_where_it_was_stopped(tmp_path: Path, trained: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    study = miniature()
    study = replace(study, rows=study.rows[:1])
    tested = segment_run.case_result
    count = 0

    def stops(*given: Any, **rest: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return tested(*given, **rest)

    monkeypatch.setattr(segment_run, "case_result", stops)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "out")
    found = run(study, tmp_path / "out")
    assert count == 3, "one patient was tested before"
    assert len(trained) == 2, "the training is looked at again, and was finished"
    whole = run(study, tmp_path / "other")
    assert [[c.counts for c in one.all()] for one in found] == [[c.counts for c in one.all()] for one in whole]


def test_a_row_with_another_setting_is_trained_anew(tmp_path: Path, trained: list[Any]) -> None:
    study = miniature()
    study = replace(study, rows=study.rows[:1])
    run(study, tmp_path / "out")
    (row,) = study.rows
    run(replace(study, rows=(replace(row, recipe=replace(row.recipe, seed=1)),)), tmp_path / "out")
    assert len(trained) == 2
    assert len(list((tmp_path / "out" / "rows").iterdir())) == 2


def test_folds_test_each_patient_once(tmp_path: Path, trained: list[Any]) -> None:
    study = miniature(folds=2)
    study = replace(study, rows=study.rows[:1])
    lines: list[str] = []
    (found,) = run(study, tmp_path / "out", lines)
    assert sorted(case.about.id for case in found.all()) == sorted(trained[0][1] | trained[0][2])
    assert [len(fold.results) for fold in found.folds[25]] == [3, 2]
    for (_, training, held_out), fold in zip(trained, found.folds[25], strict=True):
        assert not training & held_out
        assert {case.about.id for case in fold.results} == held_out
    assert lines[-1] == "row 1 of 1, fold 2 of 2: no preprocessing: testing"


def test_with_several_jobs_rows_are_trained_before_they_are_tested(
    tmp_path: Path, trained: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the jobs take turns: the roles of each fold must be right at each of its trainings."""
    seen: list[tuple[int, list[str]]] = []

    def in_turns(work: Any, items: Any, *, jobs: int, tell: Any) -> None:
        seen.append((jobs, list(items)))
        side_by_side(work, items, jobs=1, tell=tell)

    monkeypatch.setattr(segment_run, "side_by_side", in_turns)
    study = miniature(folds=2)
    study = replace(study, rows=study.rows[:1])
    prepared = prepare_study(study, tmp_path / "out")
    (found,) = run_study(study, prepared, tmp_path / "out", machine=MACHINE, jobs=2)
    assert seen == [(2, ["training no preprocessing"])] * 2
    assert trained[:2] == trained[2:], "each is trained, and then looked at again before it is tested"
    for (_, training, held_out), fold in zip(trained[:2], found.folds[25], strict=True):
        assert not training & held_out
        assert {case.about.id for case in fold.results} == held_out
    seen.clear()
    run_study(study, prepared, tmp_path / "out", machine=MACHINE, jobs=2)
    assert seen == [(2, []), (2, [])]
    assert len(trained) == 4


def test_splits_are_by_patient_and_the_same_again() -> None:
    plan = miniature(train=8, test=2).patients
    (single,) = splits_of(plan, None)
    assert single.held_out == HELD_OUT
    five = splits_of(plan, 5)
    assert [len(split.held_out) for split in five] == [2] * 5
    assert len(frozenset.union(*(split.held_out for split in five))) == 10
    assert splits_of(plan, 5) == five


def test_refuses_a_folder_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(BadRequest, match="not empty"):
        claim_folder(tmp_path / "used", claim_of(miniature()))
    assert len(list((tmp_path / "used").iterdir())) == 1
    claim_folder(tmp_path / "new", claim_of(miniature()))
    claim_folder(tmp_path / "new", claim_of(miniature()))
    assert json.loads((tmp_path / "new" / "reproduction.json").read_text())["size"] == "reduced"
    with pytest.raises(BadRequest, match="another size"):
        claim_folder(tmp_path / "new", claim_of(miniature(folds=2)))


class MarksAll:
    """Marks every voxel of every tile."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, batch: Float32Array) -> Float32Array:
        return np.full((len(batch), 1, *batch.shape[2:]), 5.0, dtype=np.float32)


@pytest.mark.parametrize("everywhere", [True, False])
def test_without_preprocessing_the_surroundings_may_be_marked(everywhere: bool) -> None:
    case = blob_case(0, lesion=True)
    config = as_trained(miniature().rows[0])
    found = case_result(case, MarksAll(), config, CaseAbout("a", "a", "g"), everywhere=everywhere)
    marked = case.labels.size if everywhere else int((case.labels > 0).sum())
    acute = int((case.labels == 2).sum())
    assert found.counts.tp == acute
    assert found.counts.fp == marked - acute
    assert found.counts.fn == found.counts.tn == 0
    assert found.old is not None
    assert found.old.called_acute_pct == 100

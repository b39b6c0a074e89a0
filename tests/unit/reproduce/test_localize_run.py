"""The experiments of the localize paper: who is trained on and tested, what is found again, and what is refused."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.reproduce import localize_run
from infarct.reproduce.localize_report import write_tile_part
from infarct.reproduce.localize_rows import PARTS, TileStudy
from infarct.reproduce.localize_run import TileRun, groups_of, prepare_tile_study, run_tile_rows
from infarct.training.fit import Machine, fit
from infarct.training.localize_finish import judge_tiles
from infarct.training.tile_store import open_tiles, read_tile_index
from unit.reproduce.miniature_localize import ALONE, LARGER, PATIENTS, miniature_localize, prepare_spots
from unit.training.prepared_tiles import TINY

MACHINE = Machine(accelerator="cpu", devices=1, quiet=True)


@dataclass(frozen=True)
class Done:
    """A finished study, and the patients of each of its trainings, by role."""

    study: TileStudy
    folder: Path
    found: tuple[TileRun, ...]
    trained: list[dict[str, set[str]]]


def without_phantoms(patch: pytest.MonkeyPatch) -> None:
    """Draw the patients, and let torch judge: a conversion takes seconds."""
    patch.setattr(localize_run, "prepare_tiles_in_settings", prepare_spots)
    patch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


def watch(patch: pytest.MonkeyPatch) -> list[dict[str, set[str]]]:
    """Return a list that fills with the patients of each training."""
    calls: list[dict[str, set[str]]] = []

    def watched(recipe: Any, cases: Path, output: Path, **rest: Any) -> Path:
        index = read_tile_index(cases)
        roles = ("train", "validation", "test")
        calls.append({role: {case.patient for case in index.cases if case.role == role} for role in roles})
        return fit(recipe, cases, output, **rest)

    patch.setattr(localize_run, "fit", watched)
    return calls


def run(study: TileStudy, folder: Path, **rest: Any) -> tuple[TileRun, ...]:
    prepared = prepare_tile_study(study, study.rows, folder)
    return run_tile_rows(study, study.rows, prepared, folder, machine=MACHINE, **rest)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    study = miniature_localize()
    folder = tmp_path_factory.mktemp("study") / "out"
    with pytest.MonkeyPatch.context() as patch:
        without_phantoms(patch)
        trained = watch(patch)
        return Done(study, folder, run(study, folder), trained)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, done: Done) -> list[dict[str, set[str]]]:
    del done
    without_phantoms(monkeypatch)
    return watch(monkeypatch)


def test_no_patient_stands_on_both_sides(done: Done) -> None:
    everyone = set().union(*groups_of(done.study.plan, 5))
    assert len(everyone) == PATIENTS
    assert len(done.trained) == len(done.study.rows) == 9
    for row, seen, run in zip(done.study.rows, done.trained, done.found, strict=True):
        test, choice = set(run.test.patients), set(run.choice.patients)
        assert not seen["validation"]
        assert not seen["train"] & seen["test"]
        assert seen["test"] == test | choice
        assert not test & choice
        assert seen["train"] | seen["test"] == everyone
        assert len(choice) == (0 if row.split.choice is None else 2)
        assert len(test) == (5 if row.part == "crossval" else 2)
    for name in ("the paper's input", "our input"):
        folds = [set(run.test.patients) for run in done.found if run.row.about.get("input") == name]
        assert set.union(*folds) == everyone
        assert not set.intersection(*folds)


def test_only_inputs_that_rows_need_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_phantoms(monkeypatch)
    study = miniature_localize()
    (index,) = prepare_tile_study(study, study.of("models"), tmp_path / "models")
    assert index.setting == LARGER
    both = prepare_tile_study(study, study.of("search"), tmp_path / "search")
    assert [one.setting for one in both] == [TINY, ALONE]


def test_what_is_told_of_a_tile_is_that_tile(done: Done) -> None:
    """Kinds and patients stand beside the right logits: those of a network that is asked tile by tile."""
    index = next(place for place, row in enumerate(done.study.rows) if row.name == "+ mirrored head")
    row, run = done.study.rows[index], done.found[index]
    assert row.recipe.network_config["in_channels"] == 2
    whole = read_tile_index(next(iter((done.folder / "prepared").glob("tiny-*"))))
    stored = open_tiles(whole, "train")
    engine = SumEngine()
    mine = [case for case in whole.cases if case.patient in set(run.test.patients)]
    counts = [(case.infarct, case.mirrored, case.other, case.healthy) for case in mine]
    assert np.bincount(run.test.kinds, minlength=4).tolist() == np.sum(counts, axis=0).tolist()
    part = next(iter((done.folder / "listed").glob("with-mirrored-head-*")))
    listed = open_tiles(read_tile_index(part), "test")
    names = [whole.cases[case].patient for case in stored.case]
    rows = np.array([place for place, name in enumerate(names) if name in {c.patient for c in listed.cases}])
    setting = row.recipe.phantoms.setting
    order = np.arange(len(listed.infarct))
    wide = np.asarray(stored.tiles[rows])[:, :2]
    np.testing.assert_array_equal(listed.tiles[order], wide)
    np.testing.assert_array_equal(listed.infarct, stored.infarct[rows])
    inner = wide[..., 4:-4, 4:-4].astype(np.float32).sum(axis=(1, 2, 3))
    found = judge_tiles(engine, listed, order, setting)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, np.logaddexp(0, inner) - np.log(2), rtol=1e-4, atol=1e-4)


class SumEngine:
    """Answers with the sum of a tile, and 0."""

    def run(self, batch: Any) -> Any:
        """Return (n, 2)."""
        total = batch.sum(axis=(1, 2, 3))
        return np.stack([np.zeros_like(total), -total], axis=1)


def test_what_is_finished_is_not_trained_again(done: Done, trained: list[Any]) -> None:
    lines: list[str] = []
    again = run(done.study, done.folder, tell=lines.append)
    assert lines == ["9 of 9 rows were done before"]
    assert not trained
    for before, after in zip(done.found, again, strict=True):
        assert before.test.patients == after.test.patients
        np.testing.assert_array_equal(before.test.logits, after.test.logits)


def test_goes_on_where_it_was_stopped(
    done: Done, trained: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replace(done.study, rows=done.study.rows[:1])

    def stops(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(localize_run, "export_localize", stops)
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "out")
    assert not list((tmp_path / "out" / "rows").glob("*/results.json"))
    (found,) = run(study, tmp_path / "out")
    np.testing.assert_array_equal(found.test.logits, done.found[0].test.logits)
    assert len(trained) == 2, "the training is looked at again, and was finished"


@pytest.mark.usefixtures("trained")
def test_damaged_results_and_another_reproduction_are_refused(done: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "out"))
    with pytest.raises(BadRequest, match="another reproduction"):
        run(replace(done.study, name="full"), folder)
    (results,) = (folder / "rows").glob("vgg-px-*/results.json")
    stored = json.loads(results.read_text())
    assert stored["settings"]["recipe"] == json.loads(json.dumps(done.study.rows[0].recipe.as_data()))
    results.write_text(json.dumps({**stored, "kinds": stored["kinds"][:-1]}))
    with pytest.raises(BadRequest, match="damaged"):
        run(done.study, folder)


def test_every_part_is_told(done: Done, tmp_path: Path) -> None:
    for part in PARTS:
        runs = [one for one in done.found if one.row.part == part]
        assert write_tile_part(done.study, part, runs, tmp_path, resamples=10) == tmp_path / f"{part}.md"
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    tables = {"models", "search", "inputs", "crossval", "crossval_together"}
    figures = {f"figures/{name}.png" for name in tables - {"crossval_together"}}
    pages = {f"{part}.{ending}" for part in PARTS for ending in ("md", "json")}
    assert names == pages | figures | {f"{name}.csv" for name in tables}

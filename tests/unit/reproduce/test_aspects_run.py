"""The experiments on DA-Net: who is trained on and tested, what is found again, and what is refused."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infarct.anatomy import REGIONS, SIDES
from infarct.errors import BadRequest, UnreadableInput
from infarct.evaluation.aspects_ablation import RegionRun
from infarct.phantom import draw
from infarct.reproduce import aspects_run
from infarct.reproduce.aspects_rows import FULL_MODEL, AspectsStudy
from infarct.reproduce.aspects_run import prepare_aspects_study, run_aspects_study, stroke_sides
from infarct.training.aspects_finish import judge_groups
from infarct.training.fit import Machine, fit
from infarct.training.region_store import read_region_index
from unit.reproduce.miniature_aspects import (
    TEST_PATIENTS,
    VALIDATED,
    made_up_sides,
    miniature_aspects,
    prepare_boxes,
    prepare_plan,
)

MACHINE = Machine(accelerator="cpu", devices=1, quiet=True)


def without_phantoms(patch: pytest.MonkeyPatch) -> None:
    """Make up the patients, and let torch judge: a conversion takes seconds."""
    patch.setattr(aspects_run, "prepare_ordered", prepare_boxes)
    patch.setattr(aspects_run, "prepare_region_cases", prepare_plan)
    patch.setattr(aspects_run, "stroke_sides", made_up_sides)
    patch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@dataclass(frozen=True)
class Done:
    """A finished study, and the patients of each of its trainings, by role."""

    study: AspectsStudy
    folder: Path
    found: dict[str, RegionRun]
    trained: list[dict[str, set[str]]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return three rows, trained: the full model, one model for all regions, and an eighth of the patients."""
    whole = miniature_aspects()
    together = next(row for row in whole.ablation if row.name == "one model for all regions")
    study = replace(whole, ablation=(whole.ablation[0], together), curve=(whole.curve[0], whole.curve[-1]))
    folder = tmp_path_factory.mktemp("study") / "out"
    with pytest.MonkeyPatch.context() as patch:
        without_phantoms(patch)
        trained = watch(patch)
        return Done(study, folder, run(study, folder), trained)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, done: Done) -> list[dict[str, set[str]]]:
    """Return a list that fills with the patients of each training."""
    del done
    without_phantoms(monkeypatch)
    return watch(monkeypatch)


def watch(patch: pytest.MonkeyPatch) -> list[dict[str, set[str]]]:
    calls: list[dict[str, set[str]]] = []

    def watched(recipe: Any, cases: Path, output: Path, **rest: Any) -> Path:
        index = read_region_index(cases)
        calls.append({role: {c.id for c in index.cases if c.role == role} for role in ("train", "validation", "test")})
        return fit(recipe, cases, output, **rest)

    patch.setattr(aspects_run, "fit", watched)
    return calls


def run(study: AspectsStudy, folder: Path, *, cases: Path | None = None, **rest: Any) -> dict[str, RegionRun]:
    prepared = prepare_aspects_study(study, folder, cases=cases)
    return run_aspects_study(study, prepared, folder, machine=MACHINE, **rest)


def full_row(study: AspectsStudy) -> AspectsStudy:
    return replace(study, ablation=study.ablation[:1], curve=study.ablation[:1])


def test_all_rows_judge_the_same_regions_of_patients_never_trained_on(done: Done) -> None:
    sides = made_up_sides(TEST_PATIENTS)
    assert list(done.found) == [FULL_MODEL, "one model for all regions", "1/8 of the patients"]
    for calls in (one.calls for one in done.found.values()):
        assert [(c.region, c.side) for c in calls] == [(r, s) for s in SIDES for r in REGIONS] * TEST_PATIENTS
        assert {call.patient for call in calls} == set(sides)
        assert all(call.of_stroke == (call.side == sides[call.patient]) for call in calls)
        assert {call.affected for call in calls if not call.of_stroke} == {False}
        assert [c.affected for c in calls] == [c.affected for c in done.found[FULL_MODEL].calls]
    assert [len(seen["train"]) for seen in done.trained] == [8, 8, 1]
    assert [one.training_patients for one in done.found.values()] == [8, 8, 1]
    for seen in done.trained:
        assert len(seen["validation"]) == VALIDATED
        assert not seen["test"]
        assert not set(sides) & (seen["train"] | seen["validation"])
    assert [bool(one.published) for one in done.found.values()] == [True, False, False]


def test_what_is_finished_is_not_trained_again(done: Done, trained: list[Any]) -> None:
    lines: list[str] = []
    assert run(done.study, done.folder, tell=lines.append) == done.found
    assert lines == ["3 of 3 rows were done before"]
    assert not trained


def test_goes_on_where_it_was_stopped(
    done: Done, trained: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def stops(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return judge_groups(*given)

    monkeypatch.setattr(aspects_run, "judge_groups", stops)
    with pytest.raises(KeyboardInterrupt):
        run(full_row(done.study), tmp_path / "out")
    assert not list((tmp_path / "out" / "rows").glob("*/results.json"))
    assert run(full_row(done.study), tmp_path / "out")[FULL_MODEL] == done.found[FULL_MODEL]
    assert len(trained) == 2, "the training is looked at again, and was finished"


def test_prepared_cases_are_read_where_they_lie(done: Done, trained: list[Any], tmp_path: Path) -> None:
    shares = done.study.plan.shares
    more = replace(done.study.plan, shares=tuple(replace(share, train=share.train + 2) for share in shares))
    prepare_plan(more, tmp_path / "cases")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}
    found = run(full_row(done.study), tmp_path / "out", cases=tmp_path / "cases")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()} == before
    assert not (tmp_path / "out" / "cases").exists()
    assert len(trained[0]["train"]) == 8
    assert found[FULL_MODEL] == done.found[FULL_MODEL], "the same as with cases of its own"


def test_cases_that_lack_a_patient_are_refused(done: Done, tmp_path: Path) -> None:
    shares = done.study.plan.shares
    fewer = replace(done.study.plan, shares=tuple(replace(share, train=share.train - 1) for share in shares))
    prepare_plan(fewer, tmp_path / "cases")
    with pytest.raises(BadRequest, match="1 of 12 patients"):
        prepare_aspects_study(done.study, tmp_path / "out", cases=tmp_path / "cases")
    with pytest.raises(UnreadableInput, match="no readable index"):
        prepare_aspects_study(done.study, tmp_path / "out", cases=tmp_path / "none")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("trained")
def test_damaged_results_and_another_reproduction_are_refused(done: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "out"))
    with pytest.raises(BadRequest, match="another reproduction"):
        run(replace(done.study, name="full"), folder)
    (results,) = (folder / "rows").glob("full-model-*/results.json")
    stored = json.loads(results.read_text())
    recipe = done.study.ablation[0].recipe
    assert stored["settings"]["recipe"] == json.loads(json.dumps(recipe.as_data()))
    assert set(stored["operating_points"]) == {"cortical", "subcortical"}
    results.write_text(json.dumps({**stored, "calls": [{"patient": "a"}]}))
    with pytest.raises(BadRequest, match="damaged"):
        run(done.study, folder)


def test_the_side_of_the_stroke_is_the_phantoms_own() -> None:
    patients = [draw("aspects", index, "test") for index in range(4)]
    assert stroke_sides(4) == {patient.name: patient.stroke.side for patient in patients if patient.stroke}

"""The command for ASPECTS: what it writes, how it goes on, and what it refuses."""

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infarct.anatomy import Side
from infarct.cli.evaluate import RESULTS_FILE, MethodChoice, evaluate
from infarct.cohorts import Cohort, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import aspects_cohort, aspects_report, named_cohorts
from infarct.evaluation.aspects import Answer
from infarct.evaluation.aspects_cohort import METHODS, AspectsOrder, Method, open_method, settings_of
from infarct.evaluation.aspects_summary import summarise_aspects
from infarct.evaluation.named_cohorts import Named
from infarct.findings import INTENDED_USE
from infarct.volume import Scan
from unit.evaluation.scored_case import CASE, answer, scan


@pytest.fixture
def three_scans(monkeypatch: pytest.MonkeyPatch) -> list[Side | None]:
    """Evaluate three small scans by a made-up method; returns the sides that it was told."""
    told: list[Side | None] = []

    def score(_: Scan, __: Method, side: Side | None) -> Answer:
        told.append(side)
        return answer(side)

    cases = tuple(replace(CASE, id=f"Doe-{number}", patient=f"Jane {number}") for number in range(3))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("phantom", cases))
    monkeypatch.setattr(aspects_cohort, "score_scan", score)
    monkeypatch.setattr(aspects_report, "summarise_aspects", partial(summarise_aspects, resamples=5))
    return told


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aspects_report, "aspects_drawings", lambda *_: ())


def run(output: Path, *more: str) -> Result:
    command: Any = ["aspects", "--cohort", "folder", "-o", str(output), "--quiet", *more]
    return CliRunner().invoke(evaluate, command)


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_it_writes_everything_and_names_nobody(tmp_path: Path, three_scans: list[Side | None]) -> None:
    done = run(tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "tables.md")
    assert three_scans == [None] * 3
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"metrics.json", "tables.md", "tables/cases.csv", "tables/scores.csv", "figures/gallery.png"} <= set(files)
    assert {"figures/0-phantom-core-aspects_boxes.png", "figures/0-phantom-roc_both_hemispheres.png"} <= set(files)
    assert len([name for name in files if name.startswith("cases/")]) == 3
    for name, path in files.items():
        content = path.read_bytes()
        assert b"Doe" not in content, name
        assert b"Jane" not in content, name
        if not name.endswith(".png"):
            assert INTENDED_USE.encode() in content, name


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_the_numbers_are_those_of_the_cases(tmp_path: Path) -> None:
    """By core L and M5 of the left, by the method M5 and M6: one hit, one missed, one wrong of ten."""
    run(tmp_path / "out")
    metrics = metrics_of(tmp_path / "out")
    assert metrics["settings"]["method"] == "asymmetry"
    assert metrics["overview"][0]["strokes"] == 3
    by_core = [one for one in metrics["regions"] if (one["judge"], one["reference"]) == ("system", "core")]
    ours = [one for one in by_core if one["area"] == "all"]
    assert [one["decisions"]["accuracy"]["estimate"] for one in ours] == pytest.approx([8 / 10, 18 / 20])
    assert [one["decisions"]["sensitivity"]["estimate"] for one in ours] == [0.5, 0.5]
    (score,) = (one for one in metrics["scores"] if (one["judge"], one["reference"]) == ("system", "reader 2"))
    assert score["difference"]["mean"]["estimate"] == -2
    lines = (tmp_path / "out" / "tables" / "cases.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines[1:]))
    assert len(rows) == 60
    insula = next(row for row in rows if (row["region"], row["region_side"]) == ("M6", "left"))
    assert (insula["core"], insula["affected"], insula["core_score"], insula["system_score"]) == ("0", "1", "8", "8")
    assert (insula["kvp"], insula["onset_h"], insula["dice"]) == ("100", "2", "1")


@pytest.mark.usefixtures("no_figures")
def test_it_goes_on_with_more_scans(tmp_path: Path, three_scans: list[Side | None]) -> None:
    assert run(tmp_path / "out", "--first", "1").exit_code == 0
    assert run(tmp_path / "out").exit_code == 0
    assert len(three_scans) == 3
    assert metrics_of(tmp_path / "out")["overview"][0]["scans"] == 3


@pytest.mark.usefixtures("no_figures")
def test_the_side_is_told_where_it_is_known(tmp_path: Path, three_scans: list[Side | None]) -> None:
    assert run(tmp_path / "out", "--side-known").exit_code == 0
    assert three_scans == ["left"] * 3
    other = run(tmp_path / "out")
    assert isinstance(other.exception, BadRequest)
    assert "another evaluation" in str(other.exception)


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_another_systems_results_are_not_gone_on_with(tmp_path: Path) -> None:
    header = {"intended_use": INTENDED_USE, "layout": 1, "settings": {"system": "segment"}}
    (tmp_path / RESULTS_FILE).write_text(json.dumps(header) + '\n{"case": {"truth_ml": 1}}\n')
    assert "another evaluation" in str(run(tmp_path).exception)


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert isinstance(run(tmp_path).exception, BadRequest)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_scans_without_an_answer_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Answer:
        raise StepFailed("no brain found")

    monkeypatch.setattr(aspects_cohort, "score_scan", failing)
    assert run(tmp_path / "out").exit_code == 3
    assert "no brain found" in (tmp_path / "out" / "tables.md").read_text()


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_a_cohort_whose_regions_nobody_judged_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(CASE, loader=lambda: LabelledScan(scan()))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", (plain,)))
    assert run(tmp_path / "out").exit_code == 3
    assert metrics_of(tmp_path / "out")["without_answer"][0]["reason"].startswith("nobody said which ASPECTS regions")


def test_methods_have_one_name_each() -> None:
    assert [choice.value for choice in MethodChoice] == list(METHODS)
    with pytest.raises(BadRequest, match="asymmetry"):
        open_method(AspectsOrder(("x",), "guessing"))


def test_weights_belong_to_a_trained_method(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="takes no weights"):
        open_method(AspectsOrder(("x",), "asymmetry", tmp_path / "mine.safetensors"))
    with pytest.raises(BadRequest, match="no such weight file"):
        open_method(AspectsOrder(("x",), "da_net", tmp_path / "mine.safetensors"))


def test_settings_tell_evaluations_apart() -> None:
    order = AspectsOrder(("x",))
    method = open_method(order)
    base = settings_of(order, [Named("x", (CASE,))], method)
    assert "scan-1" not in str(base)
    assert settings_of(replace(order, first=3), [Named("x", (CASE, CASE))], method) == base
    others = (
        settings_of(replace(order, side_known=True), [Named("x", (CASE,))], method),
        settings_of(replace(order, split="test"), [Named("x", (CASE,))], method),
        settings_of(order, [Named("x", (CASE,))], replace(method, config={})),
        settings_of(order, [Named("x", (replace(CASE, id="other"),))], method),
    )
    assert all(other != base for other in others)


@pytest.mark.slow
def test_a_phantom_by_the_baseline(tmp_path: Path) -> None:
    command: Any = ["aspects", "--cohort", "phantom:aspects:validation", "--first", "1", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(evaluate, [*command, "--quiet"])
    assert done.exit_code == 0, done.output
    line = json.loads((tmp_path / "out" / RESULTS_FILE).read_text().splitlines()[1])["case"]
    assert line["about"]["id"] == "aspects-validation-0000"
    assert len(line["regions"]) == 20
    own = [one for one in line["regions"] if one["side"] == line["about"]["side"]]
    assert any(one["core"] for one in own)
    assert not any(one["core"] for one in line["regions"] if one not in own)
    assert min(one["dice"] for one in line["regions"] if one["region"].startswith("M")) > 0.3

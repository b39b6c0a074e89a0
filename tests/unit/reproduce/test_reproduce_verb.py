"""The verb: from nothing to tables, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infarct.cli.reproduce import reproduce
from infarct.errors import BadRequest, UnreadableInput
from infarct.reproduce import aspects_rows, aspects_run, localize_rows, localize_run, segment_rows, segment_run
from unit.reproduce.miniature import miniature, prepare_blobs
from unit.reproduce.miniature_aspects import made_up_sides, miniature_aspects, prepare_boxes, prepare_plan
from unit.reproduce.miniature_localize import miniature_localize, prepare_spots

app = typer.Typer()
app.add_typer(reproduce, name="reproduce")


def run(*words: str | Path, paper: str = "segment") -> tuple[str, str]:
    """Return what the verb prints on stdout and stderr. Raises what it raises."""
    done = CliRunner().invoke(app, ["reproduce", paper, *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


@pytest.fixture(autouse=True)
def without_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_run, "prepare_in_settings", prepare_blobs)
    monkeypatch.setattr(segment_rows, "study_of", lambda *, reduced, folds: miniature(folds=folds) if reduced else None)
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


def test_writes_tables_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed, told = run("-o", out, "--reduced")
    assert printed.split() == [str(out / "ablation.md")]
    assert "row 4 of 4: default recipe: testing" in told
    tables = {path.name: path.read_text() for path in out.glob("*.md")}
    printed, told = run("-o", out, "--reduced", "--quiet")
    assert told == ""
    assert {path.name: path.read_text() for path in out.glob("*.md")} == tables
    with pytest.raises(BadRequest, match="another size"):
        run("-o", out, "--reduced", "--folds", "2")


def test_refuses_a_used_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="not empty"):
        run("-o", tmp_path, "--reduced")
    assert len(list(tmp_path.iterdir())) == 1


def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infarct.cli.reproduce.find_spec", lambda _: None)
    with pytest.raises(BadRequest, match=r"infarct\[train\]"):
        run("-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_aspects_paper_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = miniature_aspects()
    study = replace(whole, ablation=whole.ablation[:1], curve=(whole.curve[0], whole.ablation[0]))
    monkeypatch.setattr(aspects_rows, "study_of", lambda *, reduced: study if reduced else None)
    monkeypatch.setattr(aspects_run, "prepare_ordered", prepare_boxes)
    monkeypatch.setattr(aspects_run, "stroke_sides", made_up_sides)
    out = tmp_path / "out"
    with pytest.raises(UnreadableInput, match="no readable index"):
        run("-o", out, "--reduced", "--cases", tmp_path / "none", paper="aspects")
    assert not out.exists()
    prepare_plan(study.plan, tmp_path / "cases")
    printed, told = run("-o", out, "--reduced", "--cases", tmp_path / "cases", paper="aspects")
    assert printed.split() == [str(out / "ablation.md")]
    assert "full model: begun" in told
    tables = {path.name: path.read_text() for path in out.glob("*.md")}
    assert set(tables) == {"ablation.md", "learning_curve.md"}
    _, told = run("-o", out, "--reduced", "--cases", tmp_path / "cases", "--quiet", paper="aspects")
    assert told == ""
    assert {path.name: path.read_text() for path in out.glob("*.md")} == tables


def test_a_part_of_the_localize_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = miniature_localize()
    study = replace(whole, rows=(*whole.of("models"), *whole.of("crossval")[:2]))
    monkeypatch.setattr(localize_rows, "study_of", lambda *, reduced: study if reduced else None)
    monkeypatch.setattr(localize_run, "prepare_tiles_in_settings", prepare_spots)
    out = tmp_path / "out"
    printed, told = run("-o", out, "--reduced", "--part", "models", paper="localize")
    assert printed.split() == [str(out / "models.md")]
    assert "VGG16, 36 px: begun" in told
    parts = ("--part", "crossval", "--part", "models")
    printed, told = run("-o", out, "--reduced", *parts, paper="localize")
    assert printed.split() == [str(out / "models.md"), str(out / "crossval.md")]
    assert "1 of 1 rows were done before" in told
    assert not (out / "search.md").exists()

"""The verb: from nothing to tables, and what it refuses."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infarct.cli.reproduce import reproduce
from infarct.errors import BadRequest
from infarct.reproduce import segment_rows, segment_run
from unit.reproduce.miniature import miniature, prepare_blobs

app = typer.Typer()
app.add_typer(reproduce, name="reproduce")


def run(*words: str | Path) -> tuple[str, str]:
    """Return what the verb prints on stdout and stderr. Raises what it raises."""
    done = CliRunner().invoke(app, ["reproduce", "segment", *map(str, words)], catch_exceptions=False)
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

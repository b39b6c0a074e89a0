"""What a training says while it runs."""

import io
from pathlib import Path

import pytest
from prepared_blobs import tiny_recipe, write_blobs

from infarct.errors import UnreadableInput
from infarct.training import progress
from infarct.training.curve import read_curve
from infarct.training.fit import Machine, fit


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def said(tmp_path: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("sys.stderr", stream)
    cases = write_blobs(tmp_path / "cases")
    fit(tiny_recipe(steps=5), cases, tmp_path / "out", machine=Machine(accelerator="cpu", devices=1))
    return stream.getvalue().splitlines()


def test_a_log_has_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    lines = said(tmp_path, io.StringIO(), monkeypatch)
    assert len(lines) == 5
    assert lines[0].startswith("step 1/5  loss ")
    assert "dice" in lines[0]
    assert lines[0].endswith(" left")
    assert "validation dice" not in lines[0]
    assert "validation dice" in lines[4]
    assert lines[4].endswith("0:00:00 left")


def test_a_terminal_has_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(tmp_path, Terminal(), monkeypatch)
    assert len([line for line in text if line]) >= 1
    assert text[-1].startswith("step 5/5")


def test_times_left() -> None:
    assert [progress._duration(seconds) for seconds in (0.4, 75, 3_661)] == ["0:00:00", "0:01:15", "1:01:01"]


def test_no_curve_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no logs"):
        read_curve(tmp_path)

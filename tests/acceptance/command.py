"""Running the command in this process, as a user would in a shell."""

import sys
from dataclasses import dataclass

import pytest

from infarct.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


def run(arguments: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(sys, "argv", ["infarct", *arguments])
    capfd.readouterr()
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capfd.readouterr()
    return Outcome(code, printed.out, printed.err)

"""Results on disk as they come, one JSON object a line, so that an interrupted evaluation goes on where it stopped.

The first line says what was asked for; a file begun with other settings is not continued. A line stands over an earlier
one of the same scan.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Generic

from infarct.errors import BadRequest
from infarct.evaluation.result import Failure, Form, Outcome, R
from infarct.findings import INTENDED_USE

RESULTS_FILE: Final = "results.jsonl"
LAYOUT: Final = 1
"""Raised when lines change in meaning: an older file is then not continued."""


class Record(Generic[R]):
    """The results in a folder: those that are there, and a place for those to come.

    Failures of an earlier run are not kept: the scans are tried again.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], form: Form[R]) -> None:
        """Open the record in ``folder``, which exists; begin one where there is none. ``form`` is that of the results.

        Raises `BadRequest` where the record there was begun with other ``settings`` or is damaged.
        """
        self._path, self._form = folder / RESULTS_FILE, form
        self._outcomes: dict[tuple[str, str], Outcome[R]] = {}
        header = {"intended_use": INTENDED_USE, "layout": LAYOUT, "settings": dict(settings)}
        if not self._path.exists():
            self._write([json.dumps(header)])
            return
        try:
            lines = self._whole_lines()
            if json.loads(lines[0]) != json.loads(json.dumps(header)):
                raise BadRequest("the output folder holds results of another evaluation; give a new folder")
            stored = {_key(one): (one, line) for line in lines[1:] for one in [outcome_of(json.loads(line), form)]}
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise BadRequest("the results in the output folder are damaged; give a new folder") from error
        answers = {key: pair for key, pair in stored.items() if not isinstance(pair[0], Failure)}
        self._outcomes |= {key: one for key, (one, _) in answers.items()}
        if len(answers) < len(lines) - 1:
            self._write([lines[0], *(line for _, line in answers.values())])

    def add(self, outcome: Outcome[R]) -> None:
        """Append one result; it is on the disk when this returns."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(as_json(outcome, self._form), allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._outcomes[_key(outcome)] = outcome

    @property
    def done(self) -> set[tuple[str, str]]:
        """Group and id of the scans that have an answer."""
        return {key for key, one in self._outcomes.items() if not isinstance(one, Failure)}

    def holds(self, group: str, case_id: str, *, fingerprint: str) -> bool:
        """Return whether the scan has an answer that was given about the same files."""
        found = self._outcomes.get((group, case_id))
        if found is None or isinstance(found, Failure):
            return False
        return found.about.fingerprint == fingerprint

    def outcome(self, group: str, case_id: str) -> Outcome[R]:
        """Return the result of one scan. Raises `KeyError` where it is not there."""
        return self._outcomes[group, case_id]

    def _write(self, lines: Sequence[str]) -> None:
        """Write the file anew, whole or not at all."""
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(self._path)

    def _whole_lines(self) -> list[str]:
        """Return the complete lines; what an interrupted write left of one more is cut off."""
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            with self._path.open("r+b") as stream:
                stream.truncate(end)
        return content[:end].decode("utf-8").split("\n")[:-1]


def _key(outcome: Outcome[R]) -> tuple[str, str]:
    named = outcome if isinstance(outcome, Failure) else outcome.about
    return named.group, named.id


def as_json(outcome: Outcome[R], form: Form[R]) -> dict[str, Any]:
    """Return the content of a line."""
    if isinstance(outcome, Failure):
        return {"failed": asdict(outcome)}
    return {"case": form.written(outcome)}


def outcome_of(line: Mapping[str, Any], form: Form[R]) -> Outcome[R]:
    """Return the result that a line holds; the inverse of `as_json`. Raises what ``form`` does for anything else."""
    return Failure(**line["failed"]) if "failed" in line else form.read(line["case"])

"""Results on disk as they come, one JSON object a line, so that an interrupted evaluation goes on where it stopped.

The first line says what was asked for; a file begun with other settings is not continued. A line stands over an earlier
one of the same scan. A number that is not defined is null.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from infarct.errors import BadRequest
from infarct.evaluation.segment import CaseAbout, CaseResult, OldResult
from infarct.findings import INTENDED_USE
from infarct.measure.calibration import Reliability
from infarct.measure.lesions import LesionCounts
from infarct.measure.overlap import Counts

RESULTS_FILE: Final = "results.jsonl"
LAYOUT: Final = 1
"""Raised when lines change in meaning: an older file is then not continued."""


@dataclass(frozen=True)
class Failure:
    """A scan without an answer, and why: it counts in no mean, so it is told beside every mean."""

    id: str
    group: str
    reason: str


Outcome: TypeAlias = CaseResult | Failure


class Record:
    """The results in a folder: those that are there, and a place for those to come.

    Failures of an earlier run are not kept: the scans are tried again.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the record in ``folder``, which exists; begin one where there is none.

        Raises `BadRequest` where the record there was begun with other ``settings`` or is damaged.
        """
        self._path = folder / RESULTS_FILE
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        header = {"intended_use": INTENDED_USE, "layout": LAYOUT, "settings": dict(settings)}
        if not self._path.exists():
            self._write([json.dumps(header)])
            return
        try:
            lines = self._whole_lines()
            found = json.loads(lines[0])
            stored = {_key(one): (one, line) for line in lines[1:] for one in [outcome_of(json.loads(line))]}
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise BadRequest("the results in the output folder are damaged; give a new folder") from error
        if found != json.loads(json.dumps(header)):
            raise BadRequest("the output folder holds results of another evaluation; give a new folder")
        answers = {key: pair for key, pair in stored.items() if isinstance(pair[0], CaseResult)}
        self._outcomes |= {key: one for key, (one, _) in answers.items()}
        if len(answers) < len(lines) - 1:
            self._write([lines[0], *(line for _, line in answers.values())])

    def add(self, outcome: Outcome) -> None:
        """Append one result; it is on the disk when this returns."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(as_json(outcome), allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._outcomes[_key(outcome)] = outcome

    @property
    def done(self) -> set[tuple[str, str]]:
        """Group and id of the scans that have an answer."""
        return {key for key, one in self._outcomes.items() if isinstance(one, CaseResult)}

    def holds(self, group: str, case_id: str, *, fingerprint: str) -> bool:
        """Return whether the scan has an answer that was given about the same files."""
        found = self._outcomes.get((group, case_id))
        return isinstance(found, CaseResult) and found.about.fingerprint == fingerprint

    def outcome(self, group: str, case_id: str) -> Outcome:
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


def _key(outcome: Outcome) -> tuple[str, str]:
    named = outcome.about if isinstance(outcome, CaseResult) else outcome
    return named.group, named.id


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the content of a line."""
    if isinstance(outcome, Failure):
        return {"failed": asdict(outcome)}
    return {"case": without_nan(asdict(outcome))}


def outcome_of(line: Mapping[str, Any]) -> Outcome:
    """Return the result that a line holds; the inverse of `as_json`. Raises KeyError or TypeError for anything else."""
    if "failed" in line:
        return Failure(**line["failed"])
    found = _with_nan(line["case"])
    old, sums = found.pop("old"), found.pop("calibration")
    return CaseResult(
        about=CaseAbout(**found.pop("about")),
        counts=Counts(**found.pop("counts")),
        lesions=LesionCounts(**found.pop("lesions")),
        old=None if old is None else OldResult(**old),
        calibration=None if sums is None else _reliability(sums),
        **found,
    )


def _reliability(sums: Mapping[str, Any]) -> Reliability:
    return Reliability(
        voxels=tuple(sums["voxels"]),
        positives=tuple(sums["positives"]),
        probability_sums=tuple(sums["probability_sums"]),
        squared_error=sums["squared_error"],
        negative_log_likelihood=sums["negative_log_likelihood"],
    )


_MAY_BE_NONE: Final = ("old", "calibration")


def without_nan(value: Any) -> Any:
    """Return nested dictionaries, lists and tuples with None in place of nan."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: part if part is None and name in _MAY_BE_NONE else _with_nan(part) for name, part in value.items()
        }
    return math.nan if value is None else value

"""Who of a cohort takes part, by the rules of the localize paper: screened, left out and why, taken in.

The paper took patients with a CT up to 12 hours after onset that was read as negative, DWI and ADC that were positive
less than 14 days later, and no recurrent event between the two (Methods, Study population).
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infarct.cohorts.table_values import UNKNOWN, BadCell, number
from infarct.errors import BadRequest
from infarct.reference.dwi import MAX_INTERVAL_DAYS

MAX_ONSET_TO_CT_H: Final = 12.0
MAX_BYTES: Final = 64 << 20
LONGEST: Final = 1e6
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_YES_NO: Final = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}


@dataclass(frozen=True)
class Rule:
    """One rule on one column of the table.

    ``broken`` tells of a cell's text whether it leaves the case out (raises `BadCell`), ``why`` says so, ``unknown`` is
    the reason where the cell is blank.
    """

    column: str
    broken: Callable[[str], bool]
    why: str
    unknown: str


@dataclass(frozen=True)
class Decision:
    """A case: ``reason`` is None where it takes part; ``column`` is the rule that left it out."""

    id: str
    column: str | None
    reason: str | None


@dataclass(frozen=True)
class Flow:
    """What became of every case, and the rules (columns) that were applied, in order, and those that could not be."""

    decisions: tuple[Decision, ...]
    applied: tuple[str, ...]
    not_applied: tuple[str, ...]

    @property
    def included(self) -> int:
        """How many cases take part."""
        return sum(decision.reason is None for decision in self.decisions)

    def left_out(self, column: str) -> dict[str, int]:
        """Return how many cases a rule left out, by reason."""
        return dict(Counter(d.reason for d in self.decisions if d.column == column and d.reason is not None))


def _yes(text: str) -> bool:
    if text.lower() not in _YES_NO:
        raise BadCell("is neither yes nor no")
    return _YES_NO[text.lower()]


def _late_ct(text: str) -> bool:
    value = number(text, LONGEST)
    return value is not None and value > MAX_ONSET_TO_CT_H


def _far_apart(text: str) -> bool:
    """Tell of days from CT to DWI, below 0 where the DWI came first."""
    value = number(text.removeprefix("-"), LONGEST)
    return value is not None and value >= MAX_INTERVAL_DAYS


RULES: Final = (
    Rule("onset_to_ct_h", _late_ct, "CT more than 12 h after onset", "time from onset to CT not known"),
    Rule(
        "ct_negative", lambda text: not _yes(text), "infarct seen in the first CT reading", "first CT reading not known"
    ),
    Rule("dwi_positive", lambda text: not _yes(text), "no infarct in DWI and ADC", "DWI and ADC missing or not read"),
    Rule(
        "ct_to_dwi_days",
        _far_apart,
        "CT and DWI 14 days or more apart",
        "interval of CT and DWI not known",
    ),
    Rule("recurrent", _yes, "recurrent event between CT and DWI", "recurrence not known"),
)
"""In the order in which a case meets them; the first that it breaks is its reason."""
COLUMNS: Final = ("id", *(rule.column for rule in RULES))


def read_flow(path: Path) -> Flow:
    """Return the flow of a CSV table with a column ``id`` and at least one of the rules' columns; others are ignored.

    A rule without a column is not applied. A blank cell, or a word for unknown, leaves its case out, as does a cell
    that makes no sense.

    Raises `BadRequest` where the table cannot be used. No message holds a cell.
    """
    header, rows = _table(path)
    applied = tuple(rule for rule in RULES if rule.column in header)
    decisions = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise BadRequest(f"row {line} of the table has {len(cells)} cells and the table {len(header)} columns")
        decisions.append(_decided(dict(zip(header, (cell.strip() for cell in cells), strict=True)), line, applied))
    if len({decision.id for decision in decisions}) < len(decisions):
        raise BadRequest("an id stands twice in the table")
    names = tuple(rule.column for rule in applied)
    return Flow(tuple(decisions), names, tuple(rule.column for rule in RULES if rule.column not in names))


def _decided(cells: Mapping[str, str], line: int, rules: tuple[Rule, ...]) -> Decision:
    name = cells["id"]
    if not _ID.fullmatch(name):
        raise BadRequest(
            f"the id in row {line} is empty or holds more than 64 letters, digits, dots, dashes and underscores"
        )
    for rule in rules:
        text = cells[rule.column]
        if text.lower() in UNKNOWN:
            return Decision(name, rule.column, rule.unknown)
        try:
            if rule.broken(text):
                return Decision(name, rule.column, rule.why)
        except BadCell as error:
            return Decision(name, rule.column, f"{rule.column} {error}")
    return Decision(name, None, None)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the rows that are not blank, each with its line's number."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRequest("the table is larger than any table of cases (64 MiB)")
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadRequest("the table cannot be read; save it as CSV in UTF-8 with commas") from None
    rows = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cell.strip() for cell in cells)]
    if len(rows) < 2:
        raise BadRequest("the table holds no cases; it needs a header and one row a case")
    header = [cell.strip().lower() for cell in rows[0][1]]
    if "id" not in header or not set(COLUMNS[1:]) & set(header):
        raise BadRequest(f"the table needs a column id and at least one of {', '.join(COLUMNS[1:])}")
    if len(set(header)) < len(header):
        raise BadRequest("a column stands twice in the table")
    return header, rows[1:]

"""Tables: numbers kept as they are for CSV, and set for reading in Markdown."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from infarct.evaluation.result import Failure
from infarct.evaluation.summary import Spread
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import Interval

Cell: TypeAlias = str | int | float | Interval | Spread | None
"""None and nan are shown as a dash and are empty in CSV. Intervals and spreads take several columns of a CSV."""

DASH: Final = "–"


@dataclass(frozen=True)
class Column:
    """One column: its name in CSV, its title in Markdown, and how many digits are shown.

    ``median`` shows the median and quartiles of a `Spread` instead of mean, SD and interval.
    """

    name: str
    title: str
    digits: int = 3
    median: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a title and a note on how to read it; every row has a cell for every column.

    ``row_digits``, where given, stands instead of the columns' digits: one number a row, for rows of unlike measures.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    row_digits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of table {self.name} does not fit its columns")


GROUP: Final = Column("group", "Cohort")


def file_name(title: str) -> str:
    """Return a title as the name of a file: its words, joined."""
    return "_".join(re.findall(r"\w+", title))


def without_answer(failures: Sequence[Failure]) -> Table:
    """Return the scans without an answer; they are in no mean."""
    columns = (GROUP, Column("id", "Scan"), Column("reason", "Why"))
    rows = tuple((failure.group, failure.id, failure.reason) for failure in failures)
    return Table("without_answer", "Scans without an answer, left out of every mean", columns, rows)


def as_markdown(table: Table) -> str:
    """Return the table as Markdown, its title above and its note below."""
    lines = [f"## {table.title}", "", _line(column.title for column in table.columns)]
    lines.append(_line("---" if isinstance(kind, str) else "---:" for kind in _kinds(table)))
    for index, row in enumerate(table.rows):
        columns = table.columns
        if table.row_digits:
            columns = tuple(replace(column, digits=table.row_digits[index]) for column in columns)
        lines.append(_line(shown(cell, column) for cell, column in zip(row, columns, strict=True)))
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def as_csv(table: Table) -> str:
    """Return the table as CSV in full precision; the first line, behind a #, says what it may be used for."""
    stream = io.StringIO()
    stream.write(f"# {INTENDED_USE}\n")
    writer = csv.writer(stream, lineterminator="\n")
    kinds = _kinds(table)
    pairs = zip(table.columns, kinds, strict=True)
    writer.writerow(column.name + ending for column, kind in pairs for ending in _endings(kind))
    for row in table.rows:
        writer.writerow(value for cell, kind in zip(row, kinds, strict=True) for value in _values(cell, kind))
    return stream.getvalue()


def shown(cell: Cell, column: Column) -> str:
    """Return how a cell is set: a spread as mean ± SD (interval), or median (quartiles)."""
    digits = column.digits
    if cell is None or isinstance(cell, str | int):
        return DASH if cell is None else str(cell).replace("|", "\\|")
    if isinstance(cell, float):
        return number(cell, digits)
    if isinstance(cell, Interval):
        return f"{number(cell.estimate, digits)} {_bounds(cell, digits)}".rstrip()
    if cell.count == 0:
        return DASH
    if column.median:
        quartiles = f"({number(cell.lower_quartile, digits)} to {number(cell.upper_quartile, digits)})"
        return f"{number(cell.median.estimate, digits)} {quartiles}"
    if math.isnan(cell.sd):
        return number(cell.mean.estimate, digits)
    return f"{number(cell.mean.estimate, digits)} ± {number(cell.sd, digits)} {_bounds(cell.mean, digits)}".rstrip()


def number(value: float, digits: int) -> str:
    """Return ``value`` with a true minus sign and no negative zero; a dash where it is not defined."""
    if math.isnan(value):
        return DASH
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _kinds(table: Table) -> list[Cell]:
    """Return the first cell of each column that is not None."""
    return [next((row[i] for row in table.rows if row[i] is not None), None) for i in range(len(table.columns))]


def _bounds(interval: Interval, digits: int) -> str:
    if math.isnan(interval.low):
        return ""
    return f"({number(interval.low, digits)} to {number(interval.high, digits)})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


_INTERVAL: Final = ("", "_low", "_high", "_count")
_SPREAD: Final = (
    *("_count", "_mean", "_mean_low", "_mean_high", "_sd"),
    *("_median", "_median_low", "_median_high", "_lower_quartile", "_upper_quartile"),
)


def _endings(kind: Cell) -> tuple[str, ...]:
    """Return the endings of the columns that a cell of this kind takes in a CSV."""
    return _SPREAD if isinstance(kind, Spread) else _INTERVAL if isinstance(kind, Interval) else ("",)


def _values(cell: Cell, kind: Cell) -> list[str]:
    """Return a cell for the columns of its ``kind``; a plain number in a column of spreads stands as its mean."""
    endings = _endings(kind)
    if isinstance(cell, Spread):
        mean, median = cell.mean, cell.median
        parts: tuple[float, ...] = (mean.count, mean.estimate, mean.low, mean.high, cell.sd, median.estimate)
        return [_plain(v) for v in (*parts, median.low, median.high, cell.lower_quartile, cell.upper_quartile)]
    if isinstance(cell, Interval):
        return [_plain(value) for value in (cell.estimate, cell.low, cell.high, cell.count)]
    text = "" if cell is None else cell if isinstance(cell, str) else _plain(cell)
    return [text if ending in ("", "_mean") else "" for ending in endings]


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"

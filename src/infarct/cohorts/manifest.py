"""A user's own cohort: a CSV table of files and clinical values."""

import csv
import io
import re
from collections import Counter
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Final

from infarct.cohorts.case import PAIRED, Case, Cohort, LeftOut, Paired, Target
from infarct.cohorts.layout import Layout
from infarct.cohorts.masks import load_files
from infarct.cohorts.table_values import READERS, BadCell, clinical_of
from infarct.errors import BadRequest

MANIFEST: Final = "manifest.csv"
FILE_COLUMNS: Final = ("ct", "mask", "old_mask", *PAIRED)
COLUMNS: Final = ("id", *FILE_COLUMNS, *READERS, "patient", "target")
MAX_BYTES: Final = 64 << 20
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Ids become file names and stand in tables."""
_TARGETS: Final[dict[str, Target]] = {"": "acute", "acute": "acute", "core": "core", "final": "final"}


def find(path: Path) -> Path | None:
    """Return the table: a CSV file, or ``manifest.csv`` in a folder."""
    if path.is_file():
        return path if path.suffix.lower() == ".csv" else None
    return path / MANIFEST if (path / MANIFEST).is_file() else None


def read(path: Path) -> Cohort:
    """Return the cases of a table; paths in it are relative to its folder.

    Raises `BadRequest` where the table itself cannot be used: no text, unknown or missing columns, a path that is
    absolute or leads out of the folder. Columns are named by their place, for a lost header line would be patient data.
    """
    header, rows = _rows(path)
    _check_header(header)
    folder = path.parent.resolve()
    entries = [_Row(folder, number, dict(zip(header, cells, strict=False)), cells) for number, cells in rows]
    uses = Counter(entry.id for entry in entries)
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for entry in entries:
        reason = "the id stands in more than one row" if uses[entry.id] > 1 else entry.complaint(len(header))
        if reason:
            left_out.append(LeftOut(entry.name, reason))
            continue
        try:
            cases.append(entry.case())
        except BadCell as error:
            left_out.append(LeftOut(entry.name, str(error)))
    return Cohort("manifest", tuple(cases), tuple(left_out))


class _Row:
    """One row of the table: ``cells`` by column, ``number`` as a spreadsheet counts."""

    def __init__(self, folder: Path, number: int, cells: dict[str, str], raw: list[str]) -> None:
        self._raw = raw
        self._cells = {name: text.strip() for name, text in cells.items()}
        self.id = self._cells.get("id", "")
        self.number = number
        self._files = {
            name: _inside(folder, self._cells[name], number) for name in FILE_COLUMNS if self._cells.get(name)
        }

    @property
    def name(self) -> str:
        """How the row is called in tables: its id where that can be shown."""
        return self.id if _ID.fullmatch(self.id) else f"row {self.number}"

    def complaint(self, columns: int) -> str | None:
        """Return why the row cannot be used, None where it can, as far as its files and id go."""
        if len(self._raw) != columns:
            return f"the row has {len(self._raw)} cells and the table {columns} columns"
        if not _ID.fullmatch(self.id):
            return "the id is empty or holds more than 64 letters, digits, dots, dashes and underscores"
        if "ct" not in self._files:
            return "there is no CT"
        absent = [name for name, path in self._files.items() if not path.exists()]
        return f"the file in column {absent[0]} does not exist" if absent else None

    def case(self) -> Case:
        """Return the case. Raises `BadCell`."""
        paired: dict[Paired, Path] = {name: self._files[name] for name in PAIRED if name in self._files}
        lesion, old = self._files.get("mask"), self._files.get("old_mask")
        return Case(
            id=self.id,
            patient=self._cells.get("patient") or self.id,
            target=_target(self._cells.get("target", "")),
            loader=partial(load_files, self._files["ct"], lesion=lesion, old=old),
            clinical=clinical_of({name: self._cells[name] for name in READERS if name in self._cells}),
            paired=paired,
        )


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the rows that are not blank, each with its line's number."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRequest("the manifest is larger than any table of cases (64 MiB)")
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadRequest("the manifest cannot be read; save it as CSV in UTF-8 with commas") from None
    rows = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cell.strip() for cell in cells)]
    if len(rows) < 2:
        raise BadRequest("the manifest holds no cases; it needs a header and one row a case")
    if len(rows[0][1]) == 1 and {";", "\t"} & set(rows[0][1][0]):
        raise BadRequest("the manifest is separated by semicolons or tabs; save it with commas")
    return [cell.strip().lower() for cell in rows[0][1]], rows[1:]


def _check_header(header: list[str]) -> None:
    unknown = [place for place, name in enumerate(header, start=1) if name not in COLUMNS]
    if unknown:
        raise BadRequest(f"column {unknown[0]} of the manifest is unknown; known are {', '.join(COLUMNS)}")
    if len(set(header)) < len(header):
        raise BadRequest("a column stands twice in the manifest")
    for name in ("id", "ct"):
        if name not in header:
            raise BadRequest(f"the manifest has no column {name}")


def _inside(folder: Path, text: str, number: int) -> Path:
    """Return a path of the table, which must be relative and stay in the folder, links followed."""
    windows = PureWindowsPath(text)
    absolute = Path(text).is_absolute() or bool(windows.drive or windows.root)
    if absolute or "\0" in text:
        raise BadRequest(f"row {number} of the manifest holds an absolute path; give paths relative to the manifest")
    try:
        path = (folder / text).resolve()
        path.exists()
    except (OSError, RuntimeError):  # too long, or links in a circle
        raise BadRequest(f"row {number} of the manifest holds an impossible path") from None
    if not path.is_relative_to(folder):
        raise BadRequest(f"row {number} of the manifest holds a path that leads out of the manifest's folder")
    return path


def _target(text: str) -> Target:
    if text.lower() not in _TARGETS:
        raise BadCell("target is none of acute, core, final")
    return _TARGETS[text.lower()]


LAYOUT: Final = Layout("manifest", "a table manifest.csv with columns id, ct and more", find, read)

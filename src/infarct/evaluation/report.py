"""What an evaluation leaves behind: ``metrics.json``, tables as CSV and Markdown, figures, and the gallery."""

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infarct import __version__
from infarct.evaluation.figures import png, segment_figures
from infarct.evaluation.gallery import choose, gallery
from infarct.evaluation.record import Failure, Outcome, without_nan
from infarct.evaluation.run import PICTURES, Task
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.segment_tables import segment_tables
from infarct.evaluation.summary import Summary, summarise
from infarct.evaluation.tables import Table, as_csv, as_markdown
from infarct.findings import INTENDED_USE

METRICS_FILE: Final = "metrics.json"
TABLES_FILE: Final = "tables.md"
TABLES: Final = "tables"
FIGURES: Final = "figures"
GALLERY: Final = "gallery.png"
NOT_IN_MARKDOWN: Final = ("cases",)
"""Tables too wide to read."""


def write_segment_report(
    outcomes: Sequence[Outcome], tasks: Sequence[Task], folder: Path, settings: Mapping[str, Any]
) -> Path:
    """Write everything about the ``outcomes`` of ``tasks`` into ``folder`` and return the path of the tables.

    All is written into a temporary folder first, and then takes the place of what an earlier run left.
    """
    results = [outcome for outcome in outcomes if isinstance(outcome, CaseResult)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    summary = summarise(results)
    tables = segment_tables(summary, results, failures)
    working = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        write_tables(tables, working, "Evaluation of the segmentation")
        (working / FIGURES).mkdir()
        for drawing in segment_figures(results, summary.calibration):
            (working / FIGURES / f"{drawing.name}.png").write_bytes(png(drawing.figure))
        page = _gallery(results, tasks, folder / PICTURES)
        if page is not None:
            (working / FIGURES / GALLERY).write_bytes(page)
        metrics = json.dumps(metrics_of(summary, failures, settings), indent=2, allow_nan=False)
        (working / METRICS_FILE).write_text(metrics + "\n", encoding="utf-8")
        _take_place(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder / TABLES_FILE


def write_tables(tables: Sequence[Table], folder: Path, title: str) -> None:
    """Write each table as CSV into ``tables``, and those that can be read as one Markdown file."""
    (folder / TABLES).mkdir()
    parts = [f"# {title}\n\n{INTENDED_USE}\n"]
    for table in tables:
        (folder / TABLES / f"{table.name}.csv").write_text(as_csv(table), encoding="utf-8")
        if table.name not in NOT_IN_MARKDOWN:
            parts.append(as_markdown(table))
    (folder / TABLES_FILE).write_text("\n".join(parts), encoding="utf-8")


def metrics_of(summary: Summary, failures: Sequence[Failure], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``metrics.json``: the summary as it is, a number that is not defined as null."""
    found: dict[str, Any] = without_nan(asdict(summary))
    for part, one in zip(found["calibration"], summary.calibration, strict=True):
        sums = one.reliability
        part["expected_calibration_error"] = _null(sums.expected_calibration_error())
        part["expected_calibration_error_above_first_bin"] = _null(sums.expected_calibration_error(first_bin=1))
        part["brier"], part["nll"] = _null(sums.brier), _null(sums.nll)
    return {
        "intended_use": INTENDED_USE,
        "software": {"name": "infarct", "version": __version__},
        "settings": dict(settings),
        **found,
        "without_answer": [asdict(failure) for failure in failures],
    }


def _gallery(results: Sequence[CaseResult], tasks: Sequence[Task], pictures: Path) -> bytes | None:
    """Return the page of chosen scans, None where there is no picture."""
    places = {(task.group, task.id): pictures / task.picture for task in tasks}

    def picture_of(case: CaseResult) -> bytes | None:
        path = places[case.about.group, case.about.id]
        return path.read_bytes() if path.is_file() else None

    chosen = [choice for choice in choose(results) if picture_of(choice.result) is not None]
    return gallery(chosen, picture_of) if chosen else None


def _take_place(working: Path, folder: Path) -> None:
    """Move what is new into ``folder``; ``metrics.json`` comes last, and says that all is there."""
    for name in (TABLES, FIGURES, TABLES_FILE, METRICS_FILE):
        old = folder / name
        if old.is_dir():
            old.rename(working / f"old-{name}")
        (working / name).replace(old)


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value

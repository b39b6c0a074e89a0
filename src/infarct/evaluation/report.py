"""What an evaluation leaves behind: ``metrics.json``, tables as CSV and Markdown, and figures."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from infarct import __version__
from infarct.evaluation.result import Failure, Result
from infarct.evaluation.run import ONLY_REPORT, Task
from infarct.evaluation.tables import Table, as_csv, as_markdown
from infarct.findings import INTENDED_USE

METRICS_FILE: Final = "metrics.json"
TABLES_FILE: Final = "tables.md"
TABLES: Final = "tables"
FIGURES: Final = "figures"
NOT_IN_MARKDOWN: Final = ("cases",)
"""Tables too wide to read."""


@dataclass(frozen=True, eq=False)
class Content:
    """What is to be written: ``figures`` are names and PNGs, drawn one after the other as they are asked for."""

    title: str
    tables: Sequence[Table]
    figures: Iterable[tuple[str, bytes]]
    metrics: Mapping[str, Any]


def write_report(content: Content, folder: Path) -> Path:
    """Write a report into ``folder`` and return the path of the tables.

    All is written into a temporary folder first, and then takes the place of what an earlier run left.
    """
    working = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        write_tables(content.tables, working, content.title)
        (working / FIGURES).mkdir()
        for name, picture in content.figures:
            (working / FIGURES / f"{name}.png").write_bytes(picture)
        metrics = json.dumps(content.metrics, indent=2, allow_nan=False)
        (working / METRICS_FILE).write_text(metrics + "\n", encoding="utf-8")
        _take_place(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder / TABLES_FILE


def report_folders(methods: Sequence[str]) -> dict[str, str]:
    """Return the folder of each method's report, under the output: the output itself for one method alone."""
    return {name: ONLY_REPORT if len(methods) == 1 else name for name in methods}


def slug(name: str) -> str:
    """Return the name of a cohort or a judge as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def write_tables(tables: Sequence[Table], folder: Path, title: str) -> None:
    """Write each table as CSV into ``tables``, and those that can be read as one Markdown file."""
    (folder / TABLES).mkdir()
    parts = [f"# {title}\n\n{INTENDED_USE}\n"]
    for table in tables:
        (folder / TABLES / f"{table.name}.csv").write_text(as_csv(table), encoding="utf-8")
        if table.name not in NOT_IN_MARKDOWN:
            parts.append(as_markdown(table))
    (folder / TABLES_FILE).write_text("\n".join(parts), encoding="utf-8")


def about_run(settings: Mapping[str, Any], failures: Sequence[Failure]) -> dict[str, Any]:
    """Return what ``metrics.json`` says of any evaluation."""
    return {
        "intended_use": INTENDED_USE,
        "software": {"name": "infarct", "version": __version__},
        "settings": dict(settings),
        "without_answer": [asdict(failure) for failure in failures],
    }


def pictures_of(tasks: Sequence[Task], pictures: Path) -> Callable[[Result], bytes | None]:
    """Return what finds the picture (PNG) of a result among those in a folder; None where there is none."""
    places = {(task.group, task.id): pictures / task.picture for task in tasks}

    def picture_of(result: Result) -> bytes | None:
        path = places[result.about.group, result.about.id]
        return path.read_bytes() if path.is_file() else None

    return picture_of


def _take_place(working: Path, folder: Path) -> None:
    """Move what is new into ``folder``; ``metrics.json`` comes last, and says that all is there."""
    for name in (TABLES, FIGURES, TABLES_FILE, METRICS_FILE):
        old = folder / name
        if old.is_dir():
            old.rename(working / f"old-{name}")
        (working / name).replace(old)

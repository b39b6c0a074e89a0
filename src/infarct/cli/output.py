"""Writing results whole or not at all, and showing progress on stderr."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.findings import Analysis
    from infarct.volume import Scan


def check_output(folder: Path) -> None:
    """Raise `BadRequest` unless ``folder`` is new or an empty folder in a place where it can be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest("the output folder exists and is not empty; give a new or an empty one")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise BadRequest("the output folder cannot be made there; choose a place that can be written")


def write_results(scan: "Scan", analysis: "Analysis", folder: Path) -> Path:
    """Write all results into ``folder`` at once, and return the path of the report.

    They are written into a temporary folder beside it, which then takes its name: a run that fails leaves nothing.
    """
    from infarct.writers import write_html, write_json

    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=".infarct-", dir=folder.parent))
    try:
        write_json(analysis, working)
        report = write_html(scan, analysis, working)
        working.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        working.rename(folder)
    except BaseException:
        shutil.rmtree(working, ignore_errors=True)
        raise
    return folder / report.name


class Steps:
    """A progress bar over named steps."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=total)
        self._begun = 0

    def begin(self, name: str) -> None:
        """Say that the step ``name`` begins; the one before it is done."""
        self._progress.update(self._task, completed=self._begun, description=name)
        self._begun += 1

    def finish(self) -> None:
        """Say that the last step is done."""
        self._progress.update(self._task, completed=self._begun, description="done")


@contextmanager
def step_bar(total: int, *, quiet: bool) -> Iterator[Steps]:
    """Show a bar of ``total`` steps on stderr, nothing if ``quiet``."""
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        steps = Steps(progress, total)
        yield steps
        steps.finish()


def set_up_log(*, verbose: bool) -> None:
    """Send infarct's own log to stderr, warnings only unless ``verbose``."""
    logging.basicConfig(stream=sys.stderr, format="infarct: %(message)s", level=logging.WARNING)
    logging.getLogger("infarct").setLevel(logging.INFO if verbose else logging.WARNING)

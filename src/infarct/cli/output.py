"""Writing results whole or not at all, and showing progress on stderr."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from infarct.cli.formats import Extras
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.findings import Analysis
    from infarct.volume import Scan


SCAN_FOLDER = "scan"


def check_output(folder: Path, *, source: Path | None = None) -> None:
    """Raise `BadRequest` unless ``folder`` is new or empty, can be written, and lies outside the ``source``."""
    try:
        place = folder.resolve()
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise BadRequest("the output folder exists and is not empty; give a new or an empty one")
        if source is not None and source.is_dir() and place.is_relative_to(source.resolve()):
            raise BadRequest("the output folder lies inside the input; give one outside")
        nearest = next(parent for parent in (place, *place.parents) if parent.exists())
        Path(tempfile.mkdtemp(prefix=".infarct-", dir=nearest)).rmdir()
    except OSError as error:
        raise BadRequest(f"the output folder cannot be made there ({error.strerror})") from error


def write_results(scan: "Scan", analysis: "Analysis", folder: Path, extras: Extras) -> Path:
    """Write all results into ``folder`` at once, and return the path of the report.

    Raises `BadRequest` where the disk does not take them.
    """
    from infarct.writers import write_html, write_json
    from infarct.writers.formats import write_formats

    names: list[str] = []

    def fill(working: Path) -> None:
        if extras.scan is not None:
            shutil.copytree(extras.scan, working / SCAN_FOLDER)
        write_json(analysis, working)
        names.append(write_html(scan, analysis, working).name)
        write_formats(
            scan, analysis, working, extras.formats, deidentify=extras.deidentify, made=datetime.now().astimezone()
        )

    write_whole(folder, fill)
    return folder.absolute() / names[0]


def write_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let ``fill`` write files into ``folder``: all of them, or none.

    They are written into a temporary folder, which then takes the name of ``folder``, or whose files move into it where
    it exists and is empty: a run that fails leaves nothing.

    Raises `BadRequest` where the disk does not take them.
    """
    place = folder.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=".infarct-", dir=place if place.exists() else place.parent))
        try:
            fill(working)
            _publish(working, place)
        finally:
            shutil.rmtree(working, ignore_errors=True)
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error


def _publish(working: Path, place: Path) -> None:
    """Give the files in ``working`` their place: a new folder takes its name, an empty one takes its files."""
    if not place.exists():
        working.chmod(0o755)
        working.rename(place)
        return
    if any(path != working for path in place.iterdir()):
        raise BadRequest("the output folder is no longer empty: another run may have written there")
    moved: list[Path] = []
    try:
        for path in sorted(working.iterdir()):
            moved.append(path.rename(place / path.name))
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


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

    def reach(self, done: int, text: str) -> None:
        """Say that ``done`` steps are done, and where that is."""
        self._begun = done
        self._progress.update(self._task, completed=done, description=text)

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

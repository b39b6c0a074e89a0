"""A phantom cohort on disk: many processes, one subject after the other, whole or not at all.

A subject is made in a temporary folder and renamed when it is complete, so an interrupted run is continued by the same
command, and a later command may add patients.
"""

import json
import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infarct.errors import BadRequest
from infarct.export.montage import write_page
from infarct.export.order import CohortOrder, subject_name
from infarct.export.subject import TRUTH_FILE, write_subject
from infarct.export.table import as_tsv, columns_described, dataset_description, readme
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.phantom import draw
from infarct.phantom.workers import prepare_worker

COHORT_FILE: Final = "cohort.json"
PAGE_FILE: Final = "index.html"
NOT_BIDS: Final = (COHORT_FILE, PAGE_FILE, "sub-*/ses-*/ct/", "sub-*/ses-*/perf/", "sub-*/ses-*/dwi/")
"""What a BIDS validator is to leave alone."""
_PARTIAL: Final = ".partial-"


@dataclass(frozen=True)
class Folders:
    """Where the parts of a cohort are."""

    root: Path

    @property
    def truth(self) -> Path:
        """Folder of the truth of all subjects."""
        return self.root / "derivatives" / "truth"

    def complete(self) -> list[str]:
        """Return the names of the subjects that are there, in order."""
        names = [path.name for path in self.root.glob("sub-*") if (self.truth / path.name / TRUTH_FILE).is_file()]
        return sorted(names, key=lambda name: (len(name), name))

    def record(self, name: str) -> dict[str, Any]:
        """Return what ``truth.json`` of a subject says."""
        found: dict[str, Any] = json.loads((self.truth / name / TRUTH_FILE).read_text(encoding="utf-8"))
        return found


def make_cohort(
    order: CohortOrder, folder: Path, *, jobs: int = 1, on_done: Callable[[int], None] = lambda _: None
) -> Path:
    """Make the patients that ``folder`` lacks, in ``jobs`` processes, and return the path of the page of pictures.

    ``on_done`` is told how many of ``order``'s patients are there, at the beginning and after each. Raises
    `BadRequest` where the folder holds anything else than a cohort of the same settings and parameters, or the disk
    or the memory does not suffice; what is complete stays.
    """
    folders = Folders(folder.resolve())
    try:
        _begin(order, folders)
        missing = _missing(order, folders)
        on_done(order.count - len(missing))
        try:
            for count, _ in enumerate(_made(order, missing, folders, jobs), start=1):
                on_done(order.count - len(missing) + count)
        finally:
            _describe(order, folders)
    except BrokenProcessPool as error:
        raise BadRequest("a process was stopped, perhaps for want of memory; run again with fewer --jobs") from error
    except OSError as error:
        raise BadRequest(f"the cohort could not be written ({error.strerror})") from error
    return folder.absolute() / PAGE_FILE


def _begin(order: CohortOrder, folders: Folders) -> None:
    """Make the folder, or see that it holds a cohort of the same settings; remove what an interrupted run left."""
    settings = order.settings()
    stored = folders.root / COHORT_FILE
    if folders.root.exists() and any(folders.root.iterdir()):
        if not stored.is_file():
            raise BadRequest("the output folder holds something else than a cohort; give a new or an empty one")
        differing = _differing(stored, settings)
        if differing:
            names = ", ".join(differing)
            raise BadRequest(f"the folder holds a cohort made with other settings ({names}); give a new folder")
    folders.truth.mkdir(parents=True, exist_ok=True)
    for left in folders.root.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left)
    _write(stored, json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _differing(stored: Path, settings: dict[str, Any]) -> list[str]:
    """Return the names of the settings that a stored cohort has otherwise."""
    try:
        found = json.loads(stored.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadRequest("cohort.json in the output folder is damaged; give a new folder")
    return sorted(name for name, value in settings.items() if found.get(name) != value)


def _missing(order: CohortOrder, folders: Folders) -> list[int]:
    """Return the indices of the patients that are to be made.

    Raises `BadRequest` where one that is there was made from other parameters than it would be now.
    """
    there = set(folders.complete())
    for index in order.indices:
        name = subject_name(index)
        if name in there and folders.record(name)["digest"] != draw(order.preset, index, order.split).digest():
            raise BadRequest(f"{name} was made from other parameters: the preset has changed; give a new folder")
    return [index for index in order.indices if subject_name(index) not in there]


def _made(order: CohortOrder, missing: list[int], folders: Folders, jobs: int) -> Iterator[int]:
    """Yield the patients as they are complete. At most two a process are under way, so memory stays flat."""
    if not missing:
        return
    waiting = iter(missing)
    context = multiprocessing.get_context("spawn")  # a forked process cannot use torch's threads
    with ProcessPoolExecutor(min(jobs, len(missing)), context, initializer=_begin_worker) as pool:
        running: set[Future[int]] = set()
        try:
            while True:
                for index in waiting:
                    running.add(pool.submit(make_subject, order, index, folders.root))
                    if len(running) >= 2 * jobs:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def _begin_worker() -> None:
    """Make this process a worker; an interruption from the keyboard is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_worker()


def make_subject(order: CohortOrder, index: int, root: Path) -> int:
    """Make one patient under ``root`` and return its index; the folders appear when all files are in them."""
    folders = Folders(root)
    name = subject_name(index)
    working = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=root))
    try:
        write_subject(order, index, working)
        for target in (folders.truth / name, root / name):
            if target.exists():
                shutil.rmtree(target)
        # The scans come last: a subject counts as complete where both are there.
        (working / "truth").rename(folders.truth / name)
        (working / "raw").rename(root / name)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return index


def _describe(order: CohortOrder, folders: Folders) -> None:
    """Write the tables and pages about all subjects that are there."""
    names = folders.complete()
    root = folders.root
    _write(root / "participants.tsv", as_tsv(folders.record(name)["participant"] for name in names))
    _write(root / "participants.json", _json(columns_described()))
    _write(root / "dataset_description.json", _json(dataset_description(order, derivative=False)))
    _write(folders.truth / "dataset_description.json", _json(dataset_description(order, derivative=True)))
    _write(root / "README", readme(order))
    _write(root / ".bidsignore", "".join(f"{pattern}\n" for pattern in NOT_BIDS))
    partial = root / f"{_PARTIAL}{PAGE_FILE}"
    title = f"Phantom cohort: {order.preset}, {order.split}"
    write_page(partial, title, f"Synthetic. {INTENDED_USE}", (_captioned(folders, name) for name in names))
    partial.replace(root / PAGE_FILE)


def _captioned(folders: Folders, name: str) -> tuple[str, list[Path]]:
    """Return the line above a patient's pictures, and the pictures."""
    row = folders.record(name)["participant"]
    parts = [row["patient"], f"{row['age']:.0f} {row['sex']}", row["state"]]
    if row["occlusion"] is not None:
        parts += [f"{row['side']} {row['occlusion']}", f"{row['onset_h']:.1f} h", f"infarct {row['infarct_ml']:.1f} ml"]
        parts += [f"core {row['core_ml']:.1f} ml", f"final {row['final_ml']:.1f} ml, {row['followup_h']:.0f} h"]
    return f"{name}: {', '.join(parts)}", sorted((folders.truth / name).glob("ses-*/*_ct.png"))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode())

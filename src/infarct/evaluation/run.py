"""Many scans one after the other, in several processes if wanted, each result on disk as soon as it is there."""

import multiprocessing
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias

from infarct.errors import BadRequest, InfarctError
from infarct.evaluation.record import Record
from infarct.evaluation.result import Failure, Form, Outcome, R
from infarct.files import write_whole
from infarct.phantom.workers import prepare_worker
from infarct.runtime.allocator import give_back_memory

PICTURES: Final = "cases"
ONLY_REPORT: Final = "."
"""Folder of the report, under the output, of an evaluation that has one."""


@dataclass(frozen=True)
class Task:
    """One scan to evaluate: number ``index`` of cohort number ``cohort``.

    ``id`` is its key, ``fingerprint`` says what it is read from.
    """

    group: str
    id: str
    cohort: int
    index: int
    fingerprint: str

    @property
    def picture(self) -> str:
        """Name of the picture's file."""
        return f"{self.cohort}-{re.sub(r'[^A-Za-z0-9._-]', '_', self.id)}.png"


@dataclass(frozen=True, eq=False)
class Evaluated(Generic[R]):
    """The result of a scan, and its pictures as PNG by the folder, under the output, of the report that shows them."""

    result: R
    pictures: Mapping[str, bytes]


Work: TypeAlias = Callable[[Task], Evaluated[R]]
Begin: TypeAlias = Callable[[], Work[R]]
"""Loads what evaluating needs, once a process, and returns what evaluates one scan. With several jobs it is pickled."""


@dataclass(frozen=True, eq=False)
class Evaluation(Generic[R]):
    """One evaluation put together: what is to be done, what decides its results, and how these are kept and told.

    ``write_report`` takes all outcomes with their tasks, the folder and the settings, and returns the tables' path.
    """

    tasks: tuple[Task, ...]
    settings: Mapping[str, Any]
    form: Form[R]
    begin: Begin[R]
    write_report: Callable[[Sequence[Outcome[R]], Sequence[Task], Path, Mapping[str, Any]], Path]


def evaluate_all(
    tasks: Sequence[Task],
    begin: Begin[R],
    record: Record[R],
    folder: Path,
    *,
    jobs: int = 1,
    on_done: Callable[[int], None] = lambda _: None,
) -> list[Outcome[R]]:
    """Evaluate the scans that ``record`` lacks and return the outcomes of all ``tasks``, in their order.

    A scan whose files changed since is lacking, and so is one without an answer. Pictures go to ``folder``. ``on_done``
    is told how many are there, at the beginning and after each. A scan that the system refuses or fails on becomes a
    `Failure`. Raises `BadRequest` where a process is stopped or the disk is full;
    what is done stays.
    """
    waiting = [task for task in tasks if not record.holds(task.group, task.id, fingerprint=task.fingerprint)]
    done = len(tasks) - len(waiting)
    try:
        on_done(done)
        for task, found in _outcomes(waiting, begin, jobs):
            if isinstance(found, Evaluated):
                _write_pictures(found.pictures, task, folder)
            record.add(found.result if isinstance(found, Evaluated) else found)
            done += 1
            on_done(done)
    except BrokenProcessPool as error:
        raise BadRequest("a process was stopped, perhaps for want of memory; run again with fewer --jobs") from error
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error
    return [record.outcome(task.group, task.id) for task in tasks]


def _write_pictures(pictures: Mapping[str, bytes], task: Task, folder: Path) -> None:
    for report, picture in pictures.items():
        place = folder / report / PICTURES
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / task.picture, picture)


def _outcomes(tasks: Sequence[Task], begin: Begin[R], jobs: int) -> Iterator[tuple[Task, Evaluated[R] | Failure]]:
    """Yield what becomes of each scan, as it comes. One scan a process is in memory."""
    if not tasks:
        return
    if jobs == 1:
        work = begin()
        for task in tasks:
            yield task, _attempt(work, task)
        return
    waiting = iter(tasks)
    context = multiprocessing.get_context("spawn")  # a forked process cannot use torch's threads
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, initializer=_begin_worker, initargs=(begin,)) as pool:
        running: dict[Future[Evaluated[R] | Failure], Task] = {}
        try:
            while True:
                for task in waiting:
                    running[pool.submit(_attempt_here, task)] = task
                    if len(running) >= 2 * jobs:
                        break
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()


def _attempt(work: Work[R], task: Task) -> Evaluated[R] | Failure:
    try:
        return work(task)
    except InfarctError as error:
        return Failure(task.id, task.group, str(error))
    finally:
        give_back_memory()


_WORKING: list[Work[Any]] = []
"""What this process evaluates with, where it is a worker."""


def _begin_worker(begin: Begin[Any]) -> None:
    """Make this process a worker; an interruption from the keyboard is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_worker()
    _WORKING[:] = [begin()]


def _attempt_here(task: Task) -> Evaluated[Any] | Failure:
    return _attempt(_WORKING[0], task)

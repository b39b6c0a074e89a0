"""Rows of an experiment that need nothing of one another, worked on at the same time."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeAlias, TypeVar

from infarct.phantom.workers import prepare_worker

Item = TypeVar("Item")
Tell: TypeAlias = Callable[[str], None]
"""Takes a line on where the work is."""


def side_by_side(work: Callable[[Item], object], items: Mapping[str, Item], *, jobs: int, tell: Tell) -> None:
    """Do the ``work`` of each of the ``items``, which are told of by their names.

    With one job it is done here, with all threads of this process. More are as many processes of one thread each:
    steps of a small network gain little from a second one. Where one fails, those that have not begun are left, and
    its error is raised.
    """
    if jobs == 1:
        for name, item in items.items():
            tell(f"{name}: begun")
            work(item)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        names = {pool.submit(work, item): name for name, item in items.items()}
        try:
            for done, future in enumerate(as_completed(names), start=1):
                future.result()
                tell(f"{names[future]}: done, {done} of {len(names)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

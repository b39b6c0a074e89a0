"""Work on items in turn or in several processes."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch

from infarct.errors import BadRequest
from infarct.reproduce.side_by_side import side_by_side


def note(number: int, *, folder: Path) -> None:
    """Leave a file that says who did it, with how many threads."""
    (folder / str(number)).write_text(f"{os.getpid()} {torch.get_num_threads()}")


def refuse(number: int) -> None:
    raise BadRequest(f"item {number}")


def test_one_job_is_done_here_in_order(tmp_path: Path) -> None:
    lines: list[str] = []
    side_by_side(partial(note, folder=tmp_path), {"b": 1, "a": 0}, jobs=1, tell=lines.append)
    assert lines == ["b: begun", "a: begun"]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}
    assert all(path.read_text() == f"{os.getpid()} {torch.get_num_threads()}" for path in tmp_path.iterdir())


@pytest.mark.slow
def test_several_jobs_are_processes_of_one_thread(tmp_path: Path) -> None:
    lines: list[str] = []
    side_by_side(partial(note, folder=tmp_path), {"a": 0, "b": 1, "c": 2}, jobs=2, tell=lines.append)
    assert [line.split(", ")[1] for line in lines] == ["1 of 3", "2 of 3", "3 of 3"]
    assert {line[0] for line in lines} == {"a", "b", "c"}
    told = [path.read_text().split() for path in tmp_path.iterdir()]
    assert len(told) == 3
    assert all(threads == "1" and int(process) != os.getpid() for process, threads in told)
    with pytest.raises(BadRequest, match="item"):
        side_by_side(refuse, {"a": 0, "b": 1}, jobs=2, tell=lines.append)

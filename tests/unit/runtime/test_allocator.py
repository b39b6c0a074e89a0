"""The allocator setting: what it is told, and that memory then stays with the process."""

import subprocess
import sys

import pytest

from infarct.runtime import allocator

SCRIPT = """
import resource
from infarct.runtime.allocator import keep_freed_memory
import numpy as np
assert keep_freed_memory() is True
assert keep_freed_memory() is True
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(2**25, 1, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc on Linux only")
def test_pages_are_touched_for_the_first_time_once() -> None:
    """32 MiB are 8192 pages: freed and taken again, they are still mapped."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100


@pytest.mark.parametrize(("system", "library"), [("darwin", ""), ("win32", ""), ("linux", "musl")])
def test_other_c_libraries_are_left_alone(system: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", system)
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: (library, ""))
    assert allocator.keep_freed_memory() is False

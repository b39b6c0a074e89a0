"""Many processes that each render patients."""

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt`` (malloc.h)."""
_KEPT_BYTES, _LARGE_BYTES = 1 << 30, 32 << 20


def prepare_worker() -> None:
    """Make this process a renderer among others: one thread, and memory that is kept for the next tensor.

    The number of threads decides the order of sums and so the last bits, which therefore do not depend on how many
    processes there are. Fresh pages for each large tensor cost a good part of the time otherwise.
    """
    torch.set_num_threads(1)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)

"""Writing files so that a reader never meets half of one."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path``, whole or not at all, and return it; what was there stays till then.

    Several processes may write the same file at once. Raises `OSError` where the disk refuses it.
    """
    working = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        working.write_bytes(content)
        working.replace(path)
    finally:
        working.unlink(missing_ok=True)
    return path

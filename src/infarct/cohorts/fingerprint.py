"""What a case is read from, in one number: it changes with the case and with every file of it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any


def fingerprint(loader: Callable[[], Any], *about: object) -> str:
    """Return the SHA-256 (hex) of ``about``, of what ``loader`` calls with which arguments, and of the files it reads.

    A file counts by path, size and time of its last change, a folder by the files below it; paths are looked for in the
    arguments of a `partial`, in what these contain and in the fields of dataclasses.
    """
    called, given = (loader, ()) if not isinstance(loader, partial) else (loader.func, (loader.args, loader.keywords))
    lines = [repr(about), f"{called.__module__}.{called.__qualname__}", repr(given)]
    lines += [line for path in _paths(given) for line in _states(path)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from _paths(getattr(value, entry.name))
    elif isinstance(value, Mapping):
        yield from _paths(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _paths(part)


def _states(path: Path) -> Iterator[str]:
    """Yield a line for each file that exists; hidden ones below a folder are the clutter of other programs."""
    if not path.is_dir():
        yield from _state(path)
        return
    for here, inner, names in os.walk(path):
        inner.sort()
        for name in sorted(names):
            if not name.startswith("."):
                yield from _state(Path(here) / name)


def _state(path: Path) -> Iterator[str]:
    try:
        found = path.stat()
    except OSError:
        return
    yield repr((str(path), found.st_size, found.st_mtime_ns))

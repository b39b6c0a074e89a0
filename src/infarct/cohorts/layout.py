"""What every adapter of a data set offers, and how it finds its files."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infarct.cohorts.case import Cohort


@dataclass(frozen=True)
class Layout:
    """A supported data set: how it is called, what its folder looks like, and how it is read.

    ``find`` returns the folder that holds the cases, None where the given folder has another layout; ``read`` lists the
    cases of a folder found, without reading images.
    """

    kind: str
    looks: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], Cohort]


def folders(parent: Path) -> list[Path]:
    """Return the folders in a folder in the order a person counts (``case_2`` before ``case_10``); none if absent.

    Hidden ones are left aside.
    """
    if not parent.is_dir():
        return []
    return in_order(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths in the order a person counts: shorter names first, then by name."""
    return sorted(paths, key=lambda path: (len(path.name), path.name))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder and its folders, in a fixed order, the clutter of archives and editors left aside."""
    for here, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if name != "__MACOSX")
        yield from (Path(here) / name for name in sorted(names) if not name.startswith("."))


def nifti_stem(path: Path) -> str | None:
    """Return a file's name without ``.nii`` or ``.nii.gz``, None for any other file."""
    for ending in (".nii.gz", ".nii"):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return None


def nifti_ending(paths: Iterable[Path], ending: str) -> list[Path]:
    """Return the NIfTI files whose name without suffix ends with ``ending``."""
    return [path for path in paths if (nifti_stem(path) or "").endswith(ending)]

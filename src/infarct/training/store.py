"""Reading prepared cases: the index of a folder, and arrays in memory or mapped from disk.

One after the other: numpy reads the head of an array with `ast`, which some versions of CPython, 3.11.7 for one, cannot
do in two threads at once ("AST constructor recursion depth mismatch").
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from infarct.errors import UnreadableInput
from infarct.training.cases import INDEX, Prepared, Role
from infarct.types import LabelArray

Listed = TypeVar("Listed")

MEMORY_GB: Final = 6.0
"""Cases of one role that take more than this are unpacked once and mapped from disk."""
LABELS: Final = 4


@dataclass(frozen=True)
class CaseIndex:
    """What lies in a folder of prepared cases: the input setting as data, and the cases."""

    folder: Path
    setting: Mapping[str, Any]
    cases: tuple[Prepared, ...]

    def of(self, role: Role) -> tuple[Prepared, ...]:
        """Return the cases of a role."""
        return tuple(case for case in self.cases if case.role == role)


@dataclass(frozen=True, eq=False)
class StoredCase:
    """One prepared case in memory, or mapped.

    ``channels`` float16 (c, z, y, x); ``labels`` uint8 (z, y, x): 0 outside the brain, 1 brain, 2 acute, 3 old infarct;
    ``counts`` voxels a label value and slice, (4, z).
    """

    id: str
    channels: npt.NDArray[np.float16]
    labels: LabelArray
    spacing_mm_zyx: tuple[float, float, float]
    counts: npt.NDArray[np.int64]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return float(np.prod(self.spacing_mm_zyx)) / 1000


def read_index(folder: Path) -> CaseIndex:
    """Return the index of a folder of prepared cases.

    Raises `UnreadableInput` where there is none, or a case that it lists is missing.
    """
    setting, cases = read_listed(folder, lambda case: Prepared(**{**case, "voxels": tuple(case["voxels"])}))
    check_files(folder, [case.file for case in cases])
    return CaseIndex(folder, setting, cases)


def read_listed(
    folder: Path, read: Callable[[Mapping[str, Any]], Listed]
) -> tuple[Mapping[str, Any], tuple[Listed, ...]]:
    """Return the input setting in the index of a folder, and what ``read`` makes of each case that it lists.

    Raises `UnreadableInput` where there is no index, or one of another kind of cases.
    """
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return dict(data["setting"]), tuple(read(case) for case in data["cases"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableInput("the folder holds no readable index of prepared cases (cases.json)") from error


def check_files(folder: Path, files: Sequence[str]) -> None:
    """Raise `UnreadableInput` where files that an index lists are missing."""
    missing = sum(not (folder / file).is_file() for file in files)
    if missing:
        raise UnreadableInput(f"{missing} of {len(files)} prepared cases are missing in the folder; prepare them again")


def load_cases(index: CaseIndex, cases: Sequence[Prepared]) -> list[StoredCase]:
    """Return some of a folder's cases; large ones are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged.
    """
    channels = 2 if index.setting.get("mirror") else 1
    bytes_wanted = sum(sum(case.voxels) for case in cases) * (2 * channels + 1)
    mapped = bytes_wanted > MEMORY_GB * 1e9
    return [_read_case(index.folder, case, mapped=mapped) for case in cases]


def _read_case(folder: Path, case: Prepared, *, mapped: bool) -> StoredCase:
    try:
        with np.load(folder / case.file) as stored:
            spacing = tuple(float(step) for step in stored["spacing_mm_zyx"])
            channels, labels = arrays_of(folder / case.file, stored, ("channels", "labels"), mapped=mapped)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UnreadableInput("a prepared case is damaged; delete it and prepare it again") from error
    if channels.ndim != 4 or labels.shape != channels.shape[1:] or len(spacing) != 3 or labels.max() >= LABELS:
        raise UnreadableInput("a prepared case has arrays of the wrong shape; delete it and prepare it again")
    counts = np.stack([np.bincount(plane.ravel(), minlength=LABELS) for plane in labels], axis=1)
    return StoredCase(case.id, channels, labels, (spacing[0], spacing[1], spacing[2]), counts)


def arrays_of(case: Path, stored: Mapping[str, Any], parts: Sequence[str], *, mapped: bool) -> list[npt.NDArray[Any]]:
    """Return arrays ``stored`` in a case's file: in memory, or mapped from files beside it, made where missing."""
    if not mapped:
        return [stored[part] for part in parts]
    place = case.parent / "unpacked"
    place.mkdir(exist_ok=True)
    arrays = []
    for part in parts:
        path = place / f"{case.stem}-{part}.npy"
        if not path.exists() or path.stat().st_mtime < case.stat().st_mtime:
            working = path.with_suffix(f".{os.getpid()}.part")  # each device of a training may unpack
            with working.open("wb") as file:
                np.save(file, stored[part])
            working.replace(path)
        arrays.append(np.load(path, mmap_mode="r"))
    return arrays

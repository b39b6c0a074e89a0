"""Reading cases that were prepared for DA-Net."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from infarct.errors import UnreadableInput
from infarct.preprocess.region_input import LABELS, RegionInput
from infarct.training.cases import Role
from infarct.training.region_cases import PreparedRegions
from infarct.training.store import MEMORY_GB, READERS, arrays_of, check_files, read_listed
from infarct.types import BoolArray
from infarct.volume import Geometry

BYTES_A_VOXEL = 3
"""float16 and uint8."""


@dataclass(frozen=True)
class RegionIndex:
    """What lies in a folder of prepared cases: the setting of their input as data, and the cases."""

    folder: Path
    setting: Mapping[str, Any]
    cases: tuple[PreparedRegions, ...]

    def of(self, role: Role) -> tuple[PreparedRegions, ...]:
        """Return the cases of a role."""
        return tuple(case for case in self.cases if case.role == role)


@dataclass(frozen=True, eq=False)
class StoredRegions:
    """One prepared case in memory, or mapped: ``input`` with a float16 image, on a grid that has lost its place in the
    world; ``affected`` bool (20,), in the order of the label values.
    """

    id: str
    input: RegionInput
    affected: BoolArray


def read_region_index(folder: Path) -> RegionIndex:
    """Return the index of a folder of cases prepared for DA-Net.

    Raises `UnreadableInput` where there is none, or a case that it lists is missing.
    """
    setting, cases = read_listed(folder, lambda case: PreparedRegions(**{**case, "affected": tuple(case["affected"])}))
    check_files(folder, [case.file for case in cases])
    return RegionIndex(folder, setting, cases)


def load_region_cases(index: RegionIndex, cases: Sequence[PreparedRegions]) -> list[StoredRegions]:
    """Return some of a folder's cases, read in parallel; large ones are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged.
    """
    wanted = sum(case.voxels for case in cases) * BYTES_A_VOXEL
    read = partial(_read_case, index.folder, mapped=wanted > MEMORY_GB * 1e9)
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, cases))


def _read_case(folder: Path, case: PreparedRegions, *, mapped: bool) -> StoredRegions:
    try:
        with np.load(folder / case.file) as stored:
            image, regions = arrays_of(folder / case.file, stored, ("image", "regions"), mapped=mapped)
            affected = stored["affected"]
            geometry = Geometry.regular(regions.shape, [float(step) for step in stored["spacing_mm_zyx"]])
    except (OSError, EOFError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise UnreadableInput("a prepared case is damaged; delete it and prepare it again") from error
    if image.ndim != 3 or image.shape != regions.shape or affected.shape != (LABELS - 1,) or regions.max() >= LABELS:
        raise UnreadableInput("a prepared case has arrays of the wrong shape; delete it and prepare it again")
    return StoredRegions(case.id, RegionInput(image, regions, geometry), affected)

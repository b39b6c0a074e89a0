"""Reading cases that were prepared for DA-Net."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from infarct.errors import BadRequest, UnreadableInput
from infarct.files import write_whole
from infarct.preprocess.region_input import LABELS, RegionInput
from infarct.training.cases import CLAIM, Role, orders_of, write_index
from infarct.training.region_cases import PreparedRegions, RegionPlan
from infarct.training.store import MEMORY_GB, arrays_of, check_files, read_listed
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

    @property
    def counts(self) -> dict[str, int]:
        """How many cases there are for what, as a model card tells it."""
        training, validation = self.of("train"), self.of("validation")
        return {
            "training_cases": len(training),
            "training_cases_with_affected": sum(bool(case.affected) for case in training),
            "validation_cases": len(validation),
            "validation_cases_with_affected": sum(bool(case.affected) for case in validation),
        }


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


def list_part(source: Path, plan: RegionPlan, folder: Path) -> Path:
    """Make ``folder`` one of prepared cases that holds the patients of a plan, and return it.

    Only its index is written: the cases stay in ``source``, which may hold more patients. Raises what `cases_of` does.
    """
    cases = cases_of(plan, source)
    folder.mkdir(parents=True, exist_ok=True)
    way = Path(os.path.relpath(source.resolve(), folder.resolve()))
    write_whole(folder / CLAIM, (source / CLAIM).read_bytes())
    write_index(folder, plan.setting, [replace(case, file=(way / case.file).as_posix()) for case in cases])
    return folder


def cases_of(plan: RegionPlan, source: Path) -> list[PreparedRegions]:
    """Return the patients of a plan among the prepared cases in ``source``.

    Raises `BadRequest` where one is missing there or was prepared in another way, and `UnreadableInput` where there is
    no index.
    """
    index = read_region_index(source)
    if index.setting != json.loads(json.dumps(asdict(plan.setting))):
        raise BadRequest("the prepared cases are not on the grid that is wanted; prepare others")
    known = {case.file: case for case in index.cases}
    wanted = [order.file for order in orders_of(plan.shares)]
    missing = sum(file not in known for file in wanted)
    if missing:
        raise BadRequest(f"{missing} of {len(wanted)} patients that are wanted are not among the prepared cases")
    return [known[file] for file in wanted]


def load_region_cases(index: RegionIndex, cases: Sequence[PreparedRegions]) -> list[StoredRegions]:
    """Return some of a folder's cases; large ones are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged.
    """
    mapped = sum(case.voxels for case in cases) * BYTES_A_VOXEL > MEMORY_GB * 1e9
    return [_read_case(index.folder, case, mapped=mapped) for case in cases]


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

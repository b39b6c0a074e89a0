"""Reading heads that were prepared for the patch CNNs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from infarct.errors import UnreadableInput
from infarct.measure.severity import SEVERITIES, Severity
from infarct.preprocess.patch_input import Channels, PatchSetting
from infarct.training.cases import Role
from infarct.training.patch_cases import PreparedPicture
from infarct.training.store import MEMORY_GB, arrays_of, check_files, read_listed
from infarct.types import LabelArray
from infarct.volume import Geometry

BYTES_A_VOXEL: Final = 2
"""Of the marks and the blood; an image has as many."""


@dataclass(frozen=True)
class PatchIndex:
    """What lies in a folder of prepared heads: the setting of their pictures, and the cases."""

    folder: Path
    setting: PatchSetting
    cases: tuple[PreparedPicture, ...]

    def of(self, role: Role) -> tuple[PreparedPicture, ...]:
        """Return the cases of a role."""
        return tuple(case for case in self.cases if case.role == role)

    @property
    def counts(self) -> dict[str, int]:
        """How many cases there are for what, as a model card tells it."""
        found: dict[str, int] = {}
        for name, cases in (("training", self.of("train")), ("validation", self.of("validation"))):
            found[f"{name}_cases"] = len(cases)
            found |= {f"{name}_cases_{kind}": sum(case.severity == kind for case in cases) for kind in SEVERITIES}
            found[f"{name}_cases_with_blood"] = sum(case.blood_ml > 0 for case in cases)
            found[f"{name}_cases_healthy"] = sum(case.preset == "healthy" for case in cases)
        return found


@dataclass(frozen=True, eq=False)
class PatchCase:
    """One prepared head in memory, or mapped, cut to the brain: all that `patch_cases.save_patch_case` writes.

    ``images`` float16 (c, z, y, x); ``marks`` and ``blood`` uint8 (z, y, x), see `patch_cases.Marks`.
    """

    id: str
    preset: str
    severity: Severity | None
    images: Channels
    marks: LabelArray
    blood: LabelArray
    geometry: Geometry


def read_patch_index(folder: Path) -> PatchIndex:
    """Return the index of a folder of heads prepared for the patch CNNs.

    Raises `UnreadableInput` where there is none, or a case that it lists is missing.
    """
    data, cases = read_listed(folder, lambda case: PreparedPicture(**case))
    check_files(folder, [case.file for case in cases])
    return PatchIndex(folder, _setting(data), cases)


def load_patch_cases(index: PatchIndex, cases: Sequence[PreparedPicture]) -> list[PatchCase]:
    """Return some of a folder's cases; where they are many they are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged.
    """
    bytes_wanted = sum(case.voxels for case in cases) * BYTES_A_VOXEL * (1 + index.setting.images)
    return [_read_case(index, case, mapped=bytes_wanted > MEMORY_GB * 1e9) for case in cases]


def _read_case(index: PatchIndex, case: PreparedPicture, *, mapped: bool) -> PatchCase:
    path = index.folder / case.file
    try:
        with np.load(path) as stored:
            images, marks, blood = arrays_of(path, stored, ("images", "marks", "blood"), mapped=mapped)
            geometry = _geometry(stored, marks.shape)
    except (OSError, EOFError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise UnreadableInput("a prepared case is damaged; delete it and prepare it again") from error
    if (
        images.shape != (index.setting.images, *geometry.shape_zyx)
        or not marks.shape == blood.shape == images.shape[1:]
    ):
        raise UnreadableInput("a prepared case has arrays of the wrong shape; delete it and prepare it again")
    return PatchCase(case.id, case.preset, case.severity, images, marks, blood, geometry)


def _geometry(stored: Mapping[str, Any], shape: Sequence[int]) -> Geometry:
    row_mm, column_mm = (float(step) for step in stored["pixel_spacing_mm_yx"])
    directions = stored["directions"]
    rows, columns = shape[1:]
    return Geometry(stored["origins_mm"], directions[:, 0], directions[:, 1], (row_mm, column_mm), (rows, columns))


def _setting(data: Mapping[str, Any]) -> PatchSetting:
    try:
        return PatchSetting(**data)
    except (TypeError, ValueError) as error:
        raise UnreadableInput("the folder holds prepared cases of another kind") from error

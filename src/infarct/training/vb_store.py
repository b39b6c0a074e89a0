"""Reading prepared cases for the cascade of VB-Nets: the head with its true regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.errors import UnreadableInput
from infarct.preprocess.cascade_input import CascadeInput
from infarct.preprocess.region_input import LABELS
from infarct.training.region_cases import PreparedRegions
from infarct.training.region_store import RegionIndex
from infarct.training.store import MEMORY_GB, arrays_of
from infarct.types import BoolArray, Float64Array, LabelArray

BYTES_A_VOXEL = 4
"""float16, uint8 and bool."""
PARTS = ("image", "true_regions", "intracranial")


@dataclass(frozen=True, eq=False)
class StoredHead:
    """One prepared case in memory, or mapped: ``image`` float16, -1 to 1; the true ``regions`` (uint8 labels) and the
    ``intracranial`` region (bool), (z, y, x); ``to_atlas`` as in `preprocess.cascade_input.CascadeInput`.
    """

    id: str
    image: npt.NDArray[np.float16]
    regions: LabelArray
    intracranial: BoolArray
    to_atlas: Float64Array | None
    spacing_mm_zyx: tuple[float, float, float]

    @cached_property
    def middle(self) -> Float64Array:
        """The middle of the box around the regions, in voxels (3,)."""
        found = ndimage.find_objects((self.regions > 0).astype(np.uint8))[0]
        return np.array([(part.start + part.stop - 1) / 2 for part in found])

    @property
    def given(self) -> CascadeInput:
        """What the cascade gets of it."""
        return CascadeInput(self.image + np.float16(1), self.intracranial, self.to_atlas, self.spacing_mm_zyx)


def load_heads(index: RegionIndex, cases: Sequence[PreparedRegions]) -> list[StoredHead]:
    """Return some of a folder's cases; large ones are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged, or was prepared before the true regions were kept.
    """
    mapped = sum(case.voxels for case in cases) * BYTES_A_VOXEL > MEMORY_GB * 1e9
    return [_read_head(index.folder, case, mapped=mapped) for case in cases]


def _read_head(folder: Path, case: PreparedRegions, *, mapped: bool) -> StoredHead:
    try:
        with np.load(folder / case.file) as stored:
            image, regions, intracranial = arrays_of(folder / case.file, stored, PARTS, mapped=mapped)
            matrix = np.asarray(stored["to_atlas"], dtype=np.float64)
            sz, sy, sx = (float(step) for step in stored["spacing_mm_zyx"])
    except (OSError, EOFError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise UnreadableInput(
            "a prepared case is damaged, or of an older version; delete it and prepare it again"
        ) from error
    shapes = {image.shape, regions.shape, intracranial.shape}
    if len(shapes) > 1 or image.ndim != 3 or matrix.shape != (3, 4) or not 0 < regions.max() < LABELS:
        raise UnreadableInput("a prepared case has arrays of the wrong shape; delete it and prepare it again")
    to_atlas = matrix if np.isfinite(matrix).all() else None
    return StoredHead(case.id, image, regions, intracranial, to_atlas, (sz, sy, sx))

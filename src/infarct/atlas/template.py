"""The head template: tissue maps, a CT-like image and region labels in MNI space.

`tools/build_atlas.py` makes the one shipped file. It holds the patient's left half including the midsagittal plane of
voxels; the right half is its mirror image, so left and right agree exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from infarct.anatomy import REGIONS
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume.geometry import Geometry

Element = TypeVar("Element", bound=np.generic)

ATLAS_FILE: Final = Path(__file__).parent / "data" / "mni_head.npz"
FRACTION_STEPS: Final = 63
"""Tissue fractions are stored in 6 bits: 0 is none, 63 is all."""

TISSUE_CLASSES: Final[tuple[str, ...]] = (
    "air",
    "scalp",
    "skull",
    "subarachnoid",
    "dura",
    "ventricle",
    "cortical",
    "subcortical",
    "infratentorial",
)
"""Names of the values of the stored tissue classes, which exclude each other."""
GREY_HU: Final = 37.0
WHITE_HU: Final = 29.5
CSF_HU: Final = 7.0
"""HU of pure tissue in the template."""
_FIRST_INTRACRANIAL: Final = TISSUE_CLASSES.index("subarachnoid")
_FIRST_BRAIN: Final = TISSUE_CLASSES.index("ventricle")


@dataclass(frozen=True, eq=False)
class Atlas:
    """A head in MNI space on a 1 mm LPS grid; every array is (z, y, x) and read-only.

    Arrays are unfolded from their stored half on first use. `load_atlas` returns the shipped one.

    Parameters
    ----------
    geometry:
        Grid of the unfolded arrays, with an odd number of columns; the middle one lies at x = 0.
    half:
        Stored arrays by name, each (z, y, columns from the midsagittal plane to the patient's left).
    """

    geometry: Geometry
    half: Mapping[str, npt.NDArray[Any]] = field(repr=False)

    @cached_property
    def grey(self) -> Float32Array:
        """Grey matter fraction, 0-1."""
        return _frozen(_unfold(self.half["grey"]) * np.float32(1 / FRACTION_STEPS))

    @cached_property
    def white(self) -> Float32Array:
        """White matter fraction, 0-1."""
        return _frozen(_unfold(self.half["white"]) * np.float32(1 / FRACTION_STEPS))

    @cached_property
    def csf(self) -> Float32Array:
        """Cerebrospinal fluid fraction, 0-1: what grey and white matter leave inside the skull, dura aside."""
        rest = np.clip(1 - self.grey - self.white, 0, 1)
        return _frozen(np.where(self.intracranial & ~self._is("dura"), rest, np.float32(0)))

    @cached_property
    def template_hu(self) -> Float32Array:
        """CT-like image in HU: air -1000, bone 350-1000, grey 37, white 29.5, fluid 7, blurred as by a scanner."""
        grey, white = (self.half[name] * np.float32(1 / FRACTION_STEPS) for name in ("grey", "white"))
        brain = grey * GREY_HU + white * WHITE_HU + np.clip(1 - grey - white, 0, 1) * CSF_HU
        tissue = self.half["tissue"]
        filled = (tissue >= _FIRST_INTRACRANIAL) & (tissue != TISSUE_CLASSES.index("dura"))
        hu = np.where(filled, brain, self.half["head_hu"]).astype(np.float32)
        return _frozen(_unfold(_blurred(hu)))

    @cached_property
    def tissue(self) -> LabelArray:
        """Tissue class of each voxel: an index into `TISSUE_CLASSES`."""
        return _frozen(_unfold(self.half["tissue"]))

    @cached_property
    def scalp(self) -> BoolArray:
        """Soft tissue outside the skull: scalp, face and neck."""
        return _frozen(self._is("scalp"))

    @cached_property
    def skull(self) -> BoolArray:
        """Bone of the vault, the skull base and the orbits."""
        return _frozen(self._is("skull"))

    @cached_property
    def intracranial(self) -> BoolArray:
        """Everything inside the skull above the foramen magnum: brain, fluid and dura."""
        return _frozen(self.tissue >= _FIRST_INTRACRANIAL)

    @cached_property
    def brain(self) -> BoolArray:
        """Parenchyma and ventricles, without subarachnoid fluid."""
        return _frozen(self.tissue >= _FIRST_BRAIN)

    @cached_property
    def ventricles(self) -> BoolArray:
        """Lateral, third and fourth ventricles."""
        return _frozen(self._is("ventricle"))

    @cached_property
    def falx(self) -> BoolArray:
        """Falx and tentorium, one voxel thick."""
        return _frozen(self._is("dura"))

    @cached_property
    def cortical(self) -> BoolArray:
        """Supratentorial parenchyma near the surface: cortex and the white matter just below it."""
        return _frozen(self._is("cortical"))

    @cached_property
    def subcortical(self) -> BoolArray:
        """The rest of the supratentorial parenchyma: deep nuclei, capsules, deep white matter."""
        return _frozen(self._is("subcortical"))

    @cached_property
    def aspects_labels(self) -> LabelArray:
        """ASPECTS regions: `infarct.anatomy.region_label` values, right 1-10, left 11-20, 0 elsewhere."""
        half = self.half["aspects"].astype(np.uint8)
        left = np.where(half > 0, half + len(REGIONS), 0).astype(np.uint8)
        return _frozen(np.concatenate([half[..., :0:-1], left], axis=-1))

    @cached_property
    def territories(self) -> LabelArray:
        """Vascular and infratentorial territories of the parenchyma: `infarct.anatomy.TERRITORY_LABELS` values."""
        return _frozen(_unfold(self.half["territories"]))

    @cached_property
    def hemispheres(self) -> LabelArray:
        """Half of the brain: 1 right, 2 left; 0 outside the brain and in the midsagittal plane of voxels."""
        columns = np.arange(self.brain.shape[-1], dtype=np.int64) - self.brain.shape[-1] // 2
        sides = np.where(columns < 0, 1, np.where(columns > 0, 2, 0)).astype(np.uint8)
        return _frozen(np.where(self.brain, sides, np.uint8(0)))

    def _is(self, tissue_class: str) -> BoolArray:
        return np.asarray(self.tissue == TISSUE_CLASSES.index(tissue_class))


@cache
def load_atlas() -> Atlas:
    """Return the shipped atlas; it is read once."""
    return read_atlas(ATLAS_FILE)


def read_atlas(path: Path) -> Atlas:
    """Return the atlas in an ``.npz`` file that `tools/build_atlas.py` wrote.

    Raises `OSError` where the file cannot be read and `KeyError` where it lacks an array.
    """
    with np.load(path, allow_pickle=False) as stored:
        half = {name: stored[name] for name in ("grey", "white", "tissue", "aspects", "territories", "head_hu")}
        spacing_mm, origin_mm = stored["spacing_mm_zyx"], stored["origin_mm_xyz"]
    depth, rows, columns = half["tissue"].shape
    geometry = Geometry.regular((depth, rows, 2 * columns - 1), spacing_mm.tolist(), origin_mm=origin_mm)
    return Atlas(geometry=geometry, half=half)


def _unfold(half: npt.NDArray[Element]) -> npt.NDArray[Element]:
    """Return the whole of which ``half`` is the patient's left, its first column the midsagittal one."""
    return np.concatenate([half[..., :0:-1], half], axis=-1)


def _blurred(half: Float32Array) -> Float32Array:
    """Return the half image blurred along each axis with weights 1/4, 1/2, 1/4, that is a SD of 0.7 voxels."""
    for axis in range(3):
        lines = np.moveaxis(half, axis, 0)
        # Before the midsagittal plane comes the mirror image; beyond the other faces is more of the same.
        first = lines[1:2] if axis == 2 else lines[:1]
        lower, upper = np.concatenate([first, lines[:-1]]), np.concatenate([lines[1:], lines[-1:]])
        half = np.moveaxis(lines * np.float32(0.5) + (lower + upper) * np.float32(0.25), 0, axis)
    return np.ascontiguousarray(half)


def _frozen(array: npt.NDArray[Element]) -> npt.NDArray[Element]:
    array.flags.writeable = False
    return array

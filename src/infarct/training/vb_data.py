"""What a training of the cascade sees: a pure function of the seed and the number of the item.

Item k holds a whole head for the coarse network and a box around the regions for the fine one, of the same case.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from infarct.phantom.grid import rng
from infarct.phantom.patient import Pose
from infarct.preprocess.cascade_input import (
    COORDINATE_MM,
    GRID_PARTS,
    CascadeInput,
    Zyx,
    box_start,
    place_channels,
    places,
    shrunk,
)
from infarct.training.augment import Motion, drawn_motion, moved, retoned
from infarct.training.vb_recipe import Shake, VbRecipe
from infarct.training.vb_store import StoredHead
from infarct.types import Float32Array, Float64Array, LabelArray

OUTSIDE, BRAIN = 0, 1
"""Label values of an item; a region's is its own and 1."""
OTHER_SIDE: Final = np.array([0, 1, *range(12, 22), *range(2, 12)], dtype=np.uint8)
"""The label value of the same region on the other side."""
BRIGHTEST: Final = 2.0
REGIONS_MIDDLE_MM: Final = np.array([0.0, 1.5, 12.6])
"""Mean of the centroids of the atlas's regions, x, y, z."""


@dataclass(frozen=True, eq=False)
class HeadVolumes:
    """A head, shrunk or not, as patches are cut from it: ``channels`` holds the image alone."""

    channels: npt.NDArray[np.float16]
    labels: LabelArray
    spacing_mm_zyx: tuple[float, float, float]
    to_atlas: Float64Array | None


class HeadDataset(Dataset[dict[str, dict[str, Tensor]]]):
    """Item k: for each stage ``channels`` float32 (c, z, y, x) and ``labels`` uint8 (z, y, x)."""

    def __init__(self, cases: Sequence[StoredHead], recipe: VbRecipe) -> None:
        self._cases = cases
        self._recipe = recipe

    def __getitem__(self, number: int) -> dict[str, dict[str, Tensor]]:
        """Return item ``number``, 0 or more; there is no last one."""
        recipe = self._recipe
        round_number, place = divmod(number, len(self._cases))
        order = rng(recipe.seed, "round", str(round_number)).permutation(len(self._cases))
        case = self._cases[order[place]]
        random = rng(recipe.seed, "head", str(number))
        setting, given = recipe.cascade, case.given
        coarse, how = shrunk(given, setting.factor_zyx)
        whole = volumes(coarse, how.centres(case.regions).astype(np.uint8))
        start = middle_start(whole.labels.shape, setting.coarse_tile_zyx)
        part = volumes(given, case.regions)
        aside = random.uniform(-1, 1, 3) * recipe.box_shift_mm / np.array(case.spacing_mm_zyx)
        box = box_start(case.middle + aside, part.labels.shape, setting.fine_tile_zyx)
        return {
            "coarse": item_of(whole, start, setting.coarse_tile_zyx, recipe, random=random),
            "fine": item_of(part, box, setting.fine_tile_zyx, recipe, random=random),
        }


def volumes(given: CascadeInput, regions: LabelArray) -> HeadVolumes:
    """Return what patches are cut from, of an input and its true regions (uint8 labels, (z, y, x))."""
    labels = np.where(regions > 0, regions + BRAIN, given.inside).astype(np.uint8)
    return HeadVolumes(np.asarray(given.image, dtype=np.float16)[None], labels, given.spacing_mm_zyx, given.to_atlas)


def middle_start(shape: Sequence[int], size_zyx: Zyx) -> Zyx:
    """Return where a patch in the middle of a volume begins; a smaller volume stands in the middle of the patch."""
    return box_start((np.array(shape) - 1) / 2, shape, size_zyx)


def item_of(
    case: HeadVolumes, start: Zyx, size_zyx: Zyx, recipe: VbRecipe, *, random: np.random.Generator
) -> dict[str, Tensor]:
    """Return the patch that begins at ``start`` as a network gets it, varied as the recipe says."""
    motion = drawn_motion(case, start, size_zyx, recipe.augmentation, random)
    patch = moved(case, size_zyx, motion)
    image, labels = retoned(patch.channels, recipe.augmentation, random), patch.labels
    known = case.to_atlas if random.random() >= recipe.shake.missing else None
    where = None if known is None else shaken(known, recipe.shake, random)
    parts = patch_coordinates(where, case.labels.shape, size_zyx, motion)
    if random.random() < recipe.augmentation.flip_chance:
        image, parts, labels = image[..., ::-1], parts[..., ::-1], OTHER_SIDE[labels[..., ::-1]]
        parts = parts * np.array([-1, 1, 1], dtype=np.float32)[:, None, None, None]
    channels = [np.clip(image, 0, BRIGHTEST), *place_channels(parts, recipe.cascade)]
    return {
        "channels": torch.from_numpy(np.concatenate(channels).astype(np.float32)),
        "labels": torch.from_numpy(np.ascontiguousarray(labels)),
    }


def shaken(to_atlas: Float64Array, shake: Shake, random: np.random.Generator) -> Float64Array:
    """Return a map (3, 4) to the atlas that is off as a registration is. The plane is off already: x is only scaled.

    Scales and turns are about the middle of the atlas's regions.
    """
    pitch, roll, yaw = random.normal(0.0, shake.turn_deg, 3)
    scales = random.normal(1.0, shake.scale, 3) * shake.stretch_xyz
    off = scales[:, None] * Pose(pitch, roll, yaw, (0.0, 0.0, 0.0)).matrix()[:3, :3]
    aside = random.normal(0.0, shake.shift_mm, 3) + REGIONS_MIDDLE_MM - off @ REGIONS_MIDDLE_MM
    found = off @ to_atlas
    found[:, 3] += aside
    found[0] = to_atlas[0] * scales[0]
    return np.asarray(found, dtype=np.float64)


def as_registered(cases: Sequence[StoredHead], recipe: VbRecipe) -> list[StoredHead]:
    """Return cases whose maps to the atlas are off as the recipe says, so that they validate what a registration will
    give. The same case is always off alike.
    """
    return [
        case
        if case.to_atlas is None
        else replace(case, to_atlas=shaken(case.to_atlas, recipe.shake, rng(recipe.seed, "registered", case.id)))
        for case in cases
    ]


def patch_coordinates(
    to_atlas: Float64Array | None, shape: Sequence[int], size_zyx: Zyx, motion: Motion
) -> Float32Array:
    """Return the coordinates (float32, (3, z, y, x)) of a moved patch, x with its sign.

    They are 0 where the map is not known, and beyond a volume of ``shape``, as in inference.
    """
    if to_atlas is None:
        return np.zeros((GRID_PARTS, *size_zyx), dtype=np.float32)
    offset = motion.centre - motion.matrix @ ((np.array(size_zyx) - 1) / 2)
    source = places(np.column_stack([motion.matrix, offset]), size_zyx)
    last = np.array(shape, dtype=np.float32)[:, None, None, None] - np.float32(0.5)
    there = ((source >= -0.5) & (source <= last)).all(axis=0)
    whole = np.column_stack([to_atlas[:, :3] @ motion.matrix, to_atlas[:, :3] @ offset + to_atlas[:, 3]])
    return places(whole / COORDINATE_MM, size_zyx) * there

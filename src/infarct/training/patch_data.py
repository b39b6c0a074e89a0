"""Which patches a training of the patch CNNs sees: a pure function of the seed, the network and the number of the item.

An item is some patches of one head, or of two where the other half comes from a head without what is looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from infarct.errors import BadRequest
from infarct.phantom.grid import rng
from infarct.preprocess.patch_input import BEFORE_PX, PATCH_PX, SLICES, Channels, Places
from infarct.training.augment import NEIGHBOUR, smeared
from infarct.training.patch_cases import BRAIN, DARK, DENSE, FOLLOWUP, INFARCT, OLD, STAINED, TISSUE
from infarct.training.patch_recipe import SINGLE, PatchRecipe, PatchSystem, PatchVariation
from infarct.training.patch_store import PatchCase
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray

Flat = npt.NDArray[np.int32]
"""Voxels by their number in the flattened picture."""
RIM_MM: Final = 4.0
"""So near to its edge a region is its rim, where bone and fluid are part of a voxel."""


@dataclass(frozen=True, eq=False)
class HardPlaces:
    """Voxels of a head that are hard to tell from what is looked for: ``alike`` in density, or in its ``rim``."""

    alike: Flat
    rim: Flat


def region_of(marks: LabelArray, system: PatchSystem) -> BoolArray:
    """Return the voxels that a system judges, by their ``marks`` (uint8, of any shape): tissue, or all of the brain."""
    return np.asarray(marks & (TISSUE if system == "volumetry" else BRAIN) > 0)


def is_wanted(marks: LabelArray, blood: LabelArray, system: PatchSystem) -> BoolArray:
    """Return the voxels (bool, of the shape of both) that a system looks for: infarct without blood, or blood."""
    found = marks & INFARCT > 0 if system == "volumetry" else blood > 0
    return np.asarray(found & _counted(marks, blood, system))


def is_other(marks: LabelArray, blood: LabelArray, system: PatchSystem) -> BoolArray:
    """Return the voxels (bool, of the shape of both) that a system judges and that are not what it looks for.

    In the search for infarcts blood is neither, as in the paper.
    """
    found = marks & INFARCT > 0 if system == "volumetry" else blood > 0
    return np.asarray(~found & _counted(marks, blood, system))


def is_alike(marks: LabelArray, system: PatchSystem) -> BoolArray:
    """Return the voxels (bool) whose ``marks`` (uint8) say that they look like what a system looks for."""
    return np.asarray(marks & (DARK | OLD if system == "volumetry" else DENSE | STAINED) > 0)


def _counted(marks: LabelArray, blood: LabelArray, system: PatchSystem) -> BoolArray:
    region = region_of(marks, system)
    return region & (blood == 0) if system == "volumetry" else region


class Pool:
    """Heads with what is looked for, the voxels of each that are it, and heads without any."""

    def __init__(self, cases: Sequence[PatchCase], network: str, system: PatchSystem) -> None:
        wanted = {
            number: np.flatnonzero(is_wanted(case.marks, case.blood, system)).astype(np.int32)
            for number, case in enumerate(cases)
            if has_target(case, network, system)
        }
        self.ill = [number for number, places in wanted.items() if len(places)]
        self.wanted = [wanted[number] for number in self.ill]
        self.apart = [number for number, case in enumerate(cases) if is_free(case, system)]


def has_target(case: PatchCase, network: str, system: PatchSystem) -> bool:
    """Return whether a head is one that a network is meant for: with blood, or a follow-up infarct of its class."""
    if system == "hemorrhage":
        return bool(case.blood.any())
    return case.preset == FOLLOWUP and case.severity is not None and network in (case.severity, SINGLE)


def is_meant_for(case: PatchCase, network: str, system: PatchSystem) -> bool:
    """Return whether a head shows what a network is to look for."""
    return has_target(case, network, system) and bool(is_wanted(case.marks, case.blood, system).any())


def is_free(case: PatchCase, system: PatchSystem) -> bool:
    """Return whether a head has none of what a system looks for."""
    return not ((case.marks & INFARCT).any() if system == "volumetry" else case.blood.any())


class PatchDataset(Dataset[dict[str, dict[str, Tensor]]]):
    """Item k: for each network ``patches`` float32 (n, c, 19, 19) and ``wanted`` float32 (n,), 1 or 0.

    Raises `BadRequest` where no case shows what a network is to look for.
    """

    def __init__(self, cases: Sequence[PatchCase], recipe: PatchRecipe) -> None:
        self._cases = cases
        self._recipe = recipe
        self._pools = {network: Pool(cases, network, recipe.system) for network in recipe.networks}
        missing = [network for network, pool in self._pools.items() if not pool.ill]
        if missing:
            raise BadRequest(f"no head to train on shows what these networks look for: {', '.join(missing)}")
        self._hard = [hard_places(case, recipe) for case in cases]

    def __getitem__(self, number: int) -> dict[str, dict[str, Tensor]]:
        """Return item ``number``, 0 or more; there is no last one."""
        return {network: self._item(network, number) for network in self._recipe.networks}

    def _item(self, network: str, number: int) -> dict[str, Tensor]:
        recipe, pool = self._recipe, self._pools[network]
        round_number, place = divmod(number, len(pool.ill))
        chosen = rng(recipe.seed, "round", network, str(round_number)).permutation(len(pool.ill))[place]
        random = rng(recipe.seed, "patches", network, str(number))
        ill = pool.ill[chosen]
        aside = bool(pool.apart) and random.random() < recipe.apart_share
        other = pool.apart[random.integers(len(pool.apart))] if aside else ill
        half = recipe.patches_a_head // 2
        found = random.choice(pool.wanted[chosen], half)
        rest = other_places(
            self._cases[other],
            self._hard[other],
            recipe.patches_a_head - half,
            recipe,
            random=random,
        )
        plain = PatchVariation() if recipe.variation.wanted_only else recipe.variation
        patches = [
            varied_patches(self._cases[ill], found, recipe.variation, random=random),
            varied_patches(self._cases[other], rest, plain, random=random),
        ]
        wanted = np.arange(recipe.patches_a_head) < half
        return {
            "patches": torch.from_numpy(np.concatenate(patches)),
            "wanted": torch.from_numpy(wanted.astype(np.float32)),
        }


def hard_places(case: PatchCase, recipe: PatchRecipe) -> HardPlaces:
    """Return the voxels of a head that are not what a recipe's system looks for, and hard to tell from it."""
    nothing = np.zeros(0, dtype=np.int32)
    others = is_other(case.marks, case.blood, recipe.system)
    alike, rim = nothing, nothing
    if recipe.hard_share > 0:
        alike = np.flatnonzero(others & is_alike(case.marks, recipe.system)).astype(np.int32)
    if recipe.rim_share > 0:
        region = region_of(case.marks, recipe.system)
        rim = np.flatnonzero(others & rim_of(region, case.geometry.pixel_spacing_mm_yx)).astype(np.int32)
    return HardPlaces(alike, rim)


def rim_of(region: BoolArray, spacing_mm_yx: tuple[float, float]) -> BoolArray:
    """Return what of a ``region`` (bool, (z, y, x)) lies within `RIM_MM` of what is outside of it, in its slice."""
    inside = np.stack(
        [ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing_mm_yx)[1:-1, 1:-1] for plane in region]
    )
    return np.asarray(region & (inside <= RIM_MM))


def other_places(
    case: PatchCase, hard: HardPlaces, count: int, recipe: PatchRecipe, *, random: np.random.Generator
) -> Flat:
    """Return ``count`` voxels of a head that are not what is looked for, shares of them ``hard`` if there are any."""
    kinds = (hard.alike, recipe.hard_share), (hard.rim, recipe.rim_share)
    drawn = [random.choice(places, round(count * share)) for places, share in kinds if len(places) and share > 0]
    plain = drawn_evenly(case, count - sum(map(len, drawn)), recipe.system, random=random)
    return np.concatenate([*drawn, plain])


def drawn_evenly(case: PatchCase, count: int, system: PatchSystem, *, random: np.random.Generator) -> Flat:
    """Return ``count`` voxels of a head, drawn evenly from all those that are not what is looked for.

    Raises `ValueError` where there is none.
    """
    marks, blood = case.marks.reshape(-1), case.blood.reshape(-1)
    tries = random.integers(marks.size, size=8 * count, dtype=np.int32)
    found = tries[is_other(marks[tries], blood[tries], system)]
    if len(found) < count:  # little of the picture is: look at all of it
        every = np.flatnonzero(is_other(marks, blood, system)).astype(np.int32)
        if not len(every):
            raise ValueError("the head holds nothing but what is looked for")
        found = random.choice(every, count)
    return found[:count]


def varied_patches(
    case: PatchCase, flat: Flat, variation: PatchVariation, *, random: np.random.Generator
) -> Float32Array:
    """Return the patches (n, c, 19, 19) about some voxels of a head, each varied by draws of its own."""
    places = np.stack(np.unravel_index(flat, case.marks.shape), axis=1)
    count = len(places)
    patches = turned_patches(case.images, places, drawn_turns(count, variation, random=random))
    contrast, offset = random.uniform(-1, 1, (2, count, 1, 1, 1)).astype(np.float32)
    if variation.contrast:
        patches *= 1 + np.float32(variation.contrast) * contrast
    if variation.offset:
        patches += np.float32(variation.offset) * offset
    if variation.noise_sd:
        sd = variation.noise_sd * random.random((count, 1, 1, 1)) / (1 + 2 * NEIGHBOUR**2)
        white = random.standard_normal(patches.shape, dtype=np.float32)
        patches += sd.astype(np.float32) * smeared(smeared(white, 2), 3)
    return patches


def drawn_turns(count: int, variation: PatchVariation, *, random: np.random.Generator) -> Float64Array:
    """Return matrices (n, 2, 2) for rows and columns: random turns, after columns changed places by chance."""
    angles = np.radians(variation.rotation_deg) * random.uniform(-1, 1, count)
    flips = np.where(random.random(count) < variation.flip_chance, -1.0, 1.0)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin * flips], axis=1), np.stack([sin, cos * flips], axis=1)], axis=1)


def turned_patches(images: Channels, places: Places, turns: Float64Array) -> Float32Array:
    """Return patches as `patch_input.cut_patches` does, each with its offsets from its voxel turned by a matrix.

    What stands ``offset`` (row, column) from the middle of a patch is the voxel nearest to ``turns`` @ ``offset`` from
    its place. A flip takes the mirrored image along: of a head that is flipped as a whole both images are reversed.
    """
    ahead = np.arange(PATCH_PX) - BEFORE_PX
    offsets = np.stack(np.meshgrid(ahead, ahead, indexing="ij")).reshape(2, -1)
    moved = np.rint(turns @ offsets).astype(np.intp).reshape(-1, 2, PATCH_PX, PATCH_PX)
    z = np.clip(places[:, :1] + np.array(SLICES), 0, images.shape[1] - 1)
    y, x = (np.clip(places[:, axis, None, None] + moved[:, axis - 1], 0, images.shape[axis + 1] - 1) for axis in (1, 2))
    cut = images[:, z[:, :, None, None], y[:, None], x[:, None]]
    shape = len(places), len(images) * len(SLICES), PATCH_PX, PATCH_PX
    return np.ascontiguousarray(np.moveaxis(cut, 0, 1).reshape(shape), dtype=np.float32)

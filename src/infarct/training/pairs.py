"""Which pairs of patches a training of DA-Net sees: a pure function of the seed, the group and the number of the pair.

The swap of the two sides needs no augmentation: the loss always counts both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from infarct.anatomy import Region, region_label
from infarct.phantom.grid import rng
from infarct.preprocess.region_input import PAIR, RegionSetting, own_half, region_pair
from infarct.training.aspects_recipe import AspectsRecipe
from infarct.training.augment import retoned
from infarct.training.pair_implants import with_pair_implant
from infarct.training.recipe import Augmentation, Implants
from infarct.training.region_store import StoredRegions
from infarct.types import BoolArray, Float32Array, Float64Array

IMAGES, MASKS = slice(0, None, 2), slice(1, None, 2)
"""Channels of a pair."""


@dataclass(frozen=True)
class PairPlace:
    """A region of a case, by the case's number."""

    case: int
    region: Region


def places_of(cases: Sequence[StoredRegions], regions: Sequence[Region]) -> list[PairPlace]:
    """Return all pairs of some regions: those that a case shows on both sides."""
    return [
        PairPlace(number, region) for number, case in enumerate(cases) for region in regions if case.input.has(region)
    ]


def affected_sides(case: StoredRegions, region: Region) -> BoolArray:
    """Return whether a region is affected on the left and on the right, bool (2,)."""
    return case.affected[[region_label(region, side) - 1 for side in PAIR]]


class PairDataset(Dataset[dict[str, dict[str, Tensor]]]):
    """Item k of a training: for each group of regions a ``pair`` float32 (4, z, y, x) and ``affected`` float32 (2,)."""

    def __init__(self, cases: Sequence[StoredRegions], recipe: AspectsRecipe) -> None:
        self._cases = cases
        self._recipe = recipe
        self._pools = {name: _pools(cases, regions) for name, regions in recipe.groups.items()}

    def __getitem__(self, number: int) -> dict[str, dict[str, Tensor]]:
        """Return item ``number``, 0 or more; there is no last one."""
        return {name: self._drawn(name, number) for name in self._recipe.groups}

    def _drawn(self, group: str, number: int) -> dict[str, Tensor]:
        recipe = self._recipe
        random = rng(recipe.seed, group, str(number))
        ill, well = self._pools[group]
        pool = ill if ill and (random.random() < recipe.infarct_share or not well) else well
        place = pool[int(random.integers(len(pool)))]
        case = self._cases[place.case]
        implants = recipe.beginning.implants if number < recipe.beginning.patches else recipe.implants
        pair, affected = drawn_pair(
            case, place.region, recipe.phantoms.setting, recipe.augmentation, implants, random=random
        )
        return {"pair": torch.from_numpy(pair), "affected": torch.from_numpy(affected.astype(np.float32))}


def _pools(cases: Sequence[StoredRegions], regions: Sequence[Region]) -> tuple[list[PairPlace], list[PairPlace]]:
    """Return the pairs of cases that have an affected region, of these regions or others, and those of the others."""
    places = places_of(cases, regions)
    ill = [place for place in places if cases[place.case].affected.any()]
    well = [place for place in places if not cases[place.case].affected.any()]
    return ill, well


def pair_of(case: StoredRegions, region: Region, setting: RegionSetting) -> Float32Array:
    """Return the pair of a region that is there on both sides, as it is: float32 (4, z, y, x)."""
    pair = region_pair(case.input, region, setting)
    assert pair is not None
    return pair


def drawn_pair(
    case: StoredRegions,
    region: Region,
    setting: RegionSetting,
    augmentation: Augmentation,
    implants: Implants,
    *,
    random: np.random.Generator,
) -> tuple[Float32Array, BoolArray]:
    """Return the pair of a region, turned, scaled and shifted in plane, with another tone and noise, and its truth.

    A share of the pairs gets an implant before. The truth is which side is affected, bool (2,).
    """
    z, y, x = setting.patch_zyx
    room = _room(setting, augmentation)
    wide = replace(setting, patch_zyx=(z, y + 2 * room, x + 2 * room))
    pair, affected = pair_of(case, region, wide), affected_sides(case, region)
    if implants.share and random.random() < implants.share:
        own = np.stack([own_half(case.input, region, side, wide) for side in PAIR])
        pair, affected = with_pair_implant(pair, affected, own, wide, implants, random=random)
    turn, grow, *shift = random.uniform(-1, 1, 4)
    matrix = _turned(turn * np.radians(augmentation.rotation_deg)) * (1 + grow * augmentation.scale)
    if room:
        pair = _moved(pair, matrix, np.array(shift) * _reach(setting, augmentation), (y, x))
    images = np.clip(retoned(pair[IMAGES], augmentation, random), -1, 1)
    return np.stack([images[0], pair[1], images[1], pair[3]]), affected


def _reach(setting: RegionSetting, augmentation: Augmentation) -> Float64Array:
    """Return the largest shift in voxels along y and x."""
    return np.asarray(augmentation.shift_mm / np.array(setting.spacing_mm_zyx[1:]))


def _room(setting: RegionSetting, augmentation: Augmentation) -> int:
    """Return how many voxels around a patch its motion may need; 0 where it does not move."""
    half = np.array(setting.patch_zyx[1:]) / 2
    turned = np.abs(_turned(np.radians(augmentation.rotation_deg))) @ half * (1 + augmentation.scale)
    return int(np.ceil((np.maximum(turned, half) - half + _reach(setting, augmentation)).max()))


def _turned(angle: float) -> Float64Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _moved(wide: Float32Array, matrix: Float64Array, shift: Float64Array, size_yx: tuple[int, int]) -> Float32Array:
    """Return the middle of a pair, each voxel from ``matrix`` @ (its place against the middle) + ``shift``, in y, x.

    A mask holds the voxels of which half lies in it.
    """
    half = (np.array(wide.shape[2:]) - 1) / 2
    turned = matrix * ((np.array(size_yx) - 1) / 2) / half[:, None]
    xy = np.column_stack([turned[::-1, ::-1], (shift / half)[::-1]]).astype(np.float32)
    grid = functional.affine_grid(torch.from_numpy(xy[None]), [1, 1, *size_yx], align_corners=True)
    flat = torch.from_numpy(wide.reshape(1, -1, *wide.shape[2:]))
    found = functional.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=True)
    moved: Float32Array = found.numpy().reshape(*wide.shape[:2], *size_yx)
    moved[MASKS] = moved[MASKS] >= 0.5
    return moved

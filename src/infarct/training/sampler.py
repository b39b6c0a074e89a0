"""Which patches a training sees: a pure function of the seed and the number of the patch.

So a training that is resumed, or shared by several devices, sees what an uninterrupted one sees. Patches come in rounds
that take each case once, in an order of their own; the paper's epoch, 32 patches of each patient, is 32 rounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from infarct.phantom.grid import rng
from infarct.training.augment import Zyx, augmented
from infarct.training.cases import ACUTE, BRAIN, OLD, OUTSIDE
from infarct.training.implants import with_implant, without_faint
from infarct.training.recipe import Sampling, VolumeRecipe
from infarct.training.store import StoredCase


class PatchDataset(Dataset[dict[str, Tensor]]):
    """Patch number k of a training: ``channels`` float32 (c, z, y, x) and ``labels`` uint8 (z, y, x)."""

    def __init__(self, cases: Sequence[StoredCase], recipe: VolumeRecipe) -> None:
        self._cases = cases
        self._recipe = recipe

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return patch ``number``, 0 or more; there is no last one."""
        recipe = self._recipe
        round_number, place = divmod(number, len(self._cases))
        case = self._cases[_round(recipe.seed, round_number, len(self._cases))[place]]
        random = rng(recipe.seed, "patch", str(number))
        begins = number < recipe.beginning.patches
        implants = recipe.beginning.implants if begins else recipe.implants
        if begins:
            case = without_faint(case, recipe.beginning.faintest)
        if implants.share and random.random() < implants.share:
            case = with_implant(case, implants, random)
        start = patch_start(case, recipe.patch_zyx, recipe.sampling, random)
        patch = augmented(case, start, recipe.patch_zyx, recipe.augmentation, random)
        return {"channels": torch.from_numpy(patch.channels), "labels": torch.from_numpy(patch.labels)}


@lru_cache(maxsize=2)
def _round(seed: int, round_number: int, count: int) -> npt.NDArray[np.int64]:
    return rng(seed, "round", str(round_number)).permutation(count)


@dataclass(frozen=True)
class StepSampler(Sampler[list[int]]):
    """The numbers of the patches of each step from ``first_step`` on, for one of ``devices`` devices.

    Its length is that of the whole training, which lightning counts against the steps done before it was resumed.
    """

    steps: int
    batch: int
    first_step: int = 0
    device: int = 0
    devices: int = 1

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first_step, self.steps):
            first = (step * self.devices + self.device) * self.batch
            yield list(range(first, first + self.batch))

    def __len__(self) -> int:
        return self.steps


def patch_start(case: StoredCase, size_zyx: Zyx, sampling: Sampling, random: np.random.Generator) -> Zyx:
    """Return where a patch of ``size_zyx`` begins.

    Weighted: it is centred on a voxel drawn by ``sampling``, and moved inwards where it would leave the case; a case
    smaller than the patch lies in its middle. (The paper's library leaves out centres near the border instead, where a
    lesion may be.) Uniform: each place inside the case alike; a smaller case lies anywhere in the patch.
    """
    shape = case.labels.shape
    if sampling.kind == "uniform":
        z, y, x = (
            int(random.integers(abs(length - size) + 1)) * (1 if length >= size else -1)
            for length, size in zip(shape, size_zyx, strict=True)
        )
        return z, y, x
    z, y, x = (
        min(max(place - size // 2, 0), length - size) if length >= size else -((size - length) // 2)
        for place, size, length in zip(_weighted_centre(case, sampling, random), size_zyx, shape, strict=True)
    )
    return z, y, x


def _weighted_centre(case: StoredCase, sampling: Sampling, random: np.random.Generator) -> Zyx:
    wanted = {ACUTE: sampling.lesion, BRAIN: sampling.brain, OUTSIDE: sampling.background, OLD: sampling.old}
    present = {value: weight for value, weight in wanted.items() if weight > 0 and case.counts[value].any()}
    if not present:  # nothing in it has a weight: anywhere
        present = {value: 1.0 for value in wanted if case.counts[value].any()}
    weights = np.array(list(present.values()))
    value = list(present)[int(np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(), side="right"))]
    counts = np.cumsum(case.counts[value])
    rank = int(random.integers(counts[-1]))
    z = int(np.searchsorted(counts, rank, side="right"))
    before = int(counts[z - 1]) if z else 0
    flat = int(np.flatnonzero(case.labels[z] == value)[rank - before])
    y, x = divmod(flat, case.labels.shape[2])
    return z, y, x

"""What a training of DnCNN sees: a pure function of the seed and the number of the item."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from infarct.phantom.grid import rng
from infarct.training.denoise_cases import Slices, StoredPair
from infarct.training.denoise_recipe import DenoiseRecipe
from infarct.types import Float32Array


class PatchDataset(Dataset[dict[str, Tensor]]):
    """Item k: ``noisy`` and the ``noise`` in it, float32 (1, y, x), in units of the window."""

    def __init__(self, cases: Sequence[StoredPair], recipe: DenoiseRecipe) -> None:
        self._cases = cases
        self._recipe = recipe

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return item ``number``, 0 or more; there is no last one."""
        recipe = self._recipe
        round_number, place = divmod(number, len(self._cases))
        order = rng(recipe.seed, "round", str(round_number)).permutation(len(self._cases))
        random = rng(recipe.seed, "patch", str(number))
        clean, noisy = drawn_patch(self._cases[order[place]], recipe.patch_px, random)
        low, high = np.log(recipe.noise_factor)
        window = recipe.phantoms.setting
        given = window.apply(with_noise(clean, noisy, float(np.exp(random.uniform(low, high)))))
        noise = given - window.apply(clean.astype(np.float32))
        return {"noisy": torch.from_numpy(given[None]), "noise": torch.from_numpy(noise[None])}


def drawn_patch(case: StoredPair, size_px: int, random: np.random.Generator) -> tuple[Slices, Slices]:
    """Return a square of a slice, clean and noisy, int16 (y, x), mirrored and turned by quarters at random.

    A slice smaller than the square is continued by its border.
    """
    slices, *lengths = case.clean.shape
    k = int(random.integers(slices))
    cut: list[Any] = [k]
    short = [(0, max(size_px - length, 0)) for length in lengths]
    for length in lengths:
        first = int(random.integers(max(length - size_px, 0) + 1))
        cut.append(slice(first, first + size_px))
    turns, flips = int(random.integers(4)), bool(random.integers(2))
    pair = (np.pad(np.asarray(part[tuple(cut)]), short, mode="edge") for part in (case.clean, case.noisy))
    turned = [np.rot90(part[:, ::-1] if flips else part, turns) for part in pair]
    return turned[0], turned[1]


def with_noise(clean: Slices, noisy: Slices, factor: float) -> Float32Array:
    """Return slices with ``factor`` times their noise, in HU; float32, of the same shape.

    The noise of the phantom's scanner is in proportion to its SD (`phantom.scanner`), so a factor is another dose.
    """
    truth = clean.astype(np.float32)
    return np.asarray(truth + np.float32(factor) * (noisy.astype(np.float32) - truth))

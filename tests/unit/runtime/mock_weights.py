"""Weights of small networks for tests: random ones, and ones trained for a moment so that masks mean something."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from infarct.networks import build
from infarct.weights import WeightSet

CONFIG: Mapping[str, Any] = {"base": 4, "out_channels": 2, "strides": [[2, 2, 2]]}


def weights_of(module: torch.nn.Module, config: Mapping[str, Any]) -> WeightSet:
    tensors = {key: values.numpy() for key, values in module.state_dict().items()}
    return WeightSet("segment", "segment-mock", "se_res_unet", config, {}, tensors, {})


def random_weights(seed: int = 0, **changes: Any) -> WeightSet:
    torch.manual_seed(seed)
    config = {**CONFIG, **changes}
    return weights_of(build("se_res_unet", config), config)


def dark_blobs(seed: int, shape: tuple[int, int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return a noisy volume with some dark balls in it, and where they are."""
    generator = np.random.default_rng(seed)
    grid = np.indices(shape)
    balls = np.zeros(shape, dtype=bool)
    for _ in range(4):
        centre = generator.uniform(0, shape).reshape(3, 1, 1, 1)
        balls |= np.sqrt(((grid - centre) ** 2).sum(axis=0)) < generator.uniform(3, 8)
    volume = generator.normal(0.5, 0.1, shape) - 0.25 * balls
    return volume.astype(np.float32), balls


def trained_weights(steps: int, shape: tuple[int, int, int] = (16, 32, 32)) -> WeightSet:
    """Return a small network that has learned to find dark balls in noise."""
    torch.manual_seed(0)
    config = {**CONFIG, "base": 8, "out_channels": 1, "strides": [[1, 2, 2], [2, 2, 2]]}
    module = build("se_res_unet", config)
    optimiser = torch.optim.Adam(module.parameters(), lr=5e-3)
    for step in range(steps):
        cases = [dark_blobs(2 * step + case, shape) for case in range(2)]
        batch = torch.from_numpy(np.stack([volume[None] for volume, _ in cases]))
        truth = torch.from_numpy(np.stack([balls[None] for _, balls in cases]).astype(np.float32))
        loss = functional.binary_cross_entropy_with_logits(module(batch), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return weights_of(module, config)

"""Batch normalisation that a weight file can hold."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM: Final = 0.1
EPSILON: Final = 1e-5
"""Both as in torch."""


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm3d` without its count of batches: weight files hold floating-point numbers only.

    It takes features with any number of axes after the channels. ``epsilon`` is added to the variance.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, *, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of (n, c, ...): by this batch in training, by the running values otherwise."""
        return functional.batch_norm(
            features, self.mean, self.variance, self.weight, self.bias, self.training, MOMENTUM, self.epsilon
        )


def with_unit_variance(network: nn.Module) -> None:
    """Make all running variances of a network 1 and let the weights do what they did; its answers stay the same.

    Convolutions without normalisation among them give features of any size, whose squares float16 cannot hold.
    """
    for part in network.modules():
        if isinstance(part, BatchNorm):
            with torch.no_grad():
                part.weight.mul_(torch.sqrt((1 + part.epsilon) / (part.variance + part.epsilon)))
                part.variance.fill_(1.0)

"""What networks of two dimensions share: units of convolution, and blocks of branches built from a description.

An Inception network is a table in its publication, and so it is here: a `Part` says what there is, `assembled` makes
the modules. Names in a description become names of modules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from infarct.networks.batch_norm import BatchNorm

INCEPTION_EPSILON: Final = 1e-3
"""Added to the variance in the batch normalisation of all trained Inception networks."""

Size: TypeAlias = int | tuple[int, int]
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Step:
    """A convolution, batch normalisation and ReLU, with so many ``channels`` out.

    ``kernel`` is (y, x), or one number for both. Padded by zeros, a step of stride 1 keeps the size.
    """

    channels: int
    kernel: Size = 1
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True)
class MaxPool:
    """The largest of ``kernel`` by ``kernel``; ``ceil``: what is left over at the far ends counts as well."""

    kernel: int = 3
    stride: int = 2
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class AveragePool:
    """The mean of 3 by 3 at every place; what would lie outside does not count, as where the networks were trained."""


@dataclass(frozen=True)
class Fork:
    """Branches by their names, each on the same features; their channels are joined in this order."""

    branches: "Mapping[str, Part]"


@dataclass(frozen=True)
class Residual:
    """Branches as in a `Fork`, a 1x1 convolution of what they join, ``scale`` times which is added to the features.

    ReLU follows where it is ``rectified``.
    """

    branches: "Mapping[str, Part]"
    scale: float
    rectified: bool = True


Part: TypeAlias = "Step | MaxPool | AveragePool | Fork | Residual | tuple[Part, ...] | Mapping[str, Part]"
"""A tuple is a chain, with the positions as names; a mapping is a chain with names of its own."""


class ConvUnit(nn.Module):
    """A `Step`: convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, step: Step) -> None:
        super().__init__()
        kernel = (step.kernel, step.kernel) if isinstance(step.kernel, int) else step.kernel
        padding = (kernel[0] // 2, kernel[1] // 2) if step.padded else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=step.stride, padding=padding, bias=False)
        self.bn = BatchNorm(out_channels, epsilon=INCEPTION_EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, in_channels, y, x) to (n, out_channels, y', x')."""
        return torch.relu(self.bn(self.conv(features)))


class Branches(nn.Module):
    """A `Fork`."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, features: Tensor) -> Tensor:
        """Join what the branches make of (n, c, y, x) along the channels."""
        return torch.cat([self.get_submodule(name)(features) for name in self.names], dim=1)


class ScaledResidual(Branches):
    """A `Residual`; ``joined`` channels come out of its branches, ``channels`` go in and out of it."""

    def __init__(self, branches: Mapping[str, nn.Module], joined: int, channels: int, residual: Residual) -> None:
        super().__init__(branches)
        self.conv2d = nn.Conv2d(joined, channels, kernel_size=1)
        self.scale, self.rectified = residual.scale, residual.rectified

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, channels, y, x) to the same shape."""
        changed = features + self.scale * self.conv2d(super().forward(features))
        return torch.relu(changed) if self.rectified else changed


def assembled(part: Part, in_channels: int, *, width: float = 1.0) -> tuple[nn.Module, int]:
    """Return the module that ``part`` describes for ``in_channels``, and how many channels it puts out.

    ``width`` is the share of the channels of each step that there are; see `narrowed`.
    """
    if isinstance(part, Step):
        out_channels = narrowed(part.channels, width)
        return ConvUnit(in_channels, out_channels, part), out_channels
    if isinstance(part, MaxPool):
        return nn.MaxPool2d(part.kernel, part.stride, part.padding, ceil_mode=part.ceil), in_channels
    if isinstance(part, AveragePool):
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), in_channels
    if isinstance(part, Fork | Residual):
        return _parallel(part, in_channels, width)
    return _chain(part, in_channels, width)


def narrowed(channels: int, width: float) -> int:
    """Return the share ``width`` of ``channels``, rounded, and no fewer than one."""
    return max(round(channels * width), 1)


def begun(network: Module) -> Module:
    """Give the convolutions of ``network`` weights as in He et al. 2015 and biases of zero; return it."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return network


def _parallel(part: Fork | Residual, in_channels: int, width: float) -> tuple[nn.Module, int]:
    built = {name: assembled(branch, in_channels, width=width) for name, branch in part.branches.items()}
    modules = {name: module for name, (module, _) in built.items()}
    joined = sum(channels for _, channels in built.values())
    if isinstance(part, Residual):
        return ScaledResidual(modules, joined, in_channels, part), in_channels
    return Branches(modules), joined


def _chain(part: "tuple[Part, ...] | Mapping[str, Part]", in_channels: int, width: float) -> tuple[nn.Module, int]:
    named = part if isinstance(part, Mapping) else {str(position): link for position, link in enumerate(part)}
    chain, channels = nn.Sequential(), in_channels
    for name, link in named.items():
        module, channels = assembled(link, channels, width=width)
        chain.add_module(name, module)
    return chain, channels

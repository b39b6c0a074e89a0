"""ResNet50 of He et al. 2016 (DOI 10.1109/CVPR.2016.90, table 1), with the localize paper's end.

A 7x7 convolution, the largest of 3x3, and 3, 4, 6 and 3 bottlenecks (1x1, 3x3, 1x1 with four times the channels), each
added to what it was given. The first bottleneck of a stage halves the size; ours does so in its 3x3 convolution, as the
networks that are trained nowadays ("v1.5") do, where the publication has it in the 1x1 before: the weights are as many,
and those that `pretrained` loads were trained so.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.blocks import narrowed
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork

STAGES: Final = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and number of the bottlenecks of each stage."""
EXPANSION: Final = 4
"""Channels that a bottleneck puts out for each inner one."""
STEM: Final = 64


@dataclass(frozen=True)
class ResNet50Config(TransferConfig):
    """Size and parts of a `ResNet50`."""


class Bottleneck(nn.Module):
    """Three convolutions, added to the features; ``downsample`` makes these fit where channels or sizes change."""

    def __init__(self, in_channels: int, inner: int, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * inner
        self.conv1 = nn.Conv2d(in_channels, inner, kernel_size=1, bias=False)
        self.bn1 = BatchNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, kernel_size=1, bias=False)
        self.bn3 = BatchNorm(out_channels)
        self.downsample = nn.Sequential()
        if stride > 1 or in_channels != out_channels:
            fitted = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(fitted, BatchNorm(out_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, in_channels, y, x) to (n, 4 inner, y', x')."""
        changed = torch.relu(self.bn1(self.conv1(features)))
        changed = torch.relu(self.bn2(self.conv2(changed)))
        return torch.relu(self.bn3(self.conv3(changed)) + self.downsample(features))


class ResNet50(TransferNetwork):
    """ResNet50 on patches; its features are averaged."""

    imagenet = ImageNetNames("torchvision", ("fc",))

    def __init__(self, config: ResNet50Config) -> None:
        channels = narrowed(STEM, config.width)
        features = nn.Sequential()
        features.add_module("conv1", nn.Conv2d(config.in_channels, channels, 7, stride=2, padding=3, bias=False))
        features.add_module("bn1", BatchNorm(channels))
        features.add_module("relu", nn.ReLU(inplace=True))
        features.add_module("maxpool", nn.MaxPool2d(3, stride=2, padding=1))
        for number, (published, depth) in enumerate(STAGES, start=1):
            inner = narrowed(published, config.width)
            features.add_module(f"layer{number}", _stage(channels, inner, depth, stride=1 if number == 1 else 2))
            channels = EXPANSION * inner
        super().__init__(config, features, channels)


def _stage(in_channels: int, inner: int, depth: int, *, stride: int) -> nn.Sequential:
    others = (Bottleneck(EXPANSION * inner, inner, 1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(in_channels, inner, stride), *others)

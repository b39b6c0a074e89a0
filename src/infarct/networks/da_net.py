"""The deep asymmetry network (DA-Net) of Cao et al. 2022, sections 2.4 and 2.5 (DOI 10.1002/hbm.25845).

As the text says: the patches of one ASPECTS region on both sides go through one DenseNet of four dense blocks (batch
normalisation, ReLU, convolution) with 1x3x3 and 3x1x1 convolutions in place of 3^3; transitions between blocks pool;
the difference D of the feature maps, own less other, is formed; one classifier sees [own, D] of either side; its class
activation map (CAM) is held to the region's mask by the loss.

From the settings that the authors released: D is divided by max(|own|, |other|), voxel by voxel; patches of 7 x 130 x
110 voxels of 5 x 0.5 x 0.5 mm; image and region mask as two channels; blocks of 4, 10, 12 and 8 layers that add 32
channels each; 32 channels at first; 1^3 convolutions to three times the growth in a layer and to half the channels in a
transition; dropout 0.1; slices are never merged, and in plane sizes are halved by the first convolution and the first
two transitions; weights of convolutions begin as in He et al. 2015; the classifier has no bias.

Our readings:
- The classifier is linear and comes before the mean over the patch, not after it, which is the same: its answer is then
  the CAM itself, in units of the logit, and the mean of the CAM is the logit. One output tells both, so every engine
  for networks runs this one.
- Both sides go through the backbone in one batch: swapping them swaps the answers exactly, in training too.
- The network knows no left and right: who cuts the patches flips those of the right side, and flips its CAM back.
- max(|own|, |other|) is taken as no less than `FLOOR`, or noise in features near zero would be a difference of one,
  with a gradient that nothing bounds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.se_res_unet import Strides

FLOOR: Final = 0.1
"""Least divisor of the difference; features come out of a normalisation with a spread of about one."""
MAX_CHANNELS: Final = 1024
"""Twice as many as in the published network. With `MAX_LAYERS` it keeps a wrong number in a weight file from taking all
memory."""
MAX_LAYERS: Final = 48


@dataclass(frozen=True)
class DaNetConfig:
    """Size and parts of a `DaNet`; the defaults are the published ones.

    ``in_channels`` of one side, image and region mask; ``initial`` channels after the first convolution; ``depths``
    layers in each dense block, which add ``growth`` channels each. ``strides`` (z, y, x): of the first convolution, in
    plane only, then of the pooling after each block but the last. A layer has ``bottleneck`` times ``growth`` channels
    inside; a transition keeps the share ``compression``. ``difference`` off: the classifier sees a side by itself.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    in_channels: int = 2
    initial: int = 32
    growth: int = 32
    depths: tuple[int, ...] = (4, 10, 12, 8)
    strides: Strides = ((1, 2, 2), (1, 2, 2), (1, 2, 2), (1, 1, 1))
    bottleneck: int = 3
    compression: float = 0.5
    dropout: float = 0.1
    difference: bool = True

    def __post_init__(self) -> None:
        if not self.depths or min(self.in_channels, self.initial, self.growth, self.bottleneck, *self.depths) < 1:
            raise ValueError("channels, growth, depths and bottleneck must be 1 or more")
        if len(self.strides) != len(self.depths):
            raise ValueError("there must be as many strides as dense blocks")
        if any(len(stride) != 3 or min(stride) < 1 for stride in self.strides) or self.strides[0][0] != 1:
            raise ValueError("a stride is three numbers (z, y, x) of 1 or more; the first merges no slices")
        if not (0 < self.compression <= 1 and 0 <= self.dropout < 1):
            raise ValueError("compression must be above 0 and at most 1, dropout from 0 to less than 1")
        if sum(self.depths) > MAX_LAYERS:
            raise ValueError(f"no more than {MAX_LAYERS} layers")
        if max(self.in_channels, self.bottleneck * self.growth, *self.widths) > MAX_CHANNELS:
            raise ValueError(f"nowhere may there be more than {MAX_CHANNELS} channels")

    @property
    def total_stride(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) of a patch to one of its CAM: the least size of a patch."""
        z, y, x = (math.prod(factors) for factors in zip(*self.strides, strict=True))
        return z, y, x

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each dense block."""
        widths, entering = [], self.initial
        for depth in self.depths:
            widths.append(entering + depth * self.growth)
            entering = self.kept(widths[-1])
        return tuple(widths)

    def kept(self, channels: int) -> int:
        """Return how many of ``channels`` a transition keeps."""
        return max(int(channels * self.compression), 1)


SMALL: Final = DaNetConfig(
    initial=16, growth=16, depths=(2, 4, 6, 4), strides=((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 1, 1))
)
"""For two processor cores: patches of 7 x 44 x 37 voxels of 5 x 1.5 x 1.5 mm, as much of the head as the published."""


class DenseLayer(nn.Module):
    """Appends ``growth`` channels to those it is given; a 1x3x3 and a 3x1x1 convolution stand for a 3^3 one."""

    def __init__(self, in_channels: int, config: DaNetConfig) -> None:
        super().__init__()
        inner, growth = config.bottleneck * config.growth, config.growth
        self.reduce = _unit(nn.Conv3d(in_channels, inner, kernel_size=1, bias=False))
        self.in_plane = _unit(nn.Conv3d(inner, growth, kernel_size=(1, 3, 3), padding=(0, 1, 1), bias=False))
        self.across = nn.Conv3d(growth, growth, kernel_size=(3, 1, 1), padding=(1, 0, 0), bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, in_channels, z, y, x) to (n, in_channels + growth, z, y, x)."""
        added = self.dropout(self.across(self.in_plane(self.reduce(features))))
        return torch.cat((features, added), dim=1)


class DaNet(nn.Module):
    """One backbone and one classifier for both sides of a region; returns their CAMs, whose means are the logits."""

    def __init__(self, config: DaNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config)
        seen = config.widths[-1] * (2 if config.difference else 1)
        self.classifier = nn.Conv3d(seen, 1, kernel_size=1, bias=False)
        for part in self.backbone.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")

    def forward(self, pairs: Tensor) -> Tensor:
        """Map pairs of patches to the CAMs of their sides, (n, 2, z', y', x'): a voxel for `total_stride` voxels.

        ``pairs`` is (n, 2 in_channels, z, y, x): the channels of the one side, then those of the other, in the same
        orientation. A CAM is in units of the logit: what each place says for (above 0) or against an infarct.
        """
        sides = pairs.reshape(-1, self.config.in_channels, *pairs.shape[2:])
        features = self.backbone(sides)
        if self.config.difference:
            features = compared(features)
        cams: Tensor = self.classifier(features)
        return cams.reshape(-1, 2, *cams.shape[2:])


def compared(features: Tensor) -> Tensor:
    """Append D = (own - other) / max(|own|, |other|) to features (2 n, c, z, y, x): now (2 n, 2 c, z, y, x).

    The two sides of a pair follow each other. For features that are not negative, as here, D is from -1 to 1.
    """
    own, other = features[0::2], features[1::2]
    larger = torch.maximum(own.abs(), other.abs()).clamp(min=FLOOR)
    difference = (own - other) / larger
    sides = torch.stack((torch.cat((own, difference), dim=1), torch.cat((other, -difference), dim=1)), dim=1)
    return sides.flatten(0, 1)


def logits_of(cams: Tensor) -> Tensor:
    """Return the logits (n, 2) that the regions of either side are affected, from their CAMs (n, 2, z', y', x')."""
    return cams.float().mean(dim=(2, 3, 4))


def attention_of(cams: Tensor, size_zyx: Sequence[int]) -> Tensor:
    """Return how much each voxel of the patches matters, from 0 to 1 in each: (n, 2, z, y, x) for CAMs (n, 2, ...).

    It is the CAM's magnitude, enlarged to the patches' size: the CAM of the class "not affected" is that of "affected"
    with the sign changed, and a region that is not affected shall be judged by what lies in it as well. Where a CAM is
    zero everywhere, so is the attention.
    """
    enlarged = functional.interpolate(cams.float(), size=list(size_zyx), mode="trilinear", align_corners=False)
    magnitude = enlarged.abs()
    return magnitude / magnitude.amax(dim=(2, 3, 4), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def _backbone(config: DaNetConfig) -> nn.Sequential:
    """Return the DenseNet: first convolution, dense blocks with transitions between them, normalisation and ReLU."""
    first = nn.Conv3d(
        config.in_channels,
        config.initial,
        kernel_size=(1, 3, 3),
        padding=(0, 1, 1),
        stride=config.strides[0],
        bias=False,
    )
    parts: list[nn.Module] = [first, _dense_block(config.initial, config.depths[0], config)]
    for (width, _), depth, stride in zip(pairwise(config.widths), config.depths[1:], config.strides[1:], strict=True):
        kept = config.kept(width)
        parts += [_unit(nn.Conv3d(width, kept, kernel_size=1, bias=False)), nn.AvgPool3d(stride)]
        parts.append(_dense_block(kept, depth, config))
    return nn.Sequential(*parts, BatchNorm(config.widths[-1]), nn.ReLU(inplace=True))


def _dense_block(in_channels: int, depth: int, config: DaNetConfig) -> nn.Sequential:
    return nn.Sequential(*(DenseLayer(in_channels + n * config.growth, config) for n in range(depth)))


def _unit(convolution: nn.Conv3d) -> nn.Sequential:
    return nn.Sequential(BatchNorm(convolution.in_channels), nn.ReLU(inplace=True), convolution)

"""The 3D SE-Res-U-Net of Dobshik et al., section 2.3 (DOI 10.18287/2412-6179-CO, arXiv 2301.06793).

As the text says: a block is two 3^3 convolutions of stride 1, each followed by instance normalisation and LeakyReLU;
its input goes through a 1^3 convolution and is added; squeeze-and-excitation with r = 16 stands in every block; the
decoder upsamples trilinearly, without trainable parameters.

Where the text leaves a choice (its figures 2 and 3 are not at hand):
- Downsampling is by max pooling, as in the 3D U-Net it builds on: all convolutions of a block have stride 1.
- "Trilinear upsampling that halves the number of channels": an operator without parameters cannot, so a decoder level
  as a whole does: 2C channels are upsampled, C from the encoder appended, and the first convolution makes C of them.
- Squeeze-and-excitation rescales the block's second activation, before the projected input is added, as in SE-ResNet.
- Its two linear layers have no bias: S = sigmoid(W2 relu(W1 U)).
- Normalisation has a learned scale and shift. Convolutions in a block have no bias: the normalisation would remove it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

Strides = tuple[tuple[int, int, int], ...]
"""Factor (z, y, x) between one level and the next deeper one."""

NEGATIVE_SLOPE: Final = 0.01
"""Of LeakyReLU; the paper gives none, this is the usual one."""
MAX_CHANNELS: Final = 1024
"""Four times as many as in the paper's network of base 16. Larger ones fit no weight file: a wrong number in one must
not take all memory."""
HEAD: Final = ("head.weight", "head.bias")
"""The tensors with a row for each output."""
MAX_WINDOW: Final = 31
TISSUE: Final = 0.9
LARGEST_DIFFERENCE: Final = 0.75
AVERAGE_GAIN: Final = 5.0
LEAST_SHARE: Final = 0.05
"""Of the smoothed comparison. Channels are centred, 20 HU a unit: tissue is within 18 HU of the brain's mean, and a
voxel counts for up to 15 HU. An average of 4 HU is 1 before tanh. Where less than a twentieth of a window is tissue,
its average fades out."""


@dataclass(frozen=True)
class SeResUnetConfig:
    """Size and parts of a `SeResUnet`.

    ``base`` channels at full resolution, twice as many at each deeper level; one level more than ``strides`` has
    entries. The paper has five levels on cubes; grids with thick slices pool in plane first: ((1, 2, 2), (2, 2, 2)).
    ``residual`` and ``squeeze_excite`` switch off what the paper's ablation leaves out; ``reduction`` is its r.
    ``compare`` (ours) is for a scan and its mirror image, centred: see `compared`. With it, ``smooth`` has a window (z,
    y, x) of odd lengths, in voxels, for each smoothed difference that the network is given as well.

    Raises `ValueError` for numbers that make no network, or one with more than `MAX_CHANNELS` at its deepest level.
    """

    in_channels: int = 1
    out_channels: int = 1
    base: int = 16
    strides: Strides = ((2, 2, 2),) * 4
    residual: bool = True
    squeeze_excite: bool = True
    reduction: int = 16
    compare: bool = False
    smooth: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.compare and self.in_channels != 2:
            raise ValueError("only two channels can be compared")
        if self.smooth and not self.compare:
            raise ValueError("only a comparison can be smoothed")
        lengths = [length for window in self.smooth for length in window]
        if len(lengths) != 3 * len(self.smooth) or any(
            not 0 < length <= MAX_WINDOW or not length % 2 for length in lengths
        ):
            raise ValueError(f"a window is three odd numbers (z, y, x) up to {MAX_WINDOW}")
        if min(self.in_channels, self.out_channels, self.base, self.reduction) < 1:
            raise ValueError("channels, base and reduction must be 1 or more")
        if max(self.in_channels, self.out_channels, self.base << len(self.strides)) > MAX_CHANNELS:
            raise ValueError(f"no level may have more than {MAX_CHANNELS} channels")
        if any(len(stride) != 3 or min(stride) < 1 for stride in self.strides):
            raise ValueError("a stride is three numbers (z, y, x) of 1 or more")

    @property
    def total_stride(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) that the deepest level merges into one: the least size of an input."""
        z, y, x = (math.prod(factors) for factors in zip(*self.strides, strict=True)) if self.strides else (1, 1, 1)
        return z, y, x


class SqueezeExcitation(nn.Module):
    """Scale each channel by sigmoid(W2 relu(W1 U)), U being the means of the channels (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)
        # The means of LeakyReLU's output are positive. With r = 16 a block may have a single hidden unit, and one that
        # begins with negative weights would be zero for every input and never learn.
        with torch.no_grad():
            self.squeeze.weight.abs_()

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` (n, c, z, y, x), each channel scaled by a number from 0 to 1."""
        means = features.mean(dim=(2, 3, 4))
        scale = torch.sigmoid(self.excite(functional.relu(self.squeeze(means))))
        return features * scale[:, :, None, None, None]


class Block(nn.Module):
    """Two convolutions, squeeze-and-excitation, and the projected input added."""

    def __init__(self, in_channels: int, out_channels: int, config: SeResUnetConfig) -> None:
        super().__init__()
        self.first = _convolution(in_channels, out_channels)
        self.second = _convolution(out_channels, out_channels)
        self.attention = SqueezeExcitation(out_channels, config.reduction) if config.squeeze_excite else nn.Identity()
        self.projection = nn.Conv3d(in_channels, out_channels, kernel_size=1, bias=False) if config.residual else None

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, in_channels, z, y, x) to (n, out_channels, z, y, x)."""
        answer: Tensor = self.attention(self.second(self.first(features)))
        return answer if self.projection is None else answer + self.projection(features)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.InstanceNorm3d(out_channels, affine=True),
        nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    )


class SeResUnet(nn.Module):
    """Encoder and decoder of `Block`s with skip connections; returns logits."""

    def __init__(self, config: SeResUnetConfig) -> None:
        super().__init__()
        self.config = config
        widths = list(accumulate(config.strides, lambda width, _: 2 * width, initial=config.base))
        inputs = [3 + len(config.smooth) if config.compare else config.in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(Block(i, o, config) for i, o in zip(inputs, widths, strict=True))
        self.decoder = nn.ModuleList(Block(3 * width, width, config) for width in reversed(widths[:-1]))
        self.head = nn.Conv3d(config.base, config.out_channels, kernel_size=1)

    def forward(self, channels: Tensor) -> Tensor:
        """Map (n, in_channels, z, y, x) to logits (n, out_channels, z, y, x); sizes of `total_stride` or more."""
        features = self.encoder[0](compared(channels, self.config.smooth) if self.config.compare else channels)
        skipped: list[Tensor] = []
        for stride, block in zip(self.config.strides, self.encoder[1:], strict=True):
            skipped.append(features)
            features = block(functional.max_pool3d(features, stride))
        for block in self.decoder:
            skip = skipped.pop()
            features = block(torch.cat((_upsampled(features, skip.shape[2:]), skip), dim=1))
        logits: Tensor = self.head(features)
        return logits


def compared(channels: Tensor, windows: Sequence[tuple[int, int, int]] = ()) -> Tensor:
    """Return (n, 3 + windows, z, y, x) for a scan and its mirror image (n, 2, z, y, x).

    They are both, the scan less its mirror image, and that difference averaged over each window twice, in voxels that
    are tissue on both sides. All are squashed by tanh, the difference after doubling: bone and air, and bone beside air
    where the mirror image does not fit, would otherwise be most of what the first normalisation sees; infarcts differ
    by a tenth of that. Single voxels differ by more than most infarcts do, so that averages come first in any reading.
    """
    own, other = channels[:, :1], channels[:, 1:]
    seen = [own, other, 2 * (own - other)]
    if windows:
        tissue = (_is_tissue(own) & _is_tissue(other)).to(channels.dtype)
        difference = (own - other).clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE) * tissue
        seen += [AVERAGE_GAIN * _averaged(difference, w) / _averaged(tissue, w).clamp(min=LEAST_SHARE) for w in windows]
    return torch.tanh(torch.cat(seen, dim=1))


def _is_tissue(channel: Tensor) -> Tensor:
    return functional.avg_pool3d(channel, (1, 3, 3), stride=1, padding=(0, 1, 1)).abs() < TISSUE


def _averaged(volume: Tensor, window: tuple[int, int, int]) -> Tensor:
    """Return the mean over the window of the mean over the window, zeros beyond the border, axis by axis: faster."""
    for axis in range(3):
        size = tuple(length if place == axis else 1 for place, length in enumerate(window))
        padding = tuple(length // 2 for length in size)
        for _ in range(2):
            volume = functional.avg_pool3d(volume, size, stride=1, padding=padding)
    return volume


def _upsampled(features: Tensor, size_zyx: Sequence[int]) -> Tensor:
    return functional.interpolate(features, size=list(size_zyx), mode="trilinear", align_corners=False)

"""The VB-Net of Cao et al. 2022, section 2.3 (DOI 10.1002/hbm.25845): V-Net with bottleneck blocks.

As the texts say: V-Net (Milletari et al. 2016) with the convolutions of a level replaced by bottleneck blocks (1^3 to
fewer channels, 3^3, 1^3 back, the input added); strided convolutions down and transposed ones up, with kernels as large
as their stride; the first two go down in y and x only, the last two in z, y and x.

Where the text of 2022 is silent:
- Widths and numbers of blocks are V-Net's: 16 channels, doubled at each level; 1, 2, 3, 3, 3 blocks on the way down
  and as many at the same level on the way up, where V-Net works on twice the channels (the encoder's are appended).
- Each convolution is followed by normalisation over the batch and ReLU, as in the VB-Nets of the same group (V-Net has
  PReLU and none). Batches of one or two may do better with ``normalisation`` "instance".
- A block has a quarter of the channels inside, as in ResNet, and adds its own input, not the level's.
- With ``prior`` the last channels of the input are log-odds of the classes from 1 on, and are added to the answer
  (ours): the network begins with what is known and learns what to change.
- Sizes that are no multiple of the stride are padded by zeros at the far ends on the way down, and cut on the way up.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.se_res_unet import Strides

Normalisation = Literal["batch", "instance"]

MAX_CHANNELS: Final = 512
"""Twice as many as in the published network. With `MAX_BLOCKS` and `MAX_STRIDE` it keeps a wrong number in a weight
file from taking all memory."""
MAX_BLOCKS: Final = 8
MAX_STRIDE: Final = 4


@dataclass(frozen=True)
class VbNetConfig:
    """Size and parts of a `VbNet`; the published one segments 20 regions and what is none.

    ``base`` channels at full resolution, twice as many at each deeper level; ``blocks`` bottleneck blocks at each level
    and ``strides`` (z, y, x) between them, so one fewer. A block has a ``reduction``-th of its channels inside. The
    last ``prior`` channels of the input are log-odds of as many outputs, from the second on.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    in_channels: int = 1
    out_channels: int = 21
    base: int = 16
    strides: Strides = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    blocks: tuple[int, ...] = (1, 2, 3, 3, 3)
    reduction: int = 4
    normalisation: Normalisation = "batch"
    prior: int = 0

    def __post_init__(self) -> None:
        if min(self.in_channels, self.out_channels, self.base, self.reduction) < 1:
            raise ValueError("channels, base and reduction must be 1 or more")
        if len(self.blocks) != len(self.strides) + 1:
            raise ValueError("there must be one number of blocks more than strides")
        if not all(0 <= blocks <= MAX_BLOCKS for blocks in self.blocks):
            raise ValueError(f"a level has 0 to {MAX_BLOCKS} blocks")
        if any(len(stride) != 3 or not all(1 <= step <= MAX_STRIDE for step in stride) for stride in self.strides):
            raise ValueError(f"a stride is three numbers (z, y, x) from 1 to {MAX_STRIDE}")
        if max(self.in_channels, self.out_channels, self.base << len(self.strides)) > MAX_CHANNELS:
            raise ValueError(f"no level may have more than {MAX_CHANNELS} channels")
        if not 0 <= self.prior <= min(self.in_channels, self.out_channels - 1):
            raise ValueError("the prior takes as many channels as there are, and fewer than there are outputs")
        if self.normalisation not in get_args(Normalisation):
            raise ValueError(f"normalisation is one of {', '.join(get_args(Normalisation))}")

    @property
    def total_stride(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) that the deepest level merges into one."""
        z, y, x = (math.prod(factors) for factors in zip(*self.strides, strict=True)) if self.strides else (1, 1, 1)
        return z, y, x

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level on the way down."""
        return tuple(self.base << level for level in range(len(self.blocks)))


class Bottleneck(nn.Module):
    """1^3 to fewer channels, 3^3, 1^3 back, and the input added before the last ReLU."""

    def __init__(self, channels: int, config: VbNetConfig) -> None:
        super().__init__()
        inner = max(channels // config.reduction, 1)
        self.reduce = _unit(nn.Conv3d(channels, inner, kernel_size=1, bias=False), config)
        self.look = _unit(nn.Conv3d(inner, inner, kernel_size=3, padding=1, bias=False), config)
        self.expand = nn.Conv3d(inner, channels, kernel_size=1, bias=False)
        self.norm = _norm(channels, config)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, channels, z, y, x) to the same shape."""
        change = self.norm(self.expand(self.look(self.reduce(features))))
        return functional.relu(features + change)


class Down(nn.Module):
    """A strided convolution; a voxel that the stride does not fill is filled with zeros."""

    def __init__(self, in_channels: int, stride: tuple[int, int, int], config: VbNetConfig) -> None:
        super().__init__()
        z, y, x = stride
        self.filling = (0, x - 1, 0, y - 1, 0, z - 1)
        convolution = nn.Conv3d(in_channels, 2 * in_channels, kernel_size=stride, stride=stride, bias=False)
        self.unit = _unit(convolution, config)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, z, y, x) to (n, 2 c, ...), each size divided by its stride and rounded up."""
        answer: Tensor = self.unit(functional.pad(features, self.filling))
        return answer


class Up(nn.Module):
    """A transposed convolution, cut to the size of the encoder's features, which are appended."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: tuple[int, int, int], config: VbNetConfig
    ) -> None:
        super().__init__()
        convolution = nn.ConvTranspose3d(in_channels, out_channels, kernel_size=stride, stride=stride, bias=False)
        self.unit = _unit(convolution, config)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Map (n, in_channels, ...) and the encoder's (n, out_channels, z, y, x) to (n, 2 out_channels, z, y, x)."""
        z, y, x = skip.shape[2:]
        return torch.cat((self.unit(features)[:, :, :z, :y, :x], skip), dim=1)


class VbNet(nn.Module):
    """Encoder and decoder of `Bottleneck` blocks with skip connections; returns logits."""

    def __init__(self, config: VbNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.entry = _unit(nn.Conv3d(config.in_channels, config.base, kernel_size=3, padding=1, bias=False), config)
        self.encoder = nn.ModuleList(
            _level(width, blocks, config) for width, blocks in zip(widths, config.blocks, strict=True)
        )
        self.down = nn.ModuleList(
            Down(width, stride, config) for width, stride in zip(widths[:-1], config.strides, strict=True)
        )
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        arriving = widths[-1]
        for width, stride, blocks in reversed(list(zip(widths[:-1], config.strides, config.blocks[:-1], strict=True))):
            self.up.append(Up(arriving, width, stride=stride, config=config))
            arriving = 2 * width
            self.decoder.append(_level(arriving, blocks, config))
        self.head = nn.Conv3d(arriving, config.out_channels, kernel_size=1)

    def forward(self, channels: Tensor) -> Tensor:
        """Map (n, in_channels, z, y, x) to logits (n, out_channels, z, y, x), of any size."""
        features = self.encoder[0](self.entry(channels))
        skipped: list[Tensor] = []
        for down, level in zip(self.down, self.encoder[1:], strict=True):
            skipped.append(features)
            features = level(down(features))
        for up, level in zip(self.up, self.decoder, strict=True):
            features = level(up(features, skipped.pop()))
        logits: Tensor = self.head(features)
        return self._with_prior(logits, channels) if self.config.prior else logits

    def _with_prior(self, logits: Tensor, channels: Tensor) -> Tensor:
        """Return the logits with the log-odds of the input added to those of the classes that they are of."""
        last = 1 + self.config.prior
        known = logits[:, 1:last] + channels[:, -self.config.prior :]
        return torch.cat((logits[:, :1], known, logits[:, last:]), dim=1)


def _level(channels: int, blocks: int, config: VbNetConfig) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(channels, config) for _ in range(blocks)))


def _unit(convolution: nn.Conv3d | nn.ConvTranspose3d, config: VbNetConfig) -> nn.Sequential:
    return nn.Sequential(convolution, _norm(convolution.out_channels, config), nn.ReLU(inplace=True))


def _norm(channels: int, config: VbNetConfig) -> nn.Module:
    return BatchNorm(channels) if config.normalisation == "batch" else nn.InstanceNorm3d(channels, affine=True)

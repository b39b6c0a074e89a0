"""The end that the localize paper puts on networks trained on ImageNet, and what its six networks have in common.

`tuned VGG16` (see `vgg16`): batch normalisation before the features are flattened and after each of two dense layers of
500 and 250 neurons, dropout of 0.40 and 0.30, two outputs with a sigmoid each. What the paper leaves open, we read so:

- Features are flattened or averaged as in the published network: VGG16 flattens, the others average over the patch
  (flattened, ResNet50's at 224 pixels would give the first dense layer 50 million weights).
- All six have this end when they are compared, so that they differ in their convolutions alone. Their own ends, with
  two outputs, are ``dense=(), dropout=(), normalised=False`` and, of VGG16, `vgg16.STANDARD`.
- A dense layer includes its ReLU, as a layer of Keras does: ReLU, then normalisation, then dropout.
- The outputs stand in the order of the paper's one-hot vectors: infarct, then normal tissue. Here they are logits.
  Keras divides the two sigmoids by their sum; that belongs to the loss, and to who reads a probability.
- Patches are grey. Networks for colours are shown such as three equal channels; a convolution whose weights are summed
  over its channels gives the same answer for a third of the work (see `pretrained`). A second channel is the tile at
  the mirrored place (ours).
- Beside the network, ours can have a linear term: the mean of each of the last ``maps`` channels in the middle of the
  patch. Those are smoothed differences of the two sides, a good measure of infarction by themselves; with some hundred
  heads the convolutions learn only a part of that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.blocks import begun

OUTPUTS: Final = 2
"""Infarct and normal tissue."""
MAX_IN_CHANNELS: Final = 16
MAX_SIZE_PX: Final = 320
"""A little more than the 299 pixels of the largest publications. With `MAX_DENSE` and `MAX_DENSE_LAYERS` it keeps a
wrong number in a weight file from taking all memory."""
MAX_DENSE: Final = 4096
"""The neurons of a dense layer of the published VGG16."""
MAX_DENSE_LAYERS: Final = 3
MIDDLE: Final = 4
"""The middle of a patch is a square with a side so many times shorter: the tile, where the patch is four tiles."""


@dataclass(frozen=True)
class TransferConfig:
    """Size and parts of a `TransferNetwork`: convolutions as published, and the paper's end; the defaults are both.

    ``in_channels``: 1 for a tile, 2 with the one at the mirrored place, 3 for coloured pictures; patches are squares of
    ``size_px``. ``width`` is the share of the published channels that each convolution has (1: all). ``dense`` neurons
    in each dense layer and the ``dropout`` after it; ``normalised``: with batch normalisation before and among them.
    ``maps``: of so many of the last channels the mean in the middle of the patch is a linear term of the outputs.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    LEAST_PX: ClassVar[int] = 32
    """Of smaller patches nothing is left after the convolutions."""

    in_channels: int = 1
    size_px: int = 140
    width: float = 1.0
    dense: tuple[int, ...] = (500, 250)
    dropout: tuple[float, ...] = (0.4, 0.3)
    normalised: bool = True
    maps: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.in_channels <= MAX_IN_CHANNELS:
            raise ValueError(f"there are 1 to {MAX_IN_CHANNELS} channels")
        if not self.LEAST_PX <= self.size_px <= MAX_SIZE_PX:
            raise ValueError(f"patches are of {self.LEAST_PX} to {MAX_SIZE_PX} pixels")
        if not 0 < self.width <= 1:
            raise ValueError("the width must be above 0 and at most 1")
        if len(self.dense) > MAX_DENSE_LAYERS or not all(1 <= neurons <= MAX_DENSE for neurons in self.dense):
            raise ValueError(f"there are at most {MAX_DENSE_LAYERS} dense layers of 1 to {MAX_DENSE} neurons")
        if not 0 <= self.maps <= self.in_channels:
            raise ValueError("there are no more maps than channels")
        if len(self.dropout) != len(self.dense) or not all(0 <= share < 1 for share in self.dropout):
            raise ValueError("there is one dropout for each dense layer, from 0 to less than 1")


@dataclass(frozen=True)
class ImageNetNames:
    """How files of weights trained on ImageNet name the tensors of a network.

    ``source`` is the package that defines the names; tensors under ``others`` belong to parts that are not ours.
    ``own`` turns the name of a tensor into ours, counted from the convolutional part; `pretrained` does the rest.
    """

    source: str
    others: tuple[str, ...]
    own: Callable[[str], str] = str


class TransferNetwork(nn.Module):
    """A convolutional part, ``features``, which gives ``channels``, and the paper's end; returns two logits a patch.

    ``side`` is that of the features where they are flattened; None: they are averaged.
    """

    imagenet: ClassVar[ImageNetNames]

    def __init__(self, config: TransferConfig, features: nn.Module, channels: int, *, side: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.features = begun(features)
        self.head = _head(config, channels, side)
        if config.maps:
            self.linear = nn.Linear(config.maps, OUTPUTS, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (n, in_channels, size_px, size_px) to logits (n, 2): of infarct and of normal tissue.

        Raises `ValueError` for patches of another size or other channels.
        """
        expected = (self.config.in_channels, self.config.size_px, self.config.size_px)
        if tuple(patches.shape[1:]) != expected:
            raise ValueError(f"patches of {tuple(patches.shape[1:])} are not those of the network, {expected}")
        logits: Tensor = self.head(self.features(patches))
        return logits + self.linear(self._middle(patches)) if self.config.maps else logits

    def _middle(self, patches: Tensor) -> Tensor:
        """Return the means of the maps in the middle of the patches, (n, maps)."""
        side = self.config.size_px // MIDDLE
        first = (self.config.size_px - side) // 2
        middle = slice(first, first + side)
        return torch.mean(patches[:, -self.config.maps :, middle, middle], dim=(2, 3))


class Average(nn.Module):
    """The mean over y and x."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c)."""
        return torch.mean(features, dim=(2, 3))


def infarct_logits(outputs: Tensor) -> Tensor:
    """Return the logit of the paper's probability of infarct, (n,), of a network's ``outputs`` (n, 2).

    The probability is that of the first sigmoid divided by the sum of the two, as Keras renormalises them.
    """
    return functional.softplus(-outputs[:, 1]) - functional.softplus(-outputs[:, 0])


def _head(config: TransferConfig, channels: int, side: int | None) -> nn.Sequential:
    parts: list[nn.Module] = [BatchNorm(channels)] if config.normalised else []
    parts.append(Average() if side is None else nn.Flatten())
    entering = channels * (1 if side is None else side * side)
    for neurons, share in zip(config.dense, config.dropout, strict=True):
        parts += [nn.Linear(entering, neurons), nn.ReLU()]
        parts += [BatchNorm(neurons)] if config.normalised else []
        parts.append(nn.Dropout(share))
        entering = neurons
    return nn.Sequential(*parts, nn.Linear(entering, OUTPUTS))

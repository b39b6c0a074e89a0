"""The volumetry paper's CNN (DOI 10.1136/neurintsurg-2019-015471): a patch of 19 x 19 x 3 voxels decides its middle.

The three slices are channels. 5x5 convolution to 64 channels, the largest of 2x2, 5x5 convolution to 128 channels, the
largest of 2x2, two dense layers of 256, one output; nothing is padded, so the sides are 19, 15, 7, 3 and 1. Not stated
in the paper, and so our reading: ReLU after each convolution and each hidden dense layer, weights as in He et al. 2015.

A side of 15 or 3 is no multiple of 2, and pooling leaves its last row and column out. So the last three rows and
columns of a patch decide nothing: the 16 x 16 from 9 before to 6 behind the middle do.

`PatchCnn` judges patches. `DensePatchCnn` has the same tensors and judges every voxel of a picture at once: what
neighbouring patches share is computed once. Pooling goes on voxel by voxel. What the second convolution and pooling
join lies two voxels apart, so the features are first parted into four pictures, by even and odd rows and columns; each
is then an ordinary convolution, which processors are fast at. Dense layers become convolutions of 1x1.

Networks that see the same patch can stand side by side in one, each a group of its channels (`side_by_side`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.blocks import begun, narrowed

PATCH_PX: Final = 19
SLICES: Final = 3
"""Slices of a patch, each a channel."""
MIDDLE_PX: Final = PATCH_PX // 2
"""Row and column of the voxel that a patch is about."""
FIELD_PX: Final = 16
"""Rows and columns of a patch that decide, from the first."""
KERNEL_PX: Final = 5
CHANNELS: Final = (64, 128)
NEURONS: Final = (256, 256)
MAX_IMAGES: Final = 3
MAX_OUTPUTS: Final = 16
"""Both keep a wrong number in a weight file from taking all memory."""


@dataclass(frozen=True)
class PatchCnnConfig:
    """Size of a `PatchCnn`; the defaults are the published one.

    ``images``: 1 for the scan alone, more with others on its grid, such as the mirrored head; each has three channels.
    ``width`` is the share of the published channels and neurons that each layer has. ``outputs`` is how many networks
    stand side by side, each with layers and an output of its own.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    images: int = 1
    width: float = 1.0
    outputs: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.images <= MAX_IMAGES:
            raise ValueError(f"there are 1 to {MAX_IMAGES} images")
        if not 0 < self.width <= 1:
            raise ValueError("the width must be above 0 and at most 1")
        if not 1 <= self.outputs <= MAX_OUTPUTS:
            raise ValueError(f"there are 1 to {MAX_OUTPUTS} outputs")

    @property
    def in_channels(self) -> int:
        """Number of channels of a patch: three slices of each image, image after image."""
        return SLICES * self.images


class PatchCnn(nn.Module):
    """Judges the voxel in the middle of each patch; with several outputs, by as many networks."""

    def __init__(self, config: PatchCnnConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.outputs
        first, second = (groups * narrowed(channels, config.width) for channels in CHANNELS)
        self.first = nn.Conv2d(config.in_channels, first, KERNEL_PX)
        self.second = nn.Conv2d(first, second, KERNEL_PX, groups=groups)
        parts: list[nn.Module] = []
        entering = second
        for published in NEURONS:
            neurons = groups * narrowed(published, config.width)
            parts += [nn.Conv2d(entering, neurons, kernel_size=1, groups=groups), nn.ReLU(inplace=True)]
            entering = neurons
        self.dense = nn.Sequential(*parts, nn.Conv2d(entering, groups, kernel_size=1, groups=groups))
        begun(self)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (n, in_channels, 19, 19) to logits (n, outputs).

        Raises `ValueError` for patches of another size or other channels.
        """
        expected = (self.config.in_channels, PATCH_PX, PATCH_PX)
        if tuple(patches.shape[1:]) != expected:
            raise ValueError(f"patches of {tuple(patches.shape[1:])} are not those of the network, {expected}")
        features = functional.max_pool2d(torch.relu(self.first(patches)), kernel_size=2)
        features = functional.max_pool2d(torch.relu(self.second(features)), kernel_size=2)
        logits: Tensor = self.dense(features)
        return logits.flatten(1)


class DensePatchCnn(PatchCnn):
    """Judges every voxel of a picture, each as `PatchCnn` judges the patch about it."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, in_channels, y + 15, x + 15) to logits (n, outputs, y, x); y and x are even.

        The picture reaches 9 voxels beyond the first voxel that is judged and 6 beyond the last, in both directions.

        Raises `ValueError` for pictures of other channels or an unfit size.
        """
        channels, rows, columns = (int(size) for size in pictures.shape[1:])
        judged = rows - FIELD_PX + 1, columns - FIELD_PX + 1
        if channels != self.config.in_channels or min(judged) < 2 or any(side % 2 for side in judged):
            raise ValueError(f"pictures of {channels} channels, {rows} by {columns}, do not fit the network")
        features = functional.max_pool2d(torch.relu(self.first(pictures)), kernel_size=2, stride=1)
        features = functional.max_pool2d(torch.relu(self.second(_parted(features))), kernel_size=2, stride=1)
        return _joined(self.dense(features))


def side_by_side(networks: Sequence[Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of one network that holds several of the same configuration, its outputs in their order.

    ``outputs`` of its configuration is the sum of theirs.
    """
    return {key: np.concatenate([tensors[key] for tensors in networks]) for key in networks[0]}


def _parted(features: Tensor) -> Tensor:
    """Return (n, c, 2 y, 2 x) as (4 n, c, y, x): even and odd rows and columns of each apart."""
    channels, rows, columns = features.shape[1:]
    parts = features.reshape(-1, channels, rows // 2, 2, columns // 2, 2)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels, rows // 2, columns // 2)


def _joined(parts: Tensor) -> Tensor:
    """Undo `_parted`."""
    channels, rows, columns = parts.shape[1:]
    features = parts.reshape(-1, 2, 2, channels, rows, columns)
    return features.permute(0, 3, 4, 1, 5, 2).reshape(-1, channels, 2 * rows, 2 * columns)

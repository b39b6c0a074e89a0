"""The DnCNN of Zhang et al. 2017 (DOI 10.1109/TIP.2017.2662206, arXiv 1608.03981), section III: it answers the noise.

3x3 convolutions of 64 channels, padded by zeros: the first with ReLU, those in the middle with batch normalisation and
ReLU, the last plain. 17 of them for noise of one known level ("DnCNN-S", which sees 35 x 35 pixels), 20 for noise of
any ("DnCNN-B", 41 x 41). Weights begin as in He et al. 2015.

Our reading: the first and the last convolution have a bias; those before a normalisation need none.
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.blocks import begun

MAX_CHANNELS: Final = 256
"""Four times as many as in the published network. With `MAX_DEPTH` it keeps a wrong number in a weight file from taking
all memory."""
MAX_DEPTH: Final = 40


@dataclass(frozen=True)
class DnCnnConfig:
    """Size of a `DnCnn`: ``depth`` convolutions, with ``width`` channels between them.

    The defaults are the published one for noise of one level.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    in_channels: int = 1
    width: int = 64
    depth: int = 17

    def __post_init__(self) -> None:
        if not (1 <= self.in_channels <= MAX_CHANNELS and 1 <= self.width <= MAX_CHANNELS):
            raise ValueError(f"there are 1 to {MAX_CHANNELS} channels")
        if not 2 <= self.depth <= MAX_DEPTH:
            raise ValueError(f"there are 2 to {MAX_DEPTH} convolutions")

    @property
    def field_px(self) -> int:
        """Side of the square of pixels that decides one pixel of the answer."""
        return 2 * self.depth + 1


BLIND: Final = DnCnnConfig(depth=20)
"""The published one for noise of unknown level."""


class DnCnn(nn.Module):
    """Answers the noise in an image, which is to be subtracted from it."""

    def __init__(self, config: DnCnnConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        parts: list[nn.Module] = [nn.Conv2d(config.in_channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(config.depth - 2):
            parts += [nn.Conv2d(width, width, 3, padding=1, bias=False), BatchNorm(width), nn.ReLU(inplace=True)]
        self.layers = begun(nn.Sequential(*parts, nn.Conv2d(width, config.in_channels, 3, padding=1)))

    def forward(self, noisy: Tensor) -> Tensor:
        """Map images (n, in_channels, y, x) of any size to the noise in them, of the same shape and unit."""
        noise: Tensor = self.layers(noisy)
        return noise

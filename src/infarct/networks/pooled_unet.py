"""A 3D SE-Res-U-Net on the pictures that patches are cut from: it sees the whole head where a patch CNN sees 2 cm.

Ours. Pixels are averaged in squares first, which makes the network small enough for two processor cores, and its logits
are interpolated between the middles of the squares.
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.se_res_unet import SeResUnet, SeResUnetConfig, Strides

MAX_POOL_PX: Final = 8
UNET_PART: Final = "unet."
"""How the names of the U-Net's tensors begin."""


@dataclass(frozen=True)
class PooledUnetConfig:
    """Size of a `PooledUnet`: ``pool_px`` is the side of the squares, ``base`` and ``strides`` are the U-Net's.

    ``images``: 1 for the scan alone; 2 for the scan and its mirror image, which are then compared (see
    `se_res_unet.compared`), with a window for each of ``smooth``.

    Raises `ValueError` for numbers that make no network, or too large a one.
    """

    images: int = 2
    outputs: int = 1
    base: int = 8
    pool_px: int = 2
    strides: Strides = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    smooth: tuple[tuple[int, int, int], ...] = ((3, 5, 5), (5, 9, 9))

    def __post_init__(self) -> None:
        if not 1 <= self.pool_px <= MAX_POOL_PX:
            raise ValueError(f"squares have a side of 1 to {MAX_POOL_PX} pixels")
        if self.images not in (1, 2):
            raise ValueError("there are one or two images")
        self.unet  # noqa: B018  # its own limits

    @property
    def unet(self) -> SeResUnetConfig:
        """Configuration of the U-Net."""
        compare = self.images == 2
        return SeResUnetConfig(
            in_channels=self.images,
            out_channels=self.outputs,
            base=self.base,
            strides=self.strides,
            compare=compare,
            smooth=self.smooth if compare else (),
        )


class PooledUnet(nn.Module):
    """Average pooling in plane, `SeResUnet`, and interpolation; returns logits."""

    def __init__(self, config: PooledUnetConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = SeResUnet(config.unet)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, images, z, y, x) to logits (n, outputs, z, y, x); rows and columns are multiples of ``pool_px``.

        Raises `ValueError` where they are not.
        """
        side = self.config.pool_px
        if images.shape[3] % side or images.shape[4] % side:
            raise ValueError(f"rows and columns are no multiples of {side}")
        logits = self.unet(functional.avg_pool3d(images, (1, side, side)))
        size = list(images.shape[2:])
        return functional.interpolate(logits, size=size, mode="trilinear", align_corners=False)

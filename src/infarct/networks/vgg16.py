"""VGG16 of Simonyan and Zisserman 2015 (arXiv 1409.1556, table 1, column D), with the localize paper's end.

Thirteen 3x3 convolutions with bias and ReLU, no normalisation among them; the largest of 2x2 after the second, fourth,
seventh, tenth and thirteenth. The defaults are the paper's tuned VGG16 (DOI 10.1038/s41598-023-45573-7).
"""

from dataclasses import dataclass
from typing import Final

from torch import nn

from infarct.networks.blocks import narrowed
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork

STAGES: Final = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions, stage by stage; each stage ends by halving the size."""


@dataclass(frozen=True)
class Vgg16Config(TransferConfig):
    """Size and parts of a `Vgg16`."""

    @property
    def side(self) -> int:
        """Side of the features, which are flattened."""
        return self.size_px >> len(STAGES)


STANDARD: Final = Vgg16Config(dense=(4096, 4096), dropout=(0.5, 0.5), normalised=False)
"""With the dense layers of the publication, and two outputs."""


class Vgg16(TransferNetwork):
    """VGG16 on patches; its features are flattened."""

    imagenet = ImageNetNames("torchvision", ("classifier",), lambda name: name.removeprefix("features."))

    def __init__(self, config: Vgg16Config) -> None:
        parts: list[nn.Module] = []
        channels = config.in_channels
        for stage in STAGES:
            for published in stage:
                entering, channels = channels, narrowed(published, config.width)
                parts += [nn.Conv2d(entering, channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            parts.append(nn.MaxPool2d(2))
        super().__init__(config, nn.Sequential(*parts), channels, side=config.side)

"""GoogLeNet, or Inception-v1, of Szegedy et al. 2015 (DOI 10.1109/CVPR.2015.7298594, table 1), with the paper's end.

Ours is the form that is trained nowadays, of TensorFlow's model collection and torchvision: batch normalisation after
each convolution (Ioffe and Szegedy 2015, arXiv 1502.03167) in place of local response normalisation; 3x3 convolutions
in the branches that the publication has of 5x5; 2x2 in the last pooling. The weights that `pretrained` loads have these
shapes. The two auxiliary classifiers of the publication, used in training alone, are left out.
"""

from dataclasses import dataclass
from typing import Final

from infarct.networks.blocks import Fork, MaxPool, Part, Step, assembled
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork


def _inception(one: int, inner_two: int, two: int, inner_three: int, three: int, pooled: int) -> Fork:
    """Return a block by its row in the table: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj."""
    return Fork(
        {
            "branch1": Step(one),
            "branch2": (Step(inner_two), Step(two, 3)),
            "branch3": (Step(inner_three), Step(three, 3)),
            "branch4": (MaxPool(stride=1, padding=1), Step(pooled)),
        }
    )


PARTS: Final[dict[str, Part]] = {
    "conv1": Step(64, 7, stride=2),
    "maxpool1": MaxPool(ceil=True),
    "conv2": Step(64),
    "conv3": Step(192, 3),
    "maxpool2": MaxPool(ceil=True),
    "inception3a": _inception(64, 96, 128, 16, 32, 32),
    "inception3b": _inception(128, 128, 192, 32, 96, 64),
    "maxpool3": MaxPool(ceil=True),
    "inception4a": _inception(192, 96, 208, 16, 48, 64),
    "inception4b": _inception(160, 112, 224, 24, 64, 64),
    "inception4c": _inception(128, 128, 256, 24, 64, 64),
    "inception4d": _inception(112, 144, 288, 32, 64, 64),
    "inception4e": _inception(256, 160, 320, 32, 128, 128),
    "maxpool4": MaxPool(2, ceil=True),
    "inception5a": _inception(256, 160, 320, 32, 128, 128),
    "inception5b": _inception(384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True)
class GoogLeNetConfig(TransferConfig):
    """Size and parts of a `GoogLeNet`."""


class GoogLeNet(TransferNetwork):
    """GoogLeNet on patches; its features are averaged."""

    imagenet = ImageNetNames("torchvision", ("aux1", "aux2", "fc"))

    def __init__(self, config: GoogLeNetConfig) -> None:
        super().__init__(config, *assembled(PARTS, config.in_channels, width=config.width))

"""Inception-ResNet-v2 of Szegedy et al. 2017 (DOI 10.1609/aaai.v31i1.11231, arXiv 1602.07261), with the paper's end.

Ours is the authors' trained network, which TensorFlow's model collection, Keras and timm share, with 55.8 million
parameters: the stem of Inception-v3, a block without residual, then 10, 20 and 10 residual blocks of 35 x 35, 17 x 17
and 8 x 8 with blocks that halve between, for patches of 299 pixels. Residuals are scaled by 0.17, 0.10 and 0.20
(section 3.3 of the publication says 0.1 to 0.3); that of the last block is not, and no ReLU follows it. The figures of
the publication have the stem of Inception-v4, 5, 10 and 5 blocks, and slightly more channels.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from infarct.networks.blocks import AveragePool, Fork, MaxPool, Part, Residual, Step, assembled
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork

BLOCK_35: Final = Residual(
    {
        "branch0": Step(32),
        "branch1": (Step(32), Step(32, 3)),
        "branch2": (Step(32), Step(48, 3), Step(64, 3)),
    },
    scale=0.17,
)
BLOCK_17: Final = Residual(
    {"branch0": Step(192), "branch1": (Step(128), Step(160, (1, 7)), Step(192, (7, 1)))}, scale=0.10
)
BRANCHES_8: Final[dict[str, Part]] = {
    "branch0": Step(192),
    "branch1": (Step(192), Step(224, (1, 3)), Step(256, (3, 1))),
}
PARTS: Final[dict[str, Part]] = {
    "conv2d_1a": Step(32, 3, stride=2, padded=False),
    "conv2d_2a": Step(32, 3, padded=False),
    "conv2d_2b": Step(64, 3),
    "maxpool_3a": MaxPool(),
    "conv2d_3b": Step(80),
    "conv2d_4a": Step(192, 3, padded=False),
    "maxpool_5a": MaxPool(),
    "mixed_5b": Fork(
        {
            "branch0": Step(96),
            "branch1": (Step(48), Step(64, 5)),
            "branch2": (Step(64), Step(96, 3), Step(96, 3)),
            "branch3": (AveragePool(), Step(64)),
        }
    ),
    "repeat": (BLOCK_35,) * 10,
    "mixed_6a": Fork(
        {
            "branch0": Step(384, 3, stride=2, padded=False),
            "branch1": (Step(256), Step(256, 3), Step(384, 3, stride=2, padded=False)),
            "branch2": MaxPool(),
        }
    ),
    "repeat_1": (BLOCK_17,) * 20,
    "mixed_7a": Fork(
        {
            "branch0": (Step(256), Step(384, 3, stride=2, padded=False)),
            "branch1": (Step(256), Step(288, 3, stride=2, padded=False)),
            "branch2": (Step(256), Step(288, 3), Step(320, 3, stride=2, padded=False)),
            "branch3": MaxPool(),
        }
    ),
    "repeat_2": (Residual(BRANCHES_8, scale=0.20),) * 9,
    "block8": Residual(BRANCHES_8, scale=1.0, rectified=False),
    "conv2d_7b": Step(1536),
}


@dataclass(frozen=True)
class InceptionResNetV2Config(TransferConfig):
    """Size and parts of an `InceptionResNetV2`."""

    LEAST_PX: ClassVar[int] = 75


class InceptionResNetV2(TransferNetwork):
    """Inception-ResNet-v2 on patches; its features are averaged."""

    imagenet = ImageNetNames("timm", ("classif",))

    def __init__(self, config: InceptionResNetV2Config) -> None:
        super().__init__(config, *assembled(PARTS, config.in_channels, width=config.width))

"""Inception-v3 of Szegedy et al. 2016 (DOI 10.1109/CVPR.2016.308, arXiv 1512.00567), with the localize paper's end.

The form is that of the authors' trained network, which TensorFlow's model collection, Keras and torchvision share; it
differs from the publication's table in its stem (a 1x1 and a 3x3 convolution after the first pooling). Averages leave
out what lies outside the features, as where the network was trained (torchvision counts zeros there). The auxiliary
classifier, used in training alone, is left out. Three blocks of 35 x 35, one that halves, four of 17 x 17, one that
halves, two of 8 x 8, for patches of 299 pixels.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from infarct.networks.blocks import AveragePool, Fork, MaxPool, Part, Step, assembled
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork

NUMBERED: Final = re.compile(r"(branch\w+?)_(\d)([ab]?)(?=\.)")
"""Names of the files such as branch3x3_2a: the second link of a branch, and there the first of two."""


def _block_35(pooled: int) -> Fork:
    return Fork(
        {
            "branch1x1": Step(64),
            "branch5x5": (Step(48), Step(64, 5)),
            "branch3x3dbl": (Step(64), Step(96, 3), Step(96, 3)),
            "branch_pool": (AveragePool(), Step(pooled)),
        }
    )


def _block_17(inner: int) -> Fork:
    """Return a block whose 7x7 convolutions are split in two, of 1x7 and 7x1, with ``inner`` channels between."""
    return Fork(
        {
            "branch1x1": Step(192),
            "branch7x7": (Step(inner), Step(inner, (1, 7)), Step(192, (7, 1))),
            "branch7x7dbl": (
                Step(inner),
                Step(inner, (7, 1)),
                Step(inner, (1, 7)),
                Step(inner, (7, 1)),
                Step(192, (1, 7)),
            ),
            "branch_pool": (AveragePool(), Step(192)),
        }
    )


def _block_8() -> Fork:
    split = Fork({"a": Step(384, (1, 3)), "b": Step(384, (3, 1))})
    return Fork(
        {
            "branch1x1": Step(320),
            "branch3x3": (Step(384), split),
            "branch3x3dbl": (Step(448), Step(384, 3), split),
            "branch_pool": (AveragePool(), Step(192)),
        }
    )


HALVING_35: Final = Fork(
    {
        "branch3x3": Step(384, 3, stride=2, padded=False),
        "branch3x3dbl": (Step(64), Step(96, 3), Step(96, 3, stride=2, padded=False)),
        "branch_pool": MaxPool(),
    }
)
HALVING_17: Final = Fork(
    {
        "branch3x3": (Step(192), Step(320, 3, stride=2, padded=False)),
        "branch7x7x3": (
            Step(192),
            Step(192, (1, 7)),
            Step(192, (7, 1)),
            Step(192, 3, stride=2, padded=False),
        ),
        "branch_pool": MaxPool(),
    }
)
PARTS: Final[dict[str, Part]] = {
    "Conv2d_1a_3x3": Step(32, 3, stride=2, padded=False),
    "Conv2d_2a_3x3": Step(32, 3, padded=False),
    "Conv2d_2b_3x3": Step(64, 3),
    "maxpool1": MaxPool(),
    "Conv2d_3b_1x1": Step(80),
    "Conv2d_4a_3x3": Step(192, 3, padded=False),
    "maxpool2": MaxPool(),
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": HALVING_35,
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": HALVING_17,
    "Mixed_7b": _block_8(),
    "Mixed_7c": _block_8(),
}


@dataclass(frozen=True)
class InceptionV3Config(TransferConfig):
    """Size and parts of an `InceptionV3`."""

    LEAST_PX: ClassVar[int] = 75


def own_name(name: str) -> str:
    """Return our name of what torchvision calls ``name``: links of a branch are counted from 0 and nested."""

    def nested(match: re.Match[str]) -> str:
        branch, link, part = match.groups()
        return ".".join(filter(None, (branch, str(int(link) - 1), part)))

    return NUMBERED.sub(nested, name).replace("branch_pool.", "branch_pool.1.")


class InceptionV3(TransferNetwork):
    """Inception-v3 on patches; its features are averaged."""

    imagenet = ImageNetNames("torchvision", ("AuxLogits", "fc"), own_name)

    def __init__(self, config: InceptionV3Config) -> None:
        super().__init__(config, *assembled(PARTS, config.in_channels, width=config.width))

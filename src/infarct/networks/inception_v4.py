"""Inception-v4 of Szegedy et al. 2017 (DOI 10.1609/aaai.v31i1.11231, arXiv 1602.07261), with the localize paper's end.

As in figures 3 to 9: a stem that branches three times, four blocks of 35 x 35, one that halves, seven of 17 x 17, one
that halves, three of 8 x 8, for patches of 299 pixels. Where the figures and the authors' trained network differ in the
order of 1x7 and 7x1 convolutions, it is the trained one.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from infarct.networks.blocks import AveragePool, Fork, MaxPool, Part, Step, assembled
from infarct.networks.transfer import ImageNetNames, TransferConfig, TransferNetwork

NUMBERED: Final = re.compile(r"(branch\d)_(\d)([ab]?)(?=\.)")
"""Names of the files such as branch2_3a: in the third branch the fourth link, and there the first of two."""

STEM: Final[tuple[Part, ...]] = (
    Step(32, 3, stride=2, padded=False),
    Step(32, 3, padded=False),
    Step(64, 3),
    Fork({"maxpool": MaxPool(), "conv": Step(96, 3, stride=2, padded=False)}),
    Fork(
        {
            "branch0": (Step(64), Step(96, 3, padded=False)),
            "branch1": (Step(64), Step(64, (1, 7)), Step(64, (7, 1)), Step(96, 3, padded=False)),
        }
    ),
    Fork({"conv": Step(192, 3, stride=2, padded=False), "maxpool": MaxPool()}),
)
BLOCK_35: Final = Fork(
    {
        "branch0": Step(96),
        "branch1": (Step(64), Step(96, 3)),
        "branch2": (Step(64), Step(96, 3), Step(96, 3)),
        "branch3": (AveragePool(), Step(96)),
    }
)
HALVING_35: Final = Fork(
    {
        "branch0": Step(384, 3, stride=2, padded=False),
        "branch1": (Step(192), Step(224, 3), Step(256, 3, stride=2, padded=False)),
        "branch2": MaxPool(),
    }
)
BLOCK_17: Final = Fork(
    {
        "branch0": Step(384),
        "branch1": (Step(192), Step(224, (1, 7)), Step(256, (7, 1))),
        "branch2": (Step(192), Step(192, (7, 1)), Step(224, (1, 7)), Step(224, (7, 1)), Step(256, (1, 7))),
        "branch3": (AveragePool(), Step(128)),
    }
)
HALVING_17: Final = Fork(
    {
        "branch0": (Step(192), Step(192, 3, stride=2, padded=False)),
        "branch1": (Step(256), Step(256, (1, 7)), Step(320, (7, 1)), Step(320, 3, stride=2, padded=False)),
        "branch2": MaxPool(),
    }
)
SPLIT: Final = Fork({"a": Step(256, (1, 3)), "b": Step(256, (3, 1))})
BLOCK_8: Final = Fork(
    {
        "branch0": Step(256),
        "branch1": (Step(384), SPLIT),
        "branch2": (Step(384), Step(448, (3, 1)), Step(512, (1, 3)), SPLIT),
        "branch3": (AveragePool(), Step(256)),
    }
)
PARTS: Final[tuple[Part, ...]] = (
    *STEM,
    *(BLOCK_35,) * 4,
    HALVING_35,
    *(BLOCK_17,) * 7,
    HALVING_17,
    *(BLOCK_8,) * 3,
)


@dataclass(frozen=True)
class InceptionV4Config(TransferConfig):
    """Size and parts of an `InceptionV4`."""

    LEAST_PX: ClassVar[int] = 75


def own_name(name: str) -> str:
    """Return our name of what timm calls ``name``: the links of a branch are nested."""

    def nested(match: re.Match[str]) -> str:
        return ".".join(filter(None, match.groups()))

    return NUMBERED.sub(nested, name.removeprefix("features."))


class InceptionV4(TransferNetwork):
    """Inception-v4 on patches; its features are averaged."""

    imagenet = ImageNetNames("timm", ("last_linear",), own_name)

    def __init__(self, config: InceptionV4Config) -> None:
        super().__init__(config, *assembled(PARTS, config.in_channels, width=config.width))

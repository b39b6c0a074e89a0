"""The four Inception networks: the sizes that their publications state, block by block."""

import pytest
import torch

from infarct.networks.blocks import ScaledResidual
from infarct.networks.registry import build
from infarct.networks.transfer import TransferNetwork

GOOGLENET = {
    "conv1": (64, 112),
    "maxpool1": (64, 56),
    "conv3": (192, 56),
    "maxpool2": (192, 28),
    "inception3a": (256, 28),
    "inception3b": (480, 28),
    "maxpool3": (480, 14),
    "inception4a": (512, 14),
    "inception4b": (512, 14),
    "inception4c": (512, 14),
    "inception4d": (528, 14),
    "inception4e": (832, 14),
    "maxpool4": (832, 7),
    "inception5a": (832, 7),
    "inception5b": (1024, 7),
}
"""Table 1 of arXiv 1409.4842, for 224 pixels: channels and side."""
INCEPTION_V3 = {
    "Conv2d_1a_3x3": (32, 149),
    "Conv2d_2a_3x3": (32, 147),
    "Conv2d_2b_3x3": (64, 147),
    "maxpool1": (64, 73),
    "Conv2d_4a_3x3": (192, 71),
    "maxpool2": (192, 35),
    "Mixed_5b": (256, 35),
    "Mixed_5d": (288, 35),
    "Mixed_6a": (768, 17),
    "Mixed_6e": (768, 17),
    "Mixed_7a": (1280, 8),
    "Mixed_7b": (2048, 8),
    "Mixed_7c": (2048, 8),
}
"""Table 1 of arXiv 1512.00567, for 299 pixels."""
INCEPTION_V4 = {
    "0": (32, 149),
    "1": (32, 147),
    "2": (64, 147),
    "3": (160, 73),
    "4": (192, 71),
    "5": (384, 35),
    "9": (384, 35),
    "10": (1024, 17),
    "17": (1024, 17),
    "18": (1536, 8),
    "21": (1536, 8),
}
"""Figures 3 and 9 of arXiv 1602.07261, for 299 pixels."""
INCEPTION_RESNET_V2 = {
    "conv2d_1a": (32, 149),
    "conv2d_2b": (64, 147),
    "maxpool_3a": (64, 73),
    "conv2d_4a": (192, 71),
    "mixed_5b": (320, 35),
    "repeat": (320, 35),
    "mixed_6a": (1088, 17),
    "repeat_1": (1088, 17),
    "mixed_7a": (2080, 8),
    "repeat_2": (2080, 8),
    "block8": (2080, 8),
    "conv2d_7b": (1536, 8),
}
"""The end points of TensorFlow's model collection, for 299 pixels."""


@pytest.mark.parametrize(
    ("name", "size_px", "stated"),
    [
        ("googlenet", 224, GOOGLENET),
        ("inception_v3", 299, INCEPTION_V3),
        ("inception_v4", 299, INCEPTION_V4),
        ("inception_resnet_v2", 299, INCEPTION_RESNET_V2),
    ],
)
def test_sizes_are_those_stated(name: str, size_px: int, stated: dict[str, tuple[int, int]]) -> None:
    sizes = {}
    with torch.device("meta"):
        network = build(name, {"in_channels": 3, "size_px": size_px})
        assert isinstance(network, TransferNetwork)
        features = torch.zeros(2, 3, size_px, size_px)
        network.eval()
        for part, module in network.features.named_children():
            features = module(features)
            assert features.shape[2] == features.shape[3]
            sizes[part] = (features.shape[1], features.shape[2])
    assert {part: sizes[part] for part in stated} == stated


def test_residuals_are_scaled_but_the_last() -> None:
    """No ReLU follows the last, either."""
    with torch.device("meta"):
        features = build("inception_resnet_v2", {}).get_submodule("features")
    blocks = [block for block in features.modules() if isinstance(block, ScaledResidual)]
    assert [block.scale for block in blocks] == [0.17] * 10 + [0.1] * 20 + [0.2] * 9 + [1]
    assert [block.rectified for block in blocks] == [True] * 39 + [False]

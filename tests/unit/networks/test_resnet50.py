"""ResNet50's bottleneck, written out the slow way, and the sizes of its table."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from infarct.networks.batch_norm import BatchNorm
from infarct.networks.resnet50 import Bottleneck, ResNet50, ResNet50Config


def normalised(norm: BatchNorm, features: Tensor) -> Tensor:
    mean, variance = norm.mean.reshape(-1, 1, 1), norm.variance.reshape(-1, 1, 1)
    return (features - mean) / (variance + 1e-5).sqrt() * norm.weight.reshape(-1, 1, 1) + norm.bias.reshape(-1, 1, 1)


@pytest.mark.parametrize(("in_channels", "stride"), [(12, 1), (5, 1), (12, 2)])
def test_a_bottleneck_by_hand(in_channels: int, stride: int) -> None:
    """The stride is that of the 3x3; what changes its shape is fitted by a 1x1, anything else added as it is."""
    torch.manual_seed(0)
    block = Bottleneck(in_channels, 3, stride)
    block(torch.randn(4, in_channels, 8, 8))  # so that the running values are not those of a new network
    block.eval()
    features = torch.randn(2, in_channels, 8, 8)
    with torch.no_grad():
        changed = normalised(block.bn1, functional.conv2d(features, block.conv1.weight)).clamp(min=0)
        changed = functional.conv2d(changed, block.conv2.weight, stride=stride, padding=1)
        changed = functional.conv2d(normalised(block.bn2, changed).clamp(min=0), block.conv3.weight)
        kept = features
        if (in_channels, stride) != (12, 1):
            weight = block.get_parameter("downsample.0.weight")
            norm = block.get_submodule("downsample.1")
            assert isinstance(norm, BatchNorm)
            kept = normalised(norm, functional.conv2d(features, weight, stride=stride))
        torch.testing.assert_close(block(features), (normalised(block.bn3, changed) + kept).clamp(min=0))


def test_sizes_of_the_table() -> None:
    sizes = []
    with torch.device("meta"):
        network = ResNet50(ResNet50Config(in_channels=3, size_px=224))
        for part in network.features.children():
            part.register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[1:])))
        network.features(torch.zeros(2, 3, 224, 224))
    assert sizes == [
        *[(64, 112, 112)] * 3,
        (64, 56, 56),
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (2048, 7, 7),
    ]

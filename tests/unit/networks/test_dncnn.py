"""The DnCNN against its description."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from infarct.errors import BadRequest
from infarct.networks.batch_norm import BatchNorm
from infarct.networks.dncnn import BLIND, DnCnn, DnCnnConfig
from infarct.networks.registry import build

SMALL = DnCnnConfig(width=5, depth=4)


def test_parameters_by_hand() -> None:
    """First 9 x 64 + 64 = 640; each in the middle 9 x 64 x 64 + 2 x 64 = 36,992; last 9 x 64 + 1 = 577."""
    with torch.device("meta"):
        counts = [sum(p.numel() for p in DnCnn(config).parameters()) for config in (DnCnnConfig(), BLIND)]
    assert counts == [640 + 15 * 36_992 + 577, 640 + 18 * 36_992 + 577] == [556_097, 667_073]


def test_layers_are_those_described() -> None:
    with torch.device("meta"):
        parts = list(DnCnn(BLIND).layers)
    assert [type(part) for part in parts] == [
        nn.Conv2d,
        nn.ReLU,
        *[nn.Conv2d, BatchNorm, nn.ReLU] * 18,
        nn.Conv2d,
    ]


def test_the_answer_is_the_noise_by_hand() -> None:
    """Nothing is added to what the last convolution says: the image comes from subtracting it."""
    torch.manual_seed(0)
    network = DnCnn(SMALL)
    network(torch.randn(4, 1, 12, 12))  # so that the running values are not those of a new network
    network.eval()
    noisy = torch.randn(2, 1, 9, 14)
    convolutions = [part for part in network.layers if isinstance(part, nn.Conv2d)]
    norms = [part for part in network.layers if isinstance(part, BatchNorm)]
    with torch.no_grad():
        first, *middle, last = convolutions
        features = functional.conv2d(noisy, first.weight, first.bias, padding=1).clamp(min=0)
        for convolution, norm in zip(middle, norms, strict=True):
            assert convolution.bias is None
            features = functional.conv2d(features, convolution.weight, padding=1)
            scale = norm.weight / (norm.variance + 1e-5).sqrt()
            features = (features - norm.mean.reshape(-1, 1, 1)) * scale.reshape(-1, 1, 1)
            features = (features + norm.bias.reshape(-1, 1, 1)).clamp(min=0)
        expected = functional.conv2d(features, last.weight, last.bias, padding=1)
        torch.testing.assert_close(network(noisy), expected)


def test_a_network_that_says_nothing_finds_no_noise() -> None:
    network = DnCnn(SMALL).eval()
    last = network.layers[-1]
    nn.init.zeros_(last.get_parameter("weight"))
    assert not network(torch.randn(1, 1, 8, 8)).any()


def test_it_learns_the_noise_of_a_flat_image() -> None:
    """Thirty steps on white noise over a flat image of 1: less than a third of its power is left."""
    torch.manual_seed(3)
    network = DnCnn(DnCnnConfig(width=8, depth=3))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    noise = torch.randn(8, 1, 16, 16)
    for _ in range(30):
        loss = (network(1 + noise) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network(1 + noise) - noise).square().mean() < 0.3 * noise.square().mean()


@pytest.mark.parametrize(("config", "field_px"), [(DnCnnConfig(width=2), 35), (DnCnnConfig(width=2, depth=20), 41)])
def test_what_a_pixel_of_the_answer_depends_on(config: DnCnnConfig, field_px: int) -> None:
    """A square of 35 pixels for 17 convolutions, of 41 for 20, as the publication says. With positive weights nothing
    is cut off or cancels."""
    network = DnCnn(config).eval()
    for part in network.layers:
        if isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 0.1)
    image = torch.ones(1, 1, 51, 51, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)[0, 0, 25, 25], image)
    expected = torch.zeros(51, 51, dtype=torch.bool)
    reach = field_px // 2
    expected[25 - reach : 26 + reach, 25 - reach : 26 + reach] = True
    assert torch.equal(gradient[0, 0] > 0, expected)
    assert config.field_px == field_px


@pytest.mark.parametrize("shape", [(2, 1, 7, 30), (1, 1, 1, 1), (3, 1, 16, 16)])
def test_the_answer_has_the_shape_of_the_image(shape: tuple[int, ...]) -> None:
    assert DnCnn(SMALL).eval()(torch.randn(shape)).shape == shape


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(4)
    network = DnCnn(DnCnnConfig(in_channels=2, width=6, depth=5))
    network(torch.randn(3, 2, 10, 10)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "config",
    [
        {"in_channels": 0},
        {"in_channels": 257},
        {"width": 0},
        {"width": 257},
        {"depth": 1},
        {"depth": 41},
        {"layers": 3},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match="does not make a network 'dncnn'"):
        build("dncnn", config)

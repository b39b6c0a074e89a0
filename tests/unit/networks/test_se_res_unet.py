"""The SE-Res-U-Net against the formulas of its paper, written out the slow way."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest
from infarct.networks import SeResUnet, SeResUnetConfig, build
from infarct.networks.se_res_unet import Block, SqueezeExcitation, compared
from infarct.runtime import make_engine
from infarct.weights import WeightSet

ENGINES: Final[tuple[Literal["torch", "openvino"], ...]] = ("torch", "openvino")
SMALL = SeResUnetConfig(base=4, strides=((1, 2, 2), (2, 2, 2)))


def block_parameters(inputs: int, outputs: int, *, residual: bool, squeeze_excite: bool) -> int:
    """Count by hand: two 3^3 convolutions, two scales and shifts, a projection, two linear layers."""
    count = 27 * inputs * outputs + 27 * outputs * outputs + 4 * outputs
    count += inputs * outputs if residual else 0
    return count + (2 * outputs * max(outputs // 16, 1) if squeeze_excite else 0)


@pytest.mark.parametrize("base", [16, 32])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("squeeze_excite", [True, False])
def test_parameters_are_those_counted_by_hand(base: int, residual: bool, squeeze_excite: bool) -> None:
    """Five levels: the encoder doubles the channels, each decoder block takes its own and twice as many from below."""
    encoder = [(1, base), *((base * 2**n, base * 2 ** (n + 1)) for n in range(4))]
    decoder = [(3 * base * 2**n, base * 2**n) for n in range(4)]
    parts = {"residual": residual, "squeeze_excite": squeeze_excite}
    expected = sum(block_parameters(i, o, **parts) for i, o in encoder + decoder) + base + 1
    network = build("se_res_unet", {"base": base, **parts})
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(("base", "expected"), [(16, 6_007_953), (32, 24_024_993)])
def test_size_of_the_paper_network(base: int, expected: int) -> None:
    assert sum(p.numel() for p in build("se_res_unet", {"base": base}).parameters()) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"base": 2},
        {"base": 2, "residual": False},
        {"base": 2, "squeeze_excite": False},
        {"base": 2, "in_channels": 2, "out_channels": 2, "strides": [[1, 2, 2], [1, 2, 2], [2, 2, 2]]},
        {"base": 2, "in_channels": 2, "compare": True, "strides": [[1, 2, 2]]},
        {"base": 2, "in_channels": 2, "compare": True, "smooth": [[1, 3, 3], [3, 5, 5]], "strides": [[1, 2, 2]]},
        {"base": 2, "strides": []},
    ],
)
def test_output_has_the_shape_of_the_input(config: Mapping[str, Any]) -> None:
    network = build("se_res_unet", config)
    batch = torch.zeros(2, config.get("in_channels", 1), 16, 32, 32)
    assert network(batch).shape == (2, config.get("out_channels", 1), 16, 32, 32)


def test_sizes_need_not_be_multiples_of_the_stride() -> None:
    assert SeResUnet(SMALL)(torch.zeros(1, 1, 5, 9, 11)).shape == (1, 1, 5, 9, 11)


def test_total_stride() -> None:
    assert SMALL.total_stride == (2, 4, 4)
    assert SeResUnetConfig().total_stride == (16, 16, 16)
    assert SeResUnetConfig(strides=()).total_stride == (1, 1, 1)


def test_squeeze_and_excitation_follows_the_formula() -> None:
    """S = sigmoid(W2 relu(W1 U)) with U the means, channel by channel in numpy."""
    torch.manual_seed(0)
    attention = SqueezeExcitation(8, 4)
    features = torch.randn(2, 8, 3, 4, 5)
    w1, w2 = attention.squeeze.weight.detach().numpy(), attention.excite.weight.detach().numpy()
    assert w1.shape == (2, 8)
    for case in range(2):
        means = np.array([features[case, channel].numpy().mean() for channel in range(8)])
        scale = 1 / (1 + np.exp(-(w2 @ np.maximum(w1 @ means, 0))))
        for channel in range(8):
            expected = features[case, channel].numpy() * scale[channel]
            np.testing.assert_allclose(attention(features)[case, channel].detach().numpy(), expected, rtol=1e-5)


def normalised(features: torch.Tensor) -> torch.Tensor:
    """Instance normalisation and LeakyReLU by their definitions."""
    mean = features.mean(dim=(2, 3, 4), keepdim=True)
    variance = ((features - mean) ** 2).mean(dim=(2, 3, 4), keepdim=True)
    features = (features - mean) / torch.sqrt(variance + 1e-5)
    return torch.where(features > 0, features, 0.01 * features)


def test_a_block_is_two_convolutions_and_a_projection() -> None:
    torch.manual_seed(1)
    block = Block(3, 4, SeResUnetConfig(squeeze_excite=False))
    features = torch.randn(2, 3, 5, 6, 7)
    w1, w2 = block.first[0].weight, block.second[0].weight
    inner = normalised(torch.nn.functional.conv3d(features, w1, padding=1))
    expected = normalised(torch.nn.functional.conv3d(inner, w2, padding=1))
    assert block.projection is not None
    expected = expected + torch.einsum("oi,nizyx->nozyx", block.projection.weight[:, :, 0, 0, 0], features)
    torch.testing.assert_close(block(features), expected, rtol=1e-4, atol=1e-5)


def test_a_single_hidden_unit_is_not_born_dead() -> None:
    """Base 16 with r = 16 has one hidden unit: whatever the seed, its weights must get a gradient."""
    for seed in range(10):
        torch.manual_seed(seed)
        block = Block(1, 16, SeResUnetConfig())
        block(torch.randn(1, 1, 4, 4, 4)).square().sum().backward()
        assert isinstance(block.attention, SqueezeExcitation)
        assert block.attention.squeeze.weight.grad is not None
        assert block.attention.squeeze.weight.grad.abs().min() > 0


@pytest.mark.parametrize(
    "config",
    [
        {"base": 0},
        {"base": 65},
        {"strides": [[1, 1, 1]] * 99},
        {"strides": [[2, 2]]},
        {"strides": [[0, 2, 2]]},
        {"depth": 5},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match="does not make a network 'se_res_unet'"):
        build("se_res_unet", config)


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="no network 'unet'; there are: se_res_unet"):
        build("unet", {})


def test_comparing_shows_the_network_both_sides_and_their_difference() -> None:
    own, other = torch.tensor(0.4), torch.tensor(0.1)
    seen = compared(torch.stack([own, other]).reshape(1, 2, 1, 1, 1)).flatten()
    torch.testing.assert_close(seen, torch.tanh(torch.tensor([0.4, 0.1, 0.6])))
    assert compared(torch.tensor([-1.5, 2.5]).reshape(1, 2, 1, 1, 1)).abs().max() <= 1


def test_a_smoothed_difference_is_the_mean_of_tissue_alone() -> None:
    """Tissue 0.1 darker than its mirror image, and a slab of bone: 0.1 wherever a window reaches tissue."""
    own, other = torch.full((6, 12, 12), -0.05), torch.full((6, 12, 12), 0.05)
    own[:, :, 8:] = 5.0
    seen = compared(torch.stack([own, other])[None], ((3, 3, 5),))[0]
    assert seen.shape == (4, 6, 12, 12)
    torch.testing.assert_close(seen[3, :, :, :9], torch.full((6, 12, 9), math.tanh(-0.5)))
    assert (seen[3, :, :, 11] == 0).all()


def test_a_smoothed_difference_weighs_near_voxels_more() -> None:
    own, other = torch.zeros(3, 5, 9), torch.zeros(3, 5, 9)
    own[1, 2, 4] = 0.3
    seen = torch.atanh(compared(torch.stack([own, other])[None], ((1, 1, 3),))[0, 3, 1, 2])
    torch.testing.assert_close(seen[2:7], 5 * 0.3 * torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]) / 9)


def test_a_smoothed_comparison_converts(tmp_path: Path) -> None:
    config = {"base": 4, "in_channels": 2, "compare": True, "smooth": [[3, 5, 5], [5, 9, 9]], "strides": [[1, 2, 2]]}
    torch.manual_seed(1)
    tensors = {key: values.numpy() for key, values in build("se_res_unet", config).state_dict().items()}
    weights = WeightSet("segment", "tiny", "se_res_unet", config, {}, tensors, {})
    batch = np.random.default_rng(0).normal(0.0, 0.6, (2, 2, 12, 24, 20)).astype(np.float32)
    answers = [make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path) for engine in ENGINES]
    expected, answer = (engine.run(batch) for engine in answers)
    np.testing.assert_allclose(answer, expected, atol=1e-3)


@pytest.mark.parametrize("smooth", [[[2, 3, 3]], [[3, 3]], [[1, 3, 99]], [[0, 1, 1]]])
def test_windows_that_have_no_middle_or_no_end_are_refused(smooth: list[list[int]]) -> None:
    with pytest.raises(BadRequest, match="three odd numbers"):
        build("se_res_unet", {"base": 2, "in_channels": 2, "compare": True, "smooth": smooth})


def test_only_a_comparison_is_smoothed() -> None:
    with pytest.raises(BadRequest, match="only a comparison"):
        build("se_res_unet", {"base": 2, "in_channels": 2, "smooth": [[1, 3, 3]]})


def test_only_two_channels_can_be_compared() -> None:
    with pytest.raises(BadRequest, match="two channels"):
        build("se_res_unet", {"base": 2, "in_channels": 1, "compare": True})

"""The VB-Net against its description, written out the slow way."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest
from infarct.networks.registry import build
from infarct.networks.vb_net import Bottleneck, Down, Normalisation, VbNet, VbNetConfig
from infarct.runtime import make_engine
from infarct.weights import WeightSet

SMALL = VbNetConfig(in_channels=2, out_channels=3, base=4, strides=((1, 2, 2), (2, 2, 2)), blocks=(1, 2, 1))


def bottleneck_parameters(channels: int, reduction: int) -> int:
    """Count by hand: three convolutions, three scales and shifts."""
    inner = max(channels // reduction, 1)
    return 2 * channels * inner + 27 * inner * inner + 2 * (inner + inner + channels)


def parameters_by_hand(config: VbNetConfig) -> int:
    """Count the way down, then the way up, which works on twice the channels of its level."""
    count = 27 * config.in_channels * config.base + 2 * config.base
    width, arriving = config.base, config.base * 2 ** len(config.strides)
    for stride, blocks in zip(config.strides, config.blocks, strict=False):
        count += blocks * bottleneck_parameters(width, config.reduction)
        count += prod(stride) * width * 2 * width + 2 * 2 * width
        width *= 2
    count += config.blocks[-1] * bottleneck_parameters(width, config.reduction)
    for level in reversed(range(len(config.strides))):
        width = config.base * 2**level
        count += prod(config.strides[level]) * arriving * width + 2 * width
        count += config.blocks[level] * bottleneck_parameters(2 * width, config.reduction)
        arriving = 2 * width
    return count + arriving * config.out_channels + config.out_channels


@pytest.mark.parametrize(
    ("config", "expected"), [(SMALL, 5_118), (VbNetConfig(), 1_889_701), (VbNetConfig(base=8), 475_137)]
)
def test_parameters_are_those_counted_by_hand(config: VbNetConfig, expected: int) -> None:
    assert sum(parameter.numel() for parameter in VbNet(config).parameters()) == expected
    assert parameters_by_hand(config) == expected


def test_the_published_one_merges_slices_in_its_last_two_levels_only() -> None:
    sizes = []
    with torch.device("meta"):
        network = build("vb_net", {})
        for level in network.encoder:  # type: ignore[union-attr]
            level.register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[1:])))
        assert network(torch.zeros(1, 1, 32, 160, 128)).shape == (1, 21, 32, 160, 128)
    assert sizes == [(16, 32, 160, 128), (32, 32, 80, 64), (64, 32, 40, 32), (128, 16, 20, 16), (256, 8, 10, 8)]


def test_a_prior_is_added_to_the_classes_that_it_is_of() -> None:
    """A network that says nothing answers with what it was given; outputs beside those keep their own answer."""
    network = VbNet(replace(SMALL, in_channels=3, out_channels=4, prior=2)).eval()
    batch = torch.randn(1, 3, 2, 4, 4)
    plain = VbNet(replace(SMALL, in_channels=3, out_channels=4)).eval()
    plain.load_state_dict(network.state_dict())
    change = network(batch) - plain(batch)
    torch.testing.assert_close(change[:, 1:3], batch[:, 1:])
    assert not change[:, [0, 3]].any()
    for wrong in (3, -1):
        with pytest.raises(ValueError, match="prior"):
            replace(SMALL, prior=wrong)


def test_total_stride() -> None:
    assert SMALL.total_stride == (2, 4, 4)
    assert VbNetConfig().total_stride == (4, 16, 16)
    assert VbNetConfig(strides=(), blocks=(1,)).total_stride == (1, 1, 1)


@pytest.mark.parametrize("size_zyx", [(2, 4, 4), (3, 9, 11), (5, 8, 7), (4, 12, 8)])
def test_output_has_the_size_of_the_input_whatever_it_is(size_zyx: tuple[int, int, int]) -> None:
    assert VbNet(SMALL).eval()(torch.zeros(1, 2, *size_zyx)).shape == (1, 3, *size_zyx)


@pytest.mark.parametrize("config", [{"strides": (), "blocks": (2,)}, {"strides": ((1, 3, 4),), "blocks": (0, 1)}])
def test_other_depths_and_strides(config: Mapping[str, Any]) -> None:
    network = VbNet(VbNetConfig(out_channels=1, base=2, **config))
    assert network(torch.zeros(1, 1, 3, 7, 9)).shape == (1, 1, 3, 7, 9)


def normalised(features: torch.Tensor) -> torch.Tensor:
    """Normalise each channel over batch and voxels by the definition; scales are 1 and shifts 0 in a new network."""
    mean = features.mean(dim=(0, 2, 3, 4), keepdim=True)
    variance = ((features - mean) ** 2).mean(dim=(0, 2, 3, 4), keepdim=True)
    return (features - mean) / torch.sqrt(variance + 1e-5)


def test_a_bottleneck_is_three_convolutions_and_its_input() -> None:
    torch.manual_seed(0)
    block = Bottleneck(8, VbNetConfig())
    features = torch.randn(2, 8, 3, 4, 5)
    reduce, look, expand = block.reduce[0].weight, block.look[0].weight, block.expand.weight
    assert reduce.shape == (2, 8, 1, 1, 1)
    inner = normalised(torch.einsum("oi,nizyx->nozyx", reduce[:, :, 0, 0, 0], features)).relu()
    inner = normalised(torch.nn.functional.conv3d(inner, look, padding=1)).relu()
    change = normalised(torch.einsum("oi,nizyx->nozyx", expand[:, :, 0, 0, 0], inner))
    torch.testing.assert_close(block(features), (features + change).relu(), rtol=1e-4, atol=1e-5)


def test_what_the_stride_does_not_fill_counts_as_zero() -> None:
    """One channel, stride 2 along x, kernel 1 and 10: 3 4 5 becomes 3 + 40 and 5 + 0; y is not merged."""
    down = Down(1, (1, 1, 2), VbNetConfig())
    convolution = down.unit[0]
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, 10.0]).expand(2, 1, 1, 1, 2))
    merged = convolution(torch.nn.functional.pad(torch.tensor([3.0, 4.0, 5.0]).reshape(1, 1, 1, 1, 3), down.filling))
    assert merged[0, 0].flatten().tolist() == [43, 5]
    assert down.eval()(torch.ones(1, 1, 2, 3, 3)).shape == (1, 2, 2, 3, 2)


def test_a_multiple_of_the_stride_is_not_filled() -> None:
    torch.manual_seed(1)
    down = Down(2, (2, 2, 2), VbNetConfig()).eval()
    features = torch.randn(1, 2, 4, 6, 8)
    torch.testing.assert_close(down(features), down.unit(features))


@pytest.mark.parametrize("normalisation", ["batch", "instance"])
def test_gradients_reach_every_parameter(normalisation: Normalisation) -> None:
    torch.manual_seed(2)
    network = build("vb_net", {**vars(SMALL), "normalisation": normalisation})
    network(torch.randn(2, 2, 4, 9, 8)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "config",
    [
        {"base": 0},
        {"base": 33},
        {"reduction": 0},
        {"out_channels": 513},
        {"blocks": [1, 2, 3, 3]},
        {"blocks": [1, 2, 3, 3, 9]},
        {"blocks": [1, 2, 3, 3, -1]},
        {"strides": [[1, 1, 1]] * 99, "blocks": [1] * 100},
        {"strides": [[2, 2]] * 4},
        {"strides": [[1, 2, 2]] * 3 + [[5, 2, 2]]},
        {"strides": [[1, 2, 2]] * 3 + [[0, 2, 2]]},
        {"normalisation": "layer"},
        {"depth": 5},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match="does not make a network 'vb_net'"):
        build("vb_net", config)


@pytest.mark.parametrize("normalisation", ["batch", "instance"])
def test_openvino_agrees(normalisation: Normalisation, tmp_path: Path) -> None:
    """On sizes that no stride divides, one of them longer than the piece on which networks are traced."""
    torch.manual_seed(3)
    network = build("vb_net", {**vars(SMALL), "normalisation": normalisation})
    network(5 + torch.randn(2, 2, 5, 9, 8))  # so that the running values are not those of a new network
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    config = {**vars(SMALL), "strides": [list(s) for s in SMALL.strides], "normalisation": normalisation}
    weights = WeightSet("aspects", "small", "vb_net", config, {}, tensors, {})
    batch = np.random.default_rng(0).random((2, 2, 5, 67, 9), dtype=np.float32)
    expected, answer = (
        make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path).run(batch)
        for engine in ("torch", "openvino")
    )
    assert expected.shape == (2, 3, 5, 67, 9)
    assert expected.std() > 1e-2
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_torch_export_agrees() -> None:
    torch.manual_seed(4)
    network, batch = VbNet(SMALL).eval(), torch.randn(1, 2, 5, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(torch.export.export(network, (batch,)).module()(batch), network(batch))

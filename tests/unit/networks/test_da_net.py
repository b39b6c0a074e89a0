"""The DA-Net: sides swap exactly, its map adds up to its answer, and its size is that of its description."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest
from infarct.networks.da_net import SMALL, DaNet, DaNetConfig, attention_of, compared, logits_of
from infarct.networks.registry import build
from infarct.runtime import make_engine
from infarct.weights import WeightSet

TINY = DaNetConfig(
    initial=4, growth=3, depths=(1, 2), strides=((1, 2, 2), (1, 2, 2)), bottleneck=2, compression=0.5, dropout=0.0
)


def parameters_by_hand(config: DaNetConfig) -> int:
    """Count convolutions, each with the scale and shift of the normalisation before it, and the linear classifier."""
    count, channels = 9 * config.in_channels * config.initial, config.initial
    inner, growth = config.bottleneck * config.growth, config.growth
    for block, depth in enumerate(config.depths):
        for _ in range(depth):
            count += 2 * channels + channels * inner + 2 * inner + 9 * inner * growth + 3 * growth * growth
            channels += growth
        if block < len(config.depths) - 1:
            count += 2 * channels + channels * int(channels * config.compression)
            channels = int(channels * config.compression)
    return count + 2 * channels + channels * (2 if config.difference else 1)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TINY, 850),
        (SMALL, 196_616),
        (DaNetConfig(), 2_329_184),
        (DaNetConfig(difference=False), 2_328_636),
    ],
)
def test_parameters_are_those_counted_by_hand(config: DaNetConfig, expected: int) -> None:
    assert sum(parameter.numel() for parameter in DaNet(config).parameters()) == expected
    assert parameters_by_hand(config) == expected


def test_channels_of_the_published_one() -> None:
    """32 + 4 x 32 = 160, half of it + 10 x 32 = 400, 200 + 12 x 32 = 584, 292 + 8 x 32 = 548."""
    assert DaNetConfig().widths == (160, 400, 584, 548)


@pytest.mark.parametrize(
    ("config", "patch_zyx", "cam_zyx"),
    [
        (DaNetConfig(), (7, 130, 110), (7, 16, 13)),
        (DaNetConfig(), (80, 160, 120), (80, 20, 15)),
        (SMALL, (7, 44, 37), (7, 11, 9)),
        (TINY, (2, 5, 9), (2, 1, 2)),
    ],
)
def test_sizes_of_maps(config: DaNetConfig, patch_zyx: tuple[int, int, int], cam_zyx: tuple[int, int, int]) -> None:
    """Of the released patches, of the printed ones, of our small ones, and of one that no stride divides."""
    with torch.device("meta"):
        assert DaNet(config)(torch.zeros(3, 4, *patch_zyx)).shape == (3, 2, *cam_zyx)


def test_total_stride() -> None:
    assert DaNetConfig().total_stride == (1, 8, 8)
    assert SMALL.total_stride == (1, 4, 4)


def pairs_of(cases: int = 3, *, seed: int = 0) -> torch.Tensor:
    return torch.randn((cases, 4, 3, 12, 9), generator=torch.Generator().manual_seed(seed))


def swapped(pairs: torch.Tensor) -> torch.Tensor:
    return torch.cat((pairs[:, 2:], pairs[:, :2]), dim=1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("config", [TINY, replace(TINY, difference=False), replace(SMALL, dropout=0.0)])
def test_swapping_the_sides_swaps_the_answers(config: DaNetConfig, training: bool) -> None:
    """In training too: both sides are normalised together."""
    torch.manual_seed(1)
    network = DaNet(config).train(training)
    with torch.no_grad():
        cams, others = network(pairs_of()), network(swapped(pairs_of()))
    assert (cams[:, 0] - cams[:, 1]).abs().max() > 1e-2
    torch.testing.assert_close(others, cams.flip(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits_of(others), logits_of(cams).flip(1), atol=1e-6, rtol=0)


def test_one_pair_does_not_change_another() -> None:
    torch.manual_seed(2)
    network = DaNet(TINY).eval()
    with torch.no_grad():
        together, alone = network(pairs_of()), network(pairs_of()[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)


def test_the_difference_is_the_share_of_the_larger() -> None:
    """2 and 1: 1/2 and -1/2; 1 and 4: -3/4; equal: 0; both below the floor of .1: .05/.1; one is zero: 1."""
    own = torch.tensor([2.0, 1.0, 3.0, 0.05, 0.7])
    other = torch.tensor([1.0, 4.0, 3.0, 0.0, 0.0])
    seen = compared(torch.stack((own, other)).reshape(2, 1, 1, 1, 5))
    assert seen.shape == (2, 2, 1, 1, 5)
    torch.testing.assert_close(seen[:, 0, 0, 0], torch.stack((own, other)))
    difference = torch.tensor([0.5, -0.75, 0.0, 0.5, 1.0])
    torch.testing.assert_close(seen[:, 1, 0, 0], torch.stack((difference, -difference)))


def test_the_sides_of_a_pair_are_compared_with_each_other() -> None:
    """Not with those of another pair: own 4 against 2, and own 1 against 10."""
    seen = compared(torch.tensor([4.0, 2.0, 1.0, 10.0]).reshape(4, 1, 1, 1, 1))
    torch.testing.assert_close(seen[:, 1].flatten(), torch.tensor([0.5, -0.5, -0.9, 0.9]))


def test_equal_sides_get_equal_answers() -> None:
    torch.manual_seed(3)
    network, side = DaNet(TINY).eval(), pairs_of()[:, :2]
    with torch.no_grad():
        cams = network(torch.cat((side, side), dim=1))
    torch.testing.assert_close(cams[:, 0], cams[:, 1])


@pytest.mark.parametrize("difference", [True, False])
def test_only_with_the_difference_does_the_other_side_matter(difference: bool) -> None:
    torch.manual_seed(4)
    network = DaNet(replace(TINY, difference=difference)).eval()
    pairs = pairs_of()
    changed = torch.cat((pairs[:, :2], pairs_of(seed=9)[:, 2:]), dim=1)
    with torch.no_grad():
        change = (network(pairs) - network(changed))[:, 0].abs().max()
    assert (change > 1e-3) == difference


def test_the_map_adds_up_to_the_usual_classifier() -> None:
    """Zhou et al. 2016: the mean of each channel, then a linear layer without bias."""
    torch.manual_seed(5)
    network, pairs = DaNet(TINY).eval(), pairs_of()
    with torch.no_grad():
        own, other = network.backbone(pairs[:, :2]), network.backbone(pairs[:, 2:])
        larger = torch.maximum(own, other).numpy().clip(min=0.1)
        seen = np.concatenate((own, (own - other).numpy() / larger), axis=1)
        expected = seen.mean(axis=(2, 3, 4)) @ network.classifier.weight.numpy().reshape(-1)
        np.testing.assert_allclose(logits_of(network(pairs))[:, 0], expected, atol=1e-6)


def test_attention_by_hand() -> None:
    """Evidence of -2 and 1 in a map of two voxels: the first matters most, the second half as much."""
    cams = torch.tensor([-2.0, 1.0, 0.0, 0.0]).reshape(1, 2, 1, 1, 2)
    attention = attention_of(cams, (1, 1, 2))
    assert attention.flatten().tolist() == [1, 0.5, 0, 0]


def test_attention_has_the_size_of_the_patch_and_no_unit() -> None:
    cams = torch.randn((2, 2, 3, 4, 5), generator=torch.Generator().manual_seed(6))
    attention = attention_of(cams, (3, 17, 19))
    assert attention.shape == (2, 2, 3, 17, 19)
    assert attention.min() >= 0
    torch.testing.assert_close(attention.amax(dim=(2, 3, 4)), torch.ones(2, 2))
    torch.testing.assert_close(attention_of(-7 * cams, (3, 17, 19)), attention)


@pytest.mark.parametrize("config", [SMALL, TINY, replace(TINY, difference=False)])
def test_gradients_reach_every_parameter(config: DaNetConfig) -> None:
    torch.manual_seed(7)
    network = DaNet(config)
    logits_of(network(pairs_of())).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("cams", [torch.zeros(1, 2, 3, 3, 3), torch.full((1, 2, 3, 3, 3), 1e-30)])
def test_attention_to_nothing_has_finite_gradients(cams: torch.Tensor) -> None:
    cams = cams.clone().requires_grad_()
    attention_of(cams, (3, 6, 6)).square().mean().backward()
    assert cams.grad is not None
    assert not cams.grad.isnan().any()


@pytest.mark.parametrize(
    "config",
    [
        {"growth": 0},
        {"growth": 342},
        {"initial": 1000},
        {"depths": []},
        {"depths": [4, 10, 12]},
        {"depths": [4, 10, 12, 0]},
        {"depths": [1] * 99, "strides": [[1, 1, 1]] * 99, "growth": 1},
        {"strides": [[2, 2, 2], [1, 2, 2], [1, 2, 2], [1, 1, 1]]},
        {"strides": [[1, 2, 2], [1, 2], [1, 2, 2], [1, 1, 1]]},
        {"strides": [[1, 2, 2], [1, 0, 2], [1, 2, 2], [1, 1, 1]]},
        {"compression": 0},
        {"compression": 1.5},
        {"dropout": 1},
        {"heads": 2},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match="does not make a network 'da_net'"):
        build("da_net", config)


@pytest.mark.parametrize("difference", [True, False])
def test_openvino_agrees(difference: bool, tmp_path: Path) -> None:
    """On a patch that no stride divides, and longer than the piece on which networks are traced."""
    torch.manual_seed(8)
    config = {**vars(TINY), "strides": [list(stride) for stride in TINY.strides], "difference": difference}
    network = build("da_net", config)
    network(pairs_of())  # so that the running values are not those of a new network
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    weights = WeightSet("aspects", "tiny", "da_net", config, {}, tensors, {})
    batch = np.random.default_rng(0).standard_normal((3, 4, 3, 67, 21), dtype=np.float32)
    expected, answer = (
        make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path).run(batch)
        for engine in ("torch", "openvino")
    )
    assert expected.shape == (3, 2, 3, 17, 5)
    assert expected.std() > 1e-2
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_torch_export_agrees() -> None:
    torch.manual_seed(9)
    network, pairs = DaNet(TINY).eval(), pairs_of(2)
    with torch.no_grad():
        torch.testing.assert_close(torch.export.export(network, (pairs,)).module()(pairs), network(pairs))

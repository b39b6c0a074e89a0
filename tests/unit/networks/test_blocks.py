"""Blocks from descriptions: what they compute, written out the slow way."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.networks.blocks import (
    AveragePool,
    ConvUnit,
    Fork,
    MaxPool,
    Part,
    Residual,
    Step,
    assembled,
    begun,
    narrowed,
)


def features_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def settled(part: Part, in_channels: int) -> tuple[nn.Module, int]:
    """Return a block with weights, and running values that are not those of a new one."""
    torch.manual_seed(1)
    module, channels = assembled(part, in_channels)
    module(features_of(4, in_channels, 9, 9, seed=2))
    return module.eval().requires_grad_(False), channels


def unit_by_hand(unit: nn.Module, features: Tensor, padding: tuple[int, int] = (0, 0), stride: int = 1) -> Tensor:
    """Convolve, normalise with an epsilon of .001 and cut at zero."""
    assert isinstance(unit, ConvUnit)
    mapped = functional.conv2d(features, unit.conv.weight, padding=padding, stride=stride)
    mean, variance = unit.bn.mean.reshape(-1, 1, 1), unit.bn.variance.reshape(-1, 1, 1)
    scale, shift = unit.bn.weight.reshape(-1, 1, 1), unit.bn.bias.reshape(-1, 1, 1)
    return ((mapped - mean) / (variance + 1e-3).sqrt() * scale + shift).clamp(min=0)


def test_a_step() -> None:
    unit, channels = settled(Step(5, (1, 7)), 3)
    features = features_of(2, 3, 8, 9)
    assert channels == 5
    torch.testing.assert_close(unit(features), unit_by_hand(unit, features, (0, 3)))


def test_a_step_that_halves_without_padding() -> None:
    unit, _ = settled(Step(4, 3, stride=2, padded=False), 3)
    features = features_of(2, 3, 9, 8)
    assert unit(features).shape == (2, 4, 4, 3)
    torch.testing.assert_close(unit(features), unit_by_hand(unit, features, stride=2))


def test_branches_are_joined_in_their_order() -> None:
    fork = Fork({"z": Step(2), "a": (Step(3), Fork({"p": Step(4), "q": MaxPool(3, 1, 1)})), "pool": MaxPool(3, 1, 1)})
    module, channels = settled(fork, 5)
    features = features_of(2, 5, 6, 6)
    inner = unit_by_hand(module.get_submodule("a.0"), features)
    expected = [
        unit_by_hand(module.get_submodule("z"), features),
        unit_by_hand(module.get_submodule("a.1.p"), inner),
        functional.max_pool2d(inner, 3, 1, 1),
        functional.max_pool2d(features, 3, 1, 1),
    ]
    assert channels == 2 + 4 + 3 + 5
    torch.testing.assert_close(module(features), torch.cat(expected, dim=1))


@pytest.mark.parametrize("rectified", [True, False])
def test_a_residual_adds_its_share(rectified: bool) -> None:
    module, channels = settled(Residual({"branch0": Step(2), "branch1": Step(3, 3)}, 0.17, rectified), 4)
    features = features_of(2, 4, 6, 6)
    joined = torch.cat(
        [
            unit_by_hand(module.get_submodule("branch0"), features),
            unit_by_hand(module.get_submodule("branch1"), features, (1, 1)),
        ],
        dim=1,
    )
    weight, bias = module.get_parameter("conv2d.weight"), module.get_parameter("conv2d.bias")
    expected = features + 0.17 * (torch.einsum("kc,ncyx->nkyx", weight[:, :, 0, 0], joined) + bias.reshape(-1, 1, 1))
    assert channels == 4
    torch.testing.assert_close(module(features), expected.clamp(min=0) if rectified else expected)
    assert (expected < 0).any()


def test_what_lies_outside_does_not_count_in_an_average() -> None:
    """At a corner of ones the mean is 1; with zeros around counted it would be 4/9."""
    module, channels = assembled(AveragePool(), 1)
    assert channels == 1
    torch.testing.assert_close(module(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(("ceil", "length"), [(True, 6), (False, 5)])
def test_what_is_left_over_counts_where_it_is_asked_for(ceil: bool, length: int) -> None:
    module, _ = assembled(MaxPool(ceil=ceil), 1)
    assert module(torch.zeros(1, 1, 12, 12)).shape[2:] == (length, length)


def test_a_chain_with_names() -> None:
    module, channels = assembled({"first": Step(4), "second": (Step(6), Step(8))}, 2)
    assert channels == 8
    assert [name for name, part in module.named_modules() if isinstance(part, ConvUnit)] == [
        "first",
        "second.0",
        "second.1",
    ]


def test_narrow_ones() -> None:
    """A quarter of 64 is 16 and of 30 is 7.5, to the even 8; one channel stays at least."""
    assert [narrowed(channels, 0.25) for channels in (64, 30, 1)] == [16, 8, 1]
    assert assembled(Fork({"a": Step(64), "b": Step(1)}), 3, width=0.25)[1] == 17


def test_weights_begin_with_the_spread_of_he() -> None:
    """sqrt(2 / (64 x 9)) = .0589; biases are zero."""
    torch.manual_seed(3)
    convolution = begun(nn.Conv2d(64, 64, 3))
    assert convolution.weight.std().item() == pytest.approx(0.0589, rel=0.02)
    assert convolution.bias is not None
    assert not convolution.bias.any()

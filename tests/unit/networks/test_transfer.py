"""The six networks of the localize paper: their published sizes, and the paper's end on each."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from infarct.errors import BadRequest
from infarct.networks.batch_norm import BatchNorm
from infarct.networks.registry import NETWORKS, build
from infarct.networks.transfer import TransferNetwork
from infarct.networks.vgg16 import STANDARD

PUBLISHED = {
    "vgg16": 14_714_688,  # Keras, include_top=False; torchvision's 138,357,544 less 123,642,856 of the classifier
    "resnet50": 25_557_032 - 2_049_000,  # torchvision, model card; less 2048 x 1000 + 1000 of its classifier
    "googlenet": 6_624_904 - 1_025_000,  # torchvision, model card; less 1024 x 1000 + 1000
    "inception_v3": 23_834_568 - 2_049_000,  # torchvision without the auxiliary classifier; less 2048 x 1000 + 1000
    "inception_v4": 42_679_816 - 1_537_000,  # timm (42.7 M); less 1536 x 1000 + 1000
    "inception_resnet_v2": 55_843_464 - 1_537_000,  # timm (55.8 M); less 1536 x 1000 + 1000
}
"""Parameters of the convolutional parts, on colours."""
SIX = tuple(PUBLISHED)
CHANNELS = {
    "vgg16": 512,
    "resnet50": 2048,
    "googlenet": 1024,
    "inception_v3": 2048,
    "inception_v4": 1536,
    "inception_resnet_v2": 1536,
}
SIDES = {
    "vgg16": {140: 4, 224: 7},
    "resnet50": {140: 5, 224: 7},
    "googlenet": {140: 4, 224: 7},
    "inception_v3": {140: 3, 224: 5, 299: 8},
    "inception_v4": {140: 3, 224: 5, 299: 8},
    "inception_resnet_v2": {140: 3, 224: 5, 299: 8},
}
"""Side of the last features for patches of so many pixels."""
NARROW = {"width": 0.06, "dense": (6, 5), "dropout": (0.0, 0.0), "size_px": 96}


def network_of(name: str, **config: Any) -> TransferNetwork:
    network = build(name, config)
    assert isinstance(network, TransferNetwork)
    return network


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", SIX)
def test_convolutions_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        network = network_of(name, in_channels=3)
    assert parameters(network.features) == PUBLISHED[name]
    assert network.head[0].get_parameter("weight").shape == (CHANNELS[name],)


@pytest.mark.parametrize("name", SIX)
def test_sizes_of_features_and_answers(name: str) -> None:
    for size_px, side in SIDES[name].items():
        network = network_of(name, **{**NARROW, "size_px": size_px}).eval()
        with torch.no_grad():
            features = network.features(torch.zeros(1, 1, size_px, size_px))
            assert features.shape[2:] == (side, side)
            assert network.head(features).shape == (1, 2)


def test_maps_are_a_linear_term_of_their_middle() -> None:
    """Of 32 pixels the middle 8 count, rows and columns 12 to 19; of three channels the last two are maps."""
    config = {"in_channels": 3, "size_px": 32, "width": 0.06, "dense": (), "dropout": ()}
    network, plain = (network_of("vgg16", **config, maps=maps).eval() for maps in (2, 0))
    own = network.state_dict()
    plain.load_state_dict({name: values for name, values in own.items() if name != "linear.weight"})
    patches = torch.zeros(1, 3, 32, 32)
    patches[0, 1, 12:20, 12:20], patches[0, 2, 12:16, 12:20], patches[0, 2, :12], patches[0, 0] = 2.0, 3.0, 7.0, 5.0
    with torch.no_grad():
        network.linear.weight[:] = torch.tensor([[1.0, 10.0], [-1.0, 0.5]])
        added = network(patches) - plain(patches)
    torch.testing.assert_close(added, torch.tensor([[2.0 + 15.0, -2.0 + 0.75]]), rtol=0, atol=1e-4)
    with pytest.raises(BadRequest, match="maps"):
        network_of("vgg16", **{**config, "maps": 4})


@pytest.mark.parametrize("name", SIX)
def test_the_least_patch_leaves_one_place(name: str) -> None:
    least = NETWORKS[name].config.LEAST_PX  # type: ignore[attr-defined]
    network = network_of(name, **{**NARROW, "size_px": least}).eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 1, least, least)).shape[2:] == (1, 1)
    with pytest.raises(BadRequest, match=f"patches are of {least} to 320 pixels"):
        build(name, {"size_px": least - 1})


@pytest.mark.parametrize(("size_px", "flattened"), [(140, 4 * 4 * 512), (224, 7 * 7 * 512)], ids=["of 140", "of 224"])
def test_the_end_of_tuned_vgg16_by_hand(size_px: int, flattened: int) -> None:
    """Three normalisations of 512, 500 and 250; dense layers of 500, 250 and 2."""
    expected = 2 * (512 + 500 + 250) + (flattened + 1) * 500 + 501 * 250 + 251 * 2
    with torch.device("meta"):
        head = network_of("vgg16", size_px=size_px).head
    assert parameters(head) == expected
    assert [type(part).__name__ for part in head] == [
        *("BatchNorm", "Flatten", "Linear", "ReLU", "BatchNorm", "Dropout"),
        *("Linear", "ReLU", "BatchNorm", "Dropout", "Linear"),
    ]
    assert [part.p for part in head if isinstance(part, nn.Dropout)] == [0.4, 0.3]
    assert sum(isinstance(part, BatchNorm) for part in head) == 3


def test_vgg16_with_its_own_end() -> None:
    """The published 138,357,544 with 1000 outputs of 4,097 weights each; ours has two."""
    with torch.device("meta"):
        network = network_of("vgg16", **{**asdict(STANDARD), "in_channels": 3, "size_px": 224})
    assert parameters(network) == 138_357_544 - 998 * 4097


def test_the_others_average_their_features() -> None:
    torch.manual_seed(0)
    network = network_of("resnet50", **NARROW).eval()
    patches = torch.randn(3, 1, 96, 96)
    with torch.no_grad():
        seen: Tensor = network.features(patches)
        normalise, _, first, _, middle, _, second, _, last, _, final = network.head
        hidden = middle(functional.relu(first(normalise(seen).mean(dim=(2, 3)))))
        expected = final(last(functional.relu(second(hidden))))
        torch.testing.assert_close(network(patches), expected)


@pytest.mark.parametrize("name", SIX)
def test_the_plainest_end_is_one_linear_layer(name: str) -> None:
    config = {**NARROW, "dense": [], "dropout": [], "normalised": False}
    head = network_of(name, **config).head
    assert parameters(head) == sum(part.weight.numel() + 2 for part in head if isinstance(part, nn.Linear))


@pytest.mark.parametrize("name", SIX)
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(2)
    network = network_of(name, in_channels=2, **NARROW)
    with torch.no_grad():  # narrow layers of Kaiming's spread die easily; these are for the flow only
        for key, parameter in network.named_parameters():
            if key.endswith("bias"):
                parameter.add_(0.5)
    output = network(torch.randn(6, 2, 96, 96))
    assert output.shape == (6, 2)
    (output - torch.tensor([1.0, -1.0])).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", SIX)
def test_a_configuration_survives_being_written(name: str) -> None:
    """As JSON gives it back, with lists for tuples; the same weights then fit."""
    network = network_of(name, in_channels=2, **NARROW)
    written = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(network.config).items()}
    again = network_of(name, **written)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())


@pytest.mark.parametrize("name", SIX)
def test_one_patch_does_not_change_another(name: str) -> None:
    torch.manual_seed(4)
    network = network_of(name, **NARROW).eval()
    patches = torch.randn(3, 1, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(patches)[1:2], network(patches[1:2]), atol=1e-5, rtol=1e-4)


def test_half_the_width_is_about_a_quarter_of_the_weights() -> None:
    with torch.device("meta"):
        for name in ("vgg16", "googlenet"):
            ratio = parameters(network_of(name, width=0.5).features) / parameters(network_of(name).features)
            assert ratio == pytest.approx(0.25, rel=0.03), name


@pytest.mark.parametrize("shape", [(2, 1, 140, 96), (2, 2, 96, 96), (2, 1, 97, 97)])
def test_other_patches_are_refused(shape: tuple[int, ...]) -> None:
    network = network_of("googlenet", **NARROW)
    with pytest.raises(ValueError, match="are not those of the network"):
        network(torch.zeros(shape))


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize(
    "config",
    [
        {"in_channels": 0},
        {"in_channels": 17},
        {"size_px": 321},
        {"width": 0},
        {"width": 1.1},
        {"width": float("nan")},
        {"dense": [500]},
        {"dense": [500, 0]},
        {"dense": [500, 4097]},
        {"dense": [9] * 4, "dropout": [0] * 4},
        {"dropout": [0.4, 1]},
        {"dropout": [0.4, -0.1]},
        {"outputs": 3},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(name: str, config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match=f"does not make a network '{name}'"):
        build(name, config)

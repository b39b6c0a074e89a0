"""Weights in the names of torchvision and timm, written out from those packages, find their places."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks.pretrained import load_pretrained
from infarct.networks.registry import build
from infarct.networks.transfer import TransferNetwork

CONFIG = {"width": 0.05, "size_px": 96, "dense": (3,), "dropout": (0.0,)}


def googlenet_units() -> list[str]:
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    return ["conv1", "conv2", "conv3", *(f"inception{b}.{branch}" for b, branch in product(blocks, branches))]


def inception_v3_units() -> list[str]:
    stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
    thrice = ["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"]
    seven = [f"7x7_{n}" for n in (1, 2, 3)] + [f"7x7dbl_{n}" for n in (1, 2, 3, 4, 5)]
    kinds = {
        "5b 5c 5d": ["1x1", "5x5_1", "5x5_2", *thrice, "_pool"],
        "6a": ["3x3", *thrice],
        "6b 6c 6d 6e": ["1x1", *seven, "_pool"],
        "7a": ["3x3_1", "3x3_2", "7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"],
        "7b 7c": [
            *("1x1", "3x3_1", "3x3_2a", "3x3_2b"),
            *("3x3dbl_1", "3x3dbl_2", "3x3dbl_3a", "3x3dbl_3b", "_pool"),
        ],
    }
    mixed = [f"Mixed_{b}.branch{u}" for blocks, units in kinds.items() for b, u in product(blocks.split(), units)]
    return stem + mixed


def inception_v4_units() -> list[str]:
    kinds = [
        (range(3), [""]),
        ([3], [".conv"]),
        ([4], [".branch0.0", ".branch0.1", *(f".branch1.{n}" for n in range(4))]),
        ([5], [".conv"]),
        (range(6, 10), [".branch0", ".branch1.0", ".branch1.1", *(f".branch2.{n}" for n in range(3)), ".branch3.1"]),
        ([10], [".branch0", *(f".branch1.{n}" for n in range(3))]),
        (
            range(11, 18),
            [".branch0", *(f".branch1.{n}" for n in range(3)), *(f".branch2.{n}" for n in range(5)), ".branch3.1"],
        ),
        ([18], [".branch0.0", ".branch0.1", *(f".branch1.{n}" for n in range(4))]),
        (
            range(19, 22),
            [
                *(".branch0", ".branch1_0", ".branch1_1a", ".branch1_1b"),
                *(f".branch2_{part}" for part in ("0", "1", "2", "3a", "3b")),
                ".branch3.1",
            ],
        ),
    ]
    return [f"features.{n}{unit}" for numbers, units in kinds for n, unit in product(numbers, units)]


def inception_resnet_v2_units() -> list[str]:
    """A name that ends in conv2d is of a convolution alone, with bias."""
    thrice, twice = [f"branch2.{n}" for n in range(3)], ["branch1.0", "branch1.1"]
    short = ["branch0", "branch1.0", "branch1.1", "branch1.2", "conv2d"]
    return [
        *("conv2d_1a", "conv2d_2a", "conv2d_2b", "conv2d_3b", "conv2d_4a"),
        *(f"mixed_5b.{unit}" for unit in ("branch0", *twice, *thrice, "branch3.1")),
        *(f"repeat.{n}.{unit}" for n in range(10) for unit in ("branch0", *twice, *thrice, "conv2d")),
        *(f"mixed_6a.{unit}" for unit in ("branch0", *twice, "branch1.2")),
        *(f"repeat_1.{n}.{unit}" for n in range(20) for unit in short),
        *(f"mixed_7a.{unit}" for unit in ("branch0.0", "branch0.1", *twice, *thrice)),
        *(f"repeat_2.{n}.{unit}" for n in range(9) for unit in short),
        *(f"block8.{unit}" for unit in short),
        "conv2d_7b",
    ]


def of_units(units: list[str]) -> list[str]:
    kinds = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked")
    names = []
    for unit in units:
        alone = unit.rpartition(".")[2] == "conv2d"
        names += [f"{unit}.{kind}" for kind in (("weight", "bias") if alone else kinds)]
    return names


def normalisation(name: str) -> list[str]:
    return [f"{name}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def resnet50_names() -> list[str]:
    names = ["conv1.weight", *normalisation("bn1")]
    for layer, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(depth):
            start = f"layer{layer}.{block}"
            for n in (1, 2, 3):
                names += [f"{start}.conv{n}.weight", *normalisation(f"{start}.bn{n}")]
            if block == 0:
                names += [f"{start}.downsample.0.weight", *normalisation(f"{start}.downsample.1")]
    return names


def vgg16_names() -> list[str]:
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    return [f"features.{n}.{kind}" for n in places for kind in ("weight", "bias")]


NAMES = {
    "vgg16": vgg16_names(),
    "resnet50": resnet50_names(),
    "googlenet": of_units(googlenet_units()),
    "inception_v3": of_units(inception_v3_units()),
    "inception_v4": of_units(inception_v4_units()),
    "inception_resnet_v2": of_units(inception_resnet_v2_units()),
}
CLASSIFIERS = {
    "vgg16": ("classifier.0.weight", "classifier.6.bias"),
    "resnet50": ("fc.weight", "fc.bias"),
    "googlenet": ("fc.weight", "aux1.conv.conv.weight", "aux2.fc2.bias"),
    "inception_v3": ("fc.bias", "AuxLogits.conv0.bn.running_mean"),
    "inception_v4": ("last_linear.weight", "last_linear.bias"),
    "inception_resnet_v2": ("classif.weight", "classif.bias"),
}


def network_of(name: str, in_channels: int = 1) -> TransferNetwork:
    network = build(name, {**CONFIG, "in_channels": in_channels})
    assert isinstance(network, TransferNetwork)
    return network


def stored_for(name: str) -> dict[str, Tensor]:
    """Return a file's tensors, each with its own values, in the order of a network on colours."""
    torch.manual_seed(7)
    shapes = iter([values.shape for values in network_of(name, 3).features.state_dict().values()])
    stored = {
        key: torch.tensor(5) if key.endswith("num_batches_tracked") else tamed(torch.rand(next(shapes)))
        for key in NAMES[name]
    }
    assert next(shapes, None) is None
    return stored | {key: torch.randn(2, 2) for key in CLASSIFIERS[name]}


def tamed(values: Tensor) -> Tensor:
    """Return values from .5 to 1.5, with which layers neither die nor explode; of a convolution also below zero."""
    return (values - 0.5) * (3 / values[0].numel()) ** 0.5 * 2 if values.ndim > 1 else values + 0.5


def floating(stored: dict[str, Tensor], name: str) -> list[Tensor]:
    return [stored[key] for key in NAMES[name] if not key.endswith("num_batches_tracked")]


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("vgg16", 26),
        ("resnet50", 318),
        ("googlenet", 57 * 6),
        ("inception_v3", 94 * 6),
        ("inception_v4", 149 * 6),
        ("inception_resnet_v2", 204 * 6 + 40 * 2),
    ],
)
def test_as_many_tensors_as_in_the_packages(name: str, tensors: int) -> None:
    """ResNet50 has 53 convolutions, each with a normalisation of five tensors."""
    assert len(set(NAMES[name])) == tensors


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "safetensors") for name in NAMES),
        ("vgg16", "torch"),
        ("vgg16", "torch, of old"),
        ("googlenet", "torch, of old"),
    ],
)
def test_every_tensor_finds_its_place(name: str, kind: str, tmp_path: Path) -> None:
    """Also without the counts of batches, which old files lack; what is no convolution stays as it was."""
    stored, network = stored_for(name), network_of(name, 3)
    head = {key: values.clone() for key, values in network.head.state_dict().items()}
    if kind == "safetensors":
        save_file(stored, tmp_path / "weights")
    elif kind == "torch":
        torch.save(stored, tmp_path / "weights")
    else:
        kept = {key: nn.Parameter(values) for key, values in stored.items() if values.is_floating_point()}
        torch.save(kept, tmp_path / "weights", _use_new_zipfile_serialization=False)
    load_pretrained(network, tmp_path / "weights")
    for values, expected in zip(network.features.state_dict().values(), floating(stored, name), strict=True):
        assert torch.equal(values, expected)
    assert all(torch.equal(values, head[key]) for key, values in network.head.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_grey_patch_is_answered_like_three_equal_channels(name: str, tmp_path: Path) -> None:
    """And, at first, whatever the tile at the mirrored place looks like."""
    torch.save(stored_for(name), tmp_path / "weights")
    networks = [network_of(name, in_channels).eval() for in_channels in (1, 2, 3)]
    for network in networks:
        load_pretrained(network, tmp_path / "weights")
    grey, mirrored = torch.rand(2, 2, 1, 96, 96).unbind()
    with torch.no_grad():
        one, two, three = (
            network.features(patches)
            for network, patches in zip(
                networks, (grey, torch.cat((grey, mirrored), dim=1), grey.expand(-1, 3, -1, -1)), strict=True
            )
        )
    assert three.std() > 0
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4 * float(three.abs().max()))
    torch.testing.assert_close(two, one)


def test_the_tile_at_the_mirrored_place_can_be_learnt_from(tmp_path: Path) -> None:
    torch.save(stored_for("resnet50"), tmp_path / "weights")
    network = network_of("resnet50", 2)
    load_pretrained(network, tmp_path / "weights")
    network(torch.rand(4, 2, 96, 96)).square().sum().backward()
    gradient = network.get_parameter("features.conv1.weight").grad
    assert gradient is not None
    assert gradient[:, 1].abs().max() > 0


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda stored: stored.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv1.weight"), "has no tensor 'conv1.weight'$"),
        (lambda s: [s.pop(key) for key in [*s] if key.startswith("layer4")], "has no tensor 'layer4.*' and 49 more"),
        (lambda s: s.update({"layer5.0.conv1.weight": torch.ones(1)}), "has an unknown tensor 'layer5.0.conv1.weight'"),
        (lambda s: s.update({"bn1.bias": torch.ones(9)}), r"'bn1.bias' has shape \(9,\), not \(3,\)"),
        (lambda s: s.update({"conv1.weight": torch.ones(3, 4, 7, 7)}), r"has shape \(3, 4, 7, 7\), not \(3, 1, 7, 7\)"),
        (lambda s: s.update({"bn1.bias": torch.ones(3) / 0}), "'bn1.bias' holds values that are not finite"),
        (lambda s: s.update({"bn1.bias": torch.ones(3, dtype=torch.int64)}), "not finite floating-point numbers"),
        (lambda s: s.update({"mean": torch.ones(3)}), "has an unknown tensor 'mean'"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path
) -> None:
    stored, network = stored_for("resnet50"), network_of("resnet50")
    change(stored)
    save_file(stored, tmp_path / "weights")
    before = {key: values.clone() for key, values in network.state_dict().items()}
    with pytest.raises(BadRequest, match=message) as refused:
        load_pretrained(network, tmp_path / "weights")
    assert "not those of ResNet50 as torchvision stores them" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert all(torch.equal(values, before[key]) for key, values in network.state_dict().items())


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(stored_for("vgg16"), tmp_path / "weights")
    with pytest.raises(BadRequest, match="not those of InceptionV4 as timm stores them"):
        load_pretrained(network_of("inception_v4"), tmp_path / "weights")


def test_a_network_that_is_none_of_localize_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="the networks of localize only"):
        load_pretrained(build("dncnn", {"depth": 2}), tmp_path / "weights")


class Harmful:
    """Would be executed by a loader that unpickles anything."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("kind", ["none", "folder", "empty", "text", "noise", "cut", "cut, safe", "code", "list"])
def test_an_unreadable_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    if kind == "folder":
        path.mkdir()
    elif kind in {"empty", "text", "noise"}:
        path.write_bytes({"empty": b"", "text": b"no weights here", "noise": bytes(range(256)) * 9}[kind])
    elif kind == "cut":
        torch.save({"a": torch.ones(99)}, path)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "cut, safe":
        save_file({"a": torch.ones(99)}, path)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind in {"code", "list"}:
        torch.save({"a": Harmful()} if kind == "code" else [torch.ones(3)], path)
    with pytest.raises(UnreadableInput, match="the file of pretrained weights") as refused:
        load_pretrained(network_of("googlenet"), path)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)

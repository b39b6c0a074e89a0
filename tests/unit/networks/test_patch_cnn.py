"""The patch CNN against its description, and its dense form against patches one by one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from infarct.errors import BadRequest
from infarct.networks.patch_cnn import (
    FIELD_PX,
    MIDDLE_PX,
    PATCH_PX,
    DensePatchCnn,
    PatchCnn,
    PatchCnnConfig,
    side_by_side,
)
from infarct.networks.registry import build
from infarct.preprocess import patch_input

NARROW = PatchCnnConfig(width=0.1)


def tensors_of(network: nn.Module) -> dict[str, np.ndarray]:
    return {key: values.numpy() for key, values in network.state_dict().items()}


def test_parameters_by_hand() -> None:
    """75 x 64 + 64; 1,600 x 128 + 128; 128 x 256 + 256; 256 x 256 + 256; 256 + 1. Three side by side: three times."""
    counts = [sum(p.numel() for p in PatchCnn(PatchCnnConfig(outputs=n)).parameters()) for n in (1, 3)]
    assert counts[0] == 4_864 + 204_928 + 33_024 + 65_792 + 257 == 308_865
    assert counts[1] == 3 * counts[0]


def test_sides_and_answer_by_hand() -> None:
    """19, 15, 7, 3, 1, as the checklist says; dense layers written as matrices."""
    torch.manual_seed(0)
    network = PatchCnn(NARROW)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2)
        patches = torch.randn(5, 3, 19, 19)
        features, sides = patches, [19]
        for convolution in (network.first, network.second):
            features = functional.conv2d(features, convolution.weight, convolution.bias).clamp(min=0)
            sides.append(features.shape[-1])
            last = features.shape[-1] // 2 * 2
            features = torch.stack([features[..., i:last:2, j:last:2] for i in (0, 1) for j in (0, 1)]).amax(dim=0)
            sides.append(features.shape[-1])
        assert sides == [19, 15, 7, 3, 1]
        answer = features[..., 0, 0]
        layers = [part for part in network.dense if isinstance(part, nn.Conv2d)]
        for number, layer in enumerate(layers):
            answer = answer @ layer.weight[..., 0, 0].T + layer.bias
            answer = answer.clamp(min=0) if number < 2 else answer
        assert answer.shape == (5, 1)
        torch.testing.assert_close(network(patches), answer)


def test_what_of_a_patch_decides() -> None:
    """With positive weights nothing cancels; the largest of 2x2 passes one gradient, so many patches are asked."""
    torch.manual_seed(0)
    network = PatchCnn(NARROW)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 0.1)
    patches = torch.rand(64, 3, PATCH_PX, PATCH_PX, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(patches).sum(), patches)
    expected = torch.zeros(PATCH_PX, PATCH_PX, dtype=torch.bool)
    expected[:FIELD_PX, :FIELD_PX] = True
    assert torch.equal(gradient.amax(dim=0) > 0, expected.expand(3, -1, -1))


def test_a_picture_is_judged_as_its_patches_are() -> None:
    torch.manual_seed(1)
    config = PatchCnnConfig(images=2, width=0.15, outputs=2)
    patchwise, dense = PatchCnn(config), DensePatchCnn(config)
    dense.load_state_dict(patchwise.state_dict())
    pictures = torch.randn(2, 6, 6 + 18, 10 + 18)
    with torch.no_grad():
        answer = dense(pictures[..., :-3, :-3])
        assert answer.shape == (2, 2, 6, 10)
        for y in range(6):
            for x in range(10):
                expected = patchwise(pictures[..., y : y + PATCH_PX, x : x + PATCH_PX])
                torch.testing.assert_close(answer[..., y, x], expected, atol=1e-5, rtol=0)
    assert answer.std() > 0.05


def test_side_by_side_each_answers_as_alone() -> None:
    torch.manual_seed(2)
    alone = [PatchCnn(NARROW) for _ in range(3)]
    together = PatchCnn(PatchCnnConfig(width=0.1, outputs=3))
    tensors = side_by_side([tensors_of(network) for network in alone])
    together.load_state_dict({key: torch.from_numpy(values) for key, values in tensors.items()})
    patches = torch.randn(4, 3, PATCH_PX, PATCH_PX)
    with torch.no_grad():
        expected = torch.cat([network(patches) for network in alone], dim=1)
        torch.testing.assert_close(together(patches), expected, atol=1e-6, rtol=1e-5)
    assert expected.std(dim=1).min() > 0


def test_it_learns_what_is_dark_in_the_middle() -> None:
    torch.manual_seed(3)
    network = PatchCnn(NARROW)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    patches = 0.3 * torch.randn(32, 3, PATCH_PX, PATCH_PX)
    dark = torch.arange(32) % 2
    patches[:, 1, 6:12, 6:12] -= 0.5 * dark[:, None, None]
    for _ in range(25):
        loss = functional.binary_cross_entropy_with_logits(network(patches)[:, 0], dark.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_the_input_is_cut_as_the_network_needs_it() -> None:
    assert (patch_input.PATCH_PX, patch_input.BEFORE_PX, patch_input.ROOM_PX) == (PATCH_PX, MIDDLE_PX, FIELD_PX - 1)


def test_unfit_input_is_refused() -> None:
    for shape in [(1, 3, 18, 19), (1, 2, 19, 19), (1, 3, 20, 20)]:
        with pytest.raises(ValueError, match="are not those of the network"):
            PatchCnn(NARROW)(torch.zeros(shape))
    for shape in [(1, 3, 18, 17), (1, 6, 17, 17), (1, 3, 15, 17)]:
        with pytest.raises(ValueError, match="do not fit the network"):
            DensePatchCnn(NARROW)(torch.zeros(shape))


@pytest.mark.parametrize("name", ["patch_cnn", "patch_cnn_dense"])
@pytest.mark.parametrize(
    "config",
    [{"images": 0}, {"images": 4}, {"width": 0.0}, {"width": 1.1}, {"outputs": 0}, {"outputs": 17}, {"slices": 5}],
)
def test_a_configuration_that_makes_no_network_is_refused(name: str, config: Mapping[str, Any]) -> None:
    with pytest.raises(BadRequest, match="does not make a network"):
        build(name, config)

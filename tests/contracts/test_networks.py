"""What holds for every registered network: shape, gradients, size, and that it converts to OpenVINO."""

from pathlib import Path

import numpy as np
import pytest
import torch

from infarct.networks import NETWORKS, build
from infarct.runtime import make_engine
from infarct.weights import WeightSet

PARAMETERS = {
    "se_res_unet": 6_007_953,
    "vb_net": 1_889_701,
    "da_net": 2_329_184,
    "vgg16": 18_938_312,
    "resnet50": 24_657_608,
    "googlenet": 6_235_432,
    "inception_v3": 22_940_840,
    "inception_v4": 42_041_064,
    "inception_resnet_v2": 55_204_712,
    "dncnn": 556_097,
    "patch_cnn": 308_865,
    "patch_cnn_dense": 308_865,
    "pooled_unet": 1_503_753,
}
"""Of each network with its published configuration."""
PATCHES = ((4, 1, 140, 140), (4, 2))
SHAPES = {
    "se_res_unet": ((1, 1, 32, 32, 32), (1, 1, 32, 32, 32)),
    "vb_net": ((1, 1, 8, 32, 32), (1, 21, 8, 32, 32)),
    "da_net": ((1, 4, 5, 32, 32), (1, 2, 5, 4, 4)),
    "vgg16": PATCHES,
    "resnet50": PATCHES,
    "googlenet": PATCHES,
    "inception_v3": PATCHES,
    "inception_v4": PATCHES,
    "inception_resnet_v2": PATCHES,
    "dncnn": ((1, 1, 32, 32), (1, 1, 32, 32)),
    "patch_cnn": ((4, 3, 19, 19), (4, 1)),
    "patch_cnn_dense": ((2, 3, 47, 47), (2, 1, 32, 32)),
    "pooled_unet": ((1, 2, 8, 64, 64), (1, 1, 8, 64, 64)),
}
"""Of an input of each network and of its answer."""
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (SHAPES[name] == PATCHES)) for name in NETWORKS]
"""The networks of patches are large: narrow ones are tested in tests/unit/networks."""


def test_every_network_is_pinned() -> None:
    assert PARAMETERS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_parameter_count(name: str) -> None:
    with torch.device("meta"):
        network = build(name, {})
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", EACH)
def test_forward_and_backward(name: str) -> None:
    """The output is finite and of its shape; every parameter gets a gradient."""
    torch.manual_seed(0)
    network = build(name, {})
    shape, expected = SHAPES[name]
    output = network(torch.rand(shape))
    assert output.shape == expected
    assert torch.isfinite(output).all()
    output.square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", EACH)
def test_export_agrees(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build(name, {})
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    weights = WeightSet("contract", name, name, {}, {}, tensors, {})
    batch = np.random.default_rng(0).random(SHAPES[name][0], dtype=np.float32)
    engines = [
        make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path) for engine in ("torch", "openvino")
    ]
    expected, answer = (engine.run(batch) for engine in engines)
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    assert expected.std() > 1e-2

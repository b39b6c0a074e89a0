"""VGG16 against its table, written out the slow way; and that engines agree on its patches."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from infarct.networks.registry import build
from infarct.networks.vgg16 import Vgg16, Vgg16Config
from infarct.runtime import make_engine
from infarct.weights import WeightSet

COLUMN_D = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
"""Table 1 of the publication: 3x3 convolutions, M for maxpool."""


def test_the_convolutions_are_those_of_the_table() -> None:
    torch.manual_seed(0)
    network = Vgg16(Vgg16Config(width=1 / 16, size_px=64)).eval()
    layers = iter([part for part in network.features.modules() if isinstance(part, nn.Conv2d)])
    features = patches = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        for entry in COLUMN_D.split():
            if entry == "M":
                features = functional.max_pool2d(features, 2, 2)
            else:
                layer = next(layers)
                assert layer.out_channels == int(entry) // 16
                features = functional.conv2d(features, layer.weight, layer.bias, padding=1).clamp(min=0)
        torch.testing.assert_close(network.features(patches), features)
    assert next(layers, None) is None


def test_engines_agree_on_patches(tmp_path: Path) -> None:
    """Larger than what networks of volumes are traced on, and no multiple of 32."""
    torch.manual_seed(1)
    config = {"width": 0.1, "size_px": 100, "in_channels": 2, "dense": [6, 5]}
    network = build("vgg16", config)
    network(torch.randn(8, 2, 100, 100))  # so that the running values are not those of a new network
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    weights = WeightSet("localize", "tiny", "vgg16", config, {}, tensors, {})
    batch = np.random.default_rng(0).standard_normal((3, 2, 100, 100), dtype=np.float32)
    expected, answer = (
        make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path).run(batch)
        for engine in ("torch", "openvino")
    )
    assert expected.shape == (3, 2)
    assert expected.std() > 1e-2
    np.testing.assert_allclose(answer, expected, atol=1e-4)

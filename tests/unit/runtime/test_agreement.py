"""The engines give the same answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.runtime import make_engine, predict_tiled
from infarct.runtime.converted import EXAMPLE_LENGTH
from infarct.weights import WeightSet
from unit.runtime.mock_weights import dark_blobs, random_weights, trained_weights

TILE = (16, 32, 32)


def sample_batch(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).random((2, channels, *TILE), dtype=np.float32)


def test_torch_engine_is_the_network_itself(mock_weights: WeightSet) -> None:
    module = build(mock_weights.network, mock_weights.network_config)
    module.load_state_dict(
        {key: torch.tensor(values, dtype=torch.float32) for key, values in mock_weights.tensors.items()}
    )
    with torch.no_grad():
        expected = module(torch.from_numpy(sample_batch())).numpy()
    answer = make_engine(mock_weights, device="cpu", engine="torch", threads=1).run(sample_batch())
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_openvino_agrees_with_torch(tmp_path: Path) -> None:
    weights, batch = random_weights(3, in_channels=2), sample_batch(2)
    expected = expit(make_engine(weights, device="cpu", engine="torch", threads=1).run(batch))
    engine = make_engine(weights, device="cpu", engine="openvino", threads=1, cache=tmp_path)
    for shape in (TILE, (8, 16, 16), TILE):  # another size in between compiles anew
        part = batch[..., : shape[0], : shape[1], : shape[2]]
        answer = engine.run(part)
        assert answer.shape == (2, 2, *shape)
        assert answer.dtype == np.float32
        if shape == TILE:
            np.testing.assert_allclose(expit(answer), expected, atol=1e-4)
    assert expected.std() > 0.02  # they do not agree by being flat


def test_tiles_longer_than_the_example_that_was_traced_agree(mock_weights: WeightSet, tmp_path: Path) -> None:
    batch = np.random.default_rng(2).random((1, 1, 6, 10, EXAMPLE_LENGTH + 14), dtype=np.float32)
    expected = make_engine(mock_weights, device="cpu", engine="torch", threads=1).run(batch)
    answer = make_engine(mock_weights, device="cpu", engine="openvino", threads=1, cache=tmp_path).run(batch)
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_patches_in_batches_of_any_length_agree(precision: str, tmp_path: Path) -> None:
    """One model serves every length; a patch has the same answer alone as among others."""
    torch.manual_seed(0)
    config = {"in_channels": 3, "size_px": 32, "width": 0.05, "dense": [8], "dropout": [0.1]}
    tensors = {key: values.numpy() for key, values in build("vgg16", config).state_dict().items()}
    weights = WeightSet("localize", "tiny", "vgg16", config, {}, tensors, {})
    batch = np.random.default_rng(4).normal(0, 1, (37, 3, 32, 32)).astype(np.float32)
    expected = make_engine(weights, device="cpu", engine="torch", threads=1).run(batch)
    assert expected.std() > 0.01
    engine = make_engine(weights, device="cpu", engine="openvino", precision=precision, threads=1, cache=tmp_path)
    tolerance = 1e-5 if precision == "fp32" else 0.02
    for part in (slice(0, 32), slice(32, 37), slice(0, 1), slice(0, 37)):
        answer = engine.run(batch[part])
        assert answer.shape == expected[part].shape
        np.testing.assert_allclose(answer, expected[part], atol=tolerance)
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_torch_is_left_as_it_was(mock_weights: WeightSet) -> None:
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    engine = make_engine(mock_weights, device="cpu", engine="torch", threads=threads + 1)
    engine.run(sample_batch())
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == (threads, tf32)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_weights_of_another_network_are_refused(mock_weights: WeightSet, engine: str, tmp_path: Path) -> None:
    other = WeightSet("s", "n", "se_res_unet", {"base": 8}, {}, mock_weights.tensors, {})
    unknown = WeightSet("s", "n", "vgg", {}, {}, mock_weights.tensors, {})
    huge = WeightSet("s", "n", "se_res_unet", {"base": 10**6}, {}, mock_weights.tensors, {})
    for weights in (other, unknown, huge):
        with pytest.raises(BadRequest):
            make_engine(weights, device="cpu", engine=engine, threads=1, cache=tmp_path).run(sample_batch())
    assert not list(tmp_path.iterdir())


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.slow
def test_engines_agree_on_the_mask_of_a_trained_network(tmp_path: Path) -> None:
    """Probabilities within 1e-3 in fp32, Dice of masks .995 or more in bf16, on tiles that overlap."""
    weights = trained_weights(150)
    volume, balls = dark_blobs(10_001, (24, 70, 60))
    brain = np.ones(volume.shape, dtype=bool)

    def probabilities(**choice: str) -> np.ndarray:
        engine = make_engine(weights, device="cpu", threads=1, cache=tmp_path, **choice)
        return predict_tiled(engine, volume[None], brain, tile_zyx=TILE)[0]

    oracle = probabilities(engine="torch", precision="fp32")
    assert dice(oracle > 0.5, balls) > 0.8  # a mask that means something
    assert np.abs(probabilities(engine="openvino", precision="fp32") - oracle).max() <= 1e-3
    assert dice(probabilities(engine="torch", precision="bf16") > 0.5, oracle > 0.5) >= 0.995
    from infarct.runtime.openvino_import import load_openvino

    if "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert dice(probabilities(engine="openvino", precision="bf16") > 0.5, oracle > 0.5) >= 0.995


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_processor(mock_weights: WeightSet) -> None:
    expected = expit(make_engine(mock_weights, device="cpu", engine="torch", threads=1).run(sample_batch()))
    engine = make_engine(mock_weights, device="cuda")
    assert (engine.name, engine.device, engine.threads) == ("torch", "cuda", 0)
    np.testing.assert_allclose(expit(engine.run(sample_batch())), expected, atol=1e-3)

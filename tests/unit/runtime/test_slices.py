"""Whole slices by the dense patch CNN against patches one by one, by both engines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from infarct.errors import StepFailed
from infarct.networks import build
from infarct.preprocess.patch_input import cut_patches
from infarct.runtime import make_engine, predict_slices
from infarct.runtime.slices import BLOCK_PX
from infarct.weights import WeightSet


def mock_patch_weights(**config: float) -> WeightSet:
    """Return random weights of the patch CNN; its dense form takes the same."""
    torch.manual_seed(5)
    network = build("patch_cnn", config)
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    return WeightSet("volumetry", "tiny", "patch_cnn", config, {}, tensors, {})


def dense_form(weights: WeightSet) -> WeightSet:
    return replace(weights, network="patch_cnn_dense", sha256="")


def images_of(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(6).normal(0, 1, (count, *shape)).astype(np.float32)


def patch_by_patch(weights: WeightSet, images: np.ndarray, brain: np.ndarray, cache: Path) -> np.ndarray:
    engine = make_engine(weights, device="cpu", engine="torch", threads=1, cache=cache)
    places = np.argwhere(brain)
    answer = expit(engine.run(cut_patches(images, places)))
    volume = np.zeros((answer.shape[1], *brain.shape), dtype=np.float32)
    volume[:, *places.T] = answer.T
    return volume


@pytest.mark.parametrize(
    ("shape", "images"), [((3, 37, BLOCK_PX + 9), 1), ((1, 5, 70), 1), ((2, BLOCK_PX, BLOCK_PX), 2), ((2, 1, 1), 1)]
)
def test_every_voxel_of_a_volume_edges_included(shape: tuple[int, int, int], images: int, tmp_path: Path) -> None:
    weights = mock_patch_weights(images=images, width=0.05, outputs=3)
    volume, brain = images_of(images, shape), np.ones(shape, dtype=bool)
    expected = patch_by_patch(weights, volume, brain, tmp_path)
    engine = make_engine(dense_form(weights), device="cpu", engine="torch", threads=1)
    answer = predict_slices(engine, volume, brain)
    assert answer.dtype == np.float32
    assert np.abs(answer - expected).max() <= 1e-5
    assert expected.std(axis=(1, 2, 3)).min() > 0.005 or brain.sum() < 5


def test_the_brain_alone_is_judged(tmp_path: Path) -> None:
    """Odd outlines, an empty slice, one voxel far from the others: many blocks, more than go into one run."""
    weights = mock_patch_weights(width=0.05)
    shape = (4, 150, 170)
    index = np.indices(shape)
    brain = (index[1] - 75) ** 2 + (index[2] - 80) ** 2 < 62**2
    brain[1] = False
    brain[2] = False
    brain[2, 149, 169] = True
    volume = images_of(1, shape)
    few = brain & (np.random.default_rng(7).random(shape) < 0.03)
    few[2] = brain[2]
    expected = patch_by_patch(weights, volume, few, tmp_path)[0]
    engine = make_engine(dense_form(weights), device="cpu", engine="torch", threads=1)
    (answer,) = predict_slices(engine, volume, brain)
    assert np.abs(answer - expected)[few].max() <= 1e-5
    assert not answer[~brain].any()
    assert (answer[brain] > 0).all()


def test_openvino_agrees(tmp_path: Path) -> None:
    weights = mock_patch_weights(width=0.2, outputs=2)
    shape = (2, 70, 90)
    volume, brain = images_of(1, shape), np.ones(shape, dtype=bool)
    brain[:, :4] = False
    oracle, engine = (
        make_engine(dense_form(weights), device="cpu", engine=name, threads=1, cache=tmp_path)
        for name in ("torch", "openvino")
    )
    expected, answer = predict_slices(oracle, volume, brain), predict_slices(engine, volume, brain)
    assert np.abs(answer - expected).max() <= 1e-4
    assert expected[:, brain].std(axis=1).min() > 0.05
    places = np.argwhere(brain)[::101]
    patches = make_engine(weights, device="cpu", engine="openvino", threads=1, cache=tmp_path)
    chances = expit(patches.run(cut_patches(volume, places)))
    assert np.abs(chances.T - expected[:, *places.T]).max() <= 1e-4
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_half_precision_images_are_taken() -> None:
    weights = mock_patch_weights(width=0.05)
    half = images_of(1, (2, 20, 20)).astype(np.float16)
    brain = np.ones(half.shape[1:], dtype=bool)
    engine = make_engine(dense_form(weights), device="cpu", engine="torch", threads=1)
    assert np.array_equal(predict_slices(engine, half, brain), predict_slices(engine, half.astype(np.float32), brain))


def test_no_brain_and_another_brain() -> None:
    engine = make_engine(dense_form(mock_patch_weights(width=0.05)), device="cpu", engine="torch", threads=1)
    images = images_of(1, (2, 20, 20))
    with pytest.raises(StepFailed, match="no brain"):
        predict_slices(engine, images, np.zeros(images.shape[1:], dtype=bool))
    with pytest.raises(ValueError, match="do not fit"):
        predict_slices(engine, images, np.ones((2, 20, 21), dtype=bool))

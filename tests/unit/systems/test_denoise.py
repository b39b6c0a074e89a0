"""The denoiser on engines whose answers are known: what is taken off, and what stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.preprocess.window import LOCALIZE, Window
from infarct.runtime import make_engine
from infarct.systems.denoise import BLOCK_PX, DenoiseConfig, Denoiser, config_of, denoise, less_noise, load_denoiser
from infarct.types import Float32Array
from infarct.weights import WeightSet, save_weights

SETTINGS = {"input": {"center_hu": 40, "width_hu": 150}, "trained_on": "phantoms"}


class Tenth:
    """An engine that takes a tenth of each grey value for noise, and keeps what it was given."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def __init__(self) -> None:
        self.given: list[Float32Array] = []

    def run(self, batch: Float32Array) -> Float32Array:
        self.given.append(batch)
        return batch / 10


def denoiser(engine: Tenth) -> Denoiser:
    weights = WeightSet("denoise", "fake", "dncnn", {}, SETTINGS, {"a": np.zeros(1, np.float16)}, {})
    return Denoiser(weights, engine, DenoiseConfig(LOCALIZE, "phantoms"))


def test_takes_off_what_the_network_finds_inside_the_window_alone() -> None:
    """40 HU are half the window, of which a tenth is 7.5 HU; 900 HU is 1, the head's air 0, and neither changes."""
    hu = np.full((3, 20, 30), -1000, np.float32)
    hu[1, 5:15, 10:20] = 40
    hu[1, 5, 10:20], hu[1, 8, 12], hu[1, 9, 12] = 900, 115, -35
    engine = Tenth()
    before = hu.copy()
    found = denoise(hu, denoiser(engine))
    expected = np.where(hu == 40, 32.5, hu)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(hu, before)
    assert [batch.shape for batch in engine.given] == [(1, 1, BLOCK_PX, BLOCK_PX)], "empty slices are not run"
    assert engine.given[0][0, 0, :9, :10] == pytest.approx(LOCALIZE.apply(hu[1, 6:15, 10:20]))


def test_the_network_sees_whole_blocks_of_the_slice() -> None:
    """A box of 70 x 10 pixels at the far corner of 100 x 80 is run as 128 x 64: what is there, then black."""
    hu = np.full((1, 100, 80), 300, np.float32)
    hu[0, 30:, 70:] = 40
    engine = Tenth()
    less_noise(hu, engine, LOCALIZE)
    (given,) = engine.given
    assert given.shape == (1, 1, 128, 64)
    assert (given[0, 0, :70, :10] == 0.5).all()
    assert given[0, 0, 70:].max() == given[0, 0, :, 10:].max() == 0


def test_a_scan_with_nothing_in_the_window_comes_back() -> None:
    hu = np.full((2, 4, 4), -1000, np.float32)
    engine = Tenth()
    found = less_noise(hu, engine, LOCALIZE)
    np.testing.assert_array_equal(found, hu)
    assert found is not hu
    assert not engine.given


def test_slices_do_not_depend_on_where_they_are_cut() -> None:
    """A network with a field of 7 pixels: in the middle of a slice the answer is the one without any padding."""
    torch.manual_seed(0)
    config = {"width": 4, "depth": 3}
    network = build("dncnn", config).eval()
    tensors = {key: values.numpy() for key, values in network.state_dict().items()}
    weights = WeightSet("denoise", "random", "dncnn", config, SETTINGS, tensors, {})
    engine = make_engine(weights, device="cpu", engine="torch", threads=1)
    hu = np.random.default_rng(0).normal(40, 10, (1, 50, 90)).astype(np.float32)
    whole, part = less_noise(hu, engine, LOCALIZE), less_noise(hu[:, 5:45, 7:80], engine, LOCALIZE)
    np.testing.assert_allclose(whole[:, 10:40, 12:75], part[:, 5:35, 5:68], atol=1e-3)
    assert np.abs(whole - hu).max() > 0.1


def test_loads_its_own_weights_and_refuses_others(tmp_path: Path) -> None:
    config = {"width": 2, "depth": 2}
    tensors = {key: values.numpy() for key, values in build("dncnn", config).state_dict().items()}
    path = save_weights(WeightSet("denoise", "tiny", "dncnn", config, SETTINGS, tensors, {}), tmp_path / "a")
    loaded = load_denoiser(path, device="cpu", engine="torch", threads=1)
    assert loaded.config == DenoiseConfig(LOCALIZE, "phantoms")
    assert denoise(np.full((1, 8, 8), 40, np.float32), loaded).shape == (1, 8, 8)
    other = save_weights(WeightSet("segment", "tiny", "dncnn", config, SETTINGS, tensors, {}), tmp_path / "b")
    with pytest.raises(BadRequest, match="for segment, not for denoise"):
        load_denoiser(other)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**SETTINGS, "input": None},
        {**SETTINGS, "input": {"center_hu": 40}},
        {**SETTINGS, "input": {"center_hu": 40, "width_hu": 0}},
        {**SETTINGS, "input": {"center_hu": float("nan"), "width_hu": 150}},
    ],
)
def test_refuses_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(BadRequest, match="setting"):
        config_of(wrong)
    assert config_of(SETTINGS) == DenoiseConfig(Window(40, 150), "phantoms")

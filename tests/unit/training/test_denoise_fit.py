"""Training DnCNN: the curve, what is resumed, what comes out and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_slices import slice_pair, tiny_denoise, write_pairs

from infarct.errors import BadRequest
from infarct.preprocess.window import LOCALIZE
from infarct.runtime import make_engine
from infarct.systems.denoise import load_denoiser
from infarct.training.curve import read_curve
from infarct.training.denoise_data import PatchDataset
from infarct.training.denoise_finish import finish_denoise
from infarct.training.denoise_module import DenoiseModule, NoiseScore, score_pair, summary_of
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.types import Float32Array
from infarct.weights import card_of, load_weights, save_weights

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch measure the weights: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_denoise(), cases, output, machine=EACH_STEP)
    return output


class Killed(Exception):
    """Stands for a kill."""


def test_a_resumed_training_has_the_curve_of_a_whole_one(
    cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in step 7, after the checkpoint of step 6."""
    take = PatchDataset.__getitem__

    def taken(data: PatchDataset, number: int) -> dict[str, torch.Tensor]:
        if number >= 14:
            raise Killed
        return take(data, number)

    with monkeypatch.context() as patched:
        patched.setattr(PatchDataset, "__getitem__", taken)
        with pytest.raises(Killed):
            fit(tiny_denoise(), cases, tmp_path / "out", machine=EACH_STEP)
    fit(tiny_denoise(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    a, b = read_curve(tmp_path / "out"), read_curve(whole)
    assert a.keys() == b.keys()
    np.testing.assert_allclose(list(a["loss"].values()), list(b["loss"].values()), rtol=1e-5)
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (tmp_path / "out", whole))
    for name, tensor in last_b["state_dict"].items():
        torch.testing.assert_close(last_a["state_dict"][name], tensor, atol=1e-5, rtol=0)


def test_the_weights_run_and_their_card_tells_of_doses(cases: Path, whole: Path, tmp_path: Path) -> None:
    path = save_weights(finish_denoise(whole, cases, name="denoise-tiny"), tmp_path / "w.safetensors")
    weights = load_weights(path)
    assert (weights.system, weights.network) == ("denoise", "dncnn")
    assert weights.settings["trained_on"] == "phantoms"
    assert weights.card["summary"] == (
        "DnCNN, 3 convolutions, 4 channels (64 as published); trained on noise of unknown level."
    )
    rows = weights.card["metrics"]["validation_by_noise"]
    assert [(row["noise_factor"], row["cases"]) for row in rows] == [(0.5, 2), (1.0, 2), (2.0, 2)]
    assert rows[0]["psnr_db"] - rows[0]["gain_db"] > rows[2]["psnr_db"] - rows[2]["gain_db"]
    assert weights.card["training"]["patches_seen"] == 2 * weights.card["training"]["steps"]
    assert "validation by noise" in card_of(weights).markdown()
    assert load_denoiser(path, device="cpu", engine="torch", threads=1).config.window == LOCALIZE


def test_the_engine_runs_what_was_validated(cases: Path, whole: Path) -> None:
    """The exported network answers as the averaged one in the checkpoint, up to float16."""
    module = DenoiseModule(tiny_denoise(), validation=(), about={})
    module.load_state_dict(torch.load(whole / BEST, weights_only=True)["state_dict"])
    module.eval()
    given = PatchDataset([slice_pair(5)], tiny_denoise())[0]["noisy"][None]
    with torch.no_grad():
        expected = module.best_network(given)
    engine = make_engine(finish_denoise(whole, cases, name="denoise-tiny"), device="cpu", threads=1)
    np.testing.assert_allclose(engine.run(given.numpy()), expected, atol=2e-2)


class Nothing:
    """An engine that finds no noise."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, batch: Float32Array) -> Float32Array:
        return np.zeros_like(batch)


def test_scores_by_hand() -> None:
    """15 HU off everywhere: a tenth of the window, 20 dB; a factor of a half takes a quarter of the squared error."""
    clean = np.full((1, 8, 8), 40, np.int16)
    pair = replace(slice_pair(0), clean=clean, noisy=clean + 15)
    score = score_pair(pair, Nothing(), LOCALIZE)  # type: ignore[arg-type]
    assert (score.noisy, score.denoised) == pytest.approx((0.01, 0.01))
    assert score_pair(pair, Nothing(), LOCALIZE, factor=0.5).noisy == pytest.approx(0.0025)  # type: ignore[arg-type]
    summary = summary_of([score, NoiseScore(0.01, 0.0001)])
    assert summary["val_psnr"] == summary["val_score"] == pytest.approx(30.0)
    assert summary["val_psnr_gain"] == pytest.approx(10.0)
    assert summary_of([]) == {"val_score": 0.0}
    assert np.isfinite(summary_of([NoiseScore(0.01, 0.0)])["val_psnr"])


def test_the_loss_is_that_of_the_article() -> None:
    """Half the squared error summed over a patch, mean over the batch: 2 patches of 4 x 4 pixels, 3 and 0 off: 36."""
    module = DenoiseModule(tiny_denoise(), validation=(), about={})
    module.log = module.log_rate = lambda *_: None  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        for parameter in module.network.parameters():
            parameter.zero_()
    noise = torch.stack([torch.full((1, 4, 4), 3.0), torch.zeros((1, 4, 4))])
    loss = module.training_step({"noisy": torch.zeros((2, 1, 4, 4)), "noise": noise}, 0)
    assert loss.item() == pytest.approx(16 * 9 / 4)


def test_a_silent_network_begins_with_no_noise() -> None:
    given = torch.rand((1, 1, 8, 8))
    assert not DenoiseModule(tiny_denoise(silent=True), validation=(), about={}).network(given).any()
    assert DenoiseModule(tiny_denoise(silent=False), validation=(), about={}).network(given).any()


def test_refuses_cases_of_another_window(cases: Path, tmp_path: Path) -> None:
    other = replace(tiny_denoise().phantoms, setting=replace(LOCALIZE, width_hu=80))
    with pytest.raises(BadRequest, match="window"):
        fit(tiny_denoise(phantoms=other), cases, tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_learns_to_take_noise_off(tmp_path: Path) -> None:
    """3 dB and more on slices that it was not trained on."""
    folder = write_pairs(tmp_path / "cases", training=8, validation=3)
    recipe = tiny_denoise(network_config={"width": 12, "depth": 6}, batch=8, steps=300, learning_rate=3e-3, silent=True)
    fit(replace(recipe, validate_every=300), folder, tmp_path / "out", machine=EACH_STEP)
    assert read_curve(tmp_path / "out")["val_psnr_gain"][299] > 3

"""Training localize: the loss, the curve, what is resumed, what comes out and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_tiles import TINY, tiny_localize, write_tiles
from safetensors.torch import save_file

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks import build
from infarct.networks.transfer import infarct_logits
from infarct.runtime import make_engine
from infarct.systems.localize import config_of
from infarct.training.aspects_scores import Judged
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.curve import read_curve
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.training.localize_data import TileDataset
from infarct.training.localize_finish import finish_localize
from infarct.training.localize_module import LocalizeModule, summary_of, tile_loss
from infarct.training.task import sha256_of
from infarct.training.tile_store import open_tiles, read_tile_index
from infarct.weights import card_of, load_weights, save_weights

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch calibrate: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_localize(), cases, output, machine=EACH_STEP)
    return output


def test_the_loss_by_hand() -> None:
    """Sigmoids .8 and .4 make 2/3 infarct; .5 and .75 make 3/5 normal."""
    sigmoids = torch.tensor([[0.8, 0.4], [0.5, 0.75]], dtype=torch.float64)
    outputs, infarct = torch.logit(sigmoids), torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(torch.sigmoid(infarct_logits(outputs)), torch.tensor([2 / 3, 2 / 5]).double())
    expected = -(math.log(2 / 3) + math.log(3 / 5)) / 2
    assert float(tile_loss(outputs, infarct, "renormalised")) == pytest.approx(expected)
    each = -(math.log(0.8) + math.log(0.6) + math.log(0.5) + math.log(0.75)) / 4
    assert float(tile_loss(outputs, infarct, "bce")) == pytest.approx(each)


def test_the_summary_by_hand() -> None:
    parts = [(1.2, Judged(np.array([2.0, 1.0]), np.array([True, False]))), (0.6, Judged(np.zeros(1), np.array([True])))]
    summary = summary_of(parts, "loss")
    assert summary["val_loss"] == pytest.approx(0.6) == pytest.approx(-summary["val_score"])
    assert summary["val_auc"] == 0.5 == summary_of(parts, "auc")["val_score"]
    assert summary["val_average_precision"] == pytest.approx((1 + 2 / 3) / 2)


class Killed(Exception):
    """Stands for a kill."""


def test_a_resumed_training_is_a_whole_one(
    cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed a step after a checkpoint; dropout too is as it would have been."""
    take = TileDataset.__getitems__

    def taken(data: TileDataset, numbers: list[int]) -> list[dict[str, torch.Tensor]]:
        if numbers[0] >= 8 * 7:
            raise Killed
        return take(data, numbers)

    with monkeypatch.context() as patched:
        patched.setattr(TileDataset, "__getitems__", taken)
        with pytest.raises(Killed):
            fit(tiny_localize(), cases, tmp_path / "out", machine=EACH_STEP)
    torch.manual_seed(1)  # what went before must not matter
    fit(tiny_localize(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    a, b = read_curve(tmp_path / "out"), read_curve(whole)
    assert a.keys() == b.keys()
    assert len(b["loss"]) == 8
    for name in b:
        if name != "epoch":
            assert a[name] == b[name]
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (tmp_path / "out", whole))
    for name, tensor in last_b["state_dict"].items():
        assert torch.equal(last_a["state_dict"][name], tensor)


def test_a_checkpoint_tells_what_it_was_trained_on(whole: Path) -> None:
    about = torch.load(whole / BEST, weights_only=True)["infarct"]
    assert (about["data"]["training_cases"], about["data"]["training_cases_with_infarct"]) == (4, 2)
    assert (about["data"]["validation_cases"], about["data"]["validation_cases_with_infarct"]) == (3, 2)
    assert {"val_loss", "val_auc", "val_average_precision", "val_balanced_accuracy"} <= about["validation"].keys()


def test_the_weights_are_calibrated(cases: Path, whole: Path, tmp_path: Path) -> None:
    made = finish_localize(whole, cases, name="localize-tiny")
    weights = load_weights(save_weights(made, tmp_path / "w.safetensors"))
    assert (weights.system, weights.network) == ("localize", "vgg16")
    config = config_of(weights.settings, weights.network_config)
    assert (config.input, config.calibrated_on) == (TINY, "3 phantoms")
    assert weights.settings.keys() == {
        *("input", "temperature", "bias", "threshold", "whole_threshold", "calibrated_on"),
    }
    metrics = weights.card["metrics"]
    assert metrics["validation_after_calibration"]["balanced_tiles"] % 2 == 0
    assert metrics["validation_whole_brains"]["healthy_heads"] == 1
    assert metrics["validation_whole_brains"]["ill_patients"] == 2
    assert metrics["validation_whole_brains"]["false_clusters_a_healthy_head"] <= 1
    assert weights.card["training"]["patches_seen"] == 8 * weights.card["training"]["steps"]
    assert "validation whole brains" in card_of(weights).markdown()


def test_the_engine_runs_what_was_validated(cases: Path, whole: Path) -> None:
    """The exported network answers as the averaged one in the checkpoint, up to float16."""
    recipe = tiny_localize()
    module = LocalizeModule(recipe, validation=open_tiles(read_tile_index(cases), "validation"), about={})
    module.load_state_dict(torch.load(whole / BEST, weights_only=True)["state_dict"])
    module.eval()
    engine = make_engine(finish_localize(whole, cases, name="localize-tiny"), device="cpu", threads=1)
    tiles = np.random.default_rng(1).normal(0, 0.3, (4, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = module.best_network(torch.from_numpy(tiles))
    np.testing.assert_allclose(engine.run(tiles), expected, atol=5e-3)


def test_without_infarcts_to_validate_nothing_is_calibrated(tmp_path: Path) -> None:
    folder = write_tiles(tmp_path / "cases", training=3, validation=1)
    fit(tiny_localize(steps=2), folder, tmp_path / "out", machine=EACH_STEP)
    weights = finish_localize(tmp_path / "out", folder, name="localize-tiny")
    assert weights.settings["calibrated_on"] == UNCALIBRATED
    assert (weights.settings["threshold"], weights.settings["whole_threshold"]) == (0.5, 0.5)


def test_trains_other_networks(cases: Path, tmp_path: Path) -> None:
    config = {**tiny_localize().network_config, "width": 0.03}
    recipe = tiny_localize(network="resnet50", network_config=config, steps=1, loss="bce")
    fit(recipe, cases, tmp_path / "out", machine=EACH_STEP)
    assert finish_localize(tmp_path / "out", cases, name="other").network == "resnet50"


def test_begins_with_pretrained_weights(cases: Path, tmp_path: Path) -> None:
    """Of three channels only the first, the tile, sees the weights for colours, as their sum."""
    recipe = tiny_localize()
    features = build("vgg16", recipe.network_config).features.state_dict()  # type: ignore[union-attr]
    trained = {f"features.{name}": torch.randn_like(values) for name, values in features.items()}
    save_file(trained, tmp_path / "imagenet.safetensors")
    named = replace(recipe, pretrained_sha256=sha256_of(tmp_path / "imagenet.safetensors"))
    stored = open_tiles(read_tile_index(cases), "validation")
    module = LocalizeModule(named, validation=stored, about={}, pretrained=tmp_path / "imagenet.safetensors")
    for network in (module.network, module.best_network):
        own = network.features.state_dict()  # type: ignore[union-attr]
        first = trained["features.0.weight"].sum(dim=1)
        torch.testing.assert_close(own["0.weight"], torch.stack([first, 0 * first, 0 * first], dim=1))
        torch.testing.assert_close(own["28.weight"], trained["features.28.weight"])
    fit(
        replace(named, steps=1),
        cases,
        tmp_path / "out",
        machine=EACH_STEP,
        pretrained=tmp_path / "imagenet.safetensors",
    )
    for path in (None, cases / "cases.json"):
        with pytest.raises(BadRequest, match="not those"):
            fit(named, cases, tmp_path / "other", machine=EACH_STEP, pretrained=path)
    assert not (tmp_path / "other").exists()


def test_refuses_cases_of_another_kind_or_cut(cases: Path, whole: Path, tmp_path: Path) -> None:
    recipe = tiny_localize()
    other = replace(recipe.phantoms, setting=replace(TINY, field_tiles=3.0))
    with pytest.raises(BadRequest, match="not cut"):
        fit(tiny_localize(phantoms=other), cases, tmp_path / "out", machine=EACH_STEP)
    with pytest.raises(BadRequest, match="another recipe"):
        fit(tiny_localize(seed=8), cases, whole, resume=True, machine=EACH_STEP)
    with pytest.raises(UnreadableInput, match="no readable index"):
        fit(recipe, tmp_path, tmp_path / "out", machine=EACH_STEP)
    one_ill = write_tiles(tmp_path / "one", training=1, validation=1)
    index = (one_ill / "cases.json").read_text()
    (one_ill / "cases.json").write_text(index.replace('"patient": "p1"', '"patient": "p0"'))
    with pytest.raises(BadRequest, match="1 patients"):
        fit(recipe, one_ill, tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_learns_what_is_plain(tmp_path: Path) -> None:
    """Dark spots: the validation ranks nearly all tiles rightly, and whole brains show the spots and little else."""
    folder = write_tiles(tmp_path / "cases", training=12, validation=6)
    network = {"in_channels": 3, "size_px": 32, "width": 0.12, "dense": (16, 8), "dropout": (0.1, 0.1)}
    recipe = tiny_localize(network_config=network, steps=100, batch=16, validate_every=50, learning_rate=2e-3)
    fit(recipe, folder, tmp_path / "out", machine=EACH_STEP)
    curve = read_curve(tmp_path / "out")
    losses = list(curve["loss"].values())
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    assert max(curve["val_auc"].values()) > 0.97
    metrics = finish_localize(tmp_path / "out", folder, name="plain").card["metrics"]
    assert metrics["validation_after_calibration"]["accuracy"] > 0.9
    assert metrics["validation_whole_brains"]["false_clusters_a_healthy_head"] <= 1
    assert metrics["validation_whole_brains"]["share_of_ill_patients_found"] == 1

"""Training the patch CNNs: the curve, what is resumed, what comes out and what is refused."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_patches import TINY_PICTURES, tiny_patches, write_patches
from scipy.special import expit

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks.patch_cnn import PatchCnn
from infarct.preprocess.patch_input import PAPER_PATCHES, cut_patches
from infarct.runtime import make_engine
from infarct.runtime.slices import predict_slices
from infarct.systems import hemorrhage, volumetry
from infarct.systems.patch_maps import marked
from infarct.training.aspects_scores import Judged
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.curve import read_curve
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.training.patch_data import PatchDataset, region_of
from infarct.training.patch_finish import finish_patches
from infarct.training.patch_module import VALIDATED, PatchModule, PatchScore, summary_of, validation_patches
from infarct.training.patch_scores import JudgedCase, PatchPoint, masks_of
from infarct.training.patch_store import load_patch_cases, read_patch_index
from infarct.weights import card_of, load_weights, save_weights

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch calibrate: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patches(tmp_path_factory.mktemp("patches") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_patches(), cases, output, machine=EACH_STEP)
    return output


def test_the_summary_by_hand() -> None:
    scores = [
        PatchScore("severe", 0.2, Judged(np.array([2.0, 1.0]), np.array([True, False]))),
        PatchScore("severe", 0.4, Judged(np.array([3.0, 0.0]), np.array([True, False]))),
        PatchScore("subtle", 0.9, Judged(np.array([0.0, 1.0]), np.array([True, False]))),
    ]
    summary = summary_of(scores)
    assert summary["val_loss_severe"] == pytest.approx(0.3)
    assert (summary["val_auc_severe"], summary["val_auc_subtle"], summary["val_auc"]) == (1.0, 0.0, 0.5)
    assert summary["val_loss"] == pytest.approx(0.6) == -summary["val_score"]
    assert summary_of([]) == {"val_score": 0.0}


def test_the_loss_by_hand(cases: Path) -> None:
    """A network that answers 0 for all pays log 2; the networks' losses are added."""
    recipe = tiny_patches()
    index = read_patch_index(cases)
    module = PatchModule(recipe, validation=[], about={})
    for parameter in module.network.parameters():
        torch.nn.init.zeros_(parameter)
    item = PatchDataset(load_patch_cases(index, index.of("train")), recipe)[0]
    for name, part in item.items():
        loss, logits = module._loss(module.network, name, {key: values[None] for key, values in part.items()})
        assert loss.item() == pytest.approx(math.log(2))
        assert logits.shape == (8,)


class Killed(Exception):
    """Stands for a kill."""


def test_a_resumed_training_is_a_whole_one(
    cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed a step after a checkpoint."""
    take = PatchDataset.__getitem__

    def taken(data: PatchDataset, number: int) -> dict[str, dict[str, torch.Tensor]]:
        if number >= 2 * 7:
            raise Killed
        return take(data, number)

    with monkeypatch.context() as patched:
        patched.setattr(PatchDataset, "__getitem__", taken)
        with pytest.raises(Killed):
            fit(tiny_patches(), cases, tmp_path / "out", machine=EACH_STEP)
    torch.manual_seed(1)  # what went before must not matter
    fit(tiny_patches(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    a, b = read_curve(tmp_path / "out"), read_curve(whole)
    assert a.keys() == b.keys()
    assert {"loss", "loss_severe", "loss_intermediate", "loss_subtle", "val_auc_severe"} <= b.keys()
    assert len(b["loss"]) == 8
    for name in b:
        if name != "epoch":
            assert a[name] == b[name]
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (tmp_path / "out", whole))
    for name, tensor in last_b["state_dict"].items():
        assert torch.equal(last_a["state_dict"][name], tensor)


def test_networks_share_nothing(cases: Path, whole: Path, tmp_path: Path) -> None:
    """The severe network is what it would be had it been trained alone."""
    fit(tiny_patches(networks=("severe",)), cases, tmp_path / "out", machine=EACH_STEP)
    alone, together = (torch.load(path / LAST, weights_only=True)["state_dict"] for path in (tmp_path / "out", whole))
    mine = {name: tensor for name, tensor in together.items() if ".severe." in name}
    assert len(mine) == len([name for name in alone if ".severe." in name]) > 10
    for name, tensor in mine.items():
        assert torch.equal(alone[name], tensor), name


def test_a_checkpoint_tells_what_it_was_trained_on(whole: Path) -> None:
    about = torch.load(whole / BEST, weights_only=True)["infarct"]
    assert about["data"]["training_cases"] == 5
    assert [about["data"][f"training_cases_{name}"] for name in ("severe", "intermediate", "subtle")] == [1, 1, 1]
    assert (about["data"]["training_cases_with_blood"], about["data"]["validation_cases_healthy"]) == (3, 1)
    assert about["validation"]["cases"] == 3
    assert {"val_loss", "val_auc", "val_auc_subtle"} <= about["validation"].keys()


def test_validation_patches_are_the_same_each_time(cases: Path) -> None:
    index = read_patch_index(cases)
    case = load_patch_cases(index, index.of("validation"))[0]
    first, again = (validation_patches(case, tiny_patches()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2 * VALIDATED, 6, 19, 19)


def test_the_weights_are_calibrated(cases: Path, whole: Path, tmp_path: Path) -> None:
    made = finish_patches(whole, cases, name="volumetry-tiny")
    weights = load_weights(save_weights(made, tmp_path / "w.safetensors"))
    assert (weights.system, weights.network) == ("volumetry", "patch_cnn_dense")
    assert weights.network_config == {"images": 2, "width": 0.05, "outputs": 3}
    settings = weights.settings
    assert settings["input"] == asdict(TINY_PICTURES)
    assert settings["outputs"] == ["severe", "intermediate", "subtle"]
    assert settings["calibrated_on"] == "5 phantoms"
    assert len(settings["thresholds"]) == len(settings["least_ml"]) == 3
    assert set(settings) == {"input", "outputs", "thresholds", "least_ml", "smooth_mm", "calibrated_on"}
    metrics = weights.card["metrics"]
    assert [row["heads"] for row in metrics["validation_after_calibration"]] == [1, 1, 1]
    assert [row["number"] for row in metrics["validation_union"]] == [1, 1, 1, 1, 1]
    assert weights.card["training"]["patches_seen"] == 2 * 8 * 3 * weights.card["training"]["steps"]
    assert "validation union" in card_of(weights).markdown()


def test_the_engine_judges_as_the_networks_that_were_trained(cases: Path, whole: Path) -> None:
    """Side by side in one dense network, in their order, up to float16."""
    recipe = tiny_patches()
    module = PatchModule(recipe, validation=[], about={})
    module.load_state_dict(torch.load(whole / BEST, weights_only=True)["state_dict"])
    index = read_patch_index(cases)
    case = load_patch_cases(index, index.of("validation"))[0]
    region = region_of(case.marks, "volumetry")
    engine = make_engine(finish_patches(whole, cases, name="tiny"), device="cpu", threads=1)
    chances = predict_slices(engine, case.images, region)
    places = np.argwhere(region)[::61]
    patches = torch.from_numpy(cut_patches(case.images, places))
    assert isinstance(module.best_network, torch.nn.ModuleDict)
    for chance, name in zip(chances, recipe.networks, strict=True):
        network = module.best_network[name]
        assert isinstance(network, PatchCnn)
        with torch.no_grad():
            expected = expit(network(patches)[:, 0].numpy())
        np.testing.assert_allclose(chance[tuple(places.T)], expected, atol=5e-3)


def test_blood_has_a_point_for_scans(cases: Path, tmp_path: Path) -> None:
    fit(tiny_patches("hemorrhage"), cases, tmp_path / "out", machine=EACH_STEP)
    made = finish_patches(tmp_path / "out", cases, name="hemorrhage-tiny")
    weights = load_weights(save_weights(made, tmp_path / "w.safetensors"))
    assert weights.system == "hemorrhage"
    assert weights.network_config["outputs"] == 1
    assert weights.settings["outputs"] == ["hemorrhage"]
    assert {"suspected_threshold", "suspected_ml", "scan_temperature", "scan_bias"} <= weights.settings.keys()
    told = weights.card["metrics"]["validation_after_calibration"]
    assert (told["heads_with_blood"], told["heads_without_blood"], told["healthy_heads"]) == (3, 2, 1)
    assert told["share_suspected_of_healthy"] == 0


def test_one_network_for_all_classes(cases: Path, tmp_path: Path) -> None:
    fit(tiny_patches(networks=("single",)), cases, tmp_path / "out", machine=EACH_STEP)
    weights = finish_patches(tmp_path / "out", cases, name="single-tiny")
    assert (weights.settings["outputs"], weights.network_config["outputs"]) == (["single"], 1)
    assert weights.card["metrics"]["validation_after_calibration"][0]["heads"] == 3


def test_without_heads_to_validate_nothing_is_calibrated(tmp_path: Path) -> None:
    folder = write_patches(tmp_path / "cases", validation=0)
    fit(tiny_patches(steps=2), folder, tmp_path / "out", machine=EACH_STEP)
    weights = finish_patches(tmp_path / "out", folder, name="tiny")
    assert weights.settings["calibrated_on"] == UNCALIBRATED
    assert weights.settings["thresholds"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_the_systems_make_the_masks_that_were_chosen(system: str, cases: Path, tmp_path: Path) -> None:
    """They take the settings as they are, and mark in a head what the operating point was judged by."""
    recipe = tiny_patches(system, steps=2)
    fit(recipe, cases, tmp_path / "out", machine=EACH_STEP)
    weights = finish_patches(tmp_path / "out", cases, name="tiny")
    config = {"volumetry": volumetry, "hemorrhage": hemorrhage}[system].config_of(
        weights.settings, weights.network_config
    )
    index = read_patch_index(cases)
    case = load_patch_cases(index, index.of("validation"))[0]
    region = region_of(case.marks, recipe.system)
    random = np.random.default_rng(1)
    chances = (random.random((len(recipe.networks), *region.shape)) * region).astype(np.float16)
    point = PatchPoint(tuple(0.5 for _ in recipe.networks), tuple(0.1 for _ in recipe.networks), 1.0)
    config = replace(config, thresholds=point.thresholds, least_ml=point.least_ml, smooth_mm=point.smooth_mm)
    masks = masks_of(JudgedCase(case, chances), point, recipe.system)
    assert masks[0].any()
    np.testing.assert_array_equal(marked(chances.astype(np.float32), region, case.geometry, config), masks)


def test_refuses_cases_of_another_kind(cases: Path, whole: Path, tmp_path: Path) -> None:
    recipe = tiny_patches()
    other = replace(recipe.phantoms, setting=PAPER_PATCHES)
    with pytest.raises(BadRequest, match="not the pictures"):
        fit(tiny_patches(phantoms=other), cases, tmp_path / "out", machine=EACH_STEP)
    with pytest.raises(BadRequest, match="another recipe"):
        fit(tiny_patches(seed=8), cases, whole, resume=True, machine=EACH_STEP)
    with pytest.raises(UnreadableInput, match="no readable index"):
        fit(recipe, tmp_path, tmp_path / "out", machine=EACH_STEP)
    shared = write_patches(tmp_path / "shared", training=3, validation=1)
    index = (shared / "cases.json").read_text()
    (shared / "cases.json").write_text(index.replace('"patient": "p3"', '"patient": "p0"'))
    with pytest.raises(BadRequest, match="1 patients"):
        fit(recipe, shared, tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadRequest, match="look for: intermediate, subtle"):
        fit(recipe, write_patches(tmp_path / "few", training=1, validation=1), tmp_path / "out", machine=EACH_STEP)


@pytest.mark.slow
def test_learns_what_is_plain(tmp_path: Path) -> None:
    """Each network finds the dark spots of its class, that for blood the dense ones, and nothing in healthy heads."""
    folder = write_patches(tmp_path / "cases", training=15, validation=10)
    varied = {"width": 0.15, "steps": 150, "batch": 4, "patches_a_head": 16, "validate_every": 75}
    for system in ("volumetry", "hemorrhage"):
        fit(tiny_patches(system, **varied), folder, tmp_path / system, machine=EACH_STEP)
        curve = read_curve(tmp_path / system)
        assert max(curve["val_auc"].values()) > 0.97
        metrics = finish_patches(tmp_path / system, folder, name="plain").card["metrics"]
        if system == "volumetry":
            assert min(row["mean_dice"] for row in metrics["validation_after_calibration"]) > 0.8
            assert metrics["validation_union"][3]["median_false_ml"] < 0.5
        else:
            assert metrics["validation_after_calibration"]["mean_dice"] > 0.8
            assert metrics["validation_after_calibration"]["share_suspected"] == 1

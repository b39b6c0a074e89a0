"""Training DA-Net: the curve, what is resumed, what comes out and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_regions import TINY, region_case, tiny_aspects, write_regions

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks.da_net import logits_of
from infarct.runtime import make_engine
from infarct.runtime.torch_module import torch_module
from infarct.training.aspects_finish import finish_aspects
from infarct.training.aspects_module import AspectsModule
from infarct.training.aspects_recipe import TOGETHER
from infarct.training.aspects_task import positive_share
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.curve import read_curve
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.training.pairs import PairDataset, affected_sides, pair_of
from infarct.training.region_store import load_region_cases, read_region_index
from infarct.weights import card_of, load_weights, save_weights

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch calibrate: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_regions(tmp_path_factory.mktemp("regions") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_aspects(), cases, output, machine=EACH_STEP)
    return output


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("killed_at_step", [4, 7])
def test_a_resumed_training_has_the_curve_of_a_whole_one(
    killed_at_step: int, cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the checkpoint of a validation (4) and of a step (6); dropout too is as it would have been."""
    take = PairDataset.__getitem__

    def taken(data: PairDataset, number: int) -> dict[str, dict[str, torch.Tensor]]:
        if number >= 2 * killed_at_step:
            raise Killed
        return take(data, number)

    with monkeypatch.context() as patched:
        patched.setattr(PairDataset, "__getitem__", taken)
        with pytest.raises(Killed):
            fit(tiny_aspects(), cases, tmp_path / "out", machine=EACH_STEP)
    torch.manual_seed(1)  # what went before must not matter
    fit(tiny_aspects(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    a, b = read_curve(tmp_path / "out"), read_curve(whole)
    assert a.keys() == b.keys()
    assert len(b["loss"]) == 8
    for name in b:
        if name != "epoch":
            np.testing.assert_allclose(list(a[name].values()), list(b[name].values()), atol=1e-6)
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (tmp_path / "out", whole))
    for name, tensor in last_b["state_dict"].items():
        torch.testing.assert_close(last_a["state_dict"][name], tensor, atol=1e-6, rtol=0)


def test_the_averages_hold_what_batch_normalisation_counted(whole: Path) -> None:
    state = torch.load(whole / LAST, weights_only=True)["state_dict"]
    counted = [name for name in state if name.startswith("average.module.") and name.endswith(".variance")]
    assert counted
    for name in counted:
        own = state[name.replace("average.module.", "network.")]
        assert not torch.equal(state[name], torch.ones_like(own))
        assert not torch.equal(state[name], own)


def test_a_checkpoint_tells_what_it_was_trained_on(whole: Path) -> None:
    about = torch.load(whole / BEST, weights_only=True)["infarct"]
    assert {key: value for key, value in about["data"].items() if key != "digest"} == {
        "kind": "phantoms",
        "training_cases": 4,
        "training_cases_with_affected": 2,
        "validation_cases": 3,
        "validation_cases_with_affected": 2,
    }
    assert {"val_auc", "val_auc_cortical", "val_balanced_accuracy_subcortical", "val_loss"} <= about[
        "validation"
    ].keys()


def test_the_weights_hold_both_models_calibrated(cases: Path, whole: Path, tmp_path: Path) -> None:
    weights = load_weights(save_weights(finish_aspects(whole, cases, name="aspects-tiny"), tmp_path / "w.safetensors"))
    assert (weights.system, weights.network) == ("aspects", "da_net")
    groups = {group["name"]: group for group in weights.settings["groups"]}
    assert [len(group["regions"]) for group in groups.values()] == [6, 4]
    assert weights.settings["input"] == json.loads(json.dumps(weights.card["recipe"]["phantoms"]["setting"]))
    assert weights.settings["calibrated_on"] == "3 phantoms"
    assert all(0 <= group["threshold"] <= 1 and group["temperature"] > 0 for group in groups.values())
    rows = weights.card["metrics"]["validation_after_calibration"]
    assert [(row["group"], row["sides"]) for row in rows] == [("cortical", 36), ("subcortical", 24)]
    assert len(weights.card["metrics"]["validation_by_region"]) == 10
    assert weights.card["training"]["patches_seen"] == 2 * 2 * 2 * weights.card["training"]["steps"]
    assert "validation after calibration" in card_of(weights).markdown()
    state = torch.load(whole / BEST, weights_only=True)["state_dict"]
    for group in groups:
        part = weights.part(group)
        name = next(key for key in part.tensors if key.endswith("across.weight"))
        np.testing.assert_allclose(part.tensors[name], state[f"average.module.{group}.{name}"], atol=1e-3)
        assert torch_module(part)
    with pytest.raises(BadRequest, match="no network"):
        weights.part("all")


def test_the_engine_runs_what_was_validated(cases: Path, whole: Path) -> None:
    """The exported network answers as the averaged one in the checkpoint, up to float16."""
    weights = finish_aspects(whole, cases, name="aspects-tiny")
    recipe = tiny_aspects()
    module = AspectsModule(recipe, positive_share={}, validation=(), about={})
    module.load_state_dict(torch.load(whole / BEST, weights_only=True)["state_dict"])
    module.eval()
    case = region_case(11, ill=True)
    for group, regions in recipe.groups.items():
        pair = pair_of(case, regions[0], TINY)[None]
        engine = make_engine(weights.part(group), device="cpu", threads=1)
        with torch.no_grad():
            expected = logits_of(module.best_network[group](torch.from_numpy(pair)))  # type: ignore[index]
        np.testing.assert_allclose(engine.run(pair).mean(axis=(2, 3, 4)), expected, atol=5e-3)


def test_without_validation_cases_nothing_is_calibrated(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "cases", validation=0)
    fit(tiny_aspects(steps=2), folder, tmp_path / "out", machine=EACH_STEP)
    weights = finish_aspects(tmp_path / "out", folder, name="aspects-tiny")
    assert weights.settings["calibrated_on"] == UNCALIBRATED
    assert [group["threshold"] for group in weights.settings["groups"]] == [0.5, 0.5]


def test_refuses_cases_of_another_kind_or_grid(cases: Path, whole: Path, tmp_path: Path) -> None:
    other = replace(tiny_aspects().phantoms, setting=replace(TINY, patch_zyx=(3, 9, 7)))
    with pytest.raises(BadRequest, match="grid"):
        fit(tiny_aspects(phantoms=other), cases, tmp_path / "out", machine=EACH_STEP)
    with pytest.raises(BadRequest, match="another recipe"):
        fit(tiny_aspects(seed=8), cases, whole, resume=True, machine=EACH_STEP)
    index = json.loads((cases / "cases.json").read_text())
    (tmp_path / "mixed").mkdir()
    index["cases"][0]["patient"] = index["cases"][-1]["patient"]
    (tmp_path / "mixed" / "cases.json").write_text(json.dumps(index))
    for case in cases.glob("*.npz"):
        (tmp_path / "mixed" / case.name).write_bytes(case.read_bytes())
    with pytest.raises(BadRequest, match="1 patients"):
        fit(tiny_aspects(), tmp_path / "mixed", tmp_path / "out", machine=EACH_STEP)
    index["cases"] = [{**case, "voxels": [1, 2, 3, 4]} for case in index["cases"]]
    for case in index["cases"]:
        del case["affected"]
    (tmp_path / "mixed" / "cases.json").write_text(json.dumps(index))
    with pytest.raises(UnreadableInput, match="index"):
        fit(tiny_aspects(), tmp_path / "mixed", tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()


def test_refuses_a_damaged_case(tmp_path: Path) -> None:
    folder = write_regions(tmp_path / "cases")
    index = read_region_index(folder)
    (folder / "1.npz").write_bytes((folder / "1.npz").read_bytes()[:200])
    with pytest.raises(UnreadableInput, match="damaged"):
        load_region_cases(index, index.of("train"))


def test_large_cases_are_mapped(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read_region_index(cases)
    plain = load_region_cases(index, index.of("train"))
    monkeypatch.setattr("infarct.training.region_store.MEMORY_GB", 0.0)
    mapped = load_region_cases(index, index.of("train"))
    for one, other in zip(plain, mapped, strict=True):
        assert isinstance(other.input.image, np.memmap)
        np.testing.assert_array_equal(pair_of(one, "M3", TINY), pair_of(other, "M3", TINY))


def test_positive_share_by_hand(cases: Path) -> None:
    """Two ill cases of four: the affected sides of caudate and insula among eight sides each."""
    index = read_region_index(cases)
    training = load_region_cases(index, index.of("train"))
    affected = sum(affected_sides(case, region).sum() for case in training for region in ("C", "I"))
    assert positive_share(training, ["C", "I"]) == affected / 16


@pytest.mark.slow
def test_learns_what_is_plain(tmp_path: Path) -> None:
    """Dark boxes against light ones: the loss falls and the validation ranks nearly all sides rightly."""
    folder = write_regions(tmp_path / "cases", training=8, validation=4)
    recipe = tiny_aspects(
        steps=150, batch=8, validate_every=150, groups=dict(TOGETHER), learning_rate=1e-2, average_decay=0.9
    )
    fit(recipe, folder, tmp_path / "out", machine=EACH_STEP)
    curve = read_curve(tmp_path / "out")
    losses = list(curve["loss"].values())
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])
    assert max(curve["val_auc_all"].values()) > 0.95

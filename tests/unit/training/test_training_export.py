"""From a training to weights that load, run and tell where they come from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_blobs import tiny_recipe, write_blobs

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks import build
from infarct.runtime import make_engine
from infarct.systems.segment import config_of
from infarct.training.calibrate import OperatingPoint
from infarct.training.export import export_checkpoint
from infarct.training.finish import finish
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.training.recipe import ABOUT
from infarct.weights import card_of, load_weights, save_weights

CPU = Machine(accelerator="cpu", devices=1, quiet=True)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("blobs") / "cases")


@pytest.fixture(scope="module")
def trained(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained") / "out"
    fit(tiny_recipe(), cases, output, machine=CPU)
    return output


def test_exports_the_averaged_weights(trained: Path) -> None:
    state = torch.load(trained / LAST, weights_only=True)["state_dict"]
    weights = export_checkpoint(trained / LAST, name="tiny")
    fresh = build("se_res_unet", tiny_recipe().network_config).state_dict()
    assert weights.tensors.keys() == fresh.keys()
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(tensor, state[f"average.module.{name}"].half().numpy())
    assert any((state[f"average.module.{name}"] != state[f"network.{name}"]).any() for name in fresh)


def test_exports_the_network_where_nothing_is_averaged(cases: Path, tmp_path: Path) -> None:
    fit(tiny_recipe(average_decay=None, steps=2), cases, tmp_path / "out", machine=CPU)
    state = torch.load(tmp_path / "out" / LAST, weights_only=True)["state_dict"]
    for name, tensor in export_checkpoint(tmp_path / "out" / LAST, name="tiny").tensors.items():
        np.testing.assert_array_equal(tensor, state[f"network.{name}"].half().numpy())


def test_weights_survive_the_disk_and_run(trained: Path, tmp_path: Path) -> None:
    weights = load_weights(save_weights(export_checkpoint(trained / BEST, name="tiny"), tmp_path / "tiny.safetensors"))
    config = config_of(weights.settings, outputs=2)
    assert (config.tile_zyx, config.temperature, config.threshold) == ((4, 12, 12), (1.0, 1.0), (0.5, 0.5))
    assert (config.minimum_ml, config.calibrated_on, config.input.name) == (0.0, "nothing", "everyday")
    logits = make_engine(weights, engine="torch", device="cpu").run(np.zeros((1, 2, 4, 12, 12), np.float32))
    assert logits.shape == (1, 2, 4, 12, 12)


def test_an_output_that_nothing_taught_is_left_out(cases: Path, tmp_path: Path) -> None:
    """Weights trained on masks of acute infarcts alone do not claim to know old ones."""
    checkpoint = tmp_path / "last.ckpt"
    fit(tiny_recipe(steps=2), cases, tmp_path / "out", machine=CPU)
    stored = torch.load(tmp_path / "out" / LAST, weights_only=True)
    both = export_checkpoint(tmp_path / "out" / LAST, name="tiny")
    stored[ABOUT]["data"]["training_cases_with_old"] = 0
    torch.save(stored, checkpoint)
    alone = load_weights(save_weights(export_checkpoint(checkpoint, name="tiny"), tmp_path / "tiny.safetensors"))
    config = config_of(alone.settings, outputs=1)
    assert (config.temperature, config.threshold) == ((1.0,), (0.5,))
    batch = np.random.default_rng(0).normal(size=(1, 2, 4, 12, 12)).astype(np.float32)
    answers = [make_engine(weights, engine="torch", device="cpu").run(batch) for weights in (both, alone)]
    assert answers[1].shape == (1, 1, 4, 12, 12)
    np.testing.assert_allclose(answers[1][:, 0], answers[0][:, 0], atol=1e-6)


def test_the_card_tells_where_weights_come_from(trained: Path) -> None:
    card = export_checkpoint(trained / LAST, name="tiny", card={"summary": "Made up."}).card
    assert card["summary"] == "Made up."
    assert card["data"]["training_cases"] == 2
    assert card["recipe"]["seed"] == 7
    assert card["training"]["steps"] == card["training"]["of_steps"] == 12
    assert card["training"]["patches_seen"] == 24
    assert card["training"]["processor"]
    assert card["metrics"]["validation_while_training"]["cases"] == 2
    assert str(trained) not in json.dumps(card)
    assert (
        "Made up." in card_of(export_checkpoint(trained / LAST, name="tiny", card={"summary": "Made up."})).markdown()
    )


@pytest.mark.parametrize("knows_old", [True, False])
def test_finish_calibrates_the_best_checkpoint_on_validation_cases(
    knows_old: bool, trained: Path, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)  # torch: converting takes longer than this
    monkeypatch.setattr("infarct.training.finish.knows_old", lambda _: knows_old)
    weights = finish(trained, cases, name="tiny")
    best = export_checkpoint(trained / BEST, name="tiny")
    outputs = 2 if knows_old else 1
    for name, tensor in best.tensors.items():
        expected = tensor[:outputs] if name.startswith("head.") else tensor
        np.testing.assert_array_equal(weights.tensors[name], expected)
    assert weights.settings["calibrated_on"] == "2 cases"
    assert len(weights.settings["temperature"]) == weights.network_config["out_channels"] == outputs
    assert weights.settings["temperature"] != best.settings["temperature"][:outputs]
    told = weights.card["metrics"]["validation_after_calibration"]
    assert (told["cases_with_acute"], told["cases_without_acute"]) == (1, 1)
    assert 0 <= told["mean_dice"] <= 1


def test_takes_an_operating_point(trained: Path) -> None:
    point = OperatingPoint((1.5, 2.0), (0.4, 0.6), 0.25, "60 cases")
    config = config_of(export_checkpoint(trained / LAST, name="tiny", point=point).settings, outputs=2)
    assert (config.temperature, config.threshold) == ((1.5, 2.0), (0.4, 0.6))
    assert (config.minimum_ml, config.calibrated_on) == (0.25, "60 cases")


def test_refuses_other_files(tmp_path: Path, cases: Path) -> None:
    with pytest.raises(BadRequest, match="no checkpoint"):
        finish(tmp_path, cases, name="tiny")
    path = tmp_path / "x.ckpt"
    for content in (b"", b"nothing of the kind"):
        path.write_bytes(content)
        with pytest.raises(UnreadableInput, match="cannot be read"):
            export_checkpoint(path, name="tiny")
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UnreadableInput, match="no checkpoint"):
        export_checkpoint(path, name="tiny")
    with pytest.raises(UnreadableInput, match="cannot be read"):
        export_checkpoint(tmp_path / "missing.ckpt", name="tiny")


class Evil:
    """Unpickled, it would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    torch.save({"infarct": Evil(), "state_dict": {}}, tmp_path / "evil.ckpt")
    with pytest.raises(UnreadableInput, match="cannot be read"):
        export_checkpoint(tmp_path / "evil.ckpt", name="tiny")


@pytest.mark.parametrize(
    ("claim", "kind", "with_plan"),
    [({"cohort": True}, "scans of the user's cohort", False), ({"thin_share": 1.0}, "phantoms", True)],
)
def test_the_plan_of_phantoms_is_told_of_weights_from_phantoms_only(
    claim: dict[str, object], kind: str, with_plan: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)
    folder = write_blobs(tmp_path / "cases")
    (folder / "prepared.json").write_text(json.dumps(claim))
    fit(tiny_recipe(steps=2), folder, tmp_path / "out", machine=CPU)
    card = finish(tmp_path / "out", folder, name="tiny").card
    assert card["data"]["kind"] == kind
    assert ("phantoms" in card["recipe"]) == with_plan

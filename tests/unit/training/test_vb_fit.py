"""Training the cascade: the curve, what is resumed, what comes out and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_heads import SHAPE, TINY_CASCADE, head_case, tiny_vb, write_heads
from prepared_regions import TINY

from infarct.errors import BadRequest, UnreadableInput
from infarct.runtime import make_engine
from infarct.systems.region_cascade import Cascade
from infarct.systems.regions_vbnet import load_drawer
from infarct.training.curve import read_curve
from infarct.training.fit import BEST, LAST, Machine, fit
from infarct.training.region_store import load_region_cases, read_region_index
from infarct.training.vb_data import HeadDataset
from infarct.training.vb_finish import finish_regions, metrics_of
from infarct.training.vb_module import HeadScore, VbModule, region_dices, score_head, summary_of
from infarct.training.vb_recipe import STAGES, network_of
from infarct.training.vb_store import load_heads
from infarct.weights import card_of, load_weights, save_weights

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch measure the weights: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("heads") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_vb(), cases, output, machine=EACH_STEP)
    return output


class Killed(Exception):
    """Stands for a kill."""


def test_a_resumed_training_has_the_curve_of_a_whole_one(
    cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in step 7, after the checkpoint of step 6."""
    take = HeadDataset.__getitem__

    def taken(data: HeadDataset, number: int) -> dict[str, dict[str, torch.Tensor]]:
        if number >= 14:
            raise Killed
        return take(data, number)

    with monkeypatch.context() as patched:
        patched.setattr(HeadDataset, "__getitem__", taken)
        with pytest.raises(Killed):
            fit(tiny_vb(), cases, tmp_path / "out", machine=EACH_STEP)
    fit(tiny_vb(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    a, b = read_curve(tmp_path / "out"), read_curve(whole)
    assert a.keys() == b.keys()
    for name in b:
        if name != "epoch":
            np.testing.assert_allclose(list(a[name].values()), list(b[name].values()), atol=1e-6)
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (tmp_path / "out", whole))
    for name, tensor in last_b["state_dict"].items():
        torch.testing.assert_close(last_a["state_dict"][name], tensor, atol=1e-6, rtol=0)


def test_the_weights_hold_both_networks_and_run(cases: Path, whole: Path, tmp_path: Path) -> None:
    path = save_weights(finish_regions(whole, cases, name="regions-tiny"), tmp_path / "w.safetensors")
    weights = load_weights(path)
    assert (weights.system, weights.network) == ("regions", "vb_net")
    assert weights.settings["trained_on"] == "phantoms"
    card = weights.card
    assert card["metrics"]["validation_of_the_cascade"]["cases"] == 2
    assert [row["cases"] for row in card["metrics"]["validation_by_region"]] == [2] * 20
    assert card["training"]["patches_seen"] == 2 * 2 * card["training"]["steps"]
    assert {"val_dice", "val_worst_dice", "val_brain_dice"} <= card["metrics"]["validation_while_training"].keys()
    assert "validation by region" in card_of(weights).markdown()
    drawer = load_drawer(path, device="cpu", engine="torch", threads=1)
    assert (drawer.cascade.setting, drawer.grid) == (tiny_vb().cascade, TINY)


def test_the_engines_run_what_was_validated(cases: Path, whole: Path) -> None:
    """The exported networks answer as the averaged ones in the checkpoint, up to float16."""
    weights = finish_regions(whole, cases, name="regions-tiny")
    module = VbModule(tiny_vb(), validation=(), about={})
    module.load_state_dict(torch.load(whole / BEST, weights_only=True)["state_dict"])
    module.eval()
    batch = HeadDataset([head_case(5)], tiny_vb())[0]
    for stage in STAGES:
        channels = batch[stage]["channels"][None]
        with torch.no_grad():
            expected = module.best_network[stage](channels)  # type: ignore[index]
        engine = make_engine(weights.part(stage), device="cpu", threads=1)
        np.testing.assert_allclose(engine.run(channels.numpy()), expected, atol=2e-2)


def test_scores_by_hand() -> None:
    """Region 1: half of it found, 2 / 3; region 12 not there; of the others nothing, in truth or answer."""
    truth, answer = np.zeros((1, 1, 6), np.uint8), np.zeros((1, 1, 6), np.uint8)
    truth[0, 0, :2], answer[0, 0, 0], answer[0, 0, 4] = 1, 1, 12
    dices = region_dices(answer, truth)
    assert dices[0] == pytest.approx(2 / 3)
    assert np.isnan(dices[1:]).all()
    other = (1.0, *[float("nan")] * 9, 0.5, *[float("nan")] * 9)
    scores = [HeadScore(dices, 0.5), HeadScore(other, 1.0)]
    summary = summary_of(scores)
    assert summary["val_dice_C"] == pytest.approx((2 / 3 + 1 + 0.5) / 3)
    assert (summary["val_score"], summary["val_brain_dice"]) == (summary["val_dice"], 0.75)
    rows = metrics_of(scores)["validation_by_region"]
    assert rows[0] == {"region": "C", "side": "right", "cases": 2, "mean_dice": 0.8333, "lowest_dice": 0.6667}
    assert rows[1]["mean_dice"] is None


def test_a_cascade_that_finds_nothing_scores_0() -> None:
    class Blank:
        name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

        def run(self, batch: np.ndarray) -> np.ndarray:
            answer = np.zeros((1, 12, *batch.shape[2:]), np.float32)
            answer[:, 0] = 20
            return answer

    score = score_head(Cascade(Blank(), Blank(), tiny_vb().cascade), head_case(0))  # type: ignore[arg-type]
    assert (score.dice, score.brain) == ((0.0,) * 20, 0.0)
    assert metrics_of([score])["validation_of_the_cascade"]["cases_without_any_region_found"] == 1


def test_refuses_cases_of_another_grid_and_old_ones(cases: Path, tmp_path: Path) -> None:
    other = replace(tiny_vb().phantoms, setting=replace(TINY, margin_mm=3.0))
    with pytest.raises(BadRequest, match="grid"):
        fit(tiny_vb(phantoms=other), cases, tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()
    index = read_region_index(write_heads(tmp_path / "old"))
    with np.load(tmp_path / "old" / "0.npz") as stored:
        kept = {name: stored[name] for name in stored if name != "true_regions"}
    np.savez(tmp_path / "old" / "0.npz", **kept)
    assert load_region_cases(index, index.of("train"))  # DA-Net can go on with them
    with pytest.raises(UnreadableInput, match="older version"):
        fit(tiny_vb(), tmp_path / "old", tmp_path / "out", machine=EACH_STEP)


def test_cases_are_read_as_they_were_written(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read_region_index(cases)
    one = load_heads(index, index.of("train"))[1]
    monkeypatch.setattr("infarct.training.vb_store.MEMORY_GB", 0.0)
    mapped = load_heads(index, index.of("train"))[1]
    assert isinstance(mapped.image, np.memmap)
    for case in (one, mapped):
        for name in ("image", "regions", "intracranial", "to_atlas"):
            np.testing.assert_array_equal(getattr(case, name), getattr(head_case(1), name))
        assert case.regions.shape == SHAPE
    assert json.loads((cases / "cases.json").read_text())["setting"]["name"] == "tiny"


@pytest.mark.slow
def test_learns_to_draw_what_is_plain(tmp_path: Path) -> None:
    """Boxes told apart by grey and place, in heads that were not trained on, by the whole cascade."""
    folder = write_heads(tmp_path / "cases", training=6, validation=3)
    cascade = replace(TINY_CASCADE, prior=False)  # the boxes do not lie where the atlas has regions
    network = network_of(
        cascade, base=8, reduction=1, strides=((1, 2, 2), (1, 2, 2)), blocks=(1, 1, 1), normalisation="instance"
    )
    recipe = tiny_vb(cascade=cascade, network_config=network, steps=150, learning_rate=1e-2, average_decay=0.9)
    fit(replace(recipe, validate_every=150), folder, tmp_path / "out", machine=EACH_STEP)
    curve = read_curve(tmp_path / "out")
    assert curve["val_dice"][149] > 0.9
    assert curve["val_brain_dice"][149] > 0.9

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_blobs import tiny_recipe, write_blobs

from infarct.errors import BadRequest
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.curve import read_curve
from infarct.training.finish import finish
from infarct.training.fit import BEST, LAST, Machine, fit, usable_precision
from infarct.training.recipe import recipe_of
from infarct.training.sampler import PatchDataset
from infarct.training.segment_task import positive_share
from infarct.training.store import read_index

EACH_STEP = Machine(accelerator="cpu", devices=1, log_every=1)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("blobs") / "cases")


@pytest.fixture(scope="module")
def whole(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a training that was not interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out"
    fit(tiny_recipe(), cases, output, machine=EACH_STEP)
    return output


def losses(output: Path) -> list[float]:
    return list(read_curve(output)["loss"].values())


class Killed(Exception):
    """Stands for a kill."""


def train_until(cases: Path, output: Path, *, patch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a patch of that number is asked for."""
    take = PatchDataset.__getitem__

    def taken(dataset: PatchDataset, number: int) -> dict[str, torch.Tensor]:
        if number >= patch:
            raise Killed
        return take(dataset, number)

    with monkeypatch.context() as patched:
        patched.setattr(PatchDataset, "__getitem__", taken)
        with pytest.raises(Killed):
            fit(tiny_recipe(), cases, output, machine=EACH_STEP)


@pytest.mark.parametrize("killed_at_step", [2, 7, 8])
def test_a_resumed_training_has_the_curve_of_a_whole_one(
    killed_at_step: int, cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the first checkpoint; after one of a step (6); and after one of a validation (8)."""
    output = tmp_path / "out"
    train_until(cases, output, patch=2 * killed_at_step, monkeypatch=monkeypatch)
    fit(tiny_recipe(), cases, output, resume=True, machine=EACH_STEP)
    assert len(losses(whole)) == 12
    np.testing.assert_allclose(losses(output), losses(whole), atol=1e-6)
    a, b = read_curve(output), read_curve(whole)
    assert a.keys() == b.keys()
    for name in ("val_loss", "val_dice", "val_score", "val_false_ml", "rate"):
        np.testing.assert_allclose(list(a[name].values()), list(b[name].values()), atol=1e-6)
    last_a, last_b = (torch.load(path / LAST, weights_only=True) for path in (output, whole))
    for name, tensor in last_b["state_dict"].items():
        torch.testing.assert_close(last_a["state_dict"][name], tensor, atol=1e-6, rtol=0)


def test_validates_on_schedule_and_keeps_best_and_last(cases: Path, whole: Path) -> None:
    scores = read_curve(whole)["val_score"]
    assert list(scores) == [3, 7, 11]
    best = torch.load(whole / BEST, weights_only=True)
    assert best["global_step"] - 1 == max(scores, key=lambda step: (scores[step], -step))
    last = torch.load(whole / LAST, weights_only=True)
    assert last["global_step"] == 12
    about = last["infarct"]
    assert recipe_of(about["recipe"]) == recipe_of(json.loads((whole / "recipe.json").read_text())) == tiny_recipe()
    assert about["data"] == {
        "kind": "cases",
        "digest": hashlib.sha256((cases / "cases.json").read_bytes()).hexdigest(),
        "training_cases": 2,
        "training_cases_with_acute": 1,
        "training_cases_with_old": 1,
        "validation_cases": 2,
    }
    assert about["machine"]["precision"] == "fp32"


def test_writes_a_tensorboard_log(whole: Path) -> None:
    assert list(whole.glob("logs/tensorboard/*/events.out.tfevents.*"))


def test_refuses_an_output_in_use_and_another_recipe(cases: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="not empty"):
        fit(tiny_recipe(), cases, whole, machine=EACH_STEP)
    with pytest.raises(BadRequest, match="another recipe"):
        fit(tiny_recipe(seed=8), cases, whole, resume=True, machine=EACH_STEP)
    wrong = {**tiny_recipe().network_config, "in_channels": 1}
    with pytest.raises(BadRequest, match="channels"):
        fit(tiny_recipe(network_config=wrong), cases, tmp_path / "out", machine=EACH_STEP)
    assert not (tmp_path / "out").exists()


def test_refuses_to_go_on_with_other_cases(cases: Path, whole: Path, tmp_path: Path) -> None:
    others = write_blobs(tmp_path / "cases", training=3)
    with pytest.raises(BadRequest, match="other cases"):
        fit(tiny_recipe(), others, whole, resume=True, machine=EACH_STEP)
    assert fit(tiny_recipe(), cases, whole, resume=True, machine=EACH_STEP) == whole / LAST


def test_an_interruption_leaves_the_recipe_whole(
    cases: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    shutil.copytree(whole, output)
    before = (output / "recipe.json").read_text()

    def cut_short(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", cut_short)
        with pytest.raises(Killed):
            fit(tiny_recipe(), cases, output, resume=True, machine=EACH_STEP)
    assert (output / "recipe.json").read_text() == before


def test_refuses_patients_in_both_roles(tmp_path: Path) -> None:
    folder = write_blobs(tmp_path / "cases")
    index = json.loads((folder / "cases.json").read_text())
    index["cases"][0]["patient"] = index["cases"][2]["patient"]
    (folder / "cases.json").write_text(json.dumps(index))
    with pytest.raises(BadRequest, match="1 patients"):
        fit(tiny_recipe(), folder, tmp_path / "out", machine=EACH_STEP)


def test_positive_share_counts_the_brain_or_all(cases: Path) -> None:
    training = read_index(cases).of("train")
    totals = np.sum([case.voxels for case in training], axis=0)
    recipe = tiny_recipe()
    np.testing.assert_allclose(positive_share(training, recipe), totals[2:] / totals[1:].sum())
    whole_image = replace(recipe, loss=replace(recipe.loss, inside_brain=False))
    np.testing.assert_allclose(positive_share(training, whole_image), totals[2:] / totals.sum())


def test_trains_without_validation_cases(tmp_path: Path) -> None:
    folder = write_blobs(tmp_path / "cases", validation=0)
    assert fit(tiny_recipe(steps=4), folder, tmp_path / "out", machine=EACH_STEP) == tmp_path / "out" / LAST
    assert not (tmp_path / "out" / BEST).exists()
    assert finish(tmp_path / "out", folder, name="tiny").settings["calibrated_on"] == UNCALIBRATED


def test_bf16_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for able in (True, False):
        monkeypatch.setattr("infarct.training.fit.computes_in_bf16", lambda able=able: able)
        assert usable_precision("bf16", "cpu") == ("bf16" if able else "fp32")
        assert usable_precision("fp32", "cpu") == "fp32"
        assert usable_precision("bf16", "gpu") == "bf16"


KILLED = """
import os
import sys
from pathlib import Path
from infarct.training.finish import finish
from infarct.training.fit import Machine, fit
from infarct.training.sampler import PatchDataset
from prepared_blobs import tiny_recipe
take = PatchDataset.__getitem__
PatchDataset.__getitem__ = lambda dataset, number: os._exit(9) if number >= 14 else take(dataset, number)
fit(tiny_recipe(), Path(sys.argv[1]), Path(sys.argv[2]), machine=Machine(accelerator="cpu", devices=1, log_every=1))
"""


def run_script(code: str, path: Path, *words: Path) -> subprocess.CompletedProcess[str]:
    path.write_text(code)
    given = [sys.executable, str(path), *map(str, words)]
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(given, capture_output=True, text=True, check=False, env=around)


CUT_BY_PROCESSES = """
import sys
from pathlib import Path
from infarct.training.fit import Machine, fit
from prepared_blobs import tiny_recipe
machine = Machine(accelerator="cpu", devices=1, log_every=1, workers=2, quiet=True)
fit(tiny_recipe(), Path(sys.argv[1]), Path(sys.argv[2]), machine=machine)
"""


def test_processes_that_cut_patches_change_nothing(cases: Path, whole: Path, tmp_path: Path) -> None:
    """They are forked, as a training by command does; a process that ran thousands of tests is none to fork."""
    done = run_script(CUT_BY_PROCESSES, tmp_path / "cut.py", cases, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(losses(tmp_path / "out"), losses(whole), atol=1e-6)


@pytest.mark.slow
def test_a_process_that_dies_leaves_what_is_needed_to_go_on(cases: Path, whole: Path, tmp_path: Path) -> None:
    """It ends at once in step 7, without closing anything; step 5 was the last before a checkpoint."""
    done = run_script(KILLED, tmp_path / "killed.py", cases, tmp_path / "out")
    assert done.returncode == 9, done.stderr
    fit(tiny_recipe(), cases, tmp_path / "out", resume=True, machine=EACH_STEP)
    np.testing.assert_allclose(losses(tmp_path / "out"), losses(whole), atol=1e-6)


TWO_DEVICES = """
import sys
from pathlib import Path
from infarct.training.finish import finish
from infarct.training.fit import Machine, fit
from prepared_blobs import tiny_recipe
cases, output, loss = Path(sys.argv[1]), Path(sys.argv[2]), tiny_recipe().loss
fit(
    {recipe},
    cases,
    output,
    machine=Machine(accelerator="cpu", devices={devices}, strategy="{strategy}", log_every=1, quiet=True),
)
"""
PLAIN = "tiny_recipe(batch={batch}, steps=6, loss=type(loss)(weighted=False, dice_over='patch'))"


@pytest.mark.slow
def test_two_devices_are_one_with_twice_the_batch(cases: Path, tmp_path: Path) -> None:
    """With a loss that is a mean over patches, the mean of two devices' gradients is that of one with both batches."""
    for name, batch, devices, strategy in (("one", 4, 1, "auto"), ("two", 2, 2, "ddp")):
        code = TWO_DEVICES.format(recipe=PLAIN.format(batch=batch), devices=devices, strategy=strategy)
        done = run_script(code, tmp_path / f"{name}.py", cases, tmp_path / name)
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / LAST, weights_only=True) for name in ("one", "two"))
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], tensor, atol=2e-4, rtol=0)
    assert two["infarct"]["devices"] == 2
    a, b = (read_curve(tmp_path / name) for name in ("one", "two"))
    for measure in ("val_dice", "val_false_ml"):  # the cases are shared between the devices, the summary is of all
        np.testing.assert_allclose(list(b[measure].values()), list(a[measure].values()), atol=1e-3)
    np.testing.assert_allclose(list(b["val_loss"].values()), list(a["val_loss"].values()), atol=1e-3)

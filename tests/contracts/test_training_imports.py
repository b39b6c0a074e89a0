"""From phantom to weight file on a bare GPU machine: no reader, no writer, no command line is installed there."""

import subprocess
import sys
from pathlib import Path

BARE = """
import importlib.metadata as metadata
import sys

BLOCKED = {"SimpleITK", "nibabel", "pydicom", "gdcm", "pydantic", "typer", "rich", "jinja2", "matplotlib", "openvino"}

sys.modules.update(dict.fromkeys(BLOCKED))  # as if they were not there, for imports and for those who ask first
installed = metadata.version

def version(name):  # torchmetrics and lightning ask what is installed before they import it
    if name in BLOCKED:
        raise metadata.PackageNotFoundError(name)
    return installed(name)

metadata.version = version
"""
TRAIN = """
import json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from infarct.phantom import draw
from infarct.training.cases import Prepared, prepare_phantom_cases, write_index
from infarct.training.finish import finish
from infarct.training.fit import Machine, fit
from infarct.training.recipe import PRESETS
from infarct.weights import save_weights

assert draw("acute", 1).name
folder = Path(sys.argv[1])
listed = []
for number, role in enumerate(("train", "validation")):
    random = np.random.default_rng(number)
    labels = np.zeros((14, 52, 52), np.uint8)
    labels[2:12, 6:46, 6:46] = 1
    labels[4:9, 10:20, 10:20] = 2
    own = random.normal(0, 0.2, labels.shape) - (labels == 2) - 1.7 * (labels == 0)
    channels = np.stack([own, own[:, :, ::-1]]).astype(np.float16)
    np.savez_compressed(
        folder / f"{number}.npz", channels=channels, labels=labels, about=json.dumps({}),
        spacing_mm_zyx=np.array([5, 2, 2], np.float32),
    )
    voxels = tuple(int(count) for count in np.bincount(labels.ravel(), minlength=4))
    listed.append(Prepared(f"{number}.npz", str(number), str(number), role, voxels))
recipe = replace(PRESETS["smoke"], steps=3, validate_every=3)
write_index(folder, recipe.phantoms.setting, listed)
fit(recipe, folder, folder / "out", machine=Machine(accelerator="cpu", devices=1))
weights = finish(folder / "out", folder, name="smoke", device="cpu")
print(save_weights(weights, folder / "smoke.safetensors").name)
"""


def test_trains_and_exports_where_only_torch_numpy_scipy_lightning_and_safetensors_are(tmp_path: Path) -> None:
    words = [sys.executable, "-c", BARE + TRAIN, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "smoke.safetensors"
    assert "step 3/3" in done.stderr


def test_aspects_and_regions_are_trained_there_too() -> None:
    names = ("region_cases", "aspects_task", "aspects_finish", "vb_task", "vb_finish", "radiomics_fit")
    modules = ", ".join(f"infarct.training.{name}" for name in names)
    words = [sys.executable, "-c", f"{BARE}\nimport {modules}\nprint('ready')"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ready\n"

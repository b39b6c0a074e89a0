"""Follow-up volume on a phantom, or a scan given: dense against patch by patch, and seconds of a whole scan.

The published network, with random weights (time does not depend on what it has learned), judges the brain of the
fullest slice patch by patch in plain torch, and densely in OpenVINO and torch. The largest difference of the
probabilities and the ratio of the times are told. So is what a whole scan takes: densely, in the box of the brain, and
patch by patch in the brain and in all voxels, the latter two reckoned from the time of a patch. Then the whole system
runs in a process of its own with the shipped weights: preparing the head, blood, and the infarct; reading the scan,
imports, loading and converting the weights are not counted.

Run: python bench/bench_volumetry.py [--threads N] [--scan INPUT]
"""

import argparse
import json
import math
import pickle
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from infarct.runtime.engine import available_cores

PATCHES_AT_ONCE = 512

COMPARE = """
import json, pickle, sys, time
from pathlib import Path
import numpy as np
folder, threads, precision = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
import torch
from infarct.networks import build
from infarct.pipeline import prepare_head
from infarct.preprocess.patch_input import PAPER_PATCHES, cut_patches
from infarct.runtime import make_engine
from infarct.runtime.slices import predict_slices
from infarct.systems.patch_maps import picture_of
from infarct.weights import WeightSet
torch.set_num_threads(threads)
torch.manual_seed(0)
config = {"images": 1, "width": 1.0, "outputs": 1}
network = build("patch_cnn", config).eval()
scan = pickle.loads((folder / "scan").read_bytes())
picture = picture_of(scan, prepare_head(scan), PAPER_PATCHES)
sizes = picture.brain.sum(axis=(1, 2))
middle = int(sizes.argmax())
one = np.zeros_like(picture.brain)
one[middle] = picture.brain[middle]
places = np.argwhere(one)
with torch.inference_mode():  # logits spread as those of a trained network, and the float16 that weights are kept in
    last = network.dense[-1]
    logits = network(torch.from_numpy(cut_patches(picture.images, places[:: len(places) // 1000])))
    last.weight *= 3 / logits.std()
    last.bias -= 3 * logits.mean() / logits.std()
    for values in network.parameters():
        values.copy_(values.half())
tensors = {name: values.numpy() for name, values in network.state_dict().items()}
weights = WeightSet("volumetry", "bench", "patch_cnn_dense", config, {}, tensors, {})
told = {"shape": list(picture.brain.shape), "voxels": len(places), "brain_voxels": int(sizes.sum())}
slow = []
begin = time.perf_counter()
with torch.inference_mode():
    for first in range(0, len(places), AT_ONCE):
        patches = cut_patches(picture.images, places[first : first + AT_ONCE])
        slow.append(torch.sigmoid(network(torch.from_numpy(patches))).numpy()[:, 0])
told["patches_s"] = time.perf_counter() - begin
slow = np.concatenate(slow)
for engine in ("openvino", "torch"):
    runner = make_engine(weights, device="cpu", engine=engine, precision=precision, threads=threads, cache=folder)
    predict_slices(runner, picture.images, one)
    begin = time.perf_counter()
    dense = predict_slices(runner, picture.images, one)
    told[engine + "_s"] = time.perf_counter() - begin
    told[engine + "_difference"] = float(np.abs(dense[0][one] - slow).max())
    begin = time.perf_counter()
    predict_slices(runner, picture.images, picture.brain)
    told[engine + "_scan_s"] = time.perf_counter() - begin
print(json.dumps(told))
""".replace("AT_ONCE", str(PATCHES_AT_ONCE))

WHOLE = """
import json, pickle, resource, sys, time
from pathlib import Path
folder, threads, precision = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
from infarct.pipeline import prepare_head
from infarct.systems.hemorrhage import find_hemorrhage, load_hemorrhage
from infarct.systems.volumetry import load_volumetry, measure_followup
common = {"device": "cpu", "precision": precision, "threads": threads, "cache": folder}
volumetry, detector = load_volumetry(**common), load_hemorrhage(**common)
scan = pickle.loads((folder / "scan").read_bytes())
times = [time.perf_counter()]
head = prepare_head(scan)
times.append(time.perf_counter())
blood = find_hemorrhage(scan, head, detector)
times.append(time.perf_counter())
measure_followup(scan, head, volumetry, blood)
times.append(time.perf_counter())
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"steps_s": [late - early for early, late in zip(times, times[1:])], "peak_mb": peak_mb}))
"""


def write_scan(folder: Path, source: Path | None) -> str:
    """Write a scan, or a phantom, as a pickle that our own processes alone read; return what it is called."""
    if source is not None:
        from infarct.readers import read_scan

        (folder / "scan").write_bytes(pickle.dumps(read_scan(source)))
        return "the scan given"
    from infarct.phantom import draw, render_ct

    patient = draw("followup", 0, "validation")
    (folder / "scan").write_bytes(pickle.dumps(render_ct(patient).scan(patient.name)))
    return patient.name


def measure(script: str, folder: Path, threads: int, precision: str) -> dict[str, Any]:
    """Run a script in a process of its own; return what it tells."""
    words = [sys.executable, "-W", "ignore", "-c", script, str(folder), str(threads), precision]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a measurement failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def precisions() -> list[str]:
    """Return what the processor computes in."""
    from infarct.training.processor import computes_in_bf16

    return ["fp32", "bf16"] if computes_in_bf16() else ["fp32"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--scan", type=Path, help="a scan of yours in place of the phantom")
    options = parser.parse_args()
    spawn = get_context("spawn")  # what this process has once taken would count as the peak of those it starts
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, mp_context=spawn) as other:
        folder = Path(name)
        patient = other.submit(write_scan, folder, options.scan).result()
        for precision in other.submit(precisions).result():
            row = measure(COMPARE, folder, options.threads, precision)
            if precision == "fp32":
                print(f"{patient}, {row['shape']}, {options.threads} threads; {row['voxels']} voxels of one slice:")
                print(f"  patch by patch, plain torch fp32: {row['patches_s']:.1f} s")
            for engine in ("openvino", "torch"):
                ratio = row["patches_s"] / row[f"{engine}_s"]
                difference = row[f"{engine}_difference"]
                print(
                    f"  dense, {engine} {precision}: {row[f'{engine}_s']:.2f} s, {ratio:.0f} times as fast, "
                    f"largest difference {difference:.1e}"
                )
            a_patch_s = row["patches_s"] / row["voxels"]
            brain_s, all_s = a_patch_s * row["brain_voxels"], a_patch_s * math.prod(row["shape"])
            for engine in ("openvino", "torch"):
                dense_s = row[f"{engine}_scan_s"]
                print(
                    f"  the whole scan, {engine} {precision}: {dense_s:.2f} s; patch by patch the brain would take "
                    f"{brain_s:.0f} s ({brain_s / dense_s:.0f} times), all voxels {all_s:.0f} s ({all_s / dense_s:.0f})"
                )
            done = measure(WHOLE, folder, options.threads, precision)
            prepare, blood, infarct = done["steps_s"]
            print(
                f"whole system, {precision}: {prepare + blood + infarct:.1f} s (head {prepare:.1f}, blood {blood:.1f}, "
                f"infarct {infarct:.1f}), peak {done['peak_mb']:.0f} MB"
            )


if __name__ == "__main__":
    main()

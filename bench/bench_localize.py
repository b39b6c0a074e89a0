"""Localize on one phantom of 5 mm: seconds of a whole scan, and patches a second against plain torch, as ratios.

Two networks: the paper's full tuned VGG16 on tiles of 15 to 22 pixels resized to 140, and the default one. Both have
random weights here: time does not depend on what a network has learned. Each of plain torch (default settings, fp32,
the same batches) and our engines (OpenVINO in fp32 and, where the processor has it, bf16) runs in a process of its own
on the tiles of that head. Imports, loading and conversion of the weights and a first batch are not counted. End to end
is preparing the head and localizing, without reading.

Run: python bench/bench_localize.py [--threads N] [--tiles N] [--network paper] [--precision bf16]
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from infarct.runtime.engine import available_cores

NETWORKS = {"paper": "full tuned VGG16, 140 pixels", "cpu": "default, 48 pixels"}
PLAIN = "plain torch"

RUN = """
import json, pickle, resource, sys, time
from pathlib import Path
import numpy as np
folder, preset, engine, precision, threads, most, whole = sys.argv[1:]
folder, threads, most = Path(folder), int(threads), int(most)
from infarct.weights import load_weights
from infarct.systems.localize import BATCH, CUT, Localizer, config_of, localize, picture_of, infarct_logits
from infarct.preprocess.tile_input import cut_tiles, tile_grid
from infarct.pipeline import prepare_head
weights = load_weights(folder / preset)
config = config_of(weights.settings, weights.network_config)
if engine == "plain torch":
    import torch
    from infarct.runtime.torch_module import torch_module
    torch.set_num_threads(threads)
    module = torch_module(weights)
    def run(batch):
        with torch.inference_mode():
            return module(torch.from_numpy(batch)).numpy()
else:
    from infarct.runtime import make_engine
    runner = make_engine(weights, device="cpu", engine=engine, precision=precision, threads=threads, cache=folder)
    run = runner.run
scan = pickle.loads((folder / "scan").read_bytes())
begin = time.perf_counter()
head = prepare_head(scan)
told = {"prepare_s": time.perf_counter() - begin}
localizer = Localizer(weights, None, config)
begin = time.perf_counter()
picture = picture_of(scan, head, localizer)
told["picture_s"] = time.perf_counter() - begin
places = tile_grid(picture)
told["tiles"] = len(places)
run(cut_tiles(picture, places[:BATCH]))
chosen = places[np.linspace(0, len(places) - 1, min(most, len(places))).astype(int)]
tiles = cut_tiles(picture, chosen)
begin = time.perf_counter()
logits = np.concatenate([infarct_logits(run(tiles[n : n + BATCH])) for n in range(0, len(tiles), BATCH)])
told["tiles_a_s"] = len(tiles) / (time.perf_counter() - begin)
np.save(folder / f"{preset} {engine} {precision}.npy", logits)
if whole == "whole":
    begin = time.perf_counter()
    localize(scan, head, Localizer(weights, runner, config))
    told["localize_s"] = time.perf_counter() - begin
told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(told))
"""


def write_input(folder: Path) -> None:
    """Write a phantom as a pickle, which is read by our own processes alone, and both networks with random weights."""
    from infarct.phantom import draw, render_ct
    from infarct.training.localize_recipe import LOCALIZE_PRESETS
    from infarct.training.localize_scores import TilePoint
    from infarct.training.module import fresh
    from infarct.weights import WeightSet, save_weights

    patient = next(
        patient
        for patient in (draw("hyperacute", number, "validation") for number in range(100))
        if patient.acute.thickness_mm == 5
    )
    (folder / "scan").write_bytes(pickle.dumps(render_ct(patient).scan(patient.name)))
    for preset in NETWORKS:
        recipe = LOCALIZE_PRESETS[preset]
        tensors = fresh(recipe.network, recipe.network_config, 0).state_dict()
        point = TilePoint()
        settings = {
            "input": recipe.as_data()["phantoms"]["setting"],
            "temperature": point.temperature,
            "bias": point.bias,
            "threshold": point.threshold,
            "whole_threshold": point.whole_threshold,
            "calibrated_on": "nothing",
        }
        arrays = {name: values.numpy() for name, values in tensors.items()}
        config = dict(recipe.network_config)
        save_weights(WeightSet("localize", "bench", recipe.network, config, settings, arrays, {}), folder / preset)


def measure(folder: Path, *words: str) -> dict[str, float]:
    """Run one engine in a process of its own; return what it tells."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(folder), *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def precisions() -> list[str]:
    """Return what the processor computes in."""
    from infarct.training.processor import computes_in_bf16

    return ["fp32", "bf16"] if computes_in_bf16() else ["fp32"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--tiles", type=int, default=512, help="tiles that speed is measured on")
    parser.add_argument(
        "--network", choices=list(NETWORKS), action="append", help="only this one; both where not given"
    )
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], action="append", help="of our engines; all if not given"
    )
    options = parser.parse_args()
    spawn = get_context("spawn")  # what this process has once taken would count as the peak of those it starts
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, mp_context=spawn) as other:
        folder = Path(name)
        other.submit(write_input, folder).result()
        known = other.submit(precisions).result()
        if options.precision and not set(options.precision) & set(known):
            raise SystemExit(f"this processor computes in {', '.join(known)} alone")
        for preset, label in NETWORKS.items():
            if preset not in (options.network or NETWORKS):
                continue
            common = str(options.threads), str(options.tiles)
            plain = measure(folder, preset, PLAIN, "fp32", *common, "speed")
            print(f"{label}: {plain['tiles']:.0f} tiles a scan, {options.threads} threads")
            print(f"  {PLAIN:15} {plain['tiles_a_s']:7.0f} tiles a second, {plain['peak_mb']:.0f} MB")
            for precision in known:
                if precision not in (options.precision or known):
                    continue
                row = measure(folder, preset, "openvino", precision, *common, "whole")
                whole_s = row["prepare_s"] + row["localize_s"]
                print(
                    f"  OpenVINO {precision:6} {row['tiles_a_s']:7.0f} tiles a second "
                    f"({row['tiles_a_s'] / plain['tiles_a_s']:.1f} times plain torch), {row['peak_mb']:.0f} MB; "
                    f"end to end {whole_s:.1f} s, of which {row['localize_s']:.1f} s localize "
                    f"and {row['picture_s']:.1f} s its picture"
                )


if __name__ == "__main__":
    main()

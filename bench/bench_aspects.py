"""ASPECTS by each method on the same head: seconds and peak memory, as ratios to the radiomics path.

Each method runs in a process of its own on the same phantoms (preset aspects, validation split). Judging is what comes
after the preparation of the head; every trained method needs the comparison of both sides as well, which is the whole
of the baseline and finds the old infarcts, and end to end is everything but reading. Of several runs the fastest
counts: others may use the machine too. Weights are the user's, or fresh ones of the everyday size, which take as long:
networks of random numbers, forests grown on random numbers. Imports, loading and conversion of the weights are not
counted. Run:
python bench/bench_aspects.py [--heads N] [--da-net WEIGHTS] [--radiomics WEIGHTS] [--threads N]
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

METHODS = ("radiomics", "asymmetry", "da_net")
REPEATS = 3
TRAINING_SIDES = 720
"""Both sides of the 360 cases of the everyday recipe."""
COLUMNS = (
    ("judging_s", "judging", "s"),
    ("with_sides_s", "with the comparison of sides", "s"),
    ("whole_s", "end to end", "s"),
    ("peak_mb", "peak memory", "MB"),
)

RUN = """
import json, pickle, resource, sys, time
from pathlib import Path
from infarct.pipeline import prepare_head
from infarct.systems.aspects import load_scorer
from infarct.systems.asymmetry import compare_sides
from infarct.systems.radiomics import load_forests
from infarct.systems.scoring import score_head
scans, method, weights, threads, repeats = sys.argv[1:]
scans = pickle.loads(Path(scans).read_bytes())
scorer = {
    "asymmetry": lambda: None,
    "da_net": lambda: load_scorer(weights, device="cpu", threads=int(threads)),
    "radiomics": lambda: load_forests(weights),
}[method]()
rows = []
for scan in scans:
    for _ in range(int(repeats)):
        begin = time.perf_counter()
        head = prepare_head(scan)
        prepared = time.perf_counter()
        sides = compare_sides(head)
        compared = time.perf_counter()
        if scorer:
            score_head(scan, head, scorer, old=sides.old_infarct_mask)
        end = time.perf_counter()
        rows.append((end - (compared if scorer else prepared), end - prepared, end - begin))
best = [min(column) for column in zip(*rows)]
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(zip(("judging_s", "with_sides_s", "whole_s"), best)) | {"peak_mb": peak_mb}))
"""


def write_scans(count: int, path: Path) -> None:
    """Write phantoms as a pickle, which is read by our own processes alone."""
    from infarct.phantom import draw, render_ct

    patients = [draw("aspects", number, "validation") for number in range(count)]
    path.write_bytes(pickle.dumps([render_ct(patient).scan(patient.name) for patient in patients]))


def write_network(path: Path) -> Path:
    """Write DA-Nets of the everyday recipe with fresh weights."""
    from dataclasses import asdict

    from infarct.networks import build
    from infarct.training.aspects_recipe import CPU_ASPECTS
    from infarct.training.aspects_scores import group_settings
    from infarct.weights import WeightSet, save_weights

    recipe = CPU_ASPECTS
    tensors = {
        f"{group}.{key}": values.numpy()
        for group in recipe.groups
        for key, values in build("da_net", recipe.network_config).state_dict().items()
    }
    settings = {
        "input": json.loads(json.dumps(asdict(recipe.phantoms.setting))),
        "groups": group_settings(recipe.groups, None),
        "calibrated_on": "nothing",
    }
    return save_weights(WeightSet("aspects", "bench", "da_net", recipe.network_config, settings, tensors, {}), path)


def write_forests(path: Path) -> Path:
    """Write forests of the everyday recipe, grown to their full depth on random numbers."""
    import numpy as np

    from infarct.systems.region_forests import feature_names, radiomics_settings
    from infarct.training.radiomics_fit import grown, weights_of
    from infarct.training.radiomics_recipe import CPU_RADIOMICS
    from infarct.weights import save_weights

    recipe, random = CPU_RADIOMICS, np.random.default_rng(0)
    wide = 3 * len(feature_names(radiomics_settings(recipe.phantoms.setting)))
    rows = random.normal(size=(TRAINING_SIDES, wide)).astype(np.float32)
    forests = {
        region: grown(
            rows,
            random.random(TRAINING_SIDES) < 0.2,
            recipe,
            fewest_in_leaf=min(recipe.fewest_in_leaf),
            feature_share=min(recipe.feature_shares),
        )
        for regions in recipe.groups.values()
        for region in regions
    }
    return save_weights(weights_of(forests, recipe, name="bench"), path)


def measure(method: str, scans: Path, weights: Path | None, threads: int) -> dict[str, float]:
    """Run a method in a process of its own; return its seconds and megabytes."""
    words = [str(scans), method, str(weights or ""), str(threads), str(REPEATS)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=1, help="phantoms to score")
    parser.add_argument("--da-net", type=Path, metavar="WEIGHTS", help="instead of fresh ones")
    parser.add_argument("--radiomics", type=Path, metavar="WEIGHTS", help="instead of fresh ones")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    spawn = get_context("spawn")  # what this process has once taken would count as the peak of those it starts
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, mp_context=spawn) as other:
        folder = Path(name)
        other.submit(write_scans, options.heads, folder / "scans").result()
        weights = {
            "asymmetry": None,
            "da_net": options.da_net or other.submit(write_network, folder / "network").result(),
            "radiomics": options.radiomics or other.submit(write_forests, folder / "forests").result(),
        }
        rows = {method: measure(method, folder / "scans", weights[method], options.threads) for method in METHODS}
    base = rows["radiomics"]
    print(f"{options.heads} head(s), {options.threads} threads; in brackets: ratio to radiomics")
    for method, row in rows.items():
        told = [f"{label} {row[key]:.2f} {unit} ({row[key] / base[key]:.2f})" for key, label, unit in COLUMNS]
        print(f"  {method:10} " + ", ".join(told))


if __name__ == "__main__":
    main()

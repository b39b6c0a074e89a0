"""ASPECTS by each method on the same head: seconds and peak memory, as ratios to the radiomics path.

Each method runs in a process of its own on the same phantoms (preset aspects, validation split), with the shipped
weights or your own. Judging is what comes after the preparation of the head; every trained method needs the comparison
of both sides as well, which is the whole of the baseline and finds the old infarcts. The regions are drawn by VB-Net
for all. End to end is everything but reading. Of several runs the fastest counts: others may use the machine too.
Imports, loading and conversion of the weights are not counted. Run:
python bench/bench_aspects.py [--heads N] [--da-net WEIGHTS] [--radiomics WEIGHTS] [--regions WEIGHTS] [--threads N]
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
COLUMNS = (
    ("judging_s", "judging", "s"),
    ("with_sides_s", "with the comparison of sides", "s"),
    ("regions_s", "drawing the regions", "s"),
    ("whole_s", "end to end", "s"),
    ("peak_mb", "peak memory", "MB"),
)

RUN = """
import json, pickle, resource, sys, time
from dataclasses import replace
from pathlib import Path
from infarct.pipeline import prepare_head
from infarct.systems.aspects import load_scorer
from infarct.systems.asymmetry import compare_sides
from infarct.systems.radiomics import load_forests
from infarct.systems.region_choice import choose_regions
from infarct.systems.regions_vbnet import load_drawer
from infarct.systems.scoring import score_head
scans, method, weights, regions, threads, repeats = sys.argv[1:]
scans = pickle.loads(Path(scans).read_bytes())
drawer = load_drawer(regions or None, device="cpu", threads=int(threads))
scorer = {
    "asymmetry": lambda: None,
    "da_net": lambda: load_scorer(weights or None, device="cpu", threads=int(threads)),
    "radiomics": lambda: load_forests(weights or None),
}[method]()
rows = []
for scan in scans:
    for _ in range(int(repeats)):
        begin = time.perf_counter()
        head = prepare_head(scan)
        prepared = time.perf_counter()
        head = replace(head, aspects_regions=choose_regions(scan, head, drawer).labels)
        drawn = time.perf_counter()
        sides = compare_sides(head)
        compared = time.perf_counter()
        if scorer:
            score_head(scan, head, scorer, old=sides.old_infarct_mask)
        end = time.perf_counter()
        rows.append((end - (compared if scorer else drawn), end - drawn, drawn - prepared, end - begin))
best = [min(column) for column in zip(*rows)]
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(zip(("judging_s", "with_sides_s", "regions_s", "whole_s"), best)) | {"peak_mb": peak_mb}))
"""


def write_scans(count: int, path: Path) -> None:
    """Write phantoms as a pickle, which is read by our own processes alone."""
    from infarct.phantom import draw, render_ct

    patients = [draw("aspects", number, "validation") for number in range(count)]
    path.write_bytes(pickle.dumps([render_ct(patient).scan(patient.name) for patient in patients]))


def measure(method: str, scans: Path, *, weights: Path | None, regions: Path | None, threads: int) -> dict[str, float]:
    """Run a method in a process of its own; return its seconds and megabytes."""
    words = [str(scans), method, str(weights or ""), str(regions or ""), str(threads), str(REPEATS)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=1, help="phantoms to score")
    parser.add_argument("--da-net", type=Path, metavar="WEIGHTS", help="instead of the shipped ones")
    parser.add_argument("--radiomics", type=Path, metavar="WEIGHTS", help="instead of the shipped ones")
    parser.add_argument("--regions", type=Path, metavar="WEIGHTS", help="instead of the shipped ones")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    spawn = get_context("spawn")  # what this process has once taken would count as the peak of those it starts
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, mp_context=spawn) as other:
        scans = Path(name) / "scans"
        other.submit(write_scans, options.heads, scans).result()
        weights = {"asymmetry": None, "da_net": options.da_net, "radiomics": options.radiomics}
        rows = {
            method: measure(method, scans, weights=weights[method], regions=options.regions, threads=options.threads)
            for method in METHODS
        }
    base = rows["radiomics"]
    print(f"{options.heads} head(s), {options.threads} threads; in brackets: ratio to radiomics")
    for method, row in rows.items():
        told = [f"{label} {row[key]:.2f} {unit} ({row[key] / base[key]:.2f})" for key, label, unit in COLUMNS]
        print(f"  {method:10} " + ", ".join(told))


if __name__ == "__main__":
    main()

"""How long a phantom patient takes: one CT alone, with all pairs, and against a plain SciPy head of the same size.

Also how much memory many patients take: the peak must not grow with their number.
Run: python bench/bench_phantom.py [patients for the memory test]
"""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from infarct.phantom import PAIRS, Patient, draw, render
from plain_head import PlainSetup, make_plain_patient

REPEATS = 3


def best_of(action: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def usual_patient() -> Patient:
    """Return a patient with a stroke and a follow-up, scanned with 5 mm slices of 512 x 512 pixels."""
    patient = draw("aspects", 1)
    plain = {"thickness_mm": 5.0, "gaps_mm": (5.0,), "pixel_mm": 0.45, "size_px": 512, "tilt_deg": 0.0}
    if patient.followup is None:
        raise SystemExit("the patient has no follow-up")
    return replace(patient, acute=replace(patient.acute, **plain), followup=replace(patient.followup, **plain))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(many: int) -> None:
    patient = usual_patient()
    made = render(patient, pairs=PAIRS)
    alone = best_of(lambda: render(patient))
    everything = best_of(lambda: render(patient, pairs=PAIRS))
    plain = best_of(lambda: make_plain_patient(1, PlainSetup(pixel_spacing_mm=0.45)))
    shape = tuple(made.acute.hu.shape)
    print(f"{torch.get_num_threads()} threads, CT of {shape} voxels with its truth, best of {REPEATS}")
    print(f"a plain SciPy head    {plain:.2f} s")
    print(f"CT alone              {alone:.2f} s (goal 4 s), ratio {alone / plain:.2f}")
    print(f"with all pairs        {everything:.2f} s (goal 12 s), ratio {everything / plain:.2f}")
    marks = []
    for number in range(many):
        render(draw("aspects", number))
        if number in (many // 4, many - 1):
            marks.append(peak_mib())
    print(f"peak memory           {marks[0]:.0f} MiB after {many // 4 + 1} patients, {marks[-1]:.0f} MiB after {many}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)

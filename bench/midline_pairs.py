"""The shift of the midline on pairs of phantoms: how far the measured one is from the true one.

Each patient has a follow-up scan with the swelling of the infarct and one without any, by another scanner in another
pose. Told are the errors of the shift in each scan, and of its change from one to the other, in which what is unequal
about a patient's ventricles falls out. Patients whose midline the swelling shifts by less than 1 mm are left out.

Run: python bench/midline_pairs.py [patients] [--split test]
"""

import argparse
from dataclasses import replace

import numpy as np

from infarct.errors import StepFailed
from infarct.phantom import Patient, draw, render_ct
from infarct.pipeline import prepare_head
from infarct.preprocess.midline_shift import measure_midline_shift

LEAST_MM = 1.0
GOAL_MM = 1.0


def measured(patient: Patient) -> tuple[float, float, bool]:
    """Return the true and the measured shift in mm, and whether the levels agree in it."""
    visit = render_ct(patient)
    assert visit.midline_shift_mm is not None
    found = measure_midline_shift(prepare_head(visit.scan(patient.name)))
    return visit.midline_shift_mm, found.shift_mm, found.is_reliable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patients", type=int, nargs="?", default=12)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    single: list[float] = []
    change: list[float] = []
    unclear = index = 0
    while len(change) + unclear < options.patients:
        patient, other = (draw("followup", number, options.split) for number in (index, index + 1))
        index += 1
        assert patient.stroke is not None
        if patient.stroke.swelling * patient.stroke.final_ml < 10:
            continue
        calm = replace(patient, followup=other.followup, stroke=replace(patient.stroke, swelling=0.0))
        try:
            swollen, before = measured(patient), measured(calm)
        except StepFailed as error:
            print(f"{patient.name}: {error}", flush=True)
            continue
        if abs(swollen[0] - before[0]) < LEAST_MM:
            continue
        clear = swollen[2] and before[2]
        told = "" if clear else ", not reliable"
        print(
            f"{patient.name}: true {swollen[0]:.1f}, without swelling {before[0]:.1f} mm; measured {swollen[1]:.1f} "
            f"and {before[1]:.1f} mm{told}",
            flush=True,
        )
        if not clear:
            unclear += 1
            continue
        single += [swollen[1] - swollen[0], before[1] - before[0]]
        change.append((swollen[1] - before[1]) - (swollen[0] - before[0]))
    for name, errors in (("shift", single), ("change", change)):
        size = np.abs(errors)
        print(
            f"{name}: error {size.mean():.1f} mm in the mean, {np.median(size):.1f} in the median, {size.max():.1f} at "
            f"most; within {GOAL_MM:.0f} mm in {(size <= GOAL_MM).sum()} of {len(size)}"
        )
    print(f"{unclear} of {options.patients} pairs hold a scan in which the levels do not agree")


if __name__ == "__main__":
    main()

"""Two scans of one patient: how far the growth that is measured is from the true one, on pairs of phantoms.

Each patient of the cohort is scanned twice with the same infarct, by two scanners in two poses (nothing has grown), and
a third time a day later with a final infarct of a quarter more. Told are the errors of the difference of volumes, in ml
and as a share of the true volume at the first scan. Run: python bench/serial_volumes.py [N] [--split test]
"""

import argparse
from dataclasses import replace

import numpy as np

from infarct.phantom import Patient, draw, render_ct
from infarct.pipeline import prepare_head
from infarct.systems.hemorrhage import HemorrhageDetector, find_hemorrhage, load_hemorrhage
from infarct.systems.volumetry import Volumetry, load_volumetry, measure_followup
from infarct.volume import volume_ml

GROWN = 1.25
LATER_H = 24.0


def scans_of(patient: Patient, other: Patient) -> tuple[Patient, Patient, Patient]:
    """Return the patient, the same on the scanner of ``other``, and that a day later with a larger infarct."""
    assert patient.stroke is not None
    again = replace(patient, followup=other.followup)
    stroke = replace(
        patient.stroke, final_ml=GROWN * patient.stroke.final_ml, followup_h=patient.stroke.followup_h + LATER_H
    )
    return patient, again, replace(again, stroke=stroke)


def measured(patient: Patient, volumetry: Volumetry, detector: HemorrhageDetector) -> tuple[float, float]:
    """Return the true and the measured volume in ml of infarct without blood."""
    visit = render_ct(patient)
    truth = visit.truth["infarct"].cpu().numpy() & (visit.truth["hemorrhage"].cpu().numpy() == 0)
    scan = visit.scan(patient.name)
    head = prepare_head(scan)
    found = measure_followup(scan, head, volumetry, find_hemorrhage(scan, head, detector))
    return volume_ml(truth, scan.geometry), found.followup.without_blood_ml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patients", type=int, nargs="?", default=10)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    volumetry, detector = load_volumetry(), load_hemorrhage()
    errors: dict[str, list[tuple[float, float]]] = {"nothing has grown": [], "a quarter more, a day later": []}
    for index in range(options.patients):
        patient, other = draw("followup", index, options.split), draw("followup", index + 1, options.split)
        first, again, later = (measured(one, volumetry, detector) for one in scans_of(patient, other))
        for name, second in zip(errors, (again, later), strict=True):
            error_ml = (second[1] - first[1]) - (second[0] - first[0])
            errors[name].append((error_ml, error_ml / first[0]))
        told = ", ".join(f"{true:.0f} true {found:.0f} found" for true, found in (first, again, later))
        print(f"{patient.name} ({patient.stratum.get('severity', '?')}), ml: {told}", flush=True)
    for name, found in errors.items():
        ml, share = np.abs(np.array(found)).T
        print(
            f"{name}: error of growth {np.median(ml):.1f} ml in the median, {100 * np.median(share):.0f} % of the "
            f"first volume; within 5 % in {(share <= 0.05).sum()} of {len(share)}"
        )


if __name__ == "__main__":
    main()

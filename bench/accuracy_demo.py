"""What the asymmetry baseline finds in demo phantoms: side, regions, Dice, and false alarms in healthy ones.

Run: python bench/accuracy_demo.py [patients with a lesion] [healthy patients]
"""

import sys

import numpy as np

from infarct.phantom import DemoSetup, make_demo_patient
from infarct.pipeline import analyze
from infarct.volume import volume_ml

FIRST_LESION_SEED, FIRST_HEALTHY_SEED = 2000, 3000


def main(patients: int, healthy: int) -> None:
    sides = found = missed = extra = 0
    dice: list[float] = []
    differences_ml: list[float] = []
    for seed in range(FIRST_LESION_SEED, FIRST_LESION_SEED + patients):
        patient = make_demo_patient(seed, DemoSetup(pixel_spacing_mm=0.9))
        analysis, truth = analyze(patient.scan), patient.truth
        aspects, infarct, mask = analysis.findings.aspects, analysis.findings.infarct, analysis.maps.infarct
        if aspects is None or infarct is None or mask is None:
            raise SystemExit("the baseline did not run")
        sides += aspects.side == truth.side and infarct.side == truth.side
        called = {(r.region, r.side) for r in aspects.regions if r.affected}
        true = {(region, truth.side) for region in truth.affected_regions}
        found, missed, extra = found + len(called & true), missed + len(true - called), extra + len(called - true)
        dice.append(2 * (mask & truth.infarct).sum() / (mask.sum() + truth.infarct.sum()))
        differences_ml.append(infarct.volume_ml - volume_ml(truth.infarct, patient.scan.geometry))
    print(f"{patients} demo patients with a lesion of 6 to 9 HU, seeds from {FIRST_LESION_SEED}")
    print(f"side right in {sides}; truly affected regions found {found}, missed {missed}; others called {extra}")
    print(f"Dice mean {np.mean(dice):.2f}, least {min(dice):.2f}; mean volume error {np.mean(differences_ml):+.1f} ml")
    tens = lesions = 0
    for seed in range(FIRST_HEALTHY_SEED, FIRST_HEALTHY_SEED + healthy):
        findings = analyze(make_demo_patient(seed, DemoSetup(pixel_spacing_mm=0.9, healthy=True)).scan).findings
        if findings.aspects is None or findings.infarct is None:
            raise SystemExit("the baseline did not run")
        tens += findings.aspects.score == 10
        lesions += len(findings.infarct.lesions)
    print(f"{healthy} healthy ones: {tens} score 10; {lesions} clusters in all")


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] or ["20", "20"])))

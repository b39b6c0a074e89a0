"""What the asymmetry baseline finds in the phantom cohort's validation split: side, regions, overlap, false alarms.

Run: python bench/accuracy_baseline.py [patients with a stroke] [healthy patients]
"""

import sys
from collections.abc import Iterator

import numpy as np

from infarct.anatomy import REGIONS, region_label
from infarct.findings import Analysis
from infarct.phantom import Sample, sample
from infarct.pipeline import Request, analyze
from infarct.volume import volume_ml

AFFECTED_SHARE = 0.1
"""A region is truly affected when the acute infarct fills at least this share of it."""


def answers(preset: str, count: int) -> Iterator[tuple[Sample, Analysis]]:
    for number in range(count):
        made = sample(preset, number, split="validation")
        onset_h = made.patient.stroke.onset_h if made.patient.stroke else None
        yield made, analyze(made.acute.scan(made.patient.name), Request(onset_hours=onset_h))


def affected(made: Sample) -> set[tuple[str, str]]:
    """Return the regions of the affected side that the acute infarct fills by `AFFECTED_SHARE` or more."""
    labels, infarct = made.acute.truth["aspects"].numpy(), made.acute.truth["infarct"].numpy()
    side = made.patient.stroke.side
    return {(r, side) for r in REGIONS if infarct[labels == region_label(r, side)].mean() >= AFFECTED_SHARE}


def main(strokes: int, healthy: int) -> None:
    sides = found = missed = extra = 0
    dice: list[float] = []
    errors_ml: list[float] = []
    for made, analysis in answers("aspects", strokes):
        aspects, infarct, mask = analysis.findings.aspects, analysis.findings.infarct, analysis.maps.infarct
        if aspects is None or infarct is None or mask is None:
            raise SystemExit("the baseline did not run")
        truth = made.acute.truth["infarct"].numpy()
        sides += infarct.side == made.patient.stroke.side
        called = {(r.region, r.side) for r in aspects.regions if r.affected}
        true = affected(made)
        found, missed, extra = found + len(called & true), missed + len(true - called), extra + len(called - true)
        dice.append(2 * (mask & truth).sum() / max(mask.sum() + truth.sum(), 1))
        errors_ml.append(infarct.volume_ml - volume_ml(truth, made.acute.geometry))
    print(f"aspects, validation, {strokes} patients")
    print(f"side right in {sides}; truly affected regions found {found}, missed {missed}; others called {extra}")
    print(f"Dice mean {np.mean(dice):.2f}, median {np.median(dice):.2f}")
    print(f"volume error median {np.median(errors_ml):+.1f} ml")
    scores, volumes = [], []
    for _, analysis in answers("healthy", healthy):
        if analysis.findings.aspects is None or analysis.findings.infarct is None:
            raise SystemExit("the baseline did not run")
        scores.append(analysis.findings.aspects.score)
        volumes.append(analysis.findings.infarct.volume_ml)
    print(f"healthy, validation, {healthy} patients: {scores.count(10)} score 10")
    print(f"false volume median {np.median(volumes):.1f} ml")


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] or ["20", "20"])))

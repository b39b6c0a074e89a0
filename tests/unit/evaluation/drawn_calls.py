"""Calls of made-up models: the same patients and regions for all, found with more or less skill."""

import numpy as np

from infarct.anatomy import REGIONS, SIDES
from infarct.evaluation.aspects_ablation import RegionCall, RegionRun


def drawn_run(name: str, *, skill: float, patients: int = 30, training_patients: int = 8, seed: int = 0) -> RegionRun:
    """Return a run over all regions of so many patients, every one with a stroke; ``seed`` is that of the model."""
    truth, model = np.random.default_rng(0), np.random.default_rng([seed, round(100 * skill)])
    calls = []
    for number in range(patients):
        ill = SIDES[number % 2]
        severity = truth.beta(1.2, 1.8)
        for side in SIDES:
            for region in REGIONS:
                affected = bool(truth.random() < severity) and side == ill
                signal = skill * affected + model.normal()
                calls.append(
                    RegionCall(
                        patient=f"p{number}",
                        region=region,
                        side=side,
                        of_stroke=side == ill,
                        affected=affected,
                        probability=float(1 / (1 + np.exp(skill / 2 - signal))),
                        found=bool(signal > skill / 2),
                    )
                )
    return RegionRun(name, tuple(calls), training_patients)

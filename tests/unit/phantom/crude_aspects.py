"""A crude picture of which ASPECTS regions an infarct fills, without rendering: to try out the simulated readers."""

import numpy as np

from infarct.anatomy import REGIONS
from infarct.phantom.grid import rng
from infarct.phantom.kinetics import drop_hu
from infarct.phantom.patient import Patient
from infarct.types import Float64Array

REGION_ML = {
    "C": 4.0,
    "I": 6.0,
    "IC": 3.0,
    "L": 6.0,
    "M1": 28.0,
    "M2": 24.0,
    "M3": 28.0,
    "M4": 32.0,
    "M5": 32.0,
    "M6": 32.0,
}
RING = ("M1", "M2", "M3", "M6", "M5", "M4")
"""Cortical regions in the order of a walk around the territory."""
BRAIN_HU = 33.6


def crude_regions(patient: Patient) -> tuple[Float64Array, Float64Array]:
    """Return the share of each region that the infarct fills, and its drop in HU there; each (10,)."""
    stroke = patient.stroke
    if stroke is None or stroke.site == "ACA":
        return np.zeros(len(REGIONS)), np.zeros(len(REGIONS))
    random = rng(stroke.seed, "crude")
    start = int(random.integers(len(RING)))
    ring = [RING[(start + step) % len(RING)] for step in range(len(RING))]
    deep = list(random.permutation(["L", "I", "C", "IC"]))
    order = {"subcortical": deep + ring, "cortical": ["I", *ring], "both": [*deep[:2], *ring[:2], *deep[2:], *ring[2:]]}
    shares, left_ml = dict.fromkeys(REGIONS, 0.0), 0.85 * stroke.infarct_ml
    for region in order[stroke.cortical]:
        filled = min(left_ml, float(random.uniform(0.3, 0.9)) * REGION_ML[region])
        shares[region] = max(shares[region], filled / REGION_ML[region])
        left_ml -= filled
    drop = drop_hu(stroke.onset_h, stroke, BRAIN_HU) * random.uniform(0.7, 1.3, len(REGIONS))
    return np.array([shares[region] for region in REGIONS]), drop


def icc_single(scores: Float64Array) -> float:
    """Return ICC(A,1) of scores (patients, readers): two-way random effects, absolute agreement (McGraw & Wong)."""
    n, k = scores.shape
    total, rows, columns = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    between = k * ((rows - total) ** 2).sum() / (n - 1)
    readers = n * ((columns - total) ** 2).sum() / (k - 1)
    error = ((scores - rows[:, None] - columns + total) ** 2).sum() / ((n - 1) * (k - 1))
    return float((between - error) / (between + (k - 1) * error + k * (readers - error) / n))

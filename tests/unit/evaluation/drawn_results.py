"""Results of a made-up system, drawn at random: overlap grows with volume and detectability, as it does in life."""

import math

import numpy as np

from infarct.evaluation.segment import CaseAbout, CaseResult, OldResult
from infarct.measure.calibration import Reliability
from infarct.measure.lesions import LesionCounts
from infarct.measure.overlap import Counts

VOXEL_ML = 0.001


def drawn_results(
    group: str, count: int, *, seed: int = 0, skill: float = 1.0, healthy: float = 0.0
) -> list[CaseResult]:
    """Return ``count`` results; a share ``healthy`` has no lesion. The same seed gives the same patients."""
    return [drawn_case(group, index, seed=seed, skill=skill, healthy=healthy) for index in range(count)]


def drawn_case(group: str, index: int, *, seed: int = 0, skill: float = 1.0, healthy: float = 0.0) -> CaseResult:
    patient, system = np.random.default_rng([seed, index]), np.random.default_rng([seed, index, int(1000 * skill)])
    lesion_free = patient.random() < healthy
    volume_ml = 0.0 if lesion_free else float(np.exp(patient.normal(3.0, 1.4)))
    detectability = math.nan if lesion_free else float(0.9 * volume_ml**0.6 * np.exp(patient.normal(0, 0.7)))
    onset_h = math.nan if lesion_free or patient.random() < 0.1 else float(np.exp(patient.normal(1.9, 0.8)))
    found = 0.0 if lesion_free else 1 / (1 + (3 / skill / detectability) ** 1.5)
    found = float(np.clip(found * 0.9 + system.normal(0, 0.05), 0, 1))
    if not lesion_free and found < 0.12:
        found = 0.0
    tp = round(found * volume_ml / VOXEL_ML)
    fp = round(float(np.exp(system.normal(0.5, 1.2))) / skill / VOXEL_ML) if system.random() < 0.8 else 0
    fn = round(volume_ml / VOXEL_ML) - tp
    counts = Counts(tp, fp, fn, 1_300_000 - tp - fp - fn)
    old_ml = float(np.exp(patient.normal(2, 1))) if patient.random() < 0.2 else 0.0
    missing = tp == 0
    return CaseResult(
        about=CaseAbout(f"{group}-{index:04d}", f"p{index:04d}", group, "acute", onset_h, detectability),
        truth_ml=(tp + fn) * VOXEL_ML,
        predicted_ml=(tp + fp) * VOXEL_ML,
        false_positive_ml=fp * VOXEL_ML,
        counts=counts,
        surface_mean_mm=math.nan if missing else 8 * (1 - found) + 0.5,
        hausdorff95_mm=math.nan if missing else 40 * (1 - found) + 2,
        surface_dice=math.nan if lesion_free else found**2,
        lesions=LesionCounts(int(tp > 0), int(fp > 500), int(not lesion_free and missing)),
        old=OldResult(old_ml, old_ml * 0.8, 0.6 if old_ml else math.nan, old_ml * 0.1),
        calibration=drawn_reliability(system, skill),
        seconds=float(system.normal(20, 2)),
    )


def drawn_reliability(random: np.random.Generator, skill: float) -> Reliability:
    """Return sums of an overconfident system: the more so, the less its skill."""
    middle = (np.arange(15) + 0.5) / 15
    voxels = np.round(np.r_[1_200_000, 30_000 * np.exp(-np.arange(14) / 4) + 1500] * random.uniform(0.8, 1.2, 15))
    positives = np.round(voxels * middle ** (1 + 0.5 / skill))
    squared = float((voxels * middle * (1 - middle)).sum())
    return Reliability(
        tuple(voxels.astype(int).tolist()),
        tuple(positives.astype(int).tolist()),
        tuple((voxels * middle).tolist()),
        squared,
        2 * squared,
    )

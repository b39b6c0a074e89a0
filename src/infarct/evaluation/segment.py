"""One segmented scan against its truth: every number that tables and figures are made of.

A measure that is not defined for a case, such as the Dice of a scan without a lesion, or that is not known, such as the
time from onset, is nan here and stays out of every mean.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.cohorts import Target
from infarct.measure.calibration import Reliability, reliability
from infarct.measure.lesions import LesionCounts, count_lesions
from infarct.measure.overlap import Counts, count
from infarct.measure.surface import surface_distances
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, volume_ml

SURFACE_TOLERANCE_MM: Final = 3.0
"""Surfaces this close count as the same: a step of a coarse grid, and less than readers differ by on faint edges."""


@dataclass(frozen=True)
class CaseAbout:
    """What is known of a scan besides its voxels.

    ``group`` is the cohort that it counts in, ``target`` what the truth outlines, ``detectability`` the ideal
    observer's d' where the truth is simulated. ``id`` and ``patient`` are keys, which name nobody. ``fingerprint``
    says what scan and truth were read from.
    """

    id: str
    patient: str
    group: str
    target: Target = "acute"
    onset_h: float = math.nan
    detectability: float = math.nan
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a system answered, on the scan's geometry, (z, y, x).

    ``acute`` and ``old`` (bool) are final masks; ``probability`` (float32, 0-1) is that of acute infarct; ``brain``
    (bool) is where the system looked. ``old`` is None where the system has no such class. ``seconds`` is what the
    answer took.
    """

    acute: BoolArray
    old: BoolArray | None = None
    probability: Float32Array | None = None
    brain: BoolArray | None = None
    seconds: float = math.nan


@dataclass(frozen=True, eq=False)
class Truth:
    """What is there, on the scan's geometry, (z, y, x), bool.

    ``brain`` is where specificity and calibration are counted: air is no achievement. None counts everywhere.
    ``old`` is None where nobody outlined old infarcts.
    """

    acute: BoolArray
    old: BoolArray | None = None
    brain: BoolArray | None = None


@dataclass(frozen=True)
class OldResult:
    """How old infarcts were answered: volumes, their Dice (nan without one), and what of them was called acute."""

    truth_ml: float
    predicted_ml: float
    dice: float
    called_acute_ml: float

    @property
    def called_acute_pct(self) -> float:
        """Share of the true old infarct that was called acute, in percent; nan without one."""
        return 100 * self.called_acute_ml / self.truth_ml if self.truth_ml else math.nan


@dataclass(frozen=True)
class CaseResult:
    """All measures of one scan. ``old`` and ``calibration`` are None where truth or system say nothing about them."""

    about: CaseAbout
    truth_ml: float
    predicted_ml: float
    false_positive_ml: float
    counts: Counts
    surface_mean_mm: float
    hausdorff95_mm: float
    surface_dice: float
    lesions: LesionCounts
    old: OldResult | None = None
    calibration: Reliability | None = None
    seconds: float = math.nan

    @property
    def has_lesion(self) -> bool:
        """Whether there is an acute lesion to find."""
        return self.truth_ml > 0

    @property
    def volume_difference_ml(self) -> float:
        """Predicted less true volume."""
        return self.predicted_ml - self.truth_ml

    @property
    def volume_difference_pct(self) -> float:
        """Predicted less true volume in percent of the true one; nan without a lesion."""
        return 100 * self.volume_difference_ml / self.truth_ml if self.has_lesion else math.nan


@dataclass(frozen=True)
class Measure:
    """A number of a case as tables name it; ``digits`` after the point are shown."""

    title: str
    of: Callable[[CaseResult], float]
    digits: int = 3


MEASURES: Final[dict[str, Measure]] = {
    "dice": Measure("Dice", lambda case: case.counts.dice),
    "sensitivity": Measure("Sensitivity", lambda case: case.counts.sensitivity),
    "specificity": Measure("Specificity", lambda case: case.counts.specificity, 4),
    "precision": Measure("Precision", lambda case: case.counts.precision),
    "surface_mean_mm": Measure("Mean surface distance, mm", lambda case: case.surface_mean_mm, 1),
    "hausdorff95_mm": Measure("95 % Hausdorff distance, mm", lambda case: case.hausdorff95_mm, 1),
    "surface_dice": Measure(f"Surface Dice at {SURFACE_TOLERANCE_MM:g} mm", lambda case: case.surface_dice),
    "truth_ml": Measure("True volume, ml", lambda case: case.truth_ml, 1),
    "predicted_ml": Measure("Predicted volume, ml", lambda case: case.predicted_ml, 1),
    "volume_difference_ml": Measure("Volume difference, ml", lambda case: case.volume_difference_ml, 1),
    "absolute_difference_ml": Measure("Absolute difference, ml", lambda case: abs(case.volume_difference_ml), 1),
    "volume_difference_pct": Measure("Volume difference, %", lambda case: case.volume_difference_pct, 0),
    "false_positive_ml": Measure("False-positive volume, ml", lambda case: case.false_positive_ml, 1),
    "lesion_f1": Measure("Lesion F1", lambda case: case.lesions.f1),
    "lesion_sensitivity": Measure("Lesions found", lambda case: case.lesions.sensitivity),
    "seconds": Measure("Seconds", lambda case: case.seconds, 1),
}
"""All measures of a case, in the order of the tables."""
PAPER_MEASURES: Final = ("dice", "sensitivity", "specificity", "precision")
"""The columns of the segment paper's tables."""


def evaluate_case(prediction: Prediction, truth: Truth, geometry: Geometry, about: CaseAbout) -> CaseResult:
    """Return all measures of one scan; masks and ``geometry`` are the scan's.

    What is predicted outside ``truth.brain`` counts as wrong all the same: the region of specificity and calibration
    grows by it. Raises `ValueError` where shapes differ.
    """
    acute, lesion = prediction.acute, truth.acute
    region = None if truth.brain is None else truth.brain | acute | lesion
    counts = count(acute, lesion, region=region)
    surfaces = surface_distances(acute, lesion, geometry)
    probability = prediction.probability
    return CaseResult(
        about=about,
        truth_ml=volume_ml(lesion, geometry),
        predicted_ml=volume_ml(acute, geometry),
        false_positive_ml=volume_ml(acute & ~lesion, geometry),
        counts=counts,
        surface_mean_mm=surfaces.mean_mm,
        hausdorff95_mm=surfaces.hausdorff95_mm,
        surface_dice=surfaces.dice(tolerance_mm=SURFACE_TOLERANCE_MM),
        lesions=count_lesions(acute, lesion, geometry),
        old=None if truth.old is None else _old_result(prediction, truth.old, geometry),
        calibration=None if probability is None else reliability(probability, lesion, region=region),
        seconds=prediction.seconds,
    )


def _old_result(prediction: Prediction, truth: BoolArray, geometry: Geometry) -> OldResult:
    found = np.zeros_like(truth) if prediction.old is None else prediction.old
    return OldResult(
        truth_ml=volume_ml(truth, geometry),
        predicted_ml=volume_ml(found, geometry),
        dice=math.nan if prediction.old is None else count(found, truth).dice,
        called_acute_ml=volume_ml(prediction.acute & truth, geometry),
    )

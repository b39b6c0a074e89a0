"""Voxels that two masks share, and the ratios made of them.

A ratio whose denominator is 0 is nan, which says "not defined here" and stays out of every mean. A scan without a
lesion has no overlap to find, so Dice and sensitivity are nan there whatever was predicted: such scans are judged by
the volume that is wrongly marked (`volume_difference_ml`).
"""

import math
from dataclasses import dataclass

import numpy as np

from infarct.types import BoolArray
from infarct.volume import Geometry, volume_ml


@dataclass(frozen=True)
class Counts:
    """Voxels by prediction and truth: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), 0-1 (segment paper, 2.5, thresholded masks).

        A truth without voxels gives nan, a missed lesion (no voxel predicted) 0.
        """
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn) if self.tp + self.fn else math.nan

    @property
    def sensitivity(self) -> float:
        """Share of the truth that was found, TP / (TP + FN); nan where the truth is empty, 0 where nothing is found."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of the rest left alone, TN / (TN + FP); nan where the truth fills all.

        It rises with the amount of background counted, so it compares only within one region.
        """
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float:
        """Share of the prediction that is true, TP / (TP + FP); nan where nothing was predicted.

        A mean of it leaves missed lesions out: read it beside the sensitivity and the number of cases.
        """
        return _ratio(self.tp, self.tp + self.fp)


def count(predicted: BoolArray, truth: BoolArray, *, region: BoolArray | None = None) -> Counts:
    """Return the voxels (bool, (z, y, x)) that prediction and truth share, inside ``region`` or everywhere.

    Raises `ValueError` where the shapes differ.
    """
    if predicted.shape != truth.shape or (region is not None and region.shape != truth.shape):
        raise ValueError("prediction, truth and region differ in shape")
    if region is not None:
        predicted, truth = predicted & region, truth & region
    total = truth.size if region is None else int(np.count_nonzero(region))
    tp = int(np.count_nonzero(predicted & truth))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Counts(tp, fp, fn, total - tp - fp - fn)


def volume_difference_ml(predicted: BoolArray, truth: BoolArray, geometry: Geometry) -> float:
    """Return predicted less true volume in ml (bool, (z, y, x)); an empty mask is 0 ml."""
    return volume_ml(predicted, geometry) - volume_ml(truth, geometry)


def volume_difference_pct(predicted: BoolArray, truth: BoolArray, geometry: Geometry) -> float:
    """Return predicted less true volume in percent of the true one; nan where the truth is empty."""
    return _ratio(100 * volume_difference_ml(predicted, truth, geometry), volume_ml(truth, geometry))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

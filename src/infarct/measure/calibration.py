"""Whether a probability means what it says: of the voxels given 0.3, three in ten should be lesion.

Everything is kept as sums a bin, so that cases add up and one scan at a time is in memory.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.types import BoolArray, Float32Array, Float64Array

BINS: Final = 15
"""Bins of equal width (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, use 15)."""
SMALLEST: Final = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log likelihood, so that one sure error stays finite."""


@dataclass(frozen=True)
class Reliability:
    """Sums over voxels in bins of equal width over 0-1; the last bin holds 1 too.

    ``voxels``, ``positives`` and ``probability_sums`` have one entry a bin; ``squared_error`` and
    ``negative_log_likelihood`` (in nats) are sums over all voxels.
    """

    voxels: tuple[int, ...]
    positives: tuple[int, ...]
    probability_sums: tuple[float, ...]
    squared_error: float
    negative_log_likelihood: float

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            tuple(a + b for a, b in zip(self.voxels, other.voxels, strict=True)),
            tuple(a + b for a, b in zip(self.positives, other.positives, strict=True)),
            tuple(a + b for a, b in zip(self.probability_sums, other.probability_sums, strict=True)),
            self.squared_error + other.squared_error,
            self.negative_log_likelihood + other.negative_log_likelihood,
        )

    @property
    def mean_probability(self) -> Float64Array:
        """Mean predicted probability a bin, (bins,); nan in an empty bin."""
        return _divided(self.probability_sums, self.voxels)

    @property
    def observed(self) -> Float64Array:
        """Share of positive voxels a bin, (bins,); nan in an empty bin."""
        return _divided(self.positives, self.voxels)

    @property
    def brier(self) -> float:
        """Mean squared difference of probability and truth, 0-1; nan without voxels."""
        return self.squared_error / total if (total := sum(self.voxels)) else math.nan

    @property
    def nll(self) -> float:
        """Mean negative log likelihood in nats a voxel; nan without voxels."""
        return self.negative_log_likelihood / total if (total := sum(self.voxels)) else math.nan

    def expected_calibration_error(self, *, first_bin: int = 0) -> float:
        """Return the mean gap between predicted and observed (0-1) over the bins from ``first_bin``, by their voxels.

        Nearly all voxels of a brain lie in the lowest bin and are easy; from ``first_bin`` 1 the others alone speak.
        nan where these bins hold no voxel.
        """
        voxels = np.array(self.voxels[first_bin:], dtype=np.float64)
        gaps = np.abs(np.array(self.probability_sums[first_bin:]) - np.array(self.positives[first_bin:]))
        return float(gaps.sum() / voxels.sum()) if voxels.sum() else math.nan


def reliability(
    probability: Float32Array, truth: BoolArray, *, region: BoolArray | None = None, bins: int = BINS
) -> Reliability:
    """Return the sums for voxels with a ``probability`` (float32, 0-1) and a ``truth`` (bool), both (z, y, x).

    Only voxels of ``region`` (bool, (z, y, x)) count, all if None. An empty region gives zeros. Raises `ValueError`
    for probabilities outside 0-1.
    """
    empty = Reliability((0,) * bins, (0,) * bins, (0.0,) * bins, 0.0, 0.0)
    inside = np.ones(truth.shape, dtype=bool) if region is None else region
    return sum((_summed(*slices, bins) for slices in zip(probability, truth, inside, strict=True)), start=empty)


def _summed(probability: Float32Array, truth: BoolArray, inside: BoolArray, bins: int) -> Reliability:
    """Return the sums of one slice; slice by slice, the float64 copies of a thin scan stay small."""
    values, positive = probability[inside].astype(np.float64), truth[inside]
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("probabilities lie outside 0-1")
    place = np.minimum((values * bins).astype(np.intp), bins - 1)
    likelihood = np.clip(np.where(positive, values, 1 - values), SMALLEST, 1.0)
    return Reliability(
        voxels=tuple(np.bincount(place, minlength=bins).tolist()),
        positives=tuple(np.bincount(place[positive], minlength=bins).tolist()),
        probability_sums=tuple(np.bincount(place, values, minlength=bins).tolist()),
        squared_error=float(np.square(values - positive).sum()),
        negative_log_likelihood=float(-np.log(likelihood).sum()),
    )


def _divided(parts: tuple[float, ...], wholes: tuple[int, ...]) -> Float64Array:
    whole = np.array(wholes, dtype=np.float64)
    ratio = np.full(len(whole), np.nan)
    np.divide(np.array(parts, dtype=np.float64), whole, out=ratio, where=whole > 0)
    return ratio

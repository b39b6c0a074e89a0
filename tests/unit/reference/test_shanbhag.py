"""Shanbhag's threshold by hand and against ITK's."""

import math

import numpy as np
import pytest

from infarct.reference.shanbhag import BINS, darker_levels, shanbhag_threshold
from infarct.types import Float32Array


def test_a_histogram_by_hand() -> None:
    """Levels 2, 1, 0, 1. Of {0} against {1, 2, 3}: 0 and ln(4/3) / 2 = .144; of {0, 1} against {2, 3}: a third of
    ln(3/2) = .135 and 0; {0, 1, 2} against {3} gives the same, and the first of the least is taken."""
    assert math.log(4 / 3) / 2 > math.log(3 / 2) / 3
    assert darker_levels(np.array([2.0, 1.0, 0.0, 1.0])) == 1


def test_a_symmetric_histogram_is_parted_in_its_middle() -> None:
    assert darker_levels(np.array([1.0, 2.0, 2.0, 1.0])) == 1
    assert darker_levels(np.array([3.0, 1.0, 5.0, 5.0, 1.0, 3.0])) == 2


def test_what_does_not_differ_has_no_threshold() -> None:
    for values in ([], [4.0, 4.0]):
        with pytest.raises(ValueError, match="two values"):
            shanbhag_threshold(np.array(values, dtype=np.float32))


def mixture(seed: int, share: float) -> Float32Array:
    """Return tissue at 200 with a share of bright voxels at 500, in levels of 3, 64 x 64."""
    random = np.random.Generator(np.random.Philox(seed))
    values = random.normal(200, 25, 4096)
    bright = random.random(4096) < share
    values[bright] = random.normal(500, 70, int(bright.sum()))
    # Whole levels and a half, so that no value lies near the edge of a bin, with the two ends of the range.
    levels = np.clip(np.floor(values / 3), 0, BINS - 1) + 0.5
    levels[:2] = 0, BINS
    return levels.reshape(64, 64).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.15])
def test_itk_finds_the_same(seed: int, share: float) -> None:
    sitk = pytest.importorskip("SimpleITK")
    values = mixture(seed, share)
    oracle = sitk.ShanbhagThresholdImageFilter()
    oracle.SetNumberOfHistogramBins(BINS)
    oracle.Execute(sitk.GetImageFromArray(values))
    # ITK's histogram ends a hundredth of a bin beyond the highest value.
    assert shanbhag_threshold(values) == pytest.approx(oracle.GetThreshold(), abs=0.02)

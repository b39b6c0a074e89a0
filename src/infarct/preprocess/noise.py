"""How noisy a scan is, and how far its noise is correlated: measured in the brain of the scan itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry

BACKGROUND_MM: Final = 3.0
"""What is smoother than this counts as anatomy, not as noise."""
FLAT_HU: Final = (22.0, 45.0)
"""Smoothed densities of flat brain; edges of ventricles and sulci would count as noise."""
MAX_LAG_MM: Final = 6.0


@dataclass(frozen=True)
class Noise:
    """Noise of a scan in flat brain.

    ``sd_hu`` is its standard deviation per voxel; ``correlated_area_mm2`` the area of a slice within which noise counts
    once, so that the mean over an area A has the standard error ``sd_hu * sqrt(correlated_area_mm2 / A)``.
    """

    sd_hu: float
    correlated_area_mm2: float

    def standard_error_hu(self, area_mm2: float) -> float:
        """Return the standard error of a mean over ``area_mm2``, summed over slices; infinite for no area."""
        if area_mm2 <= 0:
            return float("inf")
        return float(self.sd_hu * np.sqrt(min(self.correlated_area_mm2 / area_mm2, 1.0)))


def measure_noise(hu: Float32Array, brain: BoolArray, geometry: Geometry) -> Noise:
    """Return the noise of a scan in flat brain.

    ``hu`` (float32) and ``brain`` (bool), both (z, y, x), lie on ``geometry``. The residual against a Gaussian of 3 mm
    is taken where the Gaussian lies at 22-45 HU; its SD is robust (from the median absolute deviation), and its
    correlation is summed along rows and columns up to the first sign change. Without flat brain the SD is 0 and
    the area one pixel.
    """
    sy, sx = geometry.pixel_spacing_mm_yx
    smooth = ndimage.gaussian_filter(hu, (0.0, BACKGROUND_MM / sy, BACKGROUND_MM / sx))
    deep = ndimage.distance_transform_edt(brain, sampling=geometry.spacing_mm_zyx) > BACKGROUND_MM
    flat = deep & (smooth > FLAT_HU[0]) & (smooth < FLAT_HU[1])
    if flat.sum() < 200:
        return Noise(0.0, sy * sx)
    residual = hu - smooth
    sd_hu = 1.4826 * float(np.median(np.abs(residual[flat] - np.median(residual[flat]))))
    lengths = [
        _correlated_length(residual, flat, axis, max(int(MAX_LAG_MM / mm), 1)) for axis, mm in ((1, sy), (2, sx))
    ]
    return Noise(sd_hu, float(lengths[0] * sy * lengths[1] * sx))


def autocorrelation(residual: Float32Array, valid: BoolArray, axis: int, max_lag: int) -> Float64Array:
    """Return the correlation (lags 0 to ``max_lag``) of ``residual`` with itself along ``axis``, inside ``valid``."""
    correlation = [1.0]
    for lag in range(1, max_lag + 1):
        first = tuple(slice(None, -lag) if a == axis else slice(None) for a in range(3))
        second = tuple(slice(lag, None) if a == axis else slice(None) for a in range(3))
        pairs = valid[first] & valid[second]
        if pairs.sum() < 100:
            break
        correlation.append(float(np.corrcoef(residual[first][pairs], residual[second][pairs])[0, 1]))
    return np.array(correlation)


def _correlated_length(residual: Float32Array, valid: BoolArray, axis: int, max_lag: int) -> float:
    """Return the sum of the correlation over lags of both signs, in pixels, up to the first sign change."""
    correlation = autocorrelation(residual, valid, axis, max_lag)
    negative = np.flatnonzero(correlation <= 0)
    end = int(negative[0]) if len(negative) else len(correlation)
    return float(1 + 2 * correlation[1:end].sum())

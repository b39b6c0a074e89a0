"""How noisy a scan is, and how far its noise is correlated: measured in the brain of the scan itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry

BACKGROUND_MM: Final = 3.0
"""What is smoother than this counts as anatomy, not as noise; the part of the noise lost with it is worked out."""
FLAT_REACH_HU: Final = 11.0
"""Flat brain lies within this of the brain's median after smoothing; edges of ventricles and sulci do not."""
DEPTH_MM: Final = 3.0
MAX_LAG_MM: Final = 5.0
GRAINS_MM: Final = np.linspace(0.05, 3.0, 60)
"""Grains (SD of the Gaussian that makes correlated noise out of white noise) that are tried."""


@dataclass(frozen=True)
class Noise:
    """Noise of a scan in flat brain.

    ``sd_hu`` is its standard deviation per voxel; ``correlated_area_mm2`` the area of a slice within which noise counts
    once, so that the mean over an area A has the standard error ``sd_hu * sqrt(correlated_area_mm2 / A)``. ``brain_hu``
    is the median density of the brain.
    """

    sd_hu: float
    correlated_area_mm2: float
    brain_hu: float = 33.0

    def standard_error_hu(self, area_mm2: float) -> float:
        """Return the standard error of a mean over ``area_mm2``, summed over slices; infinite for no area."""
        if area_mm2 <= 0:
            return float("inf")
        return float(self.sd_hu * np.sqrt(min(self.correlated_area_mm2 / area_mm2, 1.0)))

    def smoothed_sd_hu(self, sigma_mm: float) -> float:
        """Return the SD per voxel that is left after smoothing in plane by a Gaussian of ``sigma_mm``."""
        return float(self.sd_hu / np.sqrt(1 + 4 * np.pi * sigma_mm**2 / self.correlated_area_mm2))


def measure_noise(hu: Float32Array, brain: BoolArray, geometry: Geometry) -> Noise:
    """Return the noise of a scan in flat brain.

    ``hu`` (float32) and ``brain`` (bool), both (z, y, x), lie on ``geometry``. The residual against a Gaussian of 3 mm
    is taken where the Gaussian lies within 11 HU of the brain's median. Its autocorrelation along rows and columns
    tells the grain of the noise, taken for white noise under a Gaussian; from the grain follow the correlated area, and
    the share of the noise that went with the background. The SD is robust (median absolute deviation). Without flat
    brain the SD is 0 and the area one pixel.
    """
    sy, sx = geometry.pixel_spacing_mm_yx
    smooth = ndimage.gaussian_filter(hu, (0.0, BACKGROUND_MM / sy, BACKGROUND_MM / sx))
    deep = ndimage.distance_transform_edt(brain, sampling=geometry.spacing_mm_zyx) > DEPTH_MM
    brain_hu = float(np.median(smooth[deep])) if deep.any() else 0.0
    flat = deep & (np.abs(smooth - brain_hu) < FLAT_REACH_HU)
    if flat.sum() < 200:
        return Noise(0.0, sy * sx, brain_hu)
    residual = hu - smooth
    sd_hu = 1.4826 * float(np.median(np.abs(residual[flat] - np.median(residual[flat]))))
    misfit = np.zeros(len(GRAINS_MM))
    for axis, pixel_mm in ((1, sy), (2, sx)):
        measured: Float64Array = autocorrelation(residual, flat, axis, max(int(MAX_LAG_MM / pixel_mm), 1))
        lags_mm = np.arange(len(measured), dtype=np.float64) * pixel_mm
        expected = np.stack([_residual_covariance(float(grain), lags_mm) for grain in GRAINS_MM])
        misfit += np.square(expected / expected[:, :1] - measured).sum(axis=1)
    grain_mm = float(GRAINS_MM[misfit.argmin()])
    kept = float(_residual_covariance(grain_mm, np.zeros(1))[0])
    return Noise(sd_hu / float(np.sqrt(kept)), max(4 * np.pi * grain_mm**2, sy * sx), brain_hu)


def _residual_covariance(grain_mm: float, lags_mm: Float64Array) -> Float64Array:
    """Return the autocovariance of Gaussian-grained noise of variance 1, less its background, at lags in plane.

    The noise is white noise under a Gaussian of SD g, the background another of SD b on top: each of the three products
    of the two has a Gaussian autocovariance of variance 2 g^2, 2 g^2 + b^2 and 2 g^2 + 2 b^2, of equal integral.
    """
    own = 2 * grain_mm**2
    spreads = (own, own + BACKGROUND_MM**2, own + 2 * BACKGROUND_MM**2)
    parts = [own / spread * np.exp(-np.square(lags_mm) / (2 * spread)) for spread in spreads]
    return np.asarray(parts[0] - 2 * parts[1] + parts[2])


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

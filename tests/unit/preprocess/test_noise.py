"""Noise of known size and grain, and standard errors against the means themselves."""

import numpy as np
import pytest
from scipy import ndimage

from infarct.preprocess.head import working_geometry, working_hu
from infarct.preprocess.noise import Noise, autocorrelation, measure_noise
from infarct.volume import Geometry
from plain_head import PlainPatient

GEOMETRY = Geometry.regular((12, 160, 150), (5.0, 1.0, 1.2))


def brain() -> np.ndarray:
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    mask[1:-1, 10:-10, 10:-10] = True
    return mask


def noisy(sd_hu: float, grain_mm: float, seed: int = 0) -> np.ndarray:
    """Brain of 33 HU with Gaussian noise, correlated by a Gaussian filter."""
    noise = np.random.default_rng(seed).standard_normal(GEOMETRY.shape_zyx, dtype=np.float32)
    if grain_mm > 0:
        noise = ndimage.gaussian_filter(noise, (0.0, grain_mm / 1.0, grain_mm / 1.2))
    return (33 + sd_hu * noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("sd_hu", [1.0, 3.5, 6.0])
def test_white_noise(sd_hu: float) -> None:
    noise = measure_noise(noisy(sd_hu, 0.0), brain(), GEOMETRY)
    assert noise.sd_hu == pytest.approx(sd_hu, rel=0.05)
    assert noise.correlated_area_mm2 == pytest.approx(1.2, rel=0.15)


@pytest.mark.parametrize("grain_mm", [0.8, 1.0, 1.5])
def test_correlated_noise(grain_mm: float) -> None:
    noise = measure_noise(noisy(4.0, grain_mm), brain(), GEOMETRY)
    assert noise.sd_hu == pytest.approx(4.0, rel=0.2)
    assert noise.correlated_area_mm2 == pytest.approx(4 * np.pi * grain_mm**2, rel=0.2)


@pytest.mark.parametrize("grain_mm", [0.0, 0.8, 1.5])
def test_standard_error_is_that_of_real_means(grain_mm: float) -> None:
    """Means over squares of 20 mm scatter as the measured noise says."""
    measured = [measure_noise(noisy(4.0, grain_mm, seed), brain(), GEOMETRY) for seed in range(3)]
    predicted = np.mean([noise.standard_error_hu(20 * 20.4) for noise in measured])
    means = [
        noisy(4.0, grain_mm, seed)[:, : 160 // 20 * 20, : 150 // 17 * 17].reshape(12, 8, 20, 8, 17).mean(axis=(2, 4))
        for seed in range(3)
    ]
    assert predicted == pytest.approx(np.std(means), rel=0.2)


def test_standard_error_by_hand() -> None:
    noise = Noise(sd_hu=4.0, correlated_area_mm2=9.0)
    assert noise.standard_error_hu(900.0) == pytest.approx(0.4)
    assert noise.standard_error_hu(9.0) == 4.0
    assert noise.standard_error_hu(1.0) == 4.0
    assert noise.standard_error_hu(0.0) == float("inf")


def test_anatomy_is_not_noise() -> None:
    hu = noisy(3.0, 0.8)
    hu[:, 60:90, 60:90] = 8  # a ventricle
    hu += np.linspace(-4, 4, 160, dtype=np.float32)[:, None]  # cupping
    noise = measure_noise(hu, brain(), GEOMETRY)
    assert noise.sd_hu == pytest.approx(measure_noise(noisy(3.0, 0.8), brain(), GEOMETRY).sd_hu, rel=0.1)


def test_no_flat_brain_has_no_noise() -> None:
    noise = measure_noise(noisy(3, 0), np.zeros_like(brain()), GEOMETRY)
    assert (noise.sd_hu, noise.correlated_area_mm2) == (0.0, 1.2)


def test_an_offset_does_not_change_the_noise() -> None:
    plain, offset = (measure_noise(noisy(3, 1.0) + shift, brain(), GEOMETRY) for shift in (0, -20))
    assert offset.sd_hu == pytest.approx(plain.sd_hu, rel=0.01)
    assert offset.brain_hu == pytest.approx(plain.brain_hu - 20, abs=0.1)


def test_autocorrelation_by_hand() -> None:
    stripes = np.tile(np.array([1.0, 1, -1, -1], dtype=np.float32), 100)
    residual = np.broadcast_to(stripes, (2, 3, 400))
    got = autocorrelation(residual, np.ones(residual.shape, dtype=bool), 2, 4)
    np.testing.assert_allclose(got, [1, 0, -1, 0, 1], atol=0.01)


def test_demo_noise_on_the_working_grid(healthy_patient: PlainPatient, still_patient: PlainPatient) -> None:
    """The same patient with and without noise: the difference is the noise, which must be what is measured.

    The demo mixes two grains, which one Gaussian grain cannot follow: its coarse part is underestimated.
    """
    geometry = working_geometry(healthy_patient.scan.geometry)
    hu, calm = (working_hu(one.scan, geometry) for one in (healthy_patient, still_patient))
    inside = ndimage.binary_erosion(calm > 20, iterations=3) & (calm < 45)
    noise = measure_noise(hu, inside, geometry)
    truth = hu - calm
    assert noise.sd_hu == pytest.approx(truth[inside].std(), rel=0.2)
    means = []
    for k in range(len(truth)):
        for row in range(0, truth.shape[1] - 16, 16):
            for column in range(0, truth.shape[2] - 16, 16):
                block = (k, slice(row, row + 16), slice(column, column + 16))
                if inside[block].all():
                    means.append(truth[block].mean())
    area_mm2 = 16 * 16 * geometry.spacing_mm_zyx[1] * geometry.spacing_mm_zyx[2]
    assert noise.standard_error_hu(area_mm2) == pytest.approx(np.std(means), rel=0.4)

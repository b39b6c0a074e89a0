from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom.noise import grain, noise_power
from infarct.phantom.observer import Background, anatomy_power, anatomy_slices, detectability, prewhitened
from infarct.phantom.response import slice_correlation
from infarct.volume import Geometry
from unit.phantom.blank_scans import PLAIN

NOISY = replace(PLAIN, noise_hu=5.0, pixel_mm=0.5)
GEOMETRY = Geometry.regular((9, 96, 96), (5.0, 0.5, 0.5))


def white(sd_hu: float, size_px: int = 16) -> torch.Tensor:
    return torch.full((size_px, size_px), sd_hu**2 / size_px**2)


def lesion(radius_px: float = 12.0, depth_hu: float = -4.0, slices: int = 3) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij")
    disc = torch.sigmoid((radius_px - torch.hypot(y, x)) / 1.5) * depth_hu
    disc = torch.where(disc.abs() > 0.01, disc, 0.0)
    signal = torch.zeros(9, 96, 96)
    signal[3 : 3 + slices] = disc
    return signal


def test_white_noise_gives_the_norm_over_the_sd() -> None:
    signal = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = prewhitened(signal, Background(white(2.0), np.eye(3)))
    assert found == pytest.approx(float(signal.norm()) / 2.0, rel=1e-4)


def test_two_white_backgrounds_add_up() -> None:
    signal = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = prewhitened(signal, Background(white(3.0), np.eye(3)), Background(white(4.0), np.eye(3)))
    assert found == pytest.approx(float(signal.norm()) / 5.0, rel=1e-4)


def test_correlated_slices_against_the_dense_covariance() -> None:
    """Four slices of 4 x 4: d'^2 = s' K^-1 s with K written out."""
    signal = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(2))
    apart = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    quantum, anatomy = np.maximum(1 - apart / 2, 0), np.exp(-apart / 2.0)
    covariance = np.kron(quantum, 4.0 * np.eye(16)) + np.kron(anatomy, 9.0 * np.eye(16))
    flat = signal.numpy().reshape(-1).astype(np.float64)
    expected = np.sqrt(flat @ np.linalg.solve(covariance, flat))
    found = prewhitened(signal, Background(white(2.0, 4), quantum), Background(white(3.0, 4), anatomy))
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_same_slice_twice_tells_no_more_than_once() -> None:
    signal = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(3)).expand(2, -1, -1).contiguous()
    once = prewhitened(signal[:1], Background(white(2.0), np.eye(1)))
    twice = prewhitened(signal, Background(white(2.0), np.full((2, 2), 0.9999)))
    apart = prewhitened(signal, Background(white(2.0), np.eye(2)))
    assert twice == pytest.approx(once, rel=1e-2)
    assert apart == pytest.approx(once * np.sqrt(2), rel=1e-4)


def test_against_trials_with_generated_noise() -> None:
    """The ideal filter's output over many noise fields: mean s'K^-1 s and the same variance."""
    signal = lesion(slices=1)[3]
    geometry = Geometry.regular((200, 96, 96), (8.0, 0.5, 0.5))
    fields = grain(NOISY, geometry, "cpu").fields(0, 200, 96) * 5.0
    template = torch.fft.fft2(signal, norm="forward") / (noise_power(NOISY, geometry) + 1 / 12 / 96**2)
    filtered = torch.fft.ifft2(template, norm="forward").real / 96**2
    outputs = (fields * filtered).sum(dim=(1, 2))
    trials = float((signal * filtered).sum() / outputs.std())
    stack = torch.zeros(9, 96, 96)
    stack[4] = signal
    assert detectability(stack, NOISY, GEOMETRY, anatomical=False) == pytest.approx(trials, rel=0.15)


def test_detectability_is_linear_in_the_signal_and_falls_with_noise() -> None:
    deep = detectability(lesion(depth_hu=-4.0), NOISY, GEOMETRY, anatomical=False)
    assert detectability(lesion(depth_hu=-2.0), NOISY, GEOMETRY, anatomical=False) == pytest.approx(deep / 2, rel=0.02)
    assert detectability(lesion(), replace(NOISY, noise_hu=10.0), GEOMETRY, anatomical=False) < 0.6 * deep
    assert detectability(lesion(radius_px=6.0), NOISY, GEOMETRY, anatomical=False) < deep
    assert detectability(lesion(slices=1), NOISY, GEOMETRY, anatomical=False) < deep


def test_anatomy_hides_lesions_and_the_other_side_doubles_the_noise() -> None:
    alone, amid = (detectability(lesion(), NOISY, GEOMETRY, anatomical=amid) for amid in (False, True))
    assert amid < alone / np.sqrt(2)
    assert amid > 0.3


def test_the_field_around_the_lesion_hardly_matters() -> None:
    signal = lesion(radius_px=8.0)
    wide = torch.zeros(9, 192, 192)
    wide[:, 40:136, 60:156] = signal
    large = Geometry.regular((9, 192, 192), (5.0, 0.5, 0.5))
    for anatomical in (False, True):
        near = detectability(signal, NOISY, GEOMETRY, anatomical=anatomical)
        assert detectability(wide, NOISY, large, anatomical=anatomical) == pytest.approx(near, rel=0.03)


def test_no_difference_cannot_be_detected() -> None:
    assert detectability(torch.zeros(9, 96, 96), NOISY, GEOMETRY, anatomical=True) == 0.0


def test_differences_of_sides_are_smaller_in_thick_slices_and_alike_in_near_ones() -> None:
    thin, thick = (anatomy_slices(replace(NOISY, thickness_mm=mm), GEOMETRY) for mm in (1.0, 5.0))
    assert thick[0, 0] < thin[0, 0] <= 1
    assert thick[0, 0] > thick[0, 1] > thick[0, 2] > 0
    assert slice_correlation(NOISY, GEOMETRY)[0, 1] < thick[0, 1]


def test_power_of_the_sides_falls_with_frequency() -> None:
    power = anatomy_power(NOISY, GEOMETRY)[0, 1:48]
    assert (power.diff() <= 0).all()

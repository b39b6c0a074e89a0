from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom.patient import Kernel
from infarct.phantom.response import frequencies, kernel_mtf, slice_profile, subslices
from unit.phantom.blank_scans import PLAIN


@pytest.mark.parametrize(("kernel", "half_per_mm"), [("soft", 0.33), ("standard", 0.435), ("sharp", 0.57)])
def test_modulation_falls_to_half_where_the_kernel_says(kernel: Kernel, half_per_mm: float) -> None:
    frequency = torch.linspace(0, 1.2, 1201)
    modulation = kernel_mtf(frequency, replace(PLAIN, kernel=kernel))
    assert float(modulation[0]) == pytest.approx(1.0)
    assert float(frequency[modulation > 0.5].max()) == pytest.approx(half_per_mm, abs=0.01)
    sharper = kernel_mtf(frequency, replace(PLAIN, kernel=kernel, kernel_sharpness=1.2))
    assert float(frequency[sharper > 0.5].max()) == pytest.approx(1.2 * half_per_mm, abs=0.015)


def test_only_the_sharp_kernel_raises_frequencies() -> None:
    frequency = torch.linspace(0.01, 1.2, 100)
    peaks = [float(kernel_mtf(frequency, replace(PLAIN, kernel=kind)).max()) for kind in ("soft", "standard", "sharp")]
    assert peaks[0] < 1
    assert peaks[1] < 1
    assert 1 < peaks[2] < 1.2


@pytest.mark.parametrize("thickness_mm", [0.5, 1.0, 2.5, 5.0, 9.0])
def test_profile_is_as_wide_at_half_height_as_the_slice(thickness_mm: float) -> None:
    half = np.array([thickness_mm / 2])
    assert slice_profile(half, thickness_mm) == pytest.approx(0.5)
    assert slice_profile(np.zeros(1), thickness_mm) == pytest.approx(1.0)
    fine = np.linspace(-2 * thickness_mm, 2 * thickness_mm, 4001)
    assert slice_profile(fine, thickness_mm).sum() * (fine[1] - fine[0]) == pytest.approx(thickness_mm, rel=1e-3)


@pytest.mark.parametrize("thickness_mm", [0.625, 1.0, 5.0, 9.0])
def test_planes_of_a_slice_are_even_and_weigh_one(thickness_mm: float) -> None:
    offsets, weights = subslices(thickness_mm)
    assert weights.sum() == pytest.approx(1.0)
    assert weights == pytest.approx(weights[::-1])
    assert offsets == pytest.approx(-offsets[::-1])
    assert np.diff(offsets).max() <= 1.3


def test_frequencies_of_half_a_transform_are_part_of_the_whole() -> None:
    whole, half = (frequencies((10, 12), (0.5, 0.4), half=half) for half in (False, True))
    assert torch.allclose(whole[:, :6], half[:, :6])
    assert float(whole[0, 1]) == pytest.approx(1 / (12 * 0.4))

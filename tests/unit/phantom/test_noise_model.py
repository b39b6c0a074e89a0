from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom.noise import contrast_share, grain, noise_gain, noise_power, noise_sd_hu
from infarct.phantom.patient import Kernel, Protocol, Reconstruction
from infarct.phantom.rays import RASTER, STEP_MM
from infarct.phantom.response import frequencies, slice_correlation
from infarct.phantom.scanner import scan
from infarct.volume import Geometry
from unit.phantom.blank_scans import PLAIN, round_head

FINE = replace(PLAIN, pixel_mm=0.45, size_px=96, noise_hu=5.0)


def stack(count: int, gap_mm: float, size_px: int = 96, pixel_mm: float = 0.45) -> Geometry:
    return Geometry.regular((count, size_px, size_px), (gap_mm, pixel_mm, pixel_mm))


def noise(protocol: Protocol, count: int, gap_mm: float) -> torch.Tensor:
    return grain(protocol, stack(count, gap_mm), "cpu").fields(0, count, 96) * protocol.noise_hu


@pytest.mark.parametrize("kernel", ["soft", "standard", "sharp"])
@pytest.mark.parametrize("reconstruction", ["fbp", "iterative", "deep"])
def test_noise_has_the_spectrum_and_the_sd_it_says(kernel: Kernel, reconstruction: Reconstruction) -> None:
    protocol = replace(FINE, kernel=kernel, reconstruction=reconstruction)
    fields = noise(protocol, 60, 8.0)
    power = noise_power(protocol, stack(60, 8.0))
    assert float(power.sum()) == pytest.approx(25.0, rel=1e-4)
    assert float(fields.std()) == pytest.approx(5.0, rel=0.02)
    found = torch.fft.fft2(fields, norm="forward").abs().square().mean(dim=0)
    ring = (frequencies((96, 96), (0.45, 0.45), half=False) / 0.1).long().flatten()
    totals = [torch.zeros(20).index_add(0, ring, plane.flatten()) for plane in (found, power)]
    assert totals[0].numpy() == pytest.approx(totals[1].numpy(), abs=0.02 * 25)


def test_odd_sizes_have_the_right_sd() -> None:
    geometry = Geometry.regular((40, 95, 81), (8.0, 0.45, 0.45))
    assert float(grain(FINE, geometry, "cpu").fields(0, 40, 81).std()) == pytest.approx(1.0, rel=0.02)


def test_back_projection_is_a_ramp_under_the_kernel_over_a_coarse_part() -> None:
    """Above 0.35 per mm only the ramp times the squared kernel is left."""
    power = noise_power(FINE, stack(1, 5.0))[0]
    frequency = torch.fft.fftfreq(96, d=0.45)
    kernel = 0.5 * (1 + torch.cos(torch.pi * (frequency / 0.87).clamp(max=1)))
    ratio = (power / (frequency * kernel**2))[(frequency > 0.5) & (frequency < 0.75)]
    assert float(ratio.std() / ratio.mean()) < 0.01


def test_correlation_along_rows_resembles_clinical_noise() -> None:
    """Clinical residuals of 5 mm at 0.43 mm pixels correlate by .83-.89 and .57-.70 at 1 and 2 px, anatomy included."""
    power = noise_power(replace(FINE, pixel_mm=0.43), stack(1, 5.0, pixel_mm=0.43))
    covariance = torch.fft.ifft2(power).real[0]
    first, second = (float(covariance[lag] / covariance[0]) for lag in (1, 2))
    assert 0.75 < first < 0.9
    assert 0.35 < second < 0.65


def test_other_reconstructions_are_coarser() -> None:
    def mean_frequency(reconstruction: Reconstruction) -> float:
        power = noise_power(replace(FINE, reconstruction=reconstruction), stack(1, 5.0))
        return float((power * frequencies((96, 96), (0.45, 0.45), half=False)).sum() / power.sum())

    assert mean_frequency("deep") < mean_frequency("iterative") < mean_frequency("fbp")


@pytest.mark.parametrize(("thickness_mm", "gap_mm"), [(5.0, 2.5), (1.0, 0.5), (4.0, 1.0)])
def test_overlapping_slices_share_noise(thickness_mm: float, gap_mm: float) -> None:
    protocol = replace(FINE, thickness_mm=thickness_mm)
    fields = noise(protocol, 40, gap_mm)
    expected = slice_correlation(protocol, stack(40, gap_mm))
    for lag in (1, 2, 3):
        found = float((fields[lag:] * fields[:-lag]).mean() / fields.square().mean())
        assert found == pytest.approx(expected[0, lag], abs=0.03)
    assert expected[0, 1] > 0.4


def test_half_overlapping_boxes_correlate_by_half() -> None:
    """Where the profile is nearly a box, slices that share half of it have a correlation of about one half."""
    correlation = slice_correlation(replace(PLAIN, thickness_mm=9.0), stack(3, 4.5))
    assert correlation[0, 1] == pytest.approx(0.5, abs=0.04)
    assert correlation[0, 2] < 0.05


def test_abutting_slices_are_nearly_independent() -> None:
    assert slice_correlation(PLAIN, stack(3, 5.0))[0, 1] < 0.06


def test_any_run_of_slices_is_the_same() -> None:
    protocol = replace(FINE, thickness_mm=4.0)
    made = grain(protocol, stack(20, 1.0), "cpu")
    assert torch.allclose(made.fields(7, 12, 96), made.fields(0, 20, 96)[7:12], atol=1e-5)


def test_noise_of_back_projection_falls_with_the_root_of_thickness() -> None:
    """The same dose at 2.5, 5 and 10 mm, measured in the middle of a scanned head."""
    measured = []
    for thickness_mm in (2.5, 5.0, 10.0):
        noise_hu = noise_sd_hu(4.0, thickness_mm, "fbp")
        protocol = replace(PLAIN, thickness_mm=thickness_mm, gaps_mm=(thickness_mm,), noise_hu=noise_hu)
        scanned = scan(round_head(), protocol, "cpu")
        middle = len(scanned.hu) // 2
        measured.append(float(scanned.hu[middle - 1 : middle + 2, 50:110, 55:105].std()))
    assert measured[0] / measured[1] == pytest.approx(np.sqrt(2), rel=0.06)
    assert measured[1] / measured[2] == pytest.approx(np.sqrt(2), rel=0.06)
    assert measured[1] == pytest.approx(4.0, rel=0.1)


def test_other_reconstructions_do_not_follow_the_root() -> None:
    for kind in ("iterative", "deep"):
        assert noise_sd_hu(4.0, 1.25, kind) / noise_sd_hu(4.0, 5.0, kind) < 1.8
        assert noise_sd_hu(4.0, 5.0, kind) == 4.0


def raster_head() -> tuple[torch.Tensor, torch.Tensor]:
    """Five slices of a round head on the rays' raster; the lowest has dense bone in it, the highest is small."""
    axis = (torch.arange(RASTER) - (RASTER - 1) / 2) * STEP_MM
    radius = torch.hypot(axis[:, None], axis[None, :])
    size = torch.tensor([75.0, 75.0, 75.0, 75.0, 40.0])[:, None, None]
    brain = (radius < size).float()
    hu = torch.where(radius < size, 30.0, torch.where(radius < size + 8, 1000.0, -1000.0))
    hu[0, 54:74, 40:56] = hu[0, 54:74, 72:88] = 1200.0
    return hu, brain


def test_noise_is_strong_inside_and_between_bones_and_weak_at_the_vertex() -> None:
    hu, brain = raster_head()
    gain = noise_gain(hu, brain)
    middle, edge = gain[2, 63, 63], gain[2, 63, 63 + 34]
    assert 1.03 < float(middle / edge) < 1.5
    assert float(gain[0, 63, 63]) > 1.15 * float(middle)
    assert float(gain[4, 63, 63]) < 0.8 * float(middle)
    inside = brain[1:4] > 0
    assert float(gain[1:4][inside].square().mean().sqrt()) == pytest.approx(1.0, rel=0.02)


def test_without_brain_the_gain_is_one() -> None:
    assert (noise_gain(torch.full((2, RASTER, RASTER), -1000.0), torch.zeros(2, RASTER, RASTER)) == 1).all()


def test_contrast_is_at_edges_alone() -> None:
    hu = torch.full((1, 40, 40), 30.0)
    hu[..., 20:] = 60.0
    share = contrast_share(hu)
    assert float(share[0, 20, 20]) > 0.7
    assert float(share[0, 20, 5]) < 1e-3

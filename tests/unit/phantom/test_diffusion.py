from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic
from infarct.phantom.diffusion import ADC_COURSE, DiffusionMaps, DiffusionSetup, diffusion_maps, draw_diffusion
from infarct.phantom.ischemia import Lesions, lesion_masks
from infarct.phantom.patient import Pose, Stroke
from infarct.volume import volume_ml
from unit.phantom.mock_canvas import mock_canvas, mock_stroke

STROKE = mock_stroke(seed=5, side="left", onset_h=3.0, core_ml=30.0, swelling=0.0, followup_h=24.0)
SETUP = DiffusionSetup(
    seed=2,
    hours=24.0,
    pixel_mm=1.8,
    slice_mm=5.0,
    pose=Pose(8.0, -3.0, 4.0, (3.0, -6.0, 9.0)),
    snr=0.0,
    pace=1.0,
    drop=1.0,
    foci=0,
    warp_mm=0.0,
    bias=0.0,
    gain=1000.0,
)


@cache
def head() -> tuple[Canvas, Chronic, Lesions]:
    canvas = mock_canvas()
    chronic = Chronic(torch.zeros_like(canvas.intracranial), torch.zeros_like(canvas.hu))
    return canvas, chronic, lesion_masks(canvas, STROKE)


@cache
def maps(setup: DiffusionSetup = SETUP, stroke: Stroke | None = STROKE) -> DiffusionMaps:
    canvas, chronic, lesions = head()
    return diffusion_maps(canvas, chronic, lesions=lesions if stroke else None, stroke=stroke, setup=setup)


def at_voxels(found: DiffusionMaps, mask: Tensor, volume: Tensor) -> Tensor:
    """Return a canvas volume at the voxels of a mask on the images' grid."""
    world = found.geometry.index_to_world(mask.nonzero().numpy())
    points = torch.tensor(world @ found.to_head[:3, :3].T + found.to_head[:3, 3], dtype=torch.float32)
    return head()[0].grid.sample(volume.float(), points)


def pure(found: DiffusionMaps, name: str) -> Tensor:
    """Return where, away from the lesion, there is one tissue only; bool on the images' grid."""
    canvas = head()[0]
    share = torch.zeros_like(found.adc_um2_s)
    everywhere = torch.ones_like(found.brain)
    share[everywhere] = at_voxels(found, everywhere, getattr(canvas, name))
    return (share > 0.97) & ~found.lesion


def deep(found: DiffusionMaps) -> Tensor:
    """Return where the lesion has no border and no fluid near, bool on the images' grid."""
    canvas, _, lesions = head()
    solid = lesions.infarct.float() * (canvas.grey + canvas.white)
    filled = functional.avg_pool3d(solid[None, None], 3, stride=1, padding=1)[0, 0]
    inside = torch.zeros_like(found.brain)
    inside[found.lesion] = at_voxels(found, found.lesion, filled) > 0.97
    return inside


def test_tissues_have_their_adc_and_their_order_of_brightness() -> None:
    found = maps(stroke=None)
    grey, white, fluid = (pure(found, name) for name in ("grey", "white", "csf"))
    assert float(found.adc_um2_s[white].median()) == pytest.approx(760, rel=0.03)
    assert float(found.adc_um2_s[grey].median()) == pytest.approx(830, rel=0.07)
    assert float(found.adc_um2_s[fluid].median()) == pytest.approx(3000, rel=0.1)
    assert float(found.b0[fluid].median()) > 2 * float(found.b0[grey].median())
    dwi = [float(found.dwi[mask].median()) for mask in (fluid, white, grey)]
    assert dwi == sorted(dwi)


def test_signal_follows_from_the_adc() -> None:
    """One tissue, no noise: dwi = b0 exp(-1000 s/mm2 * 760e-6 mm2/s)."""
    found = maps(stroke=None)
    white = pure(found, "white")
    assert float((found.dwi[white] / found.b0[white]).median()) == pytest.approx(np.exp(-0.76), rel=0.02)


@pytest.mark.parametrize(("hours", "expected"), [(6.0, 0.61), (24.0, 0.56), (96.0, 0.72), (200.0, 1.0), (336.0, 1.25)])
def test_adc_falls_recovers_and_rises_above_normal(hours: float, expected: float) -> None:
    healthy = maps(stroke=None)
    found = maps(replace(SETUP, hours=hours))
    where = deep(found)
    ratio = float((found.adc_um2_s[where] / healthy.adc_um2_s[where]).median())
    assert ratio == pytest.approx(expected, abs=0.06)


def test_the_infarct_is_bright_for_two_weeks() -> None:
    healthy = maps(stroke=None)
    ratios = []
    for hours in (3.0, 24.0, 96.0, 200.0, 330.0):
        found = maps(replace(SETUP, hours=hours))
        where = deep(found)
        ratios.append(float((found.dwi[where] / healthy.dwi[where]).median()))
    assert min(ratios[:4]) > 1.2
    assert ratios[4] > 1.02
    assert ratios[1] > 1.7


def test_reperfusion_and_pace_speed_the_recovery() -> None:
    plain = maps(replace(SETUP, hours=120.0))
    fast = maps(replace(SETUP, hours=120.0, pace=1.4))
    reperfused = maps(replace(SETUP, hours=120.0), replace(STROKE, reperfused=True))
    where = deep(plain)
    medians = [float(found.adc_um2_s[where].median()) for found in (plain, reperfused, fast)]
    assert medians == sorted(medians)
    assert medians[1] > medians[0] + 20


def test_early_images_show_the_acute_extent_and_late_ones_the_final() -> None:
    for hours, expected_ml in ((4.0, 30.0), (24.0, 60.0)):
        found = maps(replace(SETUP, hours=hours))
        assert volume_ml(found.lesion.numpy(), found.geometry) == pytest.approx(expected_ml, rel=0.08)


def test_the_truth_lies_where_the_lesion_is_in_the_head() -> None:
    canvas, _, lesions = head()
    found = maps()
    expected = canvas.grid.points()[lesions.final].mean(dim=0).numpy()
    world = found.geometry.index_to_world(found.lesion.nonzero().numpy())
    seen = world @ found.to_head[:3, :3].T + found.to_head[:3, 3]
    np.testing.assert_allclose(seen.mean(axis=0), expected, atol=1.0)
    assert float(at_voxels(found, found.lesion, lesions.final).mean()) > 0.8


def test_foci_shine_through_without_low_adc() -> None:
    healthy = maps(stroke=None)
    found = maps(replace(SETUP, foci=6))
    assert found.shine_through.any()
    assert not (found.shine_through & found.lesion).any()
    where = found.shine_through
    assert float((found.dwi[where] / healthy.dwi[where]).median()) > 1.15
    assert float(found.adc_um2_s[where].median()) > 750


def test_leukoaraiosis_and_scars_have_high_adc_and_long_t2() -> None:
    canvas, _, _ = head()
    left = canvas.atlas_mm[..., 0] > 0
    white = canvas.white > 0.5
    hurt = Chronic(left & white, torch.where(~left & white, -8.0, 0.0))
    found = diffusion_maps(canvas, hurt, lesions=None, stroke=None, setup=SETUP)
    healthy = maps(stroke=None)
    share = pure(healthy, "white")
    x = torch.zeros_like(healthy.b0)
    x[share] = at_voxels(healthy, share, canvas.atlas_mm[..., 0])
    for side, adc_ratio in ((share & (x > 15), 1.5), (share & (x < -15), 1.35)):
        assert float((found.adc_um2_s[side] / healthy.adc_um2_s[side]).median()) == pytest.approx(adc_ratio, abs=0.05)
        assert float((found.b0[side] / healthy.b0[side]).median()) > 1.2
    assert float(at_voxels(found, found.old_infarct, (left & white).float()).mean()) > 0.8


def test_air_moves_the_image_and_takes_signal() -> None:
    """A bubble of air below the frontal lobes: the brain above it loses signal, the top of the head stays."""
    canvas = mock_canvas()
    z, y, _ = canvas.grid.points().unbind(-1)
    inside = canvas.hu > -500
    canvas.hu[(z > -40) & (z < -25) & (y < -20) & inside & ~canvas.intracranial] = -1000.0
    _, chronic, _ = head()
    warped = diffusion_maps(canvas, chronic, lesions=None, stroke=None, setup=replace(SETUP, warp_mm=6.0))
    plain = maps(stroke=None)
    height = torch.zeros_like(plain.b0)
    height[plain.brain] = at_voxels(plain, plain.brain, z)
    top = plain.brain & (height > 40)
    assert float((warped.b0[top] - plain.b0[top]).abs().mean()) < 0.002 * float(plain.b0[top].mean())
    base = plain.brain & (height < -15)
    assert float((warped.b0[base] - plain.b0[base]).abs().mean()) > 0.02 * float(plain.b0[base].mean())


def test_noise_is_rician() -> None:
    """In air the magnitude of complex noise of SD s has mean s * sqrt(pi / 2)."""
    found = maps(replace(SETUP, snr=20.0), None)
    white_b0 = 0.7 * np.exp(-85 / 75) * 1000
    assert float(found.b0[:, :10].mean()) == pytest.approx(white_b0 / 20 * np.sqrt(np.pi / 2), rel=0.03)
    clean = maps(stroke=None)
    difference = (found.b0 - clean.b0)[pure(clean, "white")]
    assert float(difference.std()) == pytest.approx(white_b0 / 20, rel=0.05)
    assert bool((found.adc_um2_s[:, :10] == 0).all())


def test_skull_is_dark() -> None:
    found = maps(stroke=None)
    everywhere = torch.ones_like(found.brain)
    bone = torch.zeros_like(found.b0)
    bone[everywhere] = at_voxels(found, everywhere, head()[0].bone)
    assert float(found.dwi[bone > 0.95].median()) < 0.1 * float(found.dwi[found.brain].median())


def test_same_setup_same_bytes() -> None:
    canvas, chronic, lesions = head()
    setup = draw_diffusion(4, 30.0)
    assert setup == draw_diffusion(4, 30.0)
    first, second = (diffusion_maps(canvas, chronic, lesions=lesions, stroke=STROKE, setup=setup) for _ in range(2))
    for name in ("b0", "dwi", "adc_um2_s", "lesion", "shine_through"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    other = diffusion_maps(canvas, chronic, lesions=lesions, stroke=STROKE, setup=replace(setup, seed=5))
    assert not torch.equal(first.dwi, other.dwi)


def test_course_begins_low_and_ends_high() -> None:
    hours, ratios = np.array(ADC_COURSE).T
    assert (np.diff(hours) > 0).all()
    assert ratios.argmin() == list(hours).index(24.0)
    assert 168 <= np.interp(1.0, ratios[5:], hours[5:]) <= 240

"""The ruler of the realism bench, on images whose measures can be worked out by hand."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry

BENCH = Path(__file__).resolve().parents[3] / "bench" / "realism.py"


@pytest.fixture(scope="module")
def realism() -> ModuleType:
    spec = importlib.util.spec_from_file_location("realism", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["realism"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def noise(shape: tuple[int, ...]) -> Float32Array:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def disc(size: int, radius: float, spacing_yx: tuple[float, float] = (1.0, 1.0)) -> BoolArray:
    y, x = (np.arange(size) - size / 2) * spacing_yx[0], (np.arange(size) - size / 2) * spacing_yx[1]
    return np.asarray(np.hypot(y[:, None], x) <= radius)


def test_upper_slices_are_large_and_lie_in_the_upper_72_percent(realism: ModuleType) -> None:
    brain = np.zeros((12, 20, 20), dtype=bool)
    for k, width in enumerate((0, 12, 20, 20, 20, 20, 20, 20, 20, 20, 9, 0)):
        brain[k, :, :width] = True
    geometry = Geometry.regular(brain.shape, (5.0, 0.5, 0.5))
    assert np.flatnonzero(realism.large_slices(brain)).tolist() == list(range(1, 10))
    # Brain from slice 1 to 10: 28 % of 9 steps is 2.52, so the first slice above it is the fourth of them.
    assert np.flatnonzero(realism.upper_slices(brain, geometry)).tolist() == list(range(4, 10))


def test_upper_slices_of_nothing_are_none(realism: ModuleType) -> None:
    assert not realism.upper_slices(np.zeros((3, 4, 4), dtype=bool), Geometry.regular((3, 4, 4), (5.0, 1.0, 1.0))).any()


def test_correlation_of_the_mean_of_two_neighbours_is_one_half(realism: ModuleType) -> None:
    white = noise((4, 200, 201))
    paired = white[..., 1:] + white[..., :-1]
    everywhere = np.ones(paired.shape, dtype=bool)
    assert realism.row_correlation(paired, everywhere, 1) == pytest.approx(0.5, abs=0.01)
    assert realism.row_correlation(paired, everywhere, 2) == pytest.approx(0.0, abs=0.01)


def test_correlation_starts_at_flat_pixels_only(realism: ModuleType) -> None:
    residual = np.array([[[1.0, 2.0, 5.0, 5.0]]], dtype=np.float32)
    flat = np.array([[[True, True, False, False]]])
    assert realism.row_correlation(residual, flat, 1) == pytest.approx((1 * 2 + 2 * 5) / (1 + 4))


def test_autocovariance_counts_pairs_inside_an_irregular_mask(realism: ModuleType) -> None:
    residual = noise((2, 40, 50))
    flat = noise((2, 40, 50)) > -0.2
    found = realism.autocovariance(residual, flat)
    centred = residual - residual[flat].mean()
    pairs = flat[:, :-2, 3:] & flat[:, 2:, :-3]
    products = (centred[:, :-2, 3:] * centred[:, 2:, :-3])[pairs]
    middle = realism.LAG_PX
    assert found[middle + 2, middle - 3] == pytest.approx(products.mean(), abs=1e-6)
    assert found[middle, middle] == pytest.approx(residual[flat].var(), rel=1e-5)


def test_white_noise_has_power_in_proportion_to_the_area_of_each_ring(realism: ModuleType) -> None:
    covariance = realism.autocovariance(noise((6, 200, 200)), np.ones((6, 200, 200), dtype=bool))
    share = realism.power_spectrum(covariance, pixel_mm=0.4)  # up to 1.25 cycles/mm: all rings are whole
    area = np.diff(np.square(realism.SPECTRUM_EDGES))
    assert share[2:] == pytest.approx((area / area.sum())[2:], rel=0.2)
    assert share.sum() == pytest.approx(1)


def test_a_wave_of_2_mm_has_its_power_at_half_a_cycle_per_mm(realism: ModuleType) -> None:
    wave = np.cos(2 * np.pi * np.arange(200) * 0.4 / 2.0).astype(np.float32)
    covariance = realism.autocovariance(np.tile(wave, (1, 200, 1)), np.ones((1, 200, 200), dtype=bool))
    share = realism.power_spectrum(covariance, pixel_mm=0.4)
    # The taper over 17 lags of 0.4 mm spreads a line by 2 / (34 * 0.4) = 0.15 cycles/mm to each side.
    near = (realism.SPECTRUM_EDGES[:-1] > 0.34) & (realism.SPECTRUM_EDGES[1:] < 0.66)
    assert share[near].sum() > 0.95


def test_flat_brain_keeps_away_from_the_skull_and_from_fluid(realism: ModuleType) -> None:
    brain = disc(160, 75)[None]
    hole = disc(160, 15)[None]
    hu = np.where(hole, 5.0, np.where(brain, 33.0, 1000.0)).astype(np.float32)
    flat = realism.flat_brain(hu, brain, hu)
    radius = np.hypot(*np.meshgrid(np.arange(160) - 80, np.arange(160) - 80))[None]
    assert flat[(radius > 30) & (radius < 60)].all()
    assert not flat[radius < 17].any()
    assert not flat[radius > 66].any()


def test_smoothing_within_the_brain_lets_no_bone_in(realism: ModuleType) -> None:
    brain = disc(80, 30)[None]
    hu = np.where(brain, 33.0, 1500.0).astype(np.float32)
    smooth = realism.smoothed_within(hu, brain, 3.0, (0.5, 1.0))
    assert smooth[brain] == pytest.approx(33.0, abs=1e-3)
    assert not smooth[~brain].any()


def test_thickness_of_a_round_skull_on_oblong_pixels(realism: ModuleType) -> None:
    spacing = (0.5, 0.8)
    brain = disc(400, 60.0, spacing)
    skull = disc(400, 66.0, spacing) & ~brain
    diploe = disc(400, 64.0, spacing) & ~disc(400, 62.0, spacing)
    hu = np.where(diploe, 250.0, np.where(skull, 1200.0, np.where(brain, 30.0, -90.0))).astype(np.float32)
    found = realism.skull_thickness_mm(hu, brain, spacing)
    assert len(found) == realism.RAYS
    assert np.median(found) == pytest.approx(6.0, abs=0.5)


def test_rays_without_bone_have_no_thickness(realism: ModuleType) -> None:
    brain = disc(200, 60.0)
    hu = np.where(brain, 30.0, -1000.0).astype(np.float32)
    assert np.isnan(realism.skull_thickness_mm(hu, brain, (1.0, 1.0))).all()


def test_air_leaves_out_padding_and_the_head(realism: ModuleType) -> None:
    hu = np.round(-1000 + 5 * noise((3, 200, 200)))
    hu[:, 80:120, 80:120] = 40.0
    hu[:, :40] = -2000.0
    hu[:, 160:] = -1000.0
    found = realism._air(hu, Geometry.regular(hu.shape, (5.0, 1.0, 1.0)))
    assert found["air_mean"] == pytest.approx(-1000, abs=0.2)
    assert found["air_sd"] == pytest.approx(5.0, abs=0.2)

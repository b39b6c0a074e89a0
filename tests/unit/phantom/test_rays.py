import numpy as np
import pytest
import torch

from infarct.phantom import rays

AXIS = (torch.arange(rays.RASTER) - (rays.RASTER - 1) / 2) * rays.STEP_MM
RADIUS = torch.hypot(AXIS[:, None], AXIS[None, :])
DISC = (RADIUS < 60).float()[None]


def test_line_integrals_of_a_disc_are_its_chords() -> None:
    """A ray at a distance of 36 mm from the middle of a disc of radius 60 mm crosses 96 mm of it."""
    lines = rays.project(DISC)[0]
    middle, at_36_mm = (rays.BINS - 1) / 2, round((rays.BINS - 1) / 2 + 36 / rays.STEP_MM - 0.01)
    assert lines[:, int(middle)].numpy() == pytest.approx(np.full(rays.ANGLES, 120.0), rel=0.03)
    distance = (at_36_mm - middle) * rays.STEP_MM
    assert float(lines[:, at_36_mm].mean()) == pytest.approx(2 * np.sqrt(60**2 - distance**2), rel=0.03)


def test_reconstruction_undoes_projection() -> None:
    found = rays.reconstruct(rays.project(DISC))[0]
    assert float(found[RADIUS < 50].mean()) == pytest.approx(1.0, abs=0.02)
    assert float(found[RADIUS < 50].std()) < 0.02
    assert abs(float(found[(RADIUS > 70) & (RADIUS < 120)].mean())) < 0.02


def test_smear_of_equal_rays_is_that_value() -> None:
    equal = torch.full((2, rays.ANGLES, rays.BINS), 3.0)
    assert rays.smear(equal).numpy() == pytest.approx(np.full((2, rays.RASTER, rays.RASTER), 3.0), rel=1e-5)

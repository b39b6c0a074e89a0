import numpy as np
import pytest
import torch

from infarct.phantom.grid import Grid, rng, smooth_noise, white_noise

GRID = Grid((5, 6, 7), 2.0, (10.0, -20.0, 30.0))


def test_points_run_along_x_y_z() -> None:
    points = GRID.points()
    assert points.shape == (5, 6, 7, 3)
    assert points[0, 0, 0].tolist() == [10.0, -20.0, 30.0]
    assert points[1, 2, 3].tolist() == [16.0, -16.0, 32.0]


def test_sampling_reproduces_a_linear_field_and_clamps_outside() -> None:
    points = GRID.points()
    field = 2 * points[..., 0] - points[..., 1] + 0.5 * points[..., 2]
    at = torch.tensor([[13.3, -15.2, 33.7], [21.0, -10.5, 37.9]])
    expected = 2 * at[:, 0] - at[:, 1] + 0.5 * at[:, 2]
    assert torch.allclose(GRID.sample(field, at), expected, atol=1e-3)
    beyond = torch.tensor([[1000.0, -20.0, 30.0]])
    assert float(GRID.sample(field, beyond)) == pytest.approx(float(field[0, 0, -1]))
    assert float(GRID.sample(field, beyond, outside="zeros")) == 0.0


def test_channels_are_sampled_together() -> None:
    points = GRID.points()
    both = GRID.sample(points.movedim(-1, 0), points)
    assert torch.allclose(both.movedim(0, -1), points, atol=1e-4)


def test_streams_are_reproducible_and_independent_by_name() -> None:
    first = rng(5, "head").standard_normal(4)
    assert np.array_equal(first, rng(5, "head").standard_normal(4))
    assert not np.allclose(first, rng(5, "stroke").standard_normal(4))
    assert not np.allclose(first, rng(6, "head").standard_normal(4))


@pytest.mark.parametrize("scale_mm", [6.0, 20.0])
def test_smooth_noise_has_unit_sd_and_the_scale_asked_for(scale_mm: float) -> None:
    grid = Grid((40, 60, 60), 2.0, (0.0, 0.0, 0.0))
    noise = smooth_noise(3, grid, scale_mm)
    assert abs(float(noise.mean())) < 0.6
    assert 0.6 < float(noise.std()) < 1.3
    step = round(scale_mm / 2)
    near, far = (float((noise[..., :-k] * noise[..., k:]).mean() / noise.square().mean()) for k in (1, 4 * step))
    assert near > 0.75
    assert far < 0.35


def test_noise_is_the_same_for_the_same_seed() -> None:
    assert torch.equal(white_noise(8, (3, 4)), white_noise(8, (3, 4)))
    assert not torch.equal(white_noise(8, (3, 4)), white_noise(9, (3, 4)))

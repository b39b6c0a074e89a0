import subprocess
import sys

import numpy as np
import pytest
import torch

from infarct.phantom.grid import Grid
from infarct.phantom.patient import Pose
from infarct.phantom.slabs import blurred_in_plane, box_of, grainy, grid_of, slab_points, softened
from infarct.volume import Geometry

GRID = Grid((20, 24, 28), 2.0, (-10.0, -20.0, 5.0))


def test_layers_lie_evenly_in_their_slice() -> None:
    """A slice of 6 mm in three layers: 2 mm below its middle, in it, 2 mm above."""
    geometry = Geometry.regular((2, 3, 4), (6.0, 2.0, 1.5), origin_mm=(1.0, 2.0, 3.0))
    layers = list(slab_points(geometry, np.eye(4), 3))
    for layer, shift in zip(layers, (-2.0, 0.0, 2.0), strict=True):
        assert layer.shape == (2, 3, 4, 3)
        np.testing.assert_allclose(layer[1, 2, 3], (1 + 3 * 1.5, 2 + 2 * 2.0, 3 + 6.0 + shift), rtol=1e-6)


def test_points_follow_a_turned_stack_into_the_head() -> None:
    pose = Pose(20.0, -10.0, 30.0, (5.0, -7.0, 12.0)).matrix()
    geometry = Geometry.regular((5, 6, 7), (5.0, 2.0, 1.5), origin_mm=(-9.0, 4.0, 2.0)).moved(Pose(yaw_deg=25).matrix())
    to_head = np.linalg.inv(pose)
    (points,) = slab_points(geometry, to_head, 1)
    world = geometry.index_to_world([(4, 5, 6), (0, 2, 3)])
    expected = world @ to_head[:3, :3].T + to_head[:3, 3]
    np.testing.assert_allclose(torch.stack((points[4, 5, 6], points[0, 2, 3])), expected, atol=1e-4)


def test_a_box_has_the_grid_of_its_place() -> None:
    mask = torch.zeros(GRID.shape_zyx, dtype=torch.bool)
    mask[4:7, 10, 20:27] = True
    box = box_of(mask, 2)
    assert box == (slice(2, 9), slice(8, 13), slice(18, 28))
    part = grid_of(GRID, box)
    assert part == Grid((7, 5, 10), 2.0, (26.0, -4.0, 9.0))
    torch.testing.assert_close(part.points(), GRID.points()[box])


def test_softening_keeps_the_volume_and_puts_one_half_on_a_flat_border() -> None:
    mask = torch.zeros(40, 40, 40, dtype=torch.bool)
    mask[10:30, 10:30, 10:30] = True
    soft = softened(mask, Grid((40, 40, 40), 1.0, (0.0, 0.0, 0.0)), 2.0)
    assert float(soft.sum()) == pytest.approx(8000, rel=1e-3)
    assert float(soft[9, 20, 20] + soft[10, 20, 20]) / 2 == pytest.approx(0.5, abs=1e-3)
    # A border blurred by a gaussian of 2 mm: 2.5 mm inside it the share is 0.894.
    assert float(soft[12, 20, 20]) == pytest.approx(0.894, abs=0.005)
    assert float(soft[0, 0, 0]) == 0
    assert not softened(torch.zeros_like(mask), GRID, 2.0).any()


def test_blur_in_plane_leaves_slices_apart() -> None:
    volume = torch.zeros(3, 31, 31)
    volume[1, 15, 15] = 1
    blurred = blurred_in_plane(volume, 2.0)
    assert float(blurred[1].sum()) == pytest.approx(1, abs=1e-3)
    assert float(blurred[[0, 2]].abs().sum()) == 0
    assert float(blurred[1, 15, 17] / blurred[1, 15, 15]) == pytest.approx(np.exp(-0.5), rel=1e-3)


@pytest.mark.parametrize("sigma_px", [0.0, 0.7, 2.0])
def test_grain_has_sd_one_and_the_correlation_of_its_blur(sigma_px: float) -> None:
    """White noise blurred by a gaussian of SD s correlates with itself over r as exp(-r^2 / 4 s^2)."""
    noise = grainy(3, (6, 200, 200), sigma_px)
    assert float(noise.std()) == pytest.approx(1, rel=0.02)
    expected = np.exp(-4 / (4 * sigma_px**2)) if sigma_px else 0.0
    assert float((noise[..., 2:] * noise[..., :-2]).mean()) == pytest.approx(expected, abs=0.03)
    assert float((noise[1:] * noise[:-1]).mean()) == pytest.approx(0, abs=0.03)
    assert torch.equal(noise, grainy(3, (6, 200, 200), sigma_px))


def test_a_worker_has_one_thread() -> None:
    work = "from infarct.phantom.workers import prepare_worker; prepare_worker()"
    code = f"import torch; {work}; print(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"

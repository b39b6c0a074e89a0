import math

import pytest
import torch

from infarct.phantom.fields import atlas_fields
from infarct.phantom.warp import WARP, displacement, pull_back, pushing_velocity, random_velocity


def _jacobian(moved: torch.Tensor) -> torch.Tensor:
    """Return the determinant of the gradient of point + displacement, in the interior of the lattice."""
    points = WARP.points() + moved.movedim(0, -1)
    rows = [
        torch.stack(torch.gradient(points[..., axis], spacing=WARP.spacing_mm), dim=-1).flip(-1) for axis in range(3)
    ]
    return torch.det(torch.stack(rows, dim=-2))[2:-2, 2:-2, 2:-2]


def test_no_velocity_moves_nothing() -> None:
    assert not displacement(torch.zeros(3, *WARP.shape_zyx)).any()


def test_a_uniform_velocity_is_a_shift() -> None:
    velocity = torch.zeros(3, *WARP.shape_zyx)
    velocity[1] = 4.0
    assert torch.allclose(displacement(velocity)[1], torch.full(WARP.shape_zyx, 4.0), atol=1e-4)


def test_random_deformations_fold_nowhere_and_are_as_large_as_asked_for() -> None:
    depth = torch.full(WARP.shape_zyx, 30.0)
    moved = displacement(random_velocity(4, 3.0, 2.0, depth))
    assert float(_jacobian(moved).min()) > 0.1
    assert 2.0 < float(moved.std(dim=(1, 2, 3)).mean()) < 6.0


def test_a_deformation_is_undone_by_the_opposite_velocity() -> None:
    velocity = random_velocity(4, 3.0, 2.0, torch.full(WARP.shape_zyx, 30.0))
    there, back = displacement(velocity), displacement(-velocity)
    points = WARP.points() + there.movedim(0, -1)
    returned = there + WARP.sample(back, points)
    # What is left is the interpolation on a lattice of 6 mm.
    assert float(returned[:, 4:-4, 4:-4, 4:-4].abs().mean()) < 0.1
    assert float(returned[:, 4:-4, 4:-4, 4:-4].abs().max()) < 1.0


def test_tissue_that_gains_volume_expands_by_the_gain_and_spares_the_skull() -> None:
    points = WARP.points()
    radius = points.norm(dim=-1)
    gain = 0.3 * torch.sigmoid((24 - radius) / 3)
    depth = (80 - radius).clamp(-40, 80)
    moved = displacement(pushing_velocity(gain, depth))
    inner = radius[2:-2, 2:-2, 2:-2] < 12
    assert float(_jacobian(moved)[inner].mean()) == pytest.approx(math.exp(0.3), rel=0.05)
    assert float(moved[:, depth < 0].abs().max()) < 0.05


def test_swelling_on_the_left_shifts_the_midline_to_the_right() -> None:
    fields = atlas_fields("cpu")
    at = fields.coarse.points()
    gain = 0.4 * ((at - torch.tensor([40.0, 0.0, 15.0])).norm(dim=-1) < 28)
    still, swollen = (pull_back(fields, 3, 0.0, 0.0, field) for field in (None, gain.float()))
    middle = torch.tensor([[0.0, 0.0, 15.0]])
    # The pull-back says where tissue came from: what lies in the middle now came from the left.
    moved_mm = float((WARP.sample(swollen, middle) - WARP.sample(still, middle))[0])
    assert 1.0 < moved_mm < 12.0

"""Places on a canvas, what is worked out around them, and how a head makes room."""

import pytest
import torch
from mock_canvas import mock_canvas
from scipy import ndimage

from infarct.phantom import crop


def test_locate_finds_a_place_of_the_atlas() -> None:
    canvas = mock_canvas(2.0)
    target = (23.0, -1.5, 3.3)
    found = torch.tensor(crop.locate(canvas, target))
    assert torch.allclose(found * 1.17, torch.tensor(target), atol=0.01)


def test_ripple_is_even_noise_that_a_mirrored_axis_mirrors() -> None:
    axes = tuple(torch.arange(-40.0, 41.0, 1.0) for _ in range(3))
    field = crop.ripple((axes[0], axes[1], axes[2]), 3, 8.0)
    assert float(field.mean()) == pytest.approx(0, abs=0.1)
    assert float(field.std()) == pytest.approx(1, abs=0.1)
    turned = crop.ripple((axes[0], axes[1], -axes[2]), 3, 8.0)
    assert torch.allclose(turned, field.flip(-1), atol=1e-3)


def test_distance_agrees_with_scipy_within_reach() -> None:
    mask = torch.zeros((12, 14, 16), dtype=torch.bool)
    mask[3, 4, 5] = mask[9, 10, 2] = True
    truth = torch.from_numpy(ndimage.distance_transform_edt(~mask.numpy())).float() * 2
    found = crop.distance_mm(mask, 2.0, 16.0)
    near = truth <= 16
    assert torch.allclose(found[near], truth[near], atol=1e-4)
    assert bool((found[~near] > 16).all())


def test_lowest_takes_so_many_allowed_voxels() -> None:
    score = torch.arange(24.0).reshape(2, 3, 4)
    allowed = score % 2 == 1
    assert crop.lowest(score, allowed, 3).nonzero().tolist() == [[0, 0, 1], [0, 0, 3], [0, 1, 1]]
    assert torch.equal(crop.lowest(score, allowed, 99), allowed)
    assert not crop.lowest(score, allowed, 0).any()


def test_softened_keeps_the_volume_and_blurs_one_voxel() -> None:
    mask = torch.zeros((7, 7, 7), dtype=torch.bool)
    mask[3, 3, 3] = True
    soft = crop.softened(mask)
    assert float(soft.sum()) == pytest.approx(1.0)
    assert soft[3, 3, 3] == 0.125
    assert soft[2, 3, 3] == 0.0625
    assert not soft[1].any()


def test_stretched_restores_a_linear_field() -> None:
    axes = (torch.arange(5.0), torch.arange(9.0), torch.arange(20.0))
    z, y, x = crop.thinned(axes)
    field = z[:, None, None] + 2 * y[:, None] - x
    whole = axes[0][:, None, None] + 2 * axes[1][:, None] - axes[2]
    assert torch.allclose(crop.stretched(field, (5, 9, 20)), whole, atol=1e-4)


def test_near_finds_the_box_around_places_of_the_atlas() -> None:
    canvas = mock_canvas(2.0)
    z, y, x = crop.near(canvas, ((20.0, 0.0, 10.0), (30.0, 8.0, 12.0)), 4.0).unbind(-1)
    found = torch.zeros_like(canvas.intracranial)
    found[z, y, x] = True
    low, high = torch.tensor((16.0, -4.0, 6.0)), torch.tensor((34.0, 12.0, 16.0))
    inside = ((canvas.atlas_mm > low) & (canvas.atlas_mm < high)).all(dim=-1)
    assert torch.equal(found, inside & canvas.intracranial)


def test_nothing_is_near_a_place_outside_the_canvas() -> None:
    assert len(crop.near(mock_canvas(2.0), ((900.0, 0.0, 0.0),), 4.0)) == 0


def test_distance_to_a_course_counts_its_ends_and_corners() -> None:
    course = torch.tensor([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [10.0, 10.0, 0.0]])
    points = torch.tensor([[5.0, 3.0, 0.0], [-3.0, 4.0, 0.0], [13.0, 8.0, 4.0], [10.0, 16.0, 8.0]])
    assert crop.distance_to_course(points, course).tolist() == pytest.approx([3, 5, 5, 10])

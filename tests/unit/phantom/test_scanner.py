from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom.patient import Pose, Protocol
from infarct.phantom.response import edge_mm
from infarct.phantom.scanner import PADDING_HU, Extent, carry, render, render_difference, scan, scan_geometry
from infarct.volume import Geometry, volume_ml
from infarct.volume.mask import centroid_mm
from unit.phantom.blank_scans import GRID, PLAIN, ball, blank_canvas, round_head, world

TILTED = replace(PLAIN, tilt_deg=18.5, pose=Pose(6.0, -4.0, 5.0, (4.0, -7.0, 12.0)))
UNEVEN = replace(PLAIN, thickness_mm=3.0, gaps_mm=(3.0, 4.5), gap_change=0.45)
OVERLAPPING = replace(PLAIN, thickness_mm=4.0, gaps_mm=(2.0,))


def head_geometry(protocol: Protocol) -> Geometry:
    return scan_geometry(Extent.of(round_head(), protocol), protocol)


def even_stack(positions_mm: list[float]) -> Geometry:
    origins = np.array([[-30.0, -30.0, position] for position in positions_mm])
    return Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (61, 61))


def test_gaps_lie_along_the_normal_and_the_table_moves_along_z() -> None:
    geometry = head_geometry(TILTED)
    assert geometry.tilt_deg == pytest.approx(18.5)
    assert np.diff(geometry.slice_positions_mm) == pytest.approx(5.0)
    assert np.diff(geometry.origins_mm[:, 2]) == pytest.approx(5.0 / np.cos(np.radians(18.5)))
    assert np.ptp(geometry.origins_mm[:, :2], axis=0) == pytest.approx(0.0)
    assert geometry.y_direction[2] < 0, "a positive tilt raises the front edge"


def test_gap_changes_at_its_share_of_the_stack() -> None:
    positions = head_geometry(UNEVEN).slice_positions_mm
    gaps = np.diff(positions)
    change = int((gaps < 4).sum())
    assert gaps[:change] == pytest.approx(3.0)
    assert gaps[change:] == pytest.approx(4.5)
    assert (positions[change] - positions[0]) / np.ptp(positions) == pytest.approx(0.45, abs=0.05)


@pytest.mark.parametrize("protocol", [PLAIN, TILTED, UNEVEN, OVERLAPPING])
def test_stack_holds_the_head_and_is_centred_on_it(protocol: Protocol) -> None:
    geometry = head_geometry(protocol)
    extent = Extent.of(round_head(), protocol)
    along = extent.skull_mm @ geometry.normal
    assert 0 < along.min() - geometry.slice_positions_mm[0] < 12
    assert geometry.slice_positions_mm[-1] > (extent.head_mm @ geometry.normal).max()
    middle = geometry.index_to_world((np.array(geometry.shape_zyx) - 1) / 2)
    assert middle[:2] == pytest.approx(world(protocol.pose, (0.0, 0.0, 0.0))[:2], abs=2.5)


def test_border_of_a_slab_shows_in_each_slice_by_the_profile() -> None:
    """0 HU below z = 0.5, 100 HU above: a slice at z shows 100 times the part of its profile above 0.5."""
    hu = torch.where(GRID.points()[..., 2] > 0.5, 100.0, 0.0)
    positions = [-6.0, -3.0, -1.5, -0.5, 0.5, 2.0, 4.0, 8.0]
    shown = render(blank_canvas(hu, hu > 50), PLAIN, even_stack(positions))[:, 20:40, 20:40]
    edge = edge_mm(5.0)
    fine = np.linspace(-5, 5, 4001)
    profile = np.clip((5.0 + edge) / (2 * edge) - np.abs(fine) / edge, 0, 1)
    expected = [100 * profile[fine > 0.5 - position].sum() / profile.sum() for position in positions]
    assert shown.mean(dim=(1, 2)).numpy() == pytest.approx(np.array(expected), abs=3.0)
    assert float(shown.std(dim=(1, 2)).max()) < 0.1


def test_a_thin_lens_loses_contrast_in_a_thick_slice() -> None:
    """The middle of a lens 2 mm thick fills 2 of the 5 mm of the slice through it, and nothing of its neighbours."""
    lens = 100 * ball(GRID, (0.0, 0.0, 0.0), (30.0, 30.0, 1.0))
    shown = render_difference(lens, GRID, even_stack([-10.0, 0.0, 10.0]), PLAIN)
    assert float(shown[1, 30, 30]) == pytest.approx(100 * 2.0 / 5.0, rel=0.03)
    assert float(shown[[0, 2]].abs().max()) < 1e-3


@pytest.mark.parametrize("protocol", [PLAIN, TILTED, UNEVEN, OVERLAPPING])
def test_mask_keeps_the_volume_of_an_ellipsoid(protocol: Protocol) -> None:
    radii = (22.0, 30.0, 18.0)
    mask = ball(GRID, (10.0, -5.0, 4.0), radii) > 0.5
    carried = carry(mask, GRID, head_geometry(protocol), protocol)
    expected = 4 / 3 * np.pi * np.prod(radii) / 1000
    assert carried.dtype == torch.bool
    assert volume_ml(carried.numpy(), head_geometry(protocol)) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("protocol", [PLAIN, TILTED, replace(UNEVEN, tilt_deg=-12.0), OVERLAPPING])
def test_a_place_of_the_head_appears_where_the_pose_puts_it(protocol: Protocol) -> None:
    protocol = replace(protocol, pose=Pose(8.0, -6.0, 10.0, (5.0, -9.0, 20.0)))
    place = (28.0, -20.0, 12.0)
    geometry = head_geometry(protocol)
    spot = 500 * ball(GRID, place, (9.0, 9.0, 9.0))
    shown = render_difference(spot, GRID, geometry, protocol).numpy()
    weight = shown * geometry.slice_intervals_mm[:, None, None]
    index = np.indices(shown.shape).reshape(3, -1) @ weight.ravel() / weight.sum()
    assert geometry.index_to_world(index) == pytest.approx(world(protocol.pose, place), abs=0.5)
    centre = centroid_mm(carry(spot > 250, GRID, geometry, protocol).numpy(), geometry)
    assert centre == pytest.approx(world(protocol.pose, place), abs=0.5)


def test_left_is_left_and_mirroring_mirrors() -> None:
    left, right = (ball(GRID, (side * 25.0, 10.0, 5.0), (8.0, 8.0, 8.0)) > 0.5 for side in (1, -1))
    geometry = head_geometry(PLAIN)
    columns = [
        carry(mask, GRID, geometry, PLAIN).nonzero()[:, 2].float().mean() * PLAIN.pixel_mm + geometry.origins_mm[0, 0]
        for mask in (left, right)
    ]
    assert float(columns[0]) == pytest.approx(25.0, abs=0.5)
    assert float(columns[1]) == pytest.approx(-25.0, abs=0.5)


def test_labels_are_those_nearest_to_the_pixels() -> None:
    labels = torch.zeros(GRID.shape_zyx, dtype=torch.uint8)
    labels[58:63, 65:76, 55:66] = 7
    carried = carry(labels, GRID, even_stack([-10.0, 0.0, 10.0]), PLAIN)
    assert carried.dtype == torch.uint8
    assert carried.unique().tolist() == [0, 7]
    assert (carried == 7).nonzero().aminmax(dim=0).min.tolist() == [1, 25, 25]
    assert (carried == 7).nonzero().aminmax(dim=0).max.tolist() == [1, 35, 35]


def test_means_of_fractions_keep_their_total() -> None:
    share = ball(GRID, (3.0, 4.0, 5.0), (12.0, 14.0, 16.0))
    geometry = head_geometry(OVERLAPPING)
    total = float((carry(share, GRID, geometry, OVERLAPPING).sum(dim=(1, 2)).numpy() * geometry.slice_voxel_ml).sum())
    assert total == pytest.approx(float(share.sum()) / 1000, rel=0.01)


def test_an_empty_mask_and_one_outside_the_stack_stay_empty() -> None:
    empty = torch.zeros(GRID.shape_zyx, dtype=torch.bool)
    below = empty.clone()
    below[:2, 60:70, 60:70] = True
    for mask in (empty, below):
        assert not carry(mask, GRID, even_stack([20.0, 25.0]), PLAIN).any()
        assert not render_difference(mask.float(), GRID, even_stack([20.0, 25.0]), PLAIN).any()


def test_the_neck_goes_on_below_the_canvas() -> None:
    canvas = blank_canvas(torch.full(GRID.shape_zyx, 40.0), torch.ones(GRID.shape_zyx, dtype=torch.bool))
    shown = render(canvas, PLAIN, even_stack([-120.0, -90.0, 0.0, 120.0]))[:, 30, 30]
    assert shown.numpy() == pytest.approx(np.array([40.0, 40.0, 40.0, -1000.0]), abs=0.5)


def test_edge_of_the_skull_does_not_ring() -> None:
    """2 mm inside a wall of 1000 HU the brain is off by less than 3 HU."""
    canvas = round_head()
    protocol = replace(PLAIN, pixel_mm=0.5, size_px=256)
    shown = render(canvas, protocol, head_geometry(protocol))
    deep = carry(ball(GRID, (0.0, 0.0, 0.0), (45.0, 55.0, 41.0)) > 0.5, GRID, head_geometry(protocol), protocol)
    assert float((shown[deep] - 30).abs().max()) < 3.0


def test_without_noise_and_artefacts_a_scan_is_its_rounded_picture() -> None:
    canvas = round_head()
    scanned = scan(canvas, PLAIN, "cpu")
    picture = render(canvas, PLAIN, scanned.geometry)
    assert float((scanned.hu - picture.clamp(-1024, 3071)).abs().max()) < 0.51
    assert torch.equal(scanned.hu, scanned.hu.round())
    assert scanned.hu.dtype == torch.float32
    assert scanned.hu.shape == scanned.geometry.shape_zyx


def test_offset_and_padding() -> None:
    canvas = round_head()
    plain, changed = (scan(canvas, replace(PLAIN, offset_hu=hu, padding=hu > 0), "cpu").hu for hu in (0.0, 3.0))
    y, x = torch.meshgrid(torch.arange(160) - 79.5, torch.arange(160) - 79.5, indexing="ij")
    outside = torch.hypot(y, x) > 79.5
    assert (changed[:, outside] == PADDING_HU).all()
    assert float((changed - plain - 3)[:, ~outside].abs().mean()) < 0.01


def test_same_seed_same_bytes() -> None:
    canvas = round_head()
    noisy = replace(PLAIN, noise_hu=4.0, streaks_hu=3.0, petrous_hu=8.0, motion_mm=2.0, head_rest=True)
    first, again, other = (scan(canvas, replace(noisy, seed=seed), "cpu") for seed in (3, 3, 4))
    assert torch.equal(first.hu, again.hu)
    assert not torch.equal(first.hu[:5], other.hu[:5])
    assert torch.equal(first.hu, first.hu.round())
    assert first.hu.min() >= -1024


def test_truth_moves_with_the_head() -> None:
    """Where the head jumped the spot's picture and its mask are still in the same place, slice by slice."""
    protocol = replace(PLAIN, motion_mm=4.0, gaps_mm=(2.5,), thickness_mm=2.5)
    geometry = head_geometry(protocol)
    rod = ball(GRID, (20.0, 10.0, 0.0), (6.0, 6.0, 400.0))
    shown, mask = render_difference(rod, GRID, geometry, protocol), carry(rod > 0.5, GRID, geometry, protocol)
    still = carry(rod > 0.5, GRID, geometry, replace(protocol, motion_mm=0.0))
    columns = torch.arange(geometry.size_yx[1], dtype=torch.float32)
    full = mask.sum(dim=(1, 2)) > 90
    places = [
        (volume.float().sum(dim=1) @ columns / volume.float().sum(dim=(1, 2)))[full] for volume in (shown, mask, still)
    ]
    assert float((places[0] - places[1]).abs().max()) < 0.4
    assert float((places[1] - places[2]).abs().max()) > 1.0

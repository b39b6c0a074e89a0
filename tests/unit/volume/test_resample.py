"""Resampling against what can be worked out by hand: ramps, shifts, edges, noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from infarct.volume import Geometry, labels_at, resample, resample_labels, resample_mask
from infarct.volume.mask import bounding_box

SLOPE, LEVEL = np.array([0.7, -1.3, 0.4]), 25.0


def turned(
    angles_deg: tuple[float, float, float], shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> Geometry:
    """A grid about the world's origin, turned about its centre."""
    axes = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    half = (np.array(shape) - 1) * spacing / 2
    return Geometry.regular(shape, spacing, origin_mm=-axes @ half[::-1], directions=axes)


def leaning(geometry: Geometry, shear: float, positions_mm: np.ndarray) -> Geometry:
    """The grid with its slices at other positions, each shifted along y by a share of its position."""
    origins = geometry.origins_mm[0] + positions_mm[:, None] * (geometry.normal + shear * geometry.y_direction)
    return Geometry(origins, geometry.x_direction, geometry.y_direction, geometry.pixel_spacing_mm_yx, geometry.size_yx)


def ramp(geometry: Geometry) -> np.ndarray:
    index = np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0)
    return (geometry.index_to_world(index) @ SLOPE + LEVEL).astype(np.float32)


angle = st.floats(-60, 60)


@settings(max_examples=30, deadline=None)
@given(st.tuples(angle, angle, angle), st.tuples(angle, angle, angle), st.floats(-0.5, 0.5), st.booleans())
def test_linear_ramps_are_exact_inside(first, second, shear: float, parallel: bool) -> None:
    """Any oblique, sheared, uneven grid to any other: linear interpolation of a linear image is exact."""
    positions = np.cumsum([0.0, 4, 4, 4, 4, 5.5, 7, 7, 7])
    source = leaning(turned(first, (9, 24, 30), (5.0, 2.0, 1.5)), shear, positions)
    target = turned(first if parallel else second, (6, 9, 8), (3.0, 1.1, 1.7))
    got = resample(ramp(source), source, target, fill=np.nan)
    below, above = reach(source, target.index_to_world(np.indices(target.shape_zyx).transpose(1, 2, 3, 0)))
    inside = (below >= 0) & (above >= 0)
    np.testing.assert_allclose(got[inside], ramp(target)[inside], atol=2e-3)
    assert np.isnan(got[(below < -0.501) & (above < -0.501)]).all()


def reach(source: Geometry, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many voxels points lie inside the field (negative: outside), on the slices below and above them."""
    offset = world[..., None, :] - source.origins_mm
    sy, sx = source.pixel_spacing_mm_yx
    rows, columns = offset @ source.y_direction / sy, offset @ source.x_direction / sx
    height = world @ source.normal
    positions = source.slice_positions_mm
    depth = np.minimum((height - positions[0]) / 4, (positions[-1] - height) / 7)
    lower = np.clip(np.searchsorted(positions, height, side="right") - 1, 0, len(positions) - 2)
    sides = [rows, source.size_yx[0] - 1 - rows, columns, source.size_yx[1] - 1 - columns]
    in_plane = np.minimum.reduce(sides)
    return tuple(  # type: ignore[return-value]
        np.minimum(depth, np.take_along_axis(in_plane, slices[..., None], axis=-1)[..., 0])
        for slices in (lower, lower + 1)
    )


def test_a_tilted_stack_is_interpolated_along_its_normal() -> None:
    """An upright wall, cut by slices that lean: between two slices it stays one sharp wall in its place."""
    source = leaning(turned((0, 0, 0), (5, 60, 4), (5.0, 1.0, 1.0)), np.tan(np.radians(30)), 5.0 * np.arange(5))
    index = np.indices(source.shape_zyx).transpose(1, 2, 3, 0)
    wall = np.where(source.index_to_world(index)[..., 1] > 5, 100, 0).astype(np.float32)
    between = Geometry.regular((1, 20, 4), (1.0, 1.0, 1.0), origin_mm=source.origins_mm[0] + (0, 20, 12.5))
    y_mm = between.index_to_world(np.indices(between.shape_zyx).transpose(1, 2, 3, 0))[..., 1]
    for transform in (None, np.eye(4)):
        got = resample(wall, source, between, transform=transform)
        np.testing.assert_allclose(got[y_mm > 6], 100)
        np.testing.assert_allclose(got[y_mm < 4], 0)


def test_ramp_is_exact_under_a_transform() -> None:
    source, target = turned((0, 0, 0), (20, 30, 30), (3.0, 2.0, 2.0)), turned((5, 3, 2), (5, 6, 7), (2.0, 2.0, 2.0))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix() * 1.1
    matrix[:3, 3] = (3, -4, 5)
    index = np.indices(target.shape_zyx).transpose(1, 2, 3, 0)
    there = target.index_to_world(index) @ matrix[:3, :3].T + matrix[:3, 3]
    got = resample(ramp(source), source, target, transform=matrix)
    np.testing.assert_allclose(got, there @ SLOPE + LEVEL, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.tuples(angle, angle, angle), st.sampled_from((-0.4, -0.1, 0.0, 0.05, 0.33)))
def test_parallel_path_equals_the_free_path(seed: int, angles, shear: float) -> None:
    random = np.random.default_rng(seed)
    base = turned(angles, (7, 11, 13), (5.0, 1.3, 0.9))
    source = leaning(base, shear, np.cumsum(np.r_[0, random.uniform(2, 8, 6)]))
    target = turned(angles, (9, 14, 12), tuple(random.uniform(0.7, 3, 3)))
    values = random.normal(0, 100, source.shape_zyx).astype(np.float32)
    fast = resample(values, source, target)
    free = resample(values, source, target, transform=np.eye(4))
    np.testing.assert_allclose(fast, free, atol=2e-3)
    labels = random.integers(0, 21, source.shape_zyx).astype(np.uint8)
    assert np.array_equal(
        resample_labels(labels, source, target), resample_labels(labels, source, target, transform=np.eye(4))
    )
    mask = labels > 9
    half = resample(mask.astype(np.float32), source, target, fill=0.0) >= 0.5
    assert np.array_equal(resample_mask(mask, source, target), half)
    assert half.any()
    assert not half.all()


def test_the_same_grid_gives_the_same_values() -> None:
    source = turned((10, 20, 30), (4, 5, 6), (5.0, 3.0, 2.0))
    values = np.random.default_rng(0).normal(size=source.shape_zyx).astype(np.float32)
    np.testing.assert_allclose(resample(values, source, source), values, atol=1e-5)
    np.testing.assert_allclose(resample(values, source, source, transform=np.eye(4)), values, atol=1e-5)
    labels = np.random.default_rng(1).integers(0, 21, source.shape_zyx).astype(np.uint8)
    assert np.array_equal(resample_labels(labels, source, source), labels)
    assert np.array_equal(resample_labels(labels, source, source, transform=np.eye(4)), labels)
    assert np.array_equal(resample_mask(labels > 9, source, source), labels > 9)


@pytest.mark.parametrize("angles_deg", [(0.0, 0.0, 0.0), (10.0, -15.0, 25.0)])
def test_masks_and_labels_survive_a_round_trip(angles_deg: tuple[float, float, float]) -> None:
    """Onto a grid twice as fine, turned or not, and back."""
    coarse, fine = turned((0, 0, 0), (12, 30, 30), (5.0, 2.0, 2.0)), turned(angles_deg, (70, 110, 110), (1.0, 1.0, 1.0))
    index = np.indices(coarse.shape_zyx).transpose(1, 2, 3, 0)
    world = coarse.index_to_world(index)
    ball = np.linalg.norm(world, axis=-1) < 20
    back = resample_mask(resample_mask(ball, coarse, fine), fine, coarse)
    assert 2 * (back & ball).sum() / (back.sum() + ball.sum()) > 0.97
    labels = np.where(ball, np.where(world[..., 0] > 0, 17, 4), 0).astype(np.uint8)
    back = resample_labels(resample_labels(labels, coarse, fine), fine, coarse)
    assert set(np.unique(back)) == {0, 4, 17}  # no label is made up between two others
    assert (back == labels).mean() > 0.99


@pytest.mark.parametrize("transform", [None, np.eye(4)])
def test_edges_hold_for_half_a_voxel(transform: np.ndarray | None) -> None:
    source = Geometry.regular((1, 1, 3), (1.0, 1.0, 2.0), origin_mm=(10.0, 0, 0))
    values = np.array([[[5.0, 6.0, 7.0]]], dtype=np.float32)  # centres at 10, 12, 14 mm
    for x, expected in ((8.9, -1000), (9.1, 5), (10, 5), (11, 5.5), (14, 7), (14.9, 7), (15.1, -1000)):
        target = Geometry.regular((1, 1, 1), (1.0, 1.0, 1.0), origin_mm=(x, 0, 0))
        assert resample(values, source, target, transform=transform)[0, 0, 0] == pytest.approx(expected)


def test_outer_slices_hold_for_half_their_spacing() -> None:
    source = Geometry(
        np.array([(0, 0, z) for z in (0.0, 4, 11)]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (1, 1)
    )
    values = np.array([5.0, 6.0, 7.0], dtype=np.float32).reshape(3, 1, 1)
    for z, expected in ((-2.1, 99), (-1.9, 5), (2, 5.5), (7.5, 6.5), (14.4, 7), (14.6, 99)):
        target = Geometry.regular((1, 1, 1), (1.0, 1.0, 1.0), origin_mm=(0, 0, z))
        assert resample(values, source, target, fill=99.0)[0, 0, 0] == pytest.approx(expected)


def test_fill_stands_outside() -> None:
    source = Geometry.regular((2, 2, 2), (1.0, 1.0, 1.0))
    far = Geometry.regular((2, 2, 2), (1.0, 1.0, 1.0), origin_mm=(50.0, 0, 0))
    ones = np.ones((2, 2, 2), dtype=np.float32)
    assert (resample(ones, source, far) == -1000).all()
    assert np.isnan(resample(ones, source, far, fill=np.nan)).all()
    assert (resample_labels(ones.astype(np.uint8), source, far) == 0).all()
    assert not resample_mask(ones > 0, source, far).any()


def test_transform_goes_from_target_to_source() -> None:
    """A bright voxel at x = 8 mm: the target that looks 4 mm farther to the left sees it at its x = 4 mm."""
    geometry = Geometry.regular((3, 5, 7), (5.0, 3.0, 2.0))
    bright = np.zeros(geometry.shape_zyx, dtype=np.float32)
    bright[1, 2, 4] = 100
    matrix = np.eye(4)
    matrix[0, 3] = 4.0
    got = resample(bright, geometry, geometry, transform=matrix)
    assert np.argwhere(got > 50).tolist() == [[1, 2, 2]]
    assert got[1, 2, 2] == pytest.approx(100)
    assert np.argwhere(resample_mask(bright > 50, geometry, geometry, transform=matrix)).tolist() == [[1, 2, 2]]
    labels = (bright / 50).astype(np.uint8)
    assert np.argwhere(resample_labels(labels, geometry, geometry, transform=matrix)).tolist() == [[1, 2, 2]]


def test_antialias_lowers_noise_as_averaging_would() -> None:
    source = Geometry.regular((20, 150, 150), (1.0, 0.5, 0.5))
    noise = np.random.default_rng(0).normal(0, 10, source.shape_zyx).astype(np.float32)
    target = source.regridded((4.0, 2.0, 2.0))
    inner = (slice(1, -1), slice(3, -3), slice(3, -3))
    smooth = resample(noise, source, target, antialias=True)[inner].std()
    averaged = 10 / np.sqrt(4 * 4 * 4)
    assert 0.5 * averaged < smooth < 1.05 * averaged
    assert resample(noise, source, target)[inner].std() > 2 * smooth


def test_antialias_keeps_means_and_leaves_finer_grids_alone() -> None:
    source = turned((0, 0, 0), (10, 40, 40), (5.0, 1.0, 1.0))
    coarse, fine = source.regridded((5.0, 3.0, 3.0)), source.regridded((2.5, 0.5, 0.5))
    values = ramp(source)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(resample(values, source, coarse, antialias=True)[inner], ramp(coarse)[inner], atol=2e-3)
    assert np.array_equal(resample(values, source, fine, antialias=True), resample(values, source, fine))


@pytest.mark.parametrize("call", [resample, resample_labels, resample_mask])
def test_an_array_that_does_not_fit_is_refused(call) -> None:
    geometry = Geometry.regular((3, 4, 5), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="does not fit"):
        call(np.zeros((3, 5, 4), dtype=np.uint8), geometry, geometry)
    with pytest.raises(ValueError, match="does not fit"):
        call(np.zeros((3, 5, 4), dtype=np.uint8), geometry, geometry, transform=np.eye(4))


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_labels_at_points_are_those_of_a_grid_there(shear: float) -> None:
    """Points of a turned grid: the same as resampling onto it; at each centre its own label; 0 far outside."""
    source = leaning(turned((0, 0, 0), (6, 12, 10), (5, 2, 2)), shear, np.arange(6) * 5.0)
    target = turned((4, -6, 9), (9, 15, 14), (3, 1.7, 1.6))
    labels = np.random.default_rng(3).integers(0, 21, source.shape_zyx).astype(np.uint8)
    points = target.index_to_world(np.indices(target.shape_zyx).transpose(1, 2, 3, 0))
    there = labels_at(labels, source, points)
    np.testing.assert_array_equal(there, resample_labels(labels, source, target, transform=np.eye(4)))
    centres = source.index_to_world(np.indices(source.shape_zyx).transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(labels_at(labels, source, centres), labels)
    assert there.any()
    assert labels_at(labels, source, np.array([[500.0, 0.0, 0.0]])).tolist() == [0]


def test_a_cropped_geometry_is_that_part_of_the_whole() -> None:
    """Sampled on the part alone, values are those of the whole, on a tilted, uneven stack too."""
    random = np.random.default_rng(7)
    origins = np.cumsum(np.column_stack([np.zeros(9), random.uniform(0.1, 0.9, 9), random.uniform(1, 4, 9)]), axis=0)
    whole = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.5, 1.0), (20, 24))
    source = Geometry.regular((12, 30, 30), (3.0, 1.0, 1.0), origin_mm=(-3.0, -2.0, -1.0))
    values = random.normal(size=source.shape_zyx).astype(np.float32)
    mask = np.zeros(whole.shape_zyx, dtype=bool)
    mask[2:7, 3:11, 5:20] = random.random((5, 8, 15)) < 0.5
    mask[2, 3, 5] = mask[6, 10, 19] = True
    box = bounding_box(mask)
    assert box == (slice(2, 7), slice(3, 11), slice(5, 20))
    part = whole.cropped(box)
    assert part.shape_zyx == (5, 8, 15)
    np.testing.assert_allclose(resample(values, source, part), resample(values, source, whole)[box], atol=1e-5)
    with pytest.raises(ValueError, match="no bounding box"):
        bounding_box(np.zeros((2, 3, 4), dtype=bool))

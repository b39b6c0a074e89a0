"""Positions of voxels worked out by hand, on anisotropic, oblique, sheared and uneven grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from infarct.volume import Geometry

HALF, ROOT3 = 0.5, np.sqrt(3) / 2
UNEVEN_MM = (0.0, 4.0, 8.0, 12.0, 19.0, 26.0)


def anisotropic() -> Geometry:
    """Columns 2 mm, rows 3 mm, slices 5 mm apart."""
    return Geometry.regular((4, 6, 7), (5.0, 3.0, 2.0), origin_mm=(10.0, 20.0, 30.0))


def oblique() -> Geometry:
    """The same spacings, turned by 30 degrees about x: rising rows climb, rising slices come forward."""
    axes = np.array([[1, 0, 0], [0, ROOT3, -HALF], [0, HALF, ROOT3]])
    return Geometry.regular((4, 6, 7), (5.0, 3.0, 2.0), origin_mm=(10.0, 20.0, 30.0), directions=axes)


def stack(positions_mm: tuple[float, ...], *, tilt_deg: float = 0.0, size_yx: tuple[int, int] = (6, 7)) -> Geometry:
    """Slices at these positions along z; with a tilt each starts farther back, as a gantry leans."""
    z = np.array(positions_mm)
    origins = np.stack([np.full(len(z), 10.0), 20.0 + np.tan(np.radians(tilt_deg)) * z, z], axis=1)
    return Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (3.0, 2.0), size_yx)


@pytest.mark.parametrize(
    ("index_zyx", "world_mm"),
    [
        ((0, 0, 0), (10, 20, 30)),
        ((1, 2, 3), (16, 26, 35)),
        ((2.5, 0, 0.5), (11, 20, 42.5)),
        ((-1, -1, 0), (10, 17, 25)),
    ],
)
def test_anisotropic_positions(index_zyx: tuple[float, ...], world_mm: tuple[float, ...]) -> None:
    geometry = anisotropic()
    np.testing.assert_allclose(geometry.index_to_world(index_zyx), world_mm, atol=1e-12)
    np.testing.assert_allclose(geometry.world_to_index(world_mm), index_zyx, atol=1e-12)


@pytest.mark.parametrize(
    ("index_zyx", "step_mm"),
    [
        ((0, 0, 1), (2, 0, 0)),
        ((0, 1, 0), (0, 3 * ROOT3, 1.5)),
        ((1, 0, 0), (0, -2.5, 5 * ROOT3)),
        ((2, 2, 2), (4, 6 * ROOT3 - 5, 3 + 10 * ROOT3)),
    ],
)
def test_oblique_positions(index_zyx: tuple[float, ...], step_mm: tuple[float, ...]) -> None:
    geometry = oblique()
    world = np.add((10.0, 20.0, 30.0), step_mm)
    np.testing.assert_allclose(geometry.index_to_world(index_zyx), world, atol=1e-12)
    np.testing.assert_allclose(geometry.world_to_index(world), index_zyx, atol=1e-12)
    np.testing.assert_allclose(geometry.normal, (0, -HALF, ROOT3), atol=1e-12)
    assert geometry.tilt_deg == pytest.approx(0, abs=1e-4)
    assert geometry.is_upright


def test_sheared_positions() -> None:
    geometry = stack((0.0, 5.0, 10.0, 15.0), tilt_deg=18.5)
    lean = 5 * 0.3345953  # tan 18.5 degrees
    np.testing.assert_allclose(geometry.index_to_world((2, 1, 3)), (16, 23 + 2 * lean, 10), atol=1e-5)
    np.testing.assert_allclose(geometry.world_to_index((16, 23 + 2 * lean, 10)), (2, 1, 3), atol=1e-5)
    np.testing.assert_allclose(geometry.index_to_world((0.5, 0, 0)), (10, 20 + lean / 2, 2.5), atol=1e-5)
    assert geometry.tilt_deg == pytest.approx(18.5)
    assert not geometry.is_upright
    assert geometry.is_even


def test_spacing_of_a_sheared_stack_is_measured_along_the_normal() -> None:
    geometry = stack((0.0, 5.0, 10.0), tilt_deg=30)
    between_origins = np.linalg.norm(np.diff(geometry.origins_mm, axis=0), axis=1)
    np.testing.assert_allclose(between_origins, 5 / ROOT3)
    assert geometry.spacing_mm_zyx == pytest.approx((5.0, 3.0, 2.0))


def test_uneven_positions() -> None:
    geometry = stack(UNEVEN_MM)
    assert not geometry.is_even
    for index, position in ((0, 0), (3, 12), (3.5, 15.5), (4.5, 22.5), (1.25, 5), (5, 26)):
        assert geometry.index_to_world((index, 0, 0))[2] == pytest.approx(position)
        assert geometry.world_to_index((10, 20, position))[0] == pytest.approx(index)


def test_beyond_the_ends_the_stack_goes_on_with_its_outer_spacing() -> None:
    geometry = stack(UNEVEN_MM)
    assert geometry.index_to_world((-1, 0, 0))[2] == pytest.approx(-4)
    assert geometry.index_to_world((6, 0, 0))[2] == pytest.approx(33)
    assert geometry.world_to_index((10, 20, -4))[0] == pytest.approx(-1)
    assert geometry.world_to_index((10, 20, 33))[0] == pytest.approx(6)


def test_each_slice_stands_for_the_way_to_its_neighbours_midpoints() -> None:
    geometry = stack(UNEVEN_MM)
    np.testing.assert_allclose(geometry.slice_intervals_mm, (4, 4, 4, 5.5, 7, 7))
    np.testing.assert_allclose(geometry.slice_voxel_ml, np.array((4, 4, 4, 5.5, 7, 7)) * 6 / 1000)
    assert stack((7.0,)).slice_intervals_mm.tolist() == [1.0]


def test_a_single_slice_has_positions_too() -> None:
    geometry = stack((7.0,))
    np.testing.assert_allclose(geometry.index_to_world((0, 2, 1)), (12, 26, 7))
    np.testing.assert_allclose(geometry.world_to_index((12, 26, 7)), (0, 2, 1))
    assert geometry.tilt_deg == 0
    assert geometry.is_even
    assert geometry.is_upright
    np.testing.assert_allclose(geometry.affine @ (1, 2, 0, 1), (12, 26, 7, 1))


finite = st.floats(-200, 200)
gap = st.floats(0.3, 12)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any pose, any spacings, uneven gaps, and slices that slip in plane."""
    axes = Rotation.from_euler("xyz", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    gaps = draw(st.lists(gap, min_size=0, max_size=6))
    slips = [(draw(st.floats(-5, 5)), draw(st.floats(-5, 5))) for _ in range(len(gaps) + 1)]
    local = np.array([(x, y, z) for (x, y), z in zip(slips, np.r_[0, np.cumsum(gaps)], strict=True)])
    origins = np.array([draw(finite) for _ in range(3)]) + local @ axes.T
    return Geometry(origins, axes[:, 0], axes[:, 1], (draw(gap), draw(gap)), (5, 4))


@settings(max_examples=150, deadline=None)
@given(geometries(), st.lists(st.tuples(*[st.floats(-8, 12)] * 3), min_size=1, max_size=5))
def test_world_to_index_inverts_index_to_world(geometry: Geometry, index: list[tuple[float, float, float]]) -> None:
    np.testing.assert_allclose(geometry.world_to_index(geometry.index_to_world(index)), index, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(geometries(), st.tuples(finite, finite, finite))
def test_index_to_world_inverts_world_to_index(geometry: Geometry, world: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(geometry.index_to_world(geometry.world_to_index(world)), world, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(geometries())
def test_rectified_grid_covers_every_voxel_and_keeps_the_axes(geometry: Geometry) -> None:
    upright = geometry.rectified()
    assert upright.is_even
    assert upright.is_upright
    np.testing.assert_allclose(upright.directions, geometry.directions, atol=1e-9)
    assert upright.pixel_spacing_mm_yx == geometry.pixel_spacing_mm_yx
    index = np.indices(geometry.shape_zyx).reshape(3, -1).T
    there = upright.world_to_index(geometry.index_to_world(index))
    slack = np.full(3, 0.02)
    assert (there >= -slack).all()
    assert (there <= np.array(upright.shape_zyx) - 1 + slack).all()


def test_rectified_by_hand() -> None:
    geometry = stack((0.0, 5.0, 10.0), tilt_deg=30)  # the last slice starts 5.77 mm farther back: two rows more
    upright = geometry.rectified()
    assert upright.shape_zyx == (3, 8, 7)
    np.testing.assert_allclose(upright.index_to_world((0, 0, 0)), (10, 20, 0))
    uneven = stack(UNEVEN_MM).rectified()
    np.testing.assert_allclose(uneven.slice_positions_mm, np.linspace(0, 26, 7))  # about 4 mm, both ends kept
    np.testing.assert_allclose(stack(UNEVEN_MM).rectified(slice_spacing_mm=13).slice_positions_mm, (0, 13, 26))


def test_rectified_of_a_stack_that_leans_the_other_way_starts_earlier() -> None:
    upright = stack((0.0, 5.0, 10.0), tilt_deg=-30).rectified()
    assert upright.shape_zyx == (3, 8, 7)
    np.testing.assert_allclose(upright.index_to_world((0, 0, 0)), (10, 14, 0))


def test_rectified_sets_aside_the_short_step_between_two_stacks() -> None:
    assert stack((0.0, 4.0, 8.0, 9.0, 16.0, 23.0)).rectified().spacing_mm_zyx[0] == pytest.approx(23 / 6)


@pytest.mark.parametrize("geometry", [anisotropic(), oblique(), stack((0.0, 5.0, 10.0))])
def test_an_upright_even_stack_is_its_own_rectified(geometry: Geometry) -> None:
    assert geometry.rectified() is geometry
    tilted = stack((0.0, 5.0, 10.0), tilt_deg=18.5).rectified()
    assert tilted.rectified() is tilted


def test_regridded_keeps_centre_and_extent() -> None:
    geometry = oblique()
    fine = geometry.regridded((1.0, 1.0, 1.0))
    assert fine.shape_zyx == (16, 16, 13)
    assert fine.spacing_mm_zyx == pytest.approx((1, 1, 1))
    middle = [grid.index_to_world((np.array(grid.shape_zyx) - 1) / 2) for grid in (geometry, fine)]
    np.testing.assert_allclose(*middle, atol=1e-9)
    coarse = geometry.regridded((4.0, 4.0, 4.0))  # extents 15, 15, 12 mm
    assert coarse.shape_zyx == (5, 5, 4)
    np.testing.assert_allclose(coarse.index_to_world((2, 2, 1.5)), middle[0], atol=1e-9)
    np.testing.assert_allclose(coarse.directions, geometry.directions, atol=1e-9)


def test_regridded_coarser_than_the_volume_is_one_voxel() -> None:
    assert anisotropic().regridded((100.0, 100.0, 100.0)).shape_zyx == (1, 1, 1)


def test_regridded_of_a_tilted_stack_covers_the_leaning_slices() -> None:
    geometry = stack(UNEVEN_MM, tilt_deg=18.5)
    grid = geometry.regridded((2.0, 2.0, 2.0))
    there = grid.world_to_index(geometry.index_to_world(np.indices(geometry.shape_zyx).reshape(3, -1).T))
    assert grid.is_upright
    assert (there >= -0.75).all()
    assert (there <= np.array(grid.shape_zyx) - 0.25).all()


def test_moved_carries_every_voxel() -> None:
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_euler("xyz", (20, -10, 35), degrees=True).as_matrix()
    rigid[:3, 3] = (5, -7, 11)
    geometry = stack(UNEVEN_MM, tilt_deg=18.5)
    index = np.indices(geometry.shape_zyx).reshape(3, -1).T
    expected = geometry.index_to_world(index) @ rigid[:3, :3].T + rigid[:3, 3]
    moved = geometry.moved(rigid)
    np.testing.assert_allclose(moved.index_to_world(index), expected, atol=1e-9)
    assert moved.tilt_deg == pytest.approx(18.5)
    np.testing.assert_allclose(moved.slice_intervals_mm, geometry.slice_intervals_mm)


@pytest.mark.parametrize("bad", [np.diag([1.0, 1, -1, 1]), np.diag([1.1, 1, 1, 1])])
def test_moved_refuses_what_is_not_rigid(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"unit vectors|ascend|rigid"):
        anisotropic().moved(bad)


@pytest.mark.parametrize("geometry", [anisotropic(), oblique(), stack((0.0, 5.0, 10.0), tilt_deg=18.5)])
def test_affine_equals_index_to_world(geometry: Geometry) -> None:
    index = np.indices(geometry.shape_zyx).reshape(3, -1).T
    xyz1 = np.c_[index[:, ::-1], np.ones(len(index))]
    np.testing.assert_allclose((xyz1 @ geometry.affine.T)[:, :3], geometry.index_to_world(index), atol=1e-9)


def test_uneven_stack_has_no_affine() -> None:
    with pytest.raises(ValueError, match="rectified"):
        _ = stack(UNEVEN_MM).affine


def test_slices_that_slip_sideways_have_no_affine() -> None:
    """Evenly spaced along the normal, but two stacks whose fields of view differ by 6 mm."""
    origins = np.array([(0.0, 0, 0), (0, 0, 5), (6, 0, 10), (6, 0, 15)])
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (8, 8))
    assert not geometry.is_upright
    with pytest.raises(ValueError, match="rectified"):
        _ = geometry.affine


X, Y = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_direction": np.array([0.1, 1.0, 0])}, "orthogonal"),
        ({"x_direction": 2 * X}, "unit"),
        ({"x_direction": np.array([np.nan, 0, 0])}, "finite"),
        ({"origins_mm": np.array([[0, 0, np.inf]])}, "finite"),
        ({"origins_mm": np.array([[0, 0, 5.0], [0, 0, 0]])}, "ascend"),
        ({"origins_mm": np.array([[0, 0, 5.0], [0, 0, 5.0]])}, "ascend"),
        ({"origins_mm": np.array([[0, 0, 0.0], [9, 0, 0]])}, "ascend"),
        ({"origins_mm": np.zeros((0, 3))}, "at least one voxel"),
        ({"pixel_spacing_mm_yx": (0.0, 1.0)}, "positive"),
        ({"pixel_spacing_mm_yx": (1.0, -1.0)}, "positive"),
        ({"pixel_spacing_mm_yx": (float("nan"), 1.0)}, "positive|finite"),
        ({"pixel_spacing_mm_yx": (1.0, float("inf"))}, "positive|finite"),
        ({"size_yx": (0, 5)}, "at least one voxel"),
    ],
)
def test_bad_input_is_refused(changes: dict, message: str) -> None:
    good = {
        "origins_mm": np.array([[0, 0, 0.0], [0, 0, 5]]),
        "x_direction": X,
        "y_direction": Y,
        "pixel_spacing_mm_yx": (1.0, 1.0),
        "size_yx": (4, 4),
    }
    with pytest.raises(ValueError, match=message):
        Geometry(**(good | changes))


def test_arrays_are_copied_and_read_only() -> None:
    origins = np.array([[0, 0, 0.0], [0, 0, 5]])
    geometry = Geometry(origins, X, Y, (1.0, 1.0), (4, 4))
    origins[0, 0] = 99
    assert geometry.origins_mm[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        geometry.origins_mm[0, 0] = 1

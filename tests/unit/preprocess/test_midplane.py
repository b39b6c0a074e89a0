"""The midsagittal plane by hand, and found on demo patients of any pose."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from infarct.errors import StepFailed
from infarct.preprocess.head import working_geometry, working_hu
from infarct.preprocess.midplane import Midplane, find_midplane, midplane_of, mirrored
from infarct.volume import Geometry, resample_mask
from plain_head import PlainPatient, PlainSetup, Pose, make_plain_patient

GEOMETRY = Geometry.regular((4, 9, 11), (5.0, 3.0, 2.0), origin_mm=(-10.0, -12.0, 0.0))
UPRIGHT = Midplane(np.array([1.0, 0, 0]), 2.0)
SLOPING = Midplane(np.array([0.8, 0.6, 0.0]), 3.0)


def test_reflection_by_hand() -> None:
    np.testing.assert_allclose(UPRIGHT.reflection @ (7, 5, 9, 1), (-3, 5, 9, 1))
    np.testing.assert_allclose(SLOPING.reflection @ (0, 0, 4, 1), (4.8, 3.6, 4, 1))


@pytest.mark.parametrize("plane", [UPRIGHT, SLOPING])
def test_reflection_is_an_involution_that_keeps_the_plane(plane: Midplane) -> None:
    reflection = plane.reflection
    np.testing.assert_allclose(reflection @ reflection, np.eye(4), atol=1e-12)
    assert np.linalg.det(reflection[:3, :3]) == pytest.approx(-1)
    on_plane = plane.offset_mm * plane.normal + np.cross(plane.normal, (0.3, 0.2, 7.0))
    np.testing.assert_allclose((reflection @ (*on_plane, 1))[:3], on_plane, atol=1e-12)
    np.testing.assert_allclose(reflection[:3, :3] @ plane.normal, -plane.normal, atol=1e-12)


def test_distance_is_positive_on_the_patients_left() -> None:
    distance = UPRIGHT.distance_mm(GEOMETRY)
    np.testing.assert_allclose(distance[2, 3], np.arange(-12, 9, 2))  # x from -10 to 10, plane at 2
    assert UPRIGHT.left_mask(GEOMETRY)[0, 0].tolist() == [False] * 7 + [True] * 4
    index = np.indices(GEOMETRY.shape_zyx).transpose(1, 2, 3, 0)
    expected = GEOMETRY.index_to_world(index) @ SLOPING.normal - 3.0
    np.testing.assert_allclose(SLOPING.distance_mm(GEOMETRY), expected, atol=1e-4)


def test_distance_on_a_tilted_uneven_stack() -> None:
    origins = np.array([(1.0 * k, 2.0 * k, z) for k, z in enumerate((0.0, 4, 8, 15))])
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (3.0, 2.0), (5, 6))
    index = np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0)
    plane = Midplane(np.array([0.8, 0.0, 0.6]), 1.0)
    np.testing.assert_allclose(
        plane.distance_mm(geometry), geometry.index_to_world(index) @ plane.normal - 1.0, atol=1e-4
    )


def test_midplane_of_by_hand() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix() * 0.85
    matrix[:3, 3] = (4, 2, 1)
    plane = midplane_of(matrix)
    np.testing.assert_allclose(plane.normal, (np.sqrt(3) / 2, 0.5, 0), atol=1e-12)
    assert plane.offset_mm == pytest.approx(4 * np.sqrt(3) / 2 + 1)
    for atlas_point in ((0, 10, -20), (0, -70, 33)):
        assert plane.normal @ (matrix @ (*atlas_point, 1))[:3] == pytest.approx(plane.offset_mm)
    assert plane.normal @ (matrix @ (30, 0, 0, 1))[:3] > plane.offset_mm  # the atlas's left is left


def test_a_left_marker_turns_up_on_the_right() -> None:
    hu = np.full(GEOMETRY.shape_zyx, 30, dtype=np.float32)
    hu[1, 4, 9] = 90  # x = 8 mm, six to the left of the plane: its image lies at -4 mm, column 3
    got = mirrored(hu, GEOMETRY, UPRIGHT)
    assert np.argwhere(got > 60).tolist() == [[1, 4, 3]]
    assert got[1, 4, 3] == pytest.approx(90)
    assert (got[..., 0] == -1000).all()  # the image of -10 mm, 14 mm, lies outside the scan
    assert (got[..., 1] == -1000).all()
    assert (got[..., 2] == 30).all()


def test_mirrored_twice_is_the_image_again() -> None:
    geometry = Geometry.regular((12, 60, 60), (3.0, 1.5, 1.5), origin_mm=(-44.0, -44.0, -16.0))
    world = geometry.index_to_world(np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0))
    smooth = (40 * np.exp(-((world - (12, 5, 2)) ** 2).sum(axis=-1) / 300)).astype(np.float32)
    plane = Midplane(Rotation.from_euler("yz", (4, -9), degrees=True).as_matrix()[:, 0], 1.3)
    twice = mirrored(mirrored(smooth, geometry, plane), geometry, plane)
    inner = (slice(3, -3), slice(14, -14), slice(14, -14))
    assert np.abs(twice - smooth)[inner].max() < 1.0
    assert np.abs(mirrored(smooth, geometry, plane) - smooth)[inner].max() > 15


def truth_of(patient: PlainPatient) -> Midplane:
    """The atlas's plane x = 0 carried into the scan: the atlas is scaled along its axes only, then turned."""
    return midplane_of(np.linalg.inv(patient.truth.scan_to_atlas))


def off_by(plane: Midplane, centre: np.ndarray, degrees: tuple[float, float], shift_mm: float) -> Midplane:
    """The plane turned about the centre of the brain and shifted."""
    normal = Rotation.from_euler("yz", degrees, degrees=True).as_matrix() @ plane.normal
    on_plane = centre - (plane.normal @ centre - plane.offset_mm) * plane.normal
    return Midplane(normal, float(normal @ on_plane + shift_mm))


POSES = [
    Pose(pitch_deg=-18, roll_deg=6, yaw_deg=-9, shift_mm=(12, -8, 5)),
    Pose(pitch_deg=20, roll_deg=-12, yaw_deg=15, shift_mm=(-9, 4, 0)),
    Pose(pitch_deg=3, roll_deg=18, yaw_deg=-20, shift_mm=(0, 15, -12)),
    Pose(pitch_deg=-7, roll_deg=-20, yaw_deg=8),
    Pose(pitch_deg=15, roll_deg=15, yaw_deg=-15, shift_mm=(20, 0, 10)),
    Pose(pitch_deg=-20, roll_deg=-3, yaw_deg=20, shift_mm=(-20, 10, 3)),
]
STARTS = [((5.0, 0.0), 0.0), ((-3.5, 3.5), -5.0), ((0.0, -5.0), 5.0)]


def check_pose(number: int, pose: Pose) -> None:
    patient = make_plain_patient(40 + number, PlainSetup(pose=pose, pixel_spacing_mm=1.5))
    geometry = working_geometry(patient.scan.geometry)
    hu = working_hu(patient.scan, geometry)
    brain = resample_mask(patient.truth.intracranial, patient.scan.geometry, geometry)
    truth = truth_of(patient)
    centre = geometry.index_to_world(np.argwhere(brain).mean(axis=0))
    turn, shift_mm = STARTS[number % 3]
    found = find_midplane(hu, brain, geometry, start=off_by(truth, centre, turn, shift_mm))
    angle = np.degrees(np.arccos(min(float(found.normal @ truth.normal), 1.0)))
    on_truth = centre - (truth.normal @ centre - truth.offset_mm) * truth.normal
    distance = abs(float(found.normal @ on_truth - found.offset_mm))
    assert angle <= 1.0
    assert distance <= 1.0
    assert 0 < found.mismatch < 15


@pytest.mark.parametrize("number", range(2))
def test_found_within_a_millimetre_and_a_degree(number: int) -> None:
    check_pose(number, POSES[number])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 6))
def test_found_within_a_millimetre_and_a_degree_in_more_poses(number: int) -> None:
    check_pose(number, POSES[number])


def test_no_head_fails() -> None:
    geometry = Geometry.regular((20, 40, 40), (5.0, 4.0, 4.0))
    with pytest.raises(StepFailed, match="too little"):
        find_midplane(
            np.full(geometry.shape_zyx, -1000, dtype=np.float32),
            np.zeros(geometry.shape_zyx, dtype=bool),
            geometry,
            start=UPRIGHT,
        )

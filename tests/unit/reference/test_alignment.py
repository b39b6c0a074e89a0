"""Alignment of two images of one drawn brain whose pose against each other is known."""

import numpy as np
import pytest
from drawn_head import GEOMETRY, drawn_head
from scipy import ndimage
from scipy.spatial.transform import Rotation

from infarct.errors import StepFailed
from infarct.reference.alignment import align, overlap_share, same_grid
from infarct.types import Float32Array, Float64Array
from infarct.volume import Geometry


def lumpy() -> Float32Array:
    """Return a brain with structure on both sides, 0 outside."""
    noise = np.random.Generator(np.random.Philox(2)).standard_normal(GEOMETRY.shape_zyx)
    lumps = ndimage.gaussian_filter(noise, 3.5)
    return np.where(drawn_head().brain, 35 + 8 * lumps / lumps.std(), 0.0).clip(0, 69).astype(np.float32)


def pose(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Float64Array:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def test_one_grid_needs_no_alignment() -> None:
    head = drawn_head()
    found = align(head.hu, head.brain, GEOMETRY, image=lumpy(), geometry=GEOMETRY)
    assert found.method == "same_grid"
    assert found.is_reliable
    np.testing.assert_array_equal(found.ct_to_image, np.eye(4))


def test_same_grid_by_hand() -> None:
    assert same_grid(GEOMETRY, GEOMETRY.moved(pose((0, 0, 0), (0.1, 0.1, 0))))
    assert not same_grid(GEOMETRY, GEOMETRY.moved(pose((0, 0, 0), (0.3, 0, 0))))
    assert not same_grid(GEOMETRY, Geometry.regular((3, 3, 3), (3, 3, 3)))


def test_overlap_is_the_share_inside_the_brain() -> None:
    brain = drawn_head().brain
    assert overlap_share(brain, GEOMETRY, brain, GEOMETRY) == 1.0
    assert overlap_share(brain, GEOMETRY.moved(pose((0, 0, 0), (500, 0, 0))), brain, GEOMETRY) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("moved", [pose((0, 0, 3), (3, -4, 0)), pose((0, 0, -4), (150, -90, 0))])
def test_a_known_move_is_found(moved: Float64Array) -> None:
    """Where the headers nearly fit, and where they are of no use."""
    values = lumpy()
    head = drawn_head()
    inverted = np.where(head.brain, 70 - values, 0).astype(np.float32)  # another quantity of the same anatomy
    found = align(values, head.brain, GEOMETRY, image=inverted, geometry=GEOMETRY.moved(moved))
    points = GEOMETRY.index_to_world(np.argwhere(head.brain)[::97])
    error = (found.ct_to_image - moved)[:3, :3] @ points.T + (found.ct_to_image - moved)[:3, 3:]
    assert found.method == "rigid"
    assert np.linalg.norm(error, axis=0).mean() < 1.2  # voxels are 3 mm


def test_nothing_cannot_be_aligned() -> None:
    head = drawn_head()
    with pytest.raises(StepFailed, match="empty"):
        align(head.hu, head.brain, GEOMETRY, image=np.zeros_like(head.hu), geometry=GEOMETRY)

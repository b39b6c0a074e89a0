"""Volumes and centres by hand, and an ellipsoid against its formula."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from infarct.volume import Geometry, resample_mask, volume_ml
from infarct.volume.mask import centroid_mm


def two_stacks(tilt_deg: float) -> Geometry:
    """4 mm slices through the base, 7 mm above, leaning: as many scanners of the 1990s and 2000s took heads."""
    z = np.r_[np.arange(-72, 0.1, 4.0), np.arange(7, 78, 7.0)]
    origins = np.stack([np.full(len(z), -85.0), -110 + np.tan(np.radians(tilt_deg)) * z, z], axis=1)
    return Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 0.8), (220, 213))


def ellipsoid(geometry: Geometry, radii_mm: tuple[float, float, float]) -> np.ndarray:
    index = np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0)
    return ((geometry.index_to_world(index) / radii_mm) ** 2).sum(axis=-1) <= 1


def test_volume_by_hand_on_anisotropic_voxels() -> None:
    geometry = Geometry.regular((4, 6, 7), (5.0, 3.0, 2.0))
    mask = np.zeros(geometry.shape_zyx, dtype=bool)
    mask[1:3, 2:5, 1:5] = True  # 24 voxels of 30 mm3
    assert volume_ml(mask, geometry) == pytest.approx(0.72)
    assert volume_ml(np.zeros_like(mask), geometry) == 0.0


def test_volume_by_hand_on_uneven_slices() -> None:
    origins = np.array([[0, 0, z] for z in (0.0, 4, 8, 15, 22)])
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (3.0, 2.0), (5, 5))
    for k, interval_mm in enumerate((4, 4, 5.5, 7, 7)):
        mask = np.zeros(geometry.shape_zyx, dtype=bool)
        mask[k, 0, :4] = True
        assert volume_ml(mask, geometry) == pytest.approx(4 * 6 * interval_mm / 1000)


@pytest.mark.parametrize("tilt_deg", [0.0, 18.5])
@pytest.mark.parametrize("radii_mm", [(60.0, 80.0, 62.0), (12.0, 20.0, 25.0)])
@pytest.mark.parametrize("pose_deg", [(0, 0, 0), (15, -10, 20)])
def test_ellipsoid_on_two_tilted_stacks(
    tilt_deg: float, radii_mm: tuple[float, float, float], pose_deg: tuple[float, float, float]
) -> None:
    geometry = two_stacks(tilt_deg)
    mask = ellipsoid(geometry, radii_mm)
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_euler("xyz", pose_deg, degrees=True).as_matrix()
    expected_ml = 4 / 3 * np.pi * np.prod(radii_mm) / 1000
    assert volume_ml(mask, geometry.moved(rigid)) == pytest.approx(expected_ml, rel=0.02)
    upright = geometry.rectified()
    assert volume_ml(resample_mask(mask, geometry, upright), upright) == pytest.approx(expected_ml, rel=0.02)
    np.testing.assert_allclose(centroid_mm(mask, geometry), 0, atol=0.75)


def test_centroid_by_hand_weights_slices_by_their_interval() -> None:
    origins = np.array([[10, 20, z] for z in (0.0, 4, 8, 16, 24)])
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (3.0, 2.0), (5, 5))
    mask = np.zeros(geometry.shape_zyx, dtype=bool)
    mask[1, 2, 1] = mask[3, 2, 1] = True  # 4 mm at z = 4 and 8 mm at z = 16
    np.testing.assert_allclose(centroid_mm(mask, geometry), (12, 26, 12))


def test_empty_mask_has_no_centroid() -> None:
    geometry = Geometry.regular((2, 2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="empty"):
        centroid_mm(np.zeros((2, 2, 2), dtype=bool), geometry)

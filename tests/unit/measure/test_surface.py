"""Surface distances by hand on anisotropic voxels, against every pair of voxels, and against MONAI."""

import math

import numpy as np
import pytest

from infarct.measure.surface import surface_distances, surface_points_mm
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((8, 12, 14), (5.0, 2.0, 0.5))


def voxels(*indices: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    for index in indices:
        mask[index] = True
    return mask


def blobs(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    for _ in range(3):
        z, y, x = (int(random.integers(0, size - 3)) for size in mask.shape)
        depth, rows, columns = random.integers(1, 6, 3)
        mask[z : z + depth, y : y + rows, x : x + columns] = True
    return mask


@pytest.mark.parametrize(
    ("step", "distance_mm"), [((1, 0, 0), 5.0), ((0, 1, 0), 2.0), ((0, 0, 4), 2.0), ((1, 6, 0), 13)]
)
def test_two_voxels_by_hand(step: tuple[int, int, int], distance_mm: float) -> None:
    found = surface_distances(voxels((3, 3, 3)), voxels((3 + step[0], 3 + step[1], 3 + step[2])), GEOMETRY)
    assert found.mean_mm == found.hausdorff95_mm == pytest.approx(distance_mm)
    assert found.dice(tolerance_mm=distance_mm + 0.01) == 1
    assert found.dice(tolerance_mm=distance_mm - 0.01) == 0


def test_a_line_and_a_voxel_by_hand() -> None:
    line = voxels((3, 2, 5), (3, 3, 5), (3, 4, 5))  # 2 mm apart
    found = surface_distances(line, voxels((3, 2, 5)), GEOMETRY)
    assert sorted(found.predicted_mm) == pytest.approx([0, 2, 4])
    assert found.truth_mm == pytest.approx([0])
    assert found.mean_mm == pytest.approx(6 / 4)
    assert found.hausdorff95_mm == pytest.approx(2 + 0.9 * 2)  # numpy's percentile between 2 and 4 mm
    assert found.dice(tolerance_mm=2.0) == pytest.approx(3 / 4)


def test_only_voxels_with_a_free_face_are_surface() -> None:
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    mask[2:5, 2:5, 2:5] = True
    assert len(surface_points_mm(mask, GEOMETRY)) == 26
    assert len(surface_points_mm(np.ones_like(mask), GEOMETRY)) == mask.size - 6 * 10 * 12


def test_uneven_and_tilted_slices_are_measured_in_the_world() -> None:
    origins = np.array([[0, 0, 0.0], [0, 3, 4], [0, 6, 8], [0, 9, 12], [0, 21, 28]])  # steps of 5 mm, then of 20 mm
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (4, 4))
    first, second = np.zeros((2, 5, 4, 4), dtype=bool)
    first[3, 1, 1] = second[4, 1, 1] = True
    assert surface_distances(first, second, geometry).mean_mm == pytest.approx(20)


def test_empty_masks() -> None:
    nothing, something = voxels(), voxels((3, 3, 3))
    for predicted, truth, overlap in (
        (nothing, something, 0.0),
        (something, nothing, math.nan),
        (nothing,) * 2 + (math.nan,),
    ):
        found = surface_distances(predicted, truth, GEOMETRY)
        assert math.isnan(found.mean_mm)
        assert math.isnan(found.hausdorff95_mm)
        assert found.dice(tolerance_mm=2.0) == pytest.approx(overlap, nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_against_every_pair_of_surface_voxels(seed: int) -> None:
    predicted, truth = blobs(seed), blobs(seed + 100)
    points = []
    for mask in (predicted, truth):
        found = []
        padded = np.pad(mask, 1)
        for z, y, x in np.argwhere(mask):
            block = padded[z : z + 3, y : y + 3, x : x + 3]
            faces = (block[0, 1, 1], block[2, 1, 1], block[1, 0, 1], block[1, 2, 1], block[1, 1, 0], block[1, 1, 2])
            if not all(faces):
                found.append((5.0 * z, 2.0 * y, 0.5 * x))
        points.append(np.array(found))
    apart = np.linalg.norm(points[0][:, None] - points[1], axis=-1)
    distances = surface_distances(predicted, truth, GEOMETRY)
    np.testing.assert_allclose(distances.predicted_mm, apart.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(distances.truth_mm, apart.min(axis=0), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_against_monai(seed: int) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    predicted, truth = blobs(seed), blobs(seed + 100)
    one, two = (torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth))
    spacing = list(GEOMETRY.spacing_mm_zyx)
    found = surface_distances(predicted, truth, GEOMETRY)
    mean = metrics.compute_average_surface_distance(one, two, include_background=True, symmetric=True, spacing=spacing)
    far = metrics.compute_hausdorff_distance(one, two, include_background=True, percentile=95, spacing=spacing)
    assert found.mean_mm == pytest.approx(float(mean), rel=1e-5)
    assert found.hausdorff95_mm == pytest.approx(float(far), rel=1e-5)
    for tolerance in (1.0, 3.0, 6.0):
        near = metrics.compute_surface_dice(one, two, [tolerance], include_background=True, spacing=spacing)
        assert found.dice(tolerance_mm=tolerance) == pytest.approx(float(near), rel=1e-5)

"""The intracranial region on skulls made by hand and on a demo patient."""

import numpy as np
import pytest

from infarct.errors import StepFailed
from infarct.preprocess.intracranial import segment_intracranial, segment_open_skull, segment_stripped
from infarct.volume import Geometry, volume_ml
from plain_head import PlainPatient

INNER_MM, OUTER_MM, SCALP_MM = 72.0, 79.0, 85.0
FORAMEN_MM, CANAL_MM = 16.0, 11.0
LENGTH_MM = 55.0


def grid(slice_mm: float) -> Geometry:
    """180 mm wide, from the neck to above the vertex; the skull's centre is the world's origin."""
    count = int((OUTER_MM + LENGTH_MM + 92) / slice_mm)
    pixel_mm = 1.5
    shape = (count, 121, 121)
    return Geometry.regular(shape, (slice_mm, pixel_mm, pixel_mm), origin_mm=(-90.0, -90.0, -(OUTER_MM + LENGTH_MM)))


def skull(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """A round head on a spine: HU, and the inside of the skull."""
    index = np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0)
    x, y, z = np.moveaxis(geometry.index_to_world(index), -1, 0)
    radius, axis = np.sqrt(x**2 + y**2 + z**2), np.hypot(x, y)
    hu = np.full(geometry.shape_zyx, -1000, dtype=np.float32)
    hu[(radius < SCALP_MM) | ((axis < 50) & (z < -60))] = 40
    below = (z < 0) & (radius >= INNER_MM)
    hu[(radius >= INNER_MM) & (radius < OUTER_MM)] = 900
    hu[(axis < CANAL_MM + 9) & (radius >= OUTER_MM) & below] = 500
    hu[(axis < FORAMEN_MM) & (radius >= INNER_MM) & (radius < OUTER_MM) & below] = 20
    hu[(axis < CANAL_MM) & (radius >= OUTER_MM) & below] = 20
    inside = radius < INNER_MM
    hu[inside] = 33
    return hu, inside


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def world(geometry: Geometry) -> np.ndarray:
    return geometry.index_to_world(np.indices(geometry.shape_zyx).transpose(1, 2, 3, 0))


@pytest.mark.parametrize("slice_mm", [1.5, 5.0])
def test_round_skull(slice_mm: float) -> None:
    geometry = grid(slice_mm)
    hu, inside = skull(geometry)
    got = segment_intracranial(hu, geometry)
    assert dice(got, inside) >= 0.95
    assert volume_ml(got, geometry) == pytest.approx(4 / 3 * np.pi * INNER_MM**3 / 1000, rel=0.05)


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, -0.8, 0.6), (0.0, 0.0, 1.0)])
def test_a_hole_of_12_mm_is_closed(direction: tuple[float, float, float]) -> None:
    geometry = grid(3.0)
    hu, inside = skull(geometry)
    points = world(geometry)
    along = points @ direction
    across = np.linalg.norm(points - along[..., None] * np.array(direction), axis=-1)
    hole = (across < 6) & (along > 0) & (hu > 160)
    assert hole.any()
    hu[hole] = 40
    assert dice(segment_intracranial(hu, geometry), inside) >= 0.95


def test_the_spine_is_cut_off_where_the_area_falls_below_900_mm2() -> None:
    geometry = grid(3.0)
    hu, _ = skull(geometry)
    got = segment_intracranial(hu, geometry)
    areas = got.sum(axis=(1, 2)) * 1.5 * 1.5
    lowest = int(np.flatnonzero(areas)[0])
    assert areas[lowest] >= 900 * 0.8  # the cut is made on another grid
    assert geometry.slice_positions_mm[lowest] == pytest.approx(-np.sqrt(INNER_MM**2 - 900 / np.pi), abs=4)


def test_a_scan_that_ends_below_the_vertex_is_taken() -> None:
    geometry = grid(3.0)
    hu, inside = skull(geometry)
    top = int(np.searchsorted(geometry.slice_positions_mm, 40))
    cut = Geometry.regular((top, 121, 121), (3.0, 1.5, 1.5), origin_mm=geometry.origins_mm[0])
    assert dice(segment_intracranial(hu[:top], cut), inside[:top]) >= 0.95


def test_no_bone_fails() -> None:
    geometry = grid(3.0)
    hu, _ = skull(geometry)
    with pytest.raises(StepFailed, match="no bone"):
        segment_intracranial(np.minimum(hu, 100), geometry)


def test_half_a_vault_fails() -> None:
    geometry = grid(3.0)
    hu, _ = skull(geometry)
    points = world(geometry)
    hu[(points[..., 0] > 0) & (points[..., 2] > 0) & (hu > 160)] = 40
    with pytest.raises(StepFailed, match="closed region"):
        segment_intracranial(hu, geometry)


def test_a_skull_of_a_doll_fails() -> None:
    """A closed region far too small for a brain."""
    geometry = grid(3.0)
    hu, _ = skull(geometry)
    small = Geometry.regular(geometry.shape_zyx, (1.2, 0.6, 0.6))
    with pytest.raises(StepFailed, match="closed region"):
        segment_intracranial(hu, small)


def test_stripped_brain_in_zeros_or_air() -> None:
    geometry = grid(3.0)
    hu, inside = skull(geometry)
    noise = np.random.default_rng(0).normal(0, 4, hu.shape)
    for background in (0.0, -1000.0, -1024.0):
        got = segment_stripped(np.where(inside, hu + noise, background).astype(np.float32), geometry)
        assert dice(got, inside) >= 0.97


def test_stripped_empty_volume_fails() -> None:
    with pytest.raises(StepFailed, match="size of a brain"):
        segment_stripped(np.zeros(grid(5.0).shape_zyx, dtype=np.float32), grid(5.0))


def test_open_skull_is_a_fair_guess() -> None:
    geometry = grid(3.0)
    hu, inside = skull(geometry)
    points = world(geometry)
    window = (points[..., 0] > 40) & (points[..., 2] > 0)
    hu[window & (hu > 160)] = 40
    noise = np.random.default_rng(0).normal(0, 4, hu.shape)
    got = segment_open_skull(np.where(hu > -500, hu + noise, hu).astype(np.float32), geometry)
    assert dice(got, inside) >= 0.85


def test_open_skull_without_tissue_fails() -> None:
    with pytest.raises(StepFailed, match="size of a brain"):
        segment_open_skull(np.full(grid(5.0).shape_zyx, -1000, dtype=np.float32), grid(5.0))


def test_demo_patient(left_patient: PlainPatient) -> None:
    scan, truth = left_patient.scan, left_patient.truth.intracranial
    got = segment_intracranial(scan.hu, scan.geometry)
    assert dice(got, truth) >= 0.95
    assert volume_ml(got, scan.geometry) == pytest.approx(volume_ml(truth, scan.geometry), rel=0.05)

"""The infarct in drawn diffusion images whose truth is known: what is taken, what is left out, and where it lies."""

from functools import cache

import numpy as np
import pytest
from drawn_diffusion import INFARCT, SHINE, boxed, drawn_diffusion
from drawn_head import GEOMETRY, PLANE, SHAPE, drawn_head
from scipy import ndimage
from scipy.spatial.transform import Rotation

from infarct.errors import BadRequest
from infarct.preprocess.midplane import Midplane
from infarct.reference.dwi import DwiReference, Timing, check_pair, read_dwi
from infarct.reference.dwi_images import DiffusionImages, adc_unit, diffusion_images, find_brain
from infarct.reference.dwi_lesions import DwiConfig
from infarct.reference.dwi_picture import draw_dwi
from infarct.reference.dwi_record import dwi_flags, dwi_record
from infarct.reference.dwi_routes import RouteName, carried_mask, slice_route
from infarct.types import BoolArray, Float32Array, Float64Array

EARLY = Timing(hours_from_onset=24.0, days_from_ct=1.0)


@cache
def images() -> DiffusionImages:
    return diffusion_images(*drawn_diffusion(), GEOMETRY)


@cache
def found() -> DwiReference:
    return read_dwi(images(), timing=EARLY)


def dice(first: BoolArray, second: BoolArray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def codes(reference: DwiReference) -> set[str]:
    return {flag.code for flag in dwi_flags(reference, DwiConfig())}


def test_the_infarct_is_found_and_shine_through_is_not() -> None:
    lesions = found().lesions
    assert dice(lesions.mask, boxed(INFARCT)) > 0.95
    assert not lesions.mask[SHINE].any()
    assert lesions.rejected[SHINE].mean() > 0.9
    assert found().infarct_ml == pytest.approx(4 * 8 * 7 * 0.027, rel=0.05)
    assert lesions.shine_through_ml == pytest.approx(3 * 4 * 4 * 0.027, rel=0.1)
    assert len(lesions.pieces) == 1
    x, y, z = lesions.pieces[0].centroid_lps_mm
    assert (x, y, z) == pytest.approx((33.0, -24.0, 22.5), abs=1.0)  # left, as x grows to the patient's left
    assert lesions.pieces[0].median_adc_um2_s == pytest.approx(450, abs=15)


def test_the_brain_and_its_plane() -> None:
    egg = drawn_head().brain
    assert dice(images().brain, egg) > 0.95
    assert abs(images().midplane.offset_mm) < 1.5
    assert images().midplane.normal[0] > 0.999


def test_after_five_days_adc_only_advises() -> None:
    late = read_dwi(images(), timing=Timing(hours_from_onset=150.0))
    assert dice(late.lesions.mask, boxed(INFARCT, SHINE)) > 0.95
    assert not late.lesions.adc_required
    assert "adc_pseudonormal_window" in codes(late)
    assert [piece.low_adc_share > 0.5 for piece in late.lesions.pieces] == [True, False]
    assert "adc_pseudonormal_window" not in codes(found())
    unknown = read_dwi(images(), timing=Timing())
    np.testing.assert_array_equal(unknown.lesions.mask, found().lesions.mask)
    assert "diffusion_time_unknown" in codes(unknown)


def test_specks_are_left_out() -> None:
    dwi, adc = (values.copy() for values in drawn_diffusion())
    dwi[11, 30, 36], adc[11, 30, 36] = 170.0, 400.0  # one voxel of .027 ml
    lesions = read_dwi(diffusion_images(dwi, adc, GEOMETRY), timing=EARLY).lesions
    assert not lesions.mask[10:].any()
    assert lesions.mask[INFARCT].any()


def test_what_is_bright_on_both_sides_at_the_base_is_air() -> None:
    dwi, adc = (values.copy() for values in drawn_diffusion())
    for columns in (slice(3, 6), slice(45, 48)):
        dwi[1:4, 26:33, columns], adc[1:4, 26:33, columns] = 190.0, 500.0
    result = read_dwi(diffusion_images(dwi, adc, GEOMETRY), timing=EARLY)
    assert dice(result.lesions.mask, boxed(INFARCT)) > 0.95
    assert result.lesions.artefact_ml > 1
    assert "dwi_artefact_left_out" in codes(result)


def test_a_mirrored_patient_has_a_mirrored_infarct() -> None:
    dwi, adc = (np.ascontiguousarray(values[:, :, ::-1]) for values in drawn_diffusion())
    other = read_dwi(diffusion_images(dwi, adc, GEOMETRY), timing=EARLY)
    assert dice(other.lesions.mask[:, :, ::-1], found().lesions.mask) > 0.99
    assert other.lesions.pieces[0].centroid_lps_mm[0] < -30


def test_a_turned_patient_keeps_the_infarct() -> None:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    pose[:3, 3] = (40, -20, 300)
    turned = read_dwi(diffusion_images(*drawn_diffusion(), GEOMETRY.moved(pose)), timing=EARLY)
    assert dice(turned.lesions.mask, found().lesions.mask) > 0.99
    expected = pose[:3, :3] @ found().lesions.pieces[0].centroid_lps_mm + pose[:3, 3]
    np.testing.assert_allclose(turned.lesions.pieces[0].centroid_lps_mm, expected, atol=0.5)


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "1e-6 mm2/s"), (1e-3, "1e-3 mm2/s"), (1e-6, "mm2/s")])
def test_units_of_adc_are_seen_from_their_values(factor: float, unit: str) -> None:
    dwi, adc = drawn_diffusion()
    ready = diffusion_images(dwi, adc * np.float32(factor), GEOMETRY)
    assert ready.adc_unit == unit
    np.testing.assert_allclose(ready.adc_um2_s, images().adc_um2_s, rtol=1e-5)


def test_implausible_images_are_refused() -> None:
    dwi, adc = drawn_diffusion()
    for values in ([8.0], [80.0], [8e4], [0.0], []):
        with pytest.raises(BadRequest, match="in none of the units"):
            adc_unit(np.array(values, dtype=np.float32))
    with pytest.raises(BadRequest, match="exchanged"):
        diffusion_images(dwi, dwi * 8, GEOMETRY)
    with pytest.raises(BadRequest, match="empty"):
        find_brain(np.zeros_like(dwi), GEOMETRY)
    with pytest.raises(BadRequest, match="no brain"):
        find_brain(np.where(boxed(INFARCT), dwi, np.float32(0)), GEOMETRY)
    assert adc.any()


def test_pairs_that_the_paper_left_out() -> None:
    check_pair(Timing(days_from_ct=13.9), recurrent=False)
    check_pair(Timing(), recurrent=False)
    for timing, recurrent, why in ((Timing(days_from_ct=14.0), False, "14 days apart"), (EARLY, True, "recurred")):
        with pytest.raises(BadRequest, match=why):
            check_pair(timing, recurrent=recurrent)


@pytest.mark.parametrize("route", ["rigid", "slices"])
def test_one_pose_needs_no_movement(route: RouteName) -> None:
    head = drawn_head()
    result = read_dwi(images(), timing=EARLY, head=head, route=route)
    assert result.on_ct is not None
    assert dice(result.on_ct.mask, boxed(INFARCT)) > (0.95 if route == "rigid" else 0.85)
    assert result.on_ct.covered_brain_share > 0.99
    assert ("diffusion_matched_by_slices" in codes(result)) == (route == "slices")
    record = dwi_record(result, source=("dwi", "adc"), config=DwiConfig())
    assert record["route"] == route
    assert record["infarct_ct_grid_ml"] == pytest.approx(result.on_ct.infarct_ml)
    assert draw_dwi(result, head).startswith(b"\x89PNG")


def turned_in_plane(values: Float32Array | BoolArray, degrees: float) -> Float32Array:
    """Return slices turned about the centre of the egg, (29.5, 25)."""
    angle = np.radians(degrees)
    matrix: Float64Array = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([29.5, 25.0])
    offset = centre - matrix @ centre
    planes = [ndimage.affine_transform(plane.astype(np.float32), matrix, offset, order=1) for plane in values]
    return np.stack(planes)


@pytest.mark.parametrize("degrees", [-9.0, 12.0])
def test_slice_by_slice_the_falx_is_made_upright(degrees: float) -> None:
    """Both the infarct and its side come back from a head that lies turned in the MRI."""
    turned = turned_in_plane(boxed(INFARCT), degrees) >= 0.5
    brain = turned_in_plane(drawn_head().brain, degrees) >= 0.5
    assert dice(turned, boxed(INFARCT)) < 0.75
    angle = np.radians(degrees)
    best = 0.0
    for sign in (-1, 1):
        normal = np.array([np.cos(angle), sign * np.sin(angle), 0.0])
        centre = GEOMETRY.index_to_world((0, 29.5, 25))
        plane = Midplane(normal, float(normal @ centre))
        ready = DiffusionImages(
            GEOMETRY, *(np.zeros(SHAPE, np.float32),) * 2, "1e-6 mm2/s", brain, np.zeros(SHAPE, np.float32), plane
        )
        best = max(best, dice(carried_mask(slice_route(drawn_head(), ready), turned), boxed(INFARCT)))
    assert best > 0.85
    assert PLANE.offset_mm == 0

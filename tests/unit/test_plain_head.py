"""The plain head: repeatable, true to its truth, with the noise of real scans."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES, Side, opposite, region_label
from infarct.volume import Geometry, volume_ml
from plain_head import PlainPatient, PlainSetup, Pose, make_plain_patient

BLOCKED = ("SimpleITK", "nibabel", "pydicom", "pydantic")
SLAB = Geometry.regular((6, 240, 240), (5.0, 0.45, 0.45), origin_mm=(-54.0, -54.0, 30.0))
"""A few fine slices through the supraventricular brain."""
STRAIGHT = Pose(shift_mm=(0.0, 0.0, 0.0))


def test_the_same_seed_gives_the_same_bytes() -> None:
    seed, setup = 7, PlainSetup(pixel_spacing_mm=3.0)
    first, second = make_plain_patient(seed, setup), make_plain_patient(seed, setup)
    assert first.scan.hu.tobytes() == second.scan.hu.tobytes()
    assert first.truth.infarct.tobytes() == second.truth.infarct.tobytes()
    assert np.array_equal(first.truth.scan_to_atlas, second.truth.scan_to_atlas)
    other = make_plain_patient(seed + 1, setup)
    assert other.scan.hu.tobytes() != first.scan.hu.tobytes()
    assert not np.allclose(other.truth.scan_to_atlas, first.truth.scan_to_atlas)


def test_both_sides_are_drawn() -> None:
    setup = PlainSetup(pixel_spacing_mm=6.0, slice_spacing_mm=10.0)
    assert {make_plain_patient(seed, setup).truth.side for seed in range(3)} == set(SIDES)


@pytest.mark.parametrize("side", SIDES)
def test_hu_fall_where_the_truth_says(side) -> None:
    sick = PlainSetup(side=side, pixel_spacing_mm=2.0, noise_hu=0.0, head_rest=False)
    patient, healthy = (make_plain_patient(11, replace(sick, healthy=healthy)) for healthy in (False, True))
    assert patient.truth.side == side
    assert healthy.truth.side is None
    assert healthy.truth.affected_regions == ()
    assert not healthy.truth.infarct.any()
    change = patient.scan.hu - healthy.scan.hu
    inside = patient.truth.infarct
    assert -9 <= np.median(change[inside]) <= -3
    assert (change[inside] <= 0).all()
    near = np.zeros_like(inside)
    near[:-1] |= inside[1:]
    near[1:] |= inside[:-1]
    near |= inside
    for axis in (1, 2):
        for shift in (-3, -2, -1, 1, 2, 3):
            near |= np.roll(near, shift, axis)
    assert (np.abs(change[~near]) <= 1).all()
    assert volume_ml(inside, patient.scan.geometry) > 10
    check_side(patient, side)


def check_side(patient: PlainPatient, side: Side) -> None:
    """The infarct lies on its side of the atlas's midsagittal plane, mostly in ASPECTS regions of that side."""
    truth = patient.truth
    world = patient.scan.geometry.index_to_world(np.argwhere(truth.infarct))
    atlas_x = world @ truth.scan_to_atlas[0, :3] + truth.scan_to_atlas[0, 3]
    assert (np.sign(atlas_x) == (1 if side == "left" else -1)).mean() > 0.999
    labels = truth.aspects_regions[truth.infarct]
    assert not np.isin(labels, [region_label(region, opposite(side)) for region in REGIONS]).any()
    assert (labels > 0).mean() > 0.4


def test_affected_regions_are_those_filled_by_half(left_patient: PlainPatient) -> None:
    truth = left_patient.truth
    for region in REGIONS:
        share = truth.infarct[truth.aspects_regions == region_label(region, "left")].mean()
        if abs(share - 0.5) > 0.1:  # slices blur the border
            assert (region in truth.affected_regions) == (share > 0.5), region


def test_noise_is_that_of_real_scans() -> None:
    """SD 4 to 5.7 HU, and the correlation at 1 to 3 pixels of 5 mm scans with 0.43-0.45 mm pixels."""
    setup = PlainSetup(healthy=True, geometry=SLAB, pose=STRAIGHT, head_rest=False)
    noisy, still = (make_plain_patient(2, replace(setup, noise_hu=sd)).scan.hu for sd in (setup.noise_hu, 0.0))
    noise = noisy - still
    assert 4.0 <= noise.std() <= 5.7
    assert abs(noise.mean()) < 0.3
    for axis in (1, 2):
        rolled = [np.take(noise, range(lag, 240), axis) for lag in (1, 2, 3)]
        kept = [np.take(noise, range(240 - lag), axis) for lag in (1, 2, 3)]
        lags = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(rolled, kept, strict=True)]
        for got, low, high in zip(lags, (0.83, 0.57, 0.44), (0.89, 0.70, 0.64), strict=True):
            assert low - 0.05 <= got <= high + 0.05, lags
    between = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert abs(between) < 0.05


def test_brain_density_is_that_of_real_scans(healthy_patient: PlainPatient) -> None:
    """Median 33-35 HU over the brain, a quarter below 28-31 and above 36-39."""
    inside = healthy_patient.truth.intracranial & ~healthy_patient.truth.csf
    low, middle, high = np.percentile(healthy_patient.scan.hu[inside], (25, 50, 75))
    assert 25 <= low <= 33
    assert 30 <= middle <= 37
    assert 34 <= high <= 41


def test_head_rest_lies_behind_the_head(left_patient: PlainPatient) -> None:
    setup = PlainSetup(pixel_spacing_mm=3.0, noise_hu=0.0)
    patient, bare = (make_plain_patient(1, replace(setup, head_rest=shown)) for shown in (True, False))
    added = (patient.scan.hu - bare.scan.hu) > 100
    assert added.any(axis=(1, 2)).all()
    assert np.argwhere(added)[:, 1].min() > added.shape[1] / 2
    assert not (added & patient.truth.intracranial).any()
    assert left_patient.scan.hu[10].max() > 500


def test_the_stack_covers_the_brain(left_patient: PlainPatient) -> None:
    inside = left_patient.truth.intracranial
    assert not inside[0].any()
    assert not inside[-1].any()
    assert not inside[:, [0, -1]].any()
    assert not inside[..., [0, -1]].any()
    assert 1000 < volume_ml(inside, left_patient.scan.geometry) < 1900


def test_pose_by_hand() -> None:
    matrix = Pose(yaw_deg=90.0, shift_mm=(1.0, 2.0, 3.0)).matrix()
    np.testing.assert_allclose(matrix @ (10, 0, 0, 1), (1, 12, 3, 1), atol=1e-12)
    matrix = Pose(pitch_deg=90.0).matrix()
    np.testing.assert_allclose(matrix @ (0, 10, 0, 1), (0, 0, 10, 1), atol=1e-12)
    matrix = Pose(roll_deg=90.0).matrix()
    np.testing.assert_allclose(matrix @ (0, 0, 10, 1), (10, 0, 0, 1), atol=1e-12)


def test_a_tilted_uneven_geometry_is_scanned_as_asked() -> None:
    z = np.r_[np.arange(-40, 1, 8.0), np.arange(12, 60, 12.0)]
    origins = np.stack([np.full(len(z), -100.0), -110 + 0.3 * z, z], axis=1)
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (4.0, 4.0), (56, 52))
    patient = make_plain_patient(0, PlainSetup(geometry=geometry, pose=STRAIGHT))
    assert patient.scan.geometry is geometry
    inside = patient.truth.intracranial
    assert np.median(patient.scan.hu[inside & ~patient.truth.csf]) == pytest.approx(33, abs=4)

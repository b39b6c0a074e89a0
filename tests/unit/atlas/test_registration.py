"""Registration against the truth of demo patients; the many poses stand in the acceptance tests."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.atlas import Atlas
from infarct.atlas.registration import Registration, register
from infarct.errors import StepFailed
from infarct.preprocess.head import Head, working_geometry, working_hu
from infarct.volume import Geometry, Scan, resample_mask
from plain_head import PlainPatient, PlainSetup, Pose, make_plain_patient


def error_mm(found: Registration, patient: PlainPatient, atlas: Atlas) -> np.ndarray:
    """Distance in the scan between where the map and the truth take points of the atlas's brain."""
    points = atlas.geometry.index_to_world(np.argwhere(atlas.brain)[::499])
    truth = np.linalg.inv(patient.truth.scan_to_atlas)
    here, there = (points @ matrix[:3, :3].T + matrix[:3, 3] for matrix in (found.atlas_to_scan, truth))
    return np.linalg.norm(here - there, axis=1)


def registered(patient: PlainPatient, atlas: Atlas) -> Registration:
    geometry = working_geometry(patient.scan.geometry)
    brain = resample_mask(patient.truth.intracranial, patient.scan.geometry, geometry)
    return register(working_hu(patient.scan, geometry), brain, geometry, atlas)


def test_prepared_heads_lie_where_they_are(
    atlas: Atlas, healthy_head: Head, healthy_patient: PlainPatient, left_head: Head, left_patient: PlainPatient
) -> None:
    for head, patient in ((healthy_head, healthy_patient), (left_head, left_patient)):
        found = head.registration
        errors = error_mm(found, patient, atlas)
        assert found.is_reliable
        assert errors.mean() < 2.0
        assert np.percentile(errors, 95) < 3.0
        assert found.overlap_dice > 0.95
        assert found.covered_share > 0.98
        np.testing.assert_allclose(found.atlas_to_scan @ found.scan_to_atlas, np.eye(4), atol=1e-9)


def test_a_turned_head(atlas: Atlas) -> None:
    pose = Pose(pitch_deg=-21, roll_deg=14, yaw_deg=18, shift_mm=(-20, 25, 10))
    patient = make_plain_patient(8, PlainSetup(pose=pose, pixel_spacing_mm=2.0))
    found = registered(patient, atlas)
    assert found.is_reliable
    assert error_mm(found, patient, atlas).mean() < 3.0


@pytest.mark.slow
def test_the_same_head_gives_the_same_map(atlas: Atlas) -> None:
    patient = make_plain_patient(8, PlainSetup(pixel_spacing_mm=2.0))
    first, second = registered(patient, atlas), registered(patient, atlas)
    assert np.array_equal(first.scan_to_atlas, second.scan_to_atlas)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
def test_a_head_upside_down_or_back_to_front_is_not_called_reliable(atlas: Atlas, axis: int) -> None:
    patient = make_plain_patient(8, PlainSetup(pixel_spacing_mm=2.0, pose=Pose()))
    scan, truth = patient.scan, patient.truth
    turned = replace(patient, scan=Scan(np.flip(scan.hu, axis), scan.geometry))
    turned = replace(turned, truth=replace(truth, intracranial=np.flip(truth.intracranial, axis)))
    assert not registered(turned, atlas).is_reliable


def test_no_brain_fails(atlas: Atlas) -> None:
    geometry = Geometry.regular((10, 20, 20), (5.0, 5.0, 5.0))
    with pytest.raises(StepFailed, match="no brain"):
        register(np.zeros(geometry.shape_zyx, np.float32), np.zeros(geometry.shape_zyx, bool), geometry, atlas)


def test_a_few_slices_fail_or_are_called_poor(atlas: Atlas, left_patient: PlainPatient) -> None:
    """25 mm of the vertex hold too little of a head."""
    scan, inside = left_patient.scan, left_patient.truth.intracranial
    top = int(np.flatnonzero(inside.any(axis=(1, 2)))[-1]) - 4
    geometry = Geometry.regular(
        (5, *scan.geometry.size_yx), scan.geometry.spacing_mm_zyx, origin_mm=scan.geometry.origins_mm[top]
    )
    try:
        found = register(scan.hu[top : top + 5], inside[top : top + 5], geometry, atlas)
    except StepFailed:
        return
    assert not found.is_reliable

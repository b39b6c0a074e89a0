"""Where follow-up infarcts are looked for: on a box, on plain heads with and without a whole skull, on phantoms."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.errors import StepFailed
from infarct.phantom import draw, render_ct
from infarct.pipeline import prepare_head
from infarct.preprocess.followup_region import SPARING_MM, followup_region, without_fluid
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import slab_geometry, slab_means, slabs_of
from infarct.types import Flag
from infarct.volume import Geometry, resample_mask
from plain_head import PlainPatient


def test_the_fluid_goes_and_the_infarct_stays() -> None:
    """A ventricle of 8 HU in brain of 33; apart from both, a severe infarct of 16 HU and a sulcus of 8 HU."""
    geometry = Geometry.regular((9, 40, 40), (5.0, 2.0, 2.0))
    hu = np.full(geometry.shape_zyx, 33, dtype=np.float32)
    intracranial = np.zeros(hu.shape, dtype=bool)
    intracranial[1:8, 2:38, 2:38] = True
    ventricle, infarct, sulcus = np.zeros((3, *hu.shape), dtype=bool)
    ventricle[3:6, 17:23, 18:22] = True
    infarct[3:6, 10:20, 25:35] = True
    sulcus[3:6, 36:38, 5:30] = True
    hu[ventricle | sulcus] = 8
    hu[infarct] = 16
    got = without_fluid(hu, intracranial, geometry, smooth_mm=0.0)
    assert np.array_equal(got, intracranial & ~ventricle)


def test_smoothing_spares_a_severe_infarct_at_the_ventricle() -> None:
    """16 HU with noise of 5: 27 % of its voxels are below 13 HU, and nearly all of those are joined."""
    geometry = Geometry.regular((7, 80, 80), (5.0, 0.8, 0.8))
    hu = np.full(geometry.shape_zyx, 33, dtype=np.float32)
    intracranial = np.ones(hu.shape, dtype=bool)
    ventricle, infarct = np.zeros((2, *hu.shape), dtype=bool)
    ventricle[2:5, 32:48, 36:44] = True
    infarct[2:5, 30:50, 44:74] = True
    hu[ventricle], hu[infarct] = 5, 16
    hu += np.random.default_rng(0).normal(0, 5, hu.shape).astype(np.float32)
    published, sparing = (
        without_fluid(hu, intracranial, geometry, smooth_mm=smooth_mm) for smooth_mm in (0.0, SPARING_MM)
    )
    assert 0.65 <= published[infarct].mean() <= 0.85
    assert sparing[infarct].mean() >= 0.95
    assert sparing[ventricle].mean() <= 0.3


def test_bone_beside_fluid_does_not_spread() -> None:
    geometry = Geometry.regular((3, 60, 60), (5.0, 1.0, 1.0))
    hu = np.full(geometry.shape_zyx, 6, dtype=np.float32)
    hu[:, :, 45:] = 1500
    intracranial = hu < 100
    got = without_fluid(hu, intracranial, geometry)
    assert not got[:, :, :41].any()


def test_a_head_on_its_own_slices_and_on_slabs(left_patient: PlainPatient, left_head: Head) -> None:
    scan, truth = left_patient.scan, left_patient.truth
    got = followup_region(scan, left_head, scan.hu, scan.geometry, smooth_mm=0.0)
    brain = resample_mask(left_head.brain, left_head.geometry, scan.geometry)
    assert not (got & ~brain).any()
    fluid = brain & ~got
    assert fluid.any()
    assert ((scan.hu[fluid] >= -5) & (scan.hu[fluid] <= 13)).all()
    assert (got & truth.infarct).sum() >= 0.97 * truth.infarct.sum()
    slabs = slabs_of(scan.geometry, 10.0)
    thick = slab_geometry(scan.geometry, slabs)
    slabbed = followup_region(scan, left_head, slab_means(scan.hu, slabs), thick, smooth_mm=0.0)
    assert slabbed.shape == thick.shape_zyx
    own = slab_means(got.astype(np.float32), slabs) >= 0.5
    assert 2 * (slabbed & own).sum() >= 0.9 * (slabbed.sum() + own.sum())


def test_a_head_whose_skull_does_not_close_is_refused(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    scan = healthy_patient.scan
    with pytest.raises(StepFailed, match="skull is missing"):
        followup_region(scan, replace(healthy_head, skull_closed=False), scan.hu, scan.geometry)


def test_a_head_without_bone_over_part_of_its_brain_is_refused(
    healthy_patient: PlainPatient, healthy_head: Head
) -> None:
    """Even where the region was found closed."""
    scan, upper = healthy_patient.scan, len(healthy_head.hu) // 2
    hu = healthy_head.hu.copy()
    quarter = hu[upper:, :, : hu.shape[2] // 2]
    quarter[quarter > 100] = 40
    with pytest.raises(StepFailed, match="skull is missing"):
        followup_region(scan, replace(healthy_head, hu=hu), scan.hu, scan.geometry)


def test_a_stripped_head_has_no_skull_to_miss(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    scan = healthy_patient.scan.with_flags(Flag("skull_stripped", "warning", "No skull."))
    head = replace(healthy_head, hu=np.where(healthy_head.brain, healthy_head.hu, np.float32(0)))
    assert followup_region(scan, head, scan.hu, scan.geometry).any()


@pytest.mark.slow
def test_a_severe_infarct_of_a_phantom_stays_in_its_region() -> None:
    patient = next(
        one
        for one in (draw("followup", number, "validation") for number in range(100))
        if one.stratum["severity"] == "severe" and one.followup is not None and one.followup.thickness_mm >= 4
    )
    visit = render_ct(patient)
    scan = visit.scan(patient.name)
    got = followup_region(scan, prepare_head(scan), scan.hu, scan.geometry)
    truth = {name: mask.numpy() for name, mask in visit.truth.items()}
    infarct, inside = truth["infarct"], truth["intracranial"]
    assert (got & infarct).sum() >= 0.9 * infarct.sum()
    assert (got & ~inside).sum() <= 0.06 * got.sum()


@pytest.mark.slow
def test_a_phantom_after_a_craniectomy_is_refused() -> None:
    patient = next(
        one for one in (draw("mimics", number, "validation") for number in range(400)) if one.treatment.skull_defect
    )
    scan = render_ct(patient).scan(patient.name)
    with pytest.raises(StepFailed, match="skull is missing"):
        followup_region(scan, prepare_head(scan), scan.hu, scan.geometry)

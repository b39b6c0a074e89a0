"""Registration and midsagittal plane against known poses: within 25 degrees and 40 mm, head rest in the picture."""

import numpy as np
import pytest

from infarct.atlas import load_atlas
from infarct.atlas.registration import register
from infarct.preprocess.head import working_geometry, working_hu
from infarct.preprocess.intracranial import segment_intracranial
from infarct.preprocess.midplane import find_midplane, midplane_of
from infarct.volume import Geometry
from plain_head import MNI_PER_HEAD, PlainPatient, PlainSetup, Pose, make_plain_patient

POSES = 50
MAX_ERROR_MM = 3.0
FIELD = Geometry.regular((48, 250, 250), (5.0, 1.2, 1.2), origin_mm=(-150.0, -150.0, -120.0))


def posed_patient(number: int) -> PlainPatient:
    random = np.random.default_rng(20_000 + number)
    x, y, z = random.uniform(-40, 40, 3)
    pose = Pose(*random.uniform(-25, 25, 3), shift_mm=(x, y, z))
    return make_plain_patient(number, PlainSetup(pose=pose, geometry=FIELD, healthy=number % 2 == 0))


def measured(number: int) -> tuple[bool, float, float, float]:
    """Return reliability, mean registration error over the brain (mm), angle (deg) and shift (mm) of the plane."""
    patient, atlas = posed_patient(number), load_atlas()
    geometry = working_geometry(patient.scan.geometry)
    hu = working_hu(patient.scan, geometry)
    brain = segment_intracranial(hu, geometry)
    registration = register(hu, brain, geometry, atlas)
    to_scan = np.linalg.inv(patient.truth.scan_to_atlas)
    points = atlas.geometry.index_to_world(np.argwhere(atlas.brain)[::997])
    world = points @ to_scan[:3, :3].T + to_scan[:3, 3]
    found = world @ registration.scan_to_atlas[:3, :3].T + registration.scan_to_atlas[:3, 3]
    error_mm = np.linalg.norm(found - points, axis=1) / MNI_PER_HEAD
    plane = find_midplane(hu, brain, geometry, start=midplane_of(registration.atlas_to_scan))
    truth, centre = midplane_of(to_scan), world.mean(axis=0)
    angle_deg = float(np.degrees(np.arccos(min(abs(plane.normal @ truth.normal), 1.0))))
    shift_mm = float(abs((centre @ plane.normal - plane.offset_mm) - (centre @ truth.normal - truth.offset_mm)))
    return registration.is_reliable, float(error_mm.mean()), angle_deg, shift_mm


@pytest.mark.parametrize("number", range(4))
def test_a_few_poses(number: int) -> None:
    reliable, error_mm, angle_deg, shift_mm = measured(number)
    assert reliable
    assert error_mm < MAX_ERROR_MM
    assert angle_deg < 1.0
    assert shift_mm < 1.0


@pytest.mark.slow
def test_fifty_poses() -> None:
    results = [measured(number) for number in range(POSES)]
    unflagged_errors = [error_mm for reliable, error_mm, _, _ in results if reliable]
    print(
        f"unflagged {len(unflagged_errors)}, mean {np.mean(unflagged_errors):.2f}, max {max(unflagged_errors):.2f} mm"
    )
    print(f"plane: max {max(r[2] for r in results):.2f} degrees, {max(r[3] for r in results):.2f} mm")
    assert len(unflagged_errors) >= 47
    assert max(unflagged_errors) <= MAX_ERROR_MM
    assert max(angle_deg for _, _, angle_deg, _ in results) < 1.0
    assert max(shift_mm for _, _, _, shift_mm in results) < 1.0

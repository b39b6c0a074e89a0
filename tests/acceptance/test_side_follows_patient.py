"""A flipped side is the worst error there is: every way to store a scan gives the patient's own side."""

from pathlib import Path

import pytest

from acceptance import side_checks
from acceptance.stored_scans import tilted_uneven_geometry
from infarct.anatomy import Side
from plain_head import PlainPatient, PlainSetup, Pose, make_plain_patient


@pytest.fixture(scope="module", params=["left", "right"])
def patient(request: pytest.FixtureRequest) -> PlainPatient:
    """A patient scanned with a tilted gantry and two stacks of slices."""
    side: Side = request.param
    setup = PlainSetup(side=side, pose=Pose(5, -4, 6), geometry=tilted_uneven_geometry(), slice_spacing_mm=7.0)
    return make_plain_patient(3, setup)


def test_side_of_the_scan_as_made(patient: PlainPatient) -> None:
    findings = side_checks.findings_of(patient.scan)
    assert side_checks.lesion_side(findings) == patient.truth.side
    assert findings.aspects is not None
    assert findings.aspects.side == patient.truth.side
    assert {"gantry_tilt", "slice_spacing_uneven"} <= {flag.code for flag in findings.quality.flags}


def test_order_of_files_does_not_matter(patient: PlainPatient, tmp_path: Path) -> None:
    side_checks.check_file_order_does_not_matter(patient.scan, tmp_path)


def test_every_axis_order_of_nifti_is_the_same_scan(patient: PlainPatient, tmp_path: Path) -> None:
    side_checks.check_every_axis_order_is_the_same_scan(patient.scan, tmp_path)


def test_nifti_has_the_same_side(patient: PlainPatient, tmp_path: Path) -> None:
    side_checks.check_nifti_has_the_same_side(patient.scan, tmp_path, patient.truth.side)


@pytest.mark.parametrize("pose", [Pose(12, 8, -15, (20, -30, 10)), Pose(-15, -10, 12, (-5, 12, -33))])
def test_moved_head_has_the_same_side(patient: PlainPatient, pose: Pose) -> None:
    side_checks.check_moved_head_has_the_same_side(patient.scan, pose, patient.truth.side)


def test_mirrored_voxels_have_the_other_side(patient: PlainPatient) -> None:
    side_checks.check_mirrored_voxels_have_the_other_side(patient.scan, patient.truth.side)

"""The side that is reported follows the patient, however the scan is stored; shared by phantom and real scans."""

from pathlib import Path

import numpy as np

from acceptance.stored_scans import axis_orders, mirrored_voxels, rectified, write_dicom, write_nifti
from infarct.anatomy import Side, opposite
from infarct.findings import Findings
from infarct.pipeline import analyze
from infarct.readers import read_scan
from infarct.volume import Scan
from plain_head import Pose


def findings_of(scan: Scan) -> Findings:
    return analyze(scan).findings


def lesion_side(findings: Findings) -> Side:
    """Return the side of the largest lesion."""
    assert findings.infarct is not None
    return findings.infarct.lesions[0].side


def check_file_order_does_not_matter(scan: Scan, folder: Path) -> None:
    count = len(scan.hu)
    shuffled = np.random.default_rng(3).permutation(count).tolist()
    plain = read_scan(write_dicom(folder / "plain", scan))
    for name, order in (("reversed", list(range(count))[::-1]), ("shuffled", shuffled)):
        other = read_scan(write_dicom(folder / name, scan, order=order))
        np.testing.assert_array_equal(other.hu, plain.hu)
        np.testing.assert_array_equal(other.geometry.origins_mm, plain.geometry.origins_mm)
        assert [s.sop_instance_uid for s in other.source.slices] == [s.sop_instance_uid for s in plain.source.slices]


def check_every_axis_order_is_the_same_scan(scan: Scan, folder: Path) -> None:
    upright = rectified(scan)
    for number, order in enumerate(axis_orders()):
        stored = read_scan(write_nifti(folder / f"{number}.nii", upright, order))
        (folder / f"{number}.nii").unlink()
        np.testing.assert_array_equal(stored.hu, upright.hu)
        np.testing.assert_allclose(stored.geometry.origins_mm, upright.geometry.origins_mm, atol=1e-3)


def check_nifti_has_the_same_side(scan: Scan, folder: Path, side: Side) -> None:
    order = ((1, 2, 0), (True, False, True))
    stored = read_scan(write_nifti(folder / "any.nii.gz", rectified(scan), order))
    assert lesion_side(findings_of(stored)) == side


def check_moved_head_has_the_same_side(scan: Scan, pose: Pose, side: Side) -> None:
    moved = Scan(scan.hu, scan.geometry.moved(pose.matrix()), scan.acquisition, scan.source, scan.flags)
    assert lesion_side(findings_of(moved)) == side


def check_mirrored_voxels_have_the_other_side(scan: Scan, side: Side) -> None:
    assert lesion_side(findings_of(mirrored_voxels(scan))) == opposite(side)

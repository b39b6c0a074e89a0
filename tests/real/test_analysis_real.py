"""The whole pipeline on a real head CT: flags, the lesion's side and place, and the brain mask."""

from pathlib import Path

import numpy as np
import pytest

from acceptance import side_checks
from infarct.findings import Analysis, Lesion
from infarct.pipeline import analyze
from infarct.readers import read_scan
from infarct.volume import Scan, volume_ml
from plain_head import Pose

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def scan(folder: Path) -> Scan:
    return read_scan(folder)


@pytest.fixture(scope="module")
def analysis(scan: Scan) -> Analysis:
    return analyze(scan)


@pytest.fixture(scope="module")
def largest(analysis: Analysis) -> Lesion:
    assert analysis.findings.infarct is not None
    return analysis.findings.infarct.lesions[0]


def test_tilt_and_uneven_spacing_are_flagged_and_no_more_doubt_than_that(analysis: Analysis) -> None:
    flags = {flag.code: flag for flag in analysis.findings.quality.flags}
    assert {"gantry_tilt", "slice_spacing_uneven", "slice_spacing_large"} <= set(flags)
    assert flags["gantry_tilt"].value == pytest.approx(18.5, abs=0.1)
    assert not [code for code, flag in flags.items() if flag.severity == "critical"]


def test_largest_cluster_is_left_temporo_occipital(analysis: Analysis, largest: Lesion, scan: Scan) -> None:
    assert largest.side == "left"
    assert {"PCA", "MCA"} >= set(largest.territories)
    assert "PCA" in largest.territories
    brain = np.argwhere(analysis.maps.brain_mask)
    centre = scan.geometry.index_to_world(brain).mean(axis=0)
    x, y, _ = np.array(largest.centroid_lps_mm) - centre
    assert x > 20  # well to the patient's left
    assert y > 5  # behind the middle


def test_intracranial_volume_is_that_of_an_adult(analysis: Analysis, scan: Scan) -> None:
    assert 1100 < volume_ml(analysis.maps.brain_mask, scan.geometry) < 1700


def test_key_slices_show_basal_ganglia_and_bodies_of_the_ventricles(analysis: Analysis) -> None:
    assert analysis.maps.ganglionic_slice in (15, 16, 17)
    assert analysis.maps.supraganglionic_slice in (19, 20, 21)


def test_order_of_files_does_not_matter(scan: Scan, tmp_path: Path) -> None:
    side_checks.check_file_order_does_not_matter(scan, tmp_path)


def test_every_axis_order_of_nifti_is_the_same_scan(scan: Scan, tmp_path: Path) -> None:
    side_checks.check_every_axis_order_is_the_same_scan(scan, tmp_path)


def test_nifti_has_the_same_side(scan: Scan, tmp_path: Path) -> None:
    side_checks.check_nifti_has_the_same_side(scan, tmp_path, "left")


@pytest.mark.parametrize("pose", [Pose(8, 6, -10, (15, -20, 10)), Pose(-12, -8, 8, (-20, 10, -30))])
def test_moved_head_has_the_same_side(scan: Scan, pose: Pose) -> None:
    side_checks.check_moved_head_has_the_same_side(scan, pose, "left")


def test_mirrored_voxels_have_the_other_side(scan: Scan) -> None:
    side_checks.check_mirrored_voxels_have_the_other_side(scan, "left")

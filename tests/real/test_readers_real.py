"""The readers on a real tilted, uneven GE head CT: headers, dcm2niix and speed of reading."""

import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from infarct.readers import read_scan
from infarct.volume import Geometry, Scan, resample

pytestmark = pytest.mark.real
TOLERANCE_MM = 0.5


@pytest.fixture(scope="module")
def scan(folder: Path) -> Scan:
    return read_scan(folder)


def test_the_scan_is_read_whole_and_in_order(scan: Scan) -> None:
    assert scan.hu.shape == (28, 512, 512)
    assert scan.geometry.tilt_deg == pytest.approx(18.5, abs=0.05)
    assert scan.acquisition.gantry_tilt_deg == 18.5
    assert scan.acquisition.slice_thickness_mm == 7.0
    gaps = np.diff(scan.geometry.slice_positions_mm)
    np.testing.assert_allclose(gaps[:13], 4.0, atol=0.01)
    np.testing.assert_allclose(gaps[14:], 7.0, atol=0.01)
    assert gaps[13] == pytest.approx(1.08, abs=0.01)
    assert {flag.code for flag in scan.flags} == {"stacks_overlap"}


def test_voxels_lie_where_the_headers_say(folder: Path, scan: Scan) -> None:
    headers = {}
    for path in folder.glob("*.dcm"):
        ds = pydicom.dcmread(path)
        headers[str(ds.SOPInstanceUID)] = ds
    for k, reference in enumerate(scan.source.slices):
        ds = headers[reference.sop_instance_uid]
        columns, rows = np.array(ds.ImageOrientationPatient[:3]), np.array(ds.ImageOrientationPatient[3:])
        down, right = (float(v) for v in ds.PixelSpacing)
        stored = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        for row, column in ((0, 0), (100, 400), (256, 256), (511, 30)):
            place = np.array(ds.ImagePositionPatient) + columns * column * right + rows * row * down
            index = scan.geometry.world_to_index(place)
            np.testing.assert_allclose(index, (k, row, column), atol=0.01)
            nearest = tuple(np.round(index).astype(int))
            assert scan.hu[nearest] == (stored[row, column] if stored[row, column] >= -1024 else -1000)


def test_bone_lies_where_dcm2niix_has_it_after_tilt_correction(folder: Path, scan: Scan, tmp_path: Path) -> None:
    command = [dcm2niix.bin, "-z", "n", "-m", "y", "-b", "n", "-f", "ct", "-o", str(tmp_path), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (corrected,) = tmp_path.glob("*_Tilt_Eq*.nii")
    theirs, grid = _lps(nib.load(corrected))
    ours = resample(scan.hu, scan.geometry, grid)
    landmarks = _landmarks(ours, range(len(ours)))
    assert len({landmark[0] for landmark in landmarks}) >= 5
    assert len(landmarks) >= 15
    for landmark in landmarks:
        apart = (_centre(ours, landmark) - _centre(theirs, landmark)) * grid.pixel_spacing_mm_yx
        assert np.linalg.norm(apart) < TOLERANCE_MM, (landmark, apart)


def _lps(volume: "nib.Nifti1Image") -> tuple[np.ndarray, Geometry]:
    """Return a volume of dcm2niix in the package's order, and its grid."""
    turned = nib.as_closest_canonical(volume)
    affine, data = turned.affine, np.asarray(turned.dataobj, dtype=np.float32)
    corner = (affine @ [data.shape[0] - 1, data.shape[1] - 1, 0, 1])[:3] * (-1, -1, 1)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flip = np.diag([-1.0, -1.0, 1.0])
    directions = flip @ (affine[:3, :3] / spacing) @ flip
    data = data[::-1, ::-1].transpose(2, 1, 0)
    return data, Geometry.regular(data.shape, spacing[::-1], origin_mm=corner, directions=directions)


def _landmarks(hu: np.ndarray, planes: range) -> list[tuple[int, int, int]]:
    """Return the middles of small, bright, well separated islands of bone or calcium of all planes."""
    found = []
    for k in planes:
        labels, count = ndimage.label(hu[k] > 250)
        sizes = np.bincount(labels.ravel())
        for island in range(1, count + 1):
            if 15 <= sizes[island] <= 400:
                row, column = np.round(ndimage.center_of_mass(labels == island)).astype(int)
                if 30 < row < hu.shape[1] - 30 and 30 < column < hu.shape[2] - 30 and _alone(labels, row, column):
                    found.append((k, int(row), int(column)))
    return found


def _alone(labels: np.ndarray, row: int, column: int) -> bool:
    return len(np.unique(labels[row - 14 : row + 15, column - 14 : column + 15])) == 2


def _centre(hu: np.ndarray, landmark: tuple[int, int, int]) -> np.ndarray:
    k, row, column = landmark
    window = np.clip(hu[k, row - 12 : row + 13, column - 12 : column + 13] - 200, 0, None)
    assert window.sum() > 0
    return np.array(ndimage.center_of_mass(window))

"""Landmarks of a tilted, uneven series lie where dcm2niix's tilt-corrected, equalised volume has them."""

import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset
from synthetic_ct import Series, fake_head, write_series

from infarct.readers import read_scan
from infarct.volume import Geometry, Scan, resample

TILT_DEG = 18.5


def converted(folder: Path, target: Path) -> "nib.Nifti1Image":
    """Return dcm2niix's volume of a folder, tilt corrected and slices equalised."""
    target.mkdir()
    command = [dcm2niix.bin, "-z", "n", "-m", "y", "-b", "n", "-f", "ct", "-o", str(target), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    corrected = [*target.glob("*_Tilt_Eq*.nii"), *target.glob("*Tilt*Eq*.nii")]
    assert corrected, sorted(path.name for path in target.iterdir())
    return nib.load(corrected[0])


def tilted_series() -> Series:
    """Return 12 slices that the gantry tilts, at 4 mm and then 7 mm, as older GE scanners store them."""
    heights = np.r_[np.arange(7) * 4.0, 24 + 1.1 + np.arange(5) * 7.0]
    angle = np.radians(TILT_DEG)
    head = fake_head(noise_hu=0)
    for k, row, column in LANDMARKS:
        head[k, row - 1 : row + 2, column - 1 : column + 2] = 900

    def like_ge(ds: Dataset, k: int) -> None:
        ds.Manufacturer, ds.GantryDetectorTilt = "GE MEDICAL SYSTEMS", TILT_DEG
        ds.SliceThickness = 4 if k < 7 else 7

    return Series(
        head,
        positions=np.stack([[-63.0, -71.0, height] for height in heights]),
        orientation=(1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle))),
        edit=like_ge,
    )


LANDMARKS = ((3, 26, 24), (4, 46, 38), (9, 30, 40), (10, 44, 26))


def centre(hu: np.ndarray, geometry: Geometry, near_mm: np.ndarray) -> np.ndarray:
    """Return the centre of gravity in mm of what is brighter than brain within 7 mm in plane."""
    index = np.round(geometry.world_to_index(near_mm)).astype(int)
    plane = hu[index[0]]
    rows, columns = (np.arange(max(i - 4, 0), i + 5) for i in index[1:])
    window = np.clip(plane[np.ix_(rows, columns)] - 100, 0, None)
    assert window.sum() > 0
    row, column = (window.sum(1) @ rows / window.sum(), window.sum(0) @ columns / window.sum())
    return np.asarray(geometry.index_to_world((index[0], row, column)))


def lps_geometry(volume: "nib.Nifti1Image") -> tuple[np.ndarray, Geometry]:
    """Return a dcm2niix volume in the package's order, and its grid."""
    turned = nib.as_closest_canonical(volume)
    affine = turned.affine
    data = np.asarray(turned.dataobj, dtype=np.float32)[::-1, ::-1].transpose(2, 1, 0)
    corner = affine @ [turned.shape[0] - 1, turned.shape[1] - 1, 0, 1]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    to_lps = np.diag([-1.0, -1.0, 1.0])
    directions = to_lps @ axes @ np.diag([-1.0, -1.0, 1.0])
    return data, Geometry.regular(data.shape, spacing, origin_mm=to_lps @ corner[:3], directions=directions)


def test_bright_landmarks_agree_within_half_a_millimetre(tmp_path: Path) -> None:
    series = tilted_series()
    folder = write_series(tmp_path / "ge", series)
    scan: Scan = read_scan(folder)
    theirs, grid = lps_geometry(converted(folder, tmp_path / "nii"))
    ours = resample(scan.hu, scan.geometry, grid)
    for landmark in LANDMARKS:
        place = scan.geometry.index_to_world(landmark)
        found = centre(ours, grid, place), centre(theirs, grid, place)
        assert np.linalg.norm(found[0] - found[1]) < 0.5, landmark
        assert np.linalg.norm((found[0] - place) - (found[0] - place) @ grid.normal * grid.normal) < 0.6

"""Perfusion maps and scans of several moments, from NIfTI files and DICOM folders."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from synthetic_ct import MARKER_ZYX, Series, datasets, fake_head, ras_affine, write, write_series
from synthetic_ct import write_nifti as write_fake_nifti

from infarct.errors import BadRequest, Refusal, UnreadableInput
from infarct.readers import read_scan
from infarct.readers.maps import read_map, read_moments


def test_a_map_lies_as_the_scan_of_the_same_file(tmp_path: Path) -> None:
    """The same values through both readers: turned alike, in the same place. A flipped file is turned back."""
    path = write_fake_nifti(tmp_path / "map.nii.gz", fake_head())
    values, geometry = read_map(path)
    scan = read_scan(path)
    np.testing.assert_array_equal(values, scan.hu)
    np.testing.assert_allclose(geometry.affine, scan.geometry.affine)
    turned = ras_affine() @ np.diag([-1.0, 1.0, 1.0, 1.0])
    turned[0, 3] = 63.0 - 2.0 * 63
    flipped, place = read_map(write_fake_nifti(tmp_path / "turned.nii", fake_head()[:, :, ::-1], turned))
    np.testing.assert_array_equal(flipped, values)
    np.testing.assert_allclose(place.affine, geometry.affine)


def test_maps_of_few_slices_and_fractions_are_read(tmp_path: Path) -> None:
    cbf = np.random.default_rng(1).random((2, 20, 24)).astype(np.float32)
    cbf[0, 0, 0] = np.nan
    values, geometry = read_map(write_fake_nifti(tmp_path / "cbf.nii.gz", cbf, dtype=np.float32))
    assert geometry.shape_zyx == (2, 20, 24)
    np.testing.assert_array_equal(values, cbf)


@pytest.mark.parametrize(("unit", "step", "step_s"), [("sec", 1.5, 1.5), ("msec", 1500.0, 1.5), (None, 1.5, None)])
def test_moments_of_a_nifti_file(tmp_path: Path, unit: str | None, step: float, step_s: float | None) -> None:
    stored = np.arange(6 * 3 * 20 * 24, dtype=np.int16).reshape(24, 20, 3, 6)
    image = nib.Nifti1Image(stored, ras_affine())
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    image.header.set_slope_inter(2.0, -10.0)
    nib.save(image, tmp_path / "ctp.nii.gz")
    image = nib.load(tmp_path / "ctp.nii.gz")
    found = read_moments(tmp_path / "ctp.nii.gz")
    assert found.count == 6
    np.testing.assert_allclose(found.volume(4), np.asarray(image.dataobj)[..., 4].transpose(2, 1, 0), rtol=1e-5)
    if step_s is None:
        assert found.times_s is None
    else:
        np.testing.assert_allclose(found.times_s, np.arange(6) * step_s)
    with pytest.raises(BadRequest, match="not 6"):
        read_map(tmp_path / "ctp.nii.gz")


def test_a_map_of_a_dicom_folder(tmp_path: Path) -> None:
    """Scaled by its own slope; a tilted, reversed series is turned as a scan is."""
    cbf = np.clip(fake_head(), 0, 80) / 10
    folder = write_series(tmp_path / "cbf", Series(hu=cbf, slope=0.01, intercept=0.0))
    values, geometry = read_map(folder)
    np.testing.assert_allclose(values, cbf, atol=0.006)
    assert geometry.shape_zyx == cbf.shape
    k, row, column = MARKER_ZYX
    assert values[k, row, column] == values.max()


def moments(tmp_path: Path, clocks: tuple[str, ...]) -> Path:
    """Write a series with one moment a clock, its files in no order."""
    images: list[Dataset] = []
    for index, clock in enumerate(clocks):
        for k, image in enumerate(datasets(Series(hu=np.full((3, 20, 24), 30.0 + index, dtype=np.float32)))):
            image.AcquisitionTime = clock
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{index}.{k}"
            images.append(image)
    return write(tmp_path / "ctp", images[::-1])


def test_moments_of_a_dicom_folder(tmp_path: Path) -> None:
    """Over midnight, with fractions of a second, and with a pause."""
    found = read_moments(moments(tmp_path, ("235958.5", "000000.0", "000003.000")))
    assert found.count == 3
    np.testing.assert_allclose(found.times_s, [0.0, 1.5, 4.5])
    for index in range(3):
        np.testing.assert_array_equal(found.volume(index), np.full((3, 20, 24), 30.0 + index))


def test_a_clock_that_stands_still_tells_no_times(tmp_path: Path) -> None:
    assert read_moments(moments(tmp_path, ("101010", "101010"))).times_s is None


def test_what_is_no_perfusion_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("nothing")
    (tmp_path / "torn.nii.gz").write_bytes(write_fake_nifti(tmp_path / "whole.nii.gz", fake_head()).read_bytes()[:900])
    (tmp_path / "empty").mkdir()
    two = write_series(tmp_path / "two", Series(), prefix="a")
    write_series(two, Series(uid="1.2.3.5"), prefix="b")
    colour = datasets(Series())
    for image in colour:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.PixelData = image.PixelData * 3
    write(tmp_path / "colour", colour)
    uneven = moments(tmp_path, ("101010", "101011"))
    (uneven / "000.dcm").unlink()
    for name, words in (
        ("missing.nii", "does not exist"),
        ("text.txt", "neither"),
        ("torn.nii.gz", "truncated"),
        ("empty", "no files"),
        ("two", "2 series"),
        ("colour", "colour"),
        ("ctp", "1 to 2 images a slice"),
    ):
        with pytest.raises(Refusal, match=words) as refused:
            read_moments(tmp_path / name)
        assert str(tmp_path) not in str(refused.value)
        assert isinstance(refused.value, BadRequest | UnreadableInput)

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from acceptance.stored_scans import tilted_uneven_geometry
from infarct.readers import read_scan
from infarct.volume import Acquisition, Geometry, Scan
from infarct.writers.dicom_ct import SYNTHETIC, SeriesLabels, write_dicom_ct
from plain_head import PlainSetup, make_plain_patient

LABELS = SeriesLabels("aspects-test-0007", "ab" * 32, "acute", "f", datetime(2000, 1, 1, 23, 59, 50), "Model 7")
ACQUISITION = Acquisition(
    kvp=100.0, manufacturer="ACME", kernel="H30s", slice_thickness_mm=4.5, gantry_tilt_deg=None, patient_age_years=71
)


@pytest.fixture(scope="module")
def scan() -> Scan:
    """A tilted, uneven stack with padding outside the field of view."""
    geometry = tilted_uneven_geometry(size=128, pixel_mm=1.8)
    hu = make_plain_patient(3, PlainSetup(geometry=geometry)).scan.hu.copy()
    rows, columns = np.indices(geometry.size_yx) - 63.5
    hu[:, np.hypot(rows, columns) > 64] = -3024
    return Scan(hu, geometry, ACQUISITION)


def test_the_reader_gives_back_the_scan(scan: Scan, tmp_path: Path) -> None:
    back = read_scan(write_dicom_ct(scan, LABELS, tmp_path / "series"))
    np.testing.assert_array_equal(back.hu, np.where(scan.hu < -1024, -1000, scan.hu))
    np.testing.assert_allclose(back.geometry.origins_mm, scan.geometry.origins_mm, atol=1e-5)
    np.testing.assert_allclose(back.geometry.directions, scan.geometry.directions, atol=1e-8)
    assert back.acquisition == replace(ACQUISITION, gantry_tilt_deg=15.0, contrast_agent=False)
    assert not {"padding_implausible", "hu_offset_suspected"} & {flag.code for flag in back.flags}


def test_a_slice_that_falls_to_the_back_has_a_positive_tilt(tmp_path: Path) -> None:
    """As in a real GE series: y direction (0, .948, -.317), tilt +18.5."""
    for tilt_deg in (18.5, -18.5):
        geometry = tilted_uneven_geometry(size=16, pixel_mm=15.0, tilt_deg=tilt_deg)
        folder = write_dicom_ct(Scan(np.zeros(geometry.shape_zyx), geometry), LABELS, tmp_path / str(tilt_deg))
        assert float(pydicom.dcmread(folder / "IM0001.dcm").GantryDetectorTilt) == pytest.approx(tilt_deg, abs=0.01)


def test_headers_say_that_it_is_a_phantom(scan: Scan, tmp_path: Path) -> None:
    folder = write_dicom_ct(scan, LABELS, tmp_path / "series")
    first, last = (pydicom.dcmread(folder / f"IM{number:04d}.dcm") for number in (1, len(scan.hu)))
    assert str(first.PatientName).startswith("PHANTOM^")
    assert first.PatientID == "PHANTOM-aspects-test-0007"
    assert first.ImageComments == SYNTHETIC
    assert (first.Manufacturer, first.ManufacturerModelName, first.ConvolutionKernel) == ("ACME", "Model 7", "H30s")
    assert (first.KVP, first.SliceThickness, first.PatientSex, first.PatientAge) == (100, 4.5, "F", "071Y")
    assert first.PixelPaddingValue == -2000
    assert first.SeriesInstanceUID == last.SeriesInstanceUID
    assert first.SOPInstanceUID != last.SOPInstanceUID == last.file_meta.MediaStorageSOPInstanceUID
    assert (first.ContentDate, last.ContentDate) == ("20000101", "20000102")


def upright(hu_value: float) -> Scan:
    geometry = Geometry.regular((2, 8, 8), (5.0, 1.0, 1.0))
    return Scan(np.full(geometry.shape_zyx, hu_value), geometry)


def test_unknown_values_stay_empty_and_without_padding_none_is_named(tmp_path: Path) -> None:
    image = pydicom.dcmread(write_dicom_ct(upright(-1024.0), LABELS, tmp_path / "series") / "IM0001.dcm")
    assert "PixelPaddingValue" not in image
    assert "PatientAge" not in image
    assert (image.KVP, image.SliceThickness, image.Manufacturer) == (None, None, "")


@pytest.mark.parametrize(("hu", "stored"), [(34.4, 1058), (34.6, 1059), (40_000.0, 32767)])
def test_hu_are_rounded_and_kept_in_range(tmp_path: Path, hu: float, stored: int) -> None:
    image = pydicom.dcmread(write_dicom_ct(upright(hu), LABELS, tmp_path / "series") / "IM0002.dcm")
    assert (image.pixel_array == stored).all()


def test_identifiers_follow_from_patient_and_session() -> None:
    assert LABELS.uid("a") == replace(LABELS, model="other").uid("a")
    others = (replace(LABELS, patient="x"), replace(LABELS, digest="x"))
    uids = {LABELS.uid("a"), LABELS.uid("b"), *(other.uid("a") for other in others)}
    assert len(uids) == 4
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


def test_same_input_same_bytes(scan: Scan, tmp_path: Path) -> None:
    folders = [write_dicom_ct(scan, LABELS, tmp_path / name) for name in ("a", "b")]
    for first, second in zip(*(sorted(folder.iterdir()) for folder in folders), strict=True):
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes()

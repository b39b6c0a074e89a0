"""Among all that a study holds the non-contrast head series is read, and the choice is explained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from synthetic_ct import Series, datasets, fake_head, set_pixels, write, write_series

from infarct.errors import BadRequest, NotHeadCT
from infarct.readers import read_scan
from infarct.readers.dicom_series import is_sharp

WANTED = Series()


def edited(**tags: Any) -> Callable[[Dataset, int], None]:
    def edit(ds: Dataset, k: int) -> None:
        del k
        for keyword, value in tags.items():
            setattr(ds, keyword, value)

    return edit


def other(uid: str, **tags: Any) -> Series:
    return replace(Series(fake_head(seed=9), uid=uid), edit=edited(SeriesNumber=1, **tags))


OTHERS = {
    "with a sharp kernel": other("1.5.1", ConvolutionKernel="H60s"),
    "with contrast": other("1.5.2", ContrastBolusAgent="Iodine"),
    "derived": other("1.5.3", ImageType=["DERIVED", "SECONDARY", "MPR"]),
    "of another body part": other("1.5.4", BodyPartExamined="NECK"),
    "less suited": other("1.5.5", SliceThickness=1.0),
}


@pytest.mark.parametrize("reason", OTHERS)
def test_the_wanted_series_wins_and_the_reason_is_told(tmp_path: Path, reason: str) -> None:
    write_series(tmp_path / "b", OTHERS[reason])
    write_series(tmp_path / "a", WANTED)
    scan = read_scan(tmp_path)
    assert scan.source.series_uid == WANTED.uid
    assert "12 axial slices of 5 mm" in scan.source.series_choice
    assert "Left aside 1 other series" in scan.source.series_choice
    if reason != "less suited":
        assert f"1 {reason}" in scan.source.series_choice


def test_angiography_is_known_by_its_description(tmp_path: Path) -> None:
    write_series(tmp_path / "a", other("1.5.6", SeriesDescription="CTA Head 0.75"))
    write_series(tmp_path / "b", WANTED)
    assert read_scan(tmp_path).source.series_uid == WANTED.uid


def test_without_contrast_is_not_taken_for_contrast(tmp_path: Path) -> None:
    plain = replace(WANTED, edit=edited(SeriesDescription="HEAD W/O CONTRAST"))
    write_series(tmp_path / "a", plain)
    write_series(tmp_path / "b", other("1.5.7", SeriesDescription="HEAD POST CONTRAST"))
    assert read_scan(tmp_path).source.series_uid == WANTED.uid


def test_perfusion_beside_the_wanted_series_is_left_aside(tmp_path: Path) -> None:
    write_series(tmp_path / "wanted", WANTED)
    for time in range(4):
        images = datasets(other("1.6.1", AcquisitionNumber=time + 1, SliceThickness=5.0))
        for ds in images:
            ds.SOPInstanceUID += f".{time}"
            ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + np.uint16(time)).tobytes()
        write(tmp_path / f"t{time}", images)
    scan = read_scan(tmp_path)
    assert scan.source.series_uid == WANTED.uid
    assert "1 dynamic" in scan.source.series_choice


def test_localizers_and_reformats_and_reports_are_left_aside(tmp_path: Path) -> None:
    write_series(tmp_path / "axial", WANTED)
    scout = other("1.7.1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path / "scout", datasets(scout)[:2])
    positions = np.stack([[-63.0, 5.0 * k, 60.0] for k in range(12)])
    write_series(tmp_path / "coronal", replace(other("1.7.2"), positions=positions, orientation=(1, 0, 0, 0, 0, -1)))
    screen = datasets(other("1.7.3", Modality="CT", ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]))[0]
    del screen.ImagePositionPatient, screen.ImageOrientationPatient
    report = datasets(other("1.7.4", Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67"))[0]
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    del report.PixelData, report.Rows, report.Columns
    write(tmp_path / "rest", [screen, report])
    scan = read_scan(tmp_path)
    assert scan.source.series_uid == WANTED.uid
    assert "1 localizer" in scan.source.series_choice
    assert "1 not axial" in scan.source.series_choice


def test_a_localizer_within_the_series_is_left_out(tmp_path: Path) -> None:
    images = datasets(WANTED)
    scout = datasets(replace(WANTED, orientation=(0, 1, 0, 0, 0, -1)))[0]
    scout.SOPInstanceUID, scout.ImageType = "1.8.8", ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    set_pixels(scout, np.zeros((128, 128)))
    scan = read_scan(write(tmp_path, [scout, *images]))
    assert scan.hu.shape == (12, 72, 64)


def test_a_series_that_shows_no_head_gives_way_to_the_next(tmp_path: Path) -> None:
    body = Series(np.where(fake_head() > -500, 5.0, -1000.0).astype(np.float32), uid="1.9.1")
    write_series(tmp_path / "a", replace(body, edit=edited(SeriesDescription="HEAD PLAIN")))
    write_series(tmp_path / "b", WANTED)
    assert read_scan(tmp_path).source.series_uid == WANTED.uid


def test_a_series_can_be_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path / "a", WANTED)
    write_series(tmp_path / "b", OTHERS["with a sharp kernel"])
    scan = read_scan(tmp_path, series_uid="1.5.1")
    assert scan.source.series_uid == "1.5.1"
    assert scan.source.series_choice.startswith("Read the series that was asked for")


def test_an_unknown_series_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"1 usable series: 1\.2\.3\.4 \(12 slices\)"):
        read_scan(write_series(tmp_path), series_uid="9.9")


def test_scans_of_two_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", WANTED)
    write_series(tmp_path / "b", other("1.9.2", PatientID="P2", StudyInstanceUID="1.9"))
    with pytest.raises(BadRequest, match="several patients"):
        read_scan(tmp_path)
    assert read_scan(tmp_path, series_uid="1.9.2").source.series_uid == "1.9.2"


def test_only_localizers_are_refused(tmp_path: Path) -> None:
    scout = other("1.7.1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(NotHeadCT, match="no axial CT series"):
        read_scan(write_series(tmp_path, scout))


@pytest.mark.parametrize(
    ("kernel", "sharp"),
    [
        *[("H31s", False), ("H60s", True), ("Hr40f", False), ("Br69", True), ("STANDARD", False), ("BONEPLUS", True)],
        *[("FC21", False), ("FC30", True), ("FC64", False), ("FC81", True), ("UB", False), ("D", True), (None, False)],
    ],
)
def test_kernels_of_all_makers_are_told_apart(kernel: str | None, sharp: bool) -> None:
    assert is_sharp(kernel) is sharp

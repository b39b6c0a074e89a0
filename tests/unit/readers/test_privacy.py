"""No patient name, ID, birth date or path reaches a scan, a message, a log or a stream."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from synthetic_ct import Series, fake_head, recoded, write_nifti, write_series

from infarct.errors import Refusal
from infarct.readers import read_scan

CANARY = "ZzCanaryzZ"
TEXTS = (
    "PatientName PatientID OtherPatientNames InstitutionName ReferringPhysicianName AccessionNumber StudyID "
    "StudyDescription SeriesDescription ProtocolName PatientComments ImageComments StationName OperatorsName"
)


def named(ds: Dataset, k: int) -> None:
    del k
    for keyword in TEXTS.split():
        setattr(ds, keyword, CANARY)
    ds.PatientBirthDate, ds.StudyDate = "19121203", "20200101"
    ds.add_new(0x00081110, "SQ", [])
    ds.add_new(0x00091010, "LO", CANARY)


def test_a_scan_holds_no_patient_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    scan = read_scan(write_series(tmp_path / CANARY, Series(edit=named)))
    shown = repr((scan.source, scan.acquisition, scan.flags, scan.geometry, scan)) + caplog.text
    out, err = capfd.readouterr()
    for secret in (CANARY, "19121203", str(tmp_path)):
        assert secret not in shown + out + err
    assert scan.acquisition.patient_age_years == 107


def _cut(folder: Path) -> None:
    path = folder / "004.dcm"
    path.write_bytes(path.read_bytes()[:-500])


def _garbled(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"ISO_IR", b"XXX_IR").replace(b"-63.0", f"{CANARY}"[:5].encode()))


def _noise(folder: Path) -> None:
    path = folder / "004.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:-2000] + content[500:1500] + content[-1000:])


def _refusal(folder: Path) -> str:
    """Return the message of a refusal with its chain, or nothing where the scan is read."""
    try:
        read_scan(folder)
    except Refusal as refusal:
        return "".join(traceback.format_exception(refusal, limit=0))
    return ""


@pytest.mark.parametrize("harm", [_cut, _garbled, _noise])
@pytest.mark.parametrize("syntax", [None, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
def test_a_refusal_names_nobody_and_the_parsers_stay_silent(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    syntax: str | None,
) -> None:
    folder = write_series(tmp_path / CANARY, Series(edit=named))
    if syntax:
        folder = recoded(folder, syntax, tmp_path / f"{CANARY}2")
    harm(folder)
    caplog.set_level(logging.DEBUG)
    capfd.readouterr()
    message = _refusal(folder)
    out, err = capfd.readouterr()
    for text in (message, caplog.text, out, err):
        assert CANARY not in text
        assert str(tmp_path) not in text
    assert err == ""


def test_the_nifti_parser_stays_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_nifti(tmp_path / f"{CANARY}.nii", fake_head())
    content = bytearray(path.read_bytes())
    content[252:256] = b"\x99\x00\x99\x00"
    content[148:156] = CANARY[:8].encode()
    path.write_bytes(content)
    scan = read_scan(path)
    assert "orientation_conflict" in {flag.code for flag in scan.flags}
    assert CANARY[:8] not in repr((scan.source, scan.flags, scan.acquisition))
    assert capfd.readouterr() == ("", "")

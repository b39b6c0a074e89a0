from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from synthetic_ct import Edit, Series, enhanced, fake_head, recoded, write, write_nifti, write_series

from infarct.readers import read_scan
from infarct.volume import DicomHeaders


def named(ds: Dataset, k: int) -> None:
    del k
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientBirthDate, ds.StudyID, ds.FrameOfReferenceUID = "Müller^Jo", "19500102", "S1", "1.2.9"
    ds.InstitutionName, ds.ImageComments = "Hospital", "free text"


def headers(folder: Path) -> DicomHeaders:
    found = read_scan(folder).source.headers
    assert found is not None
    return found


def told(found: DicomHeaders) -> Dataset:
    return read_dataset(BytesIO(found.patient_and_study), is_implicit_VR=False, is_little_endian=True)


@pytest.mark.parametrize("syntax", [None, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_patient_and_study_are_kept_and_nothing_else(tmp_path: Path, syntax: str | None) -> None:
    folder = write_series(tmp_path / "plain", Series(edit=named))
    found = headers(recoded(folder, syntax, tmp_path / "recoded") if syntax else folder)
    assert (found.sop_class_uid, found.frame_of_reference_uid) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.9")
    kept = told(found)
    assert (str(kept.PatientName), kept.PatientID, kept.PatientBirthDate) == ("Müller^Jo", "P1", "19500102")
    assert (kept.StudyInstanceUID, kept.StudyID, kept.SpecificCharacterSet) == ("1.2.3", "S1", "ISO_IR 192")
    assert not {"InstitutionName", "ImageComments", "SeriesInstanceUID", "SOPInstanceUID"} & set(kept.dir())


def test_an_enhanced_image_has_them_too(tmp_path: Path) -> None:
    image = enhanced()
    named(image, 0)
    found = headers(write(tmp_path / "one", [image]))
    assert found.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2.1"
    assert str(told(found).PatientName) == "Müller^Jo"


def nested(ds: Dataset, k: int) -> None:
    named(ds, k)
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = "山7", "Other"
    ds.OtherPatientIDsSequence = [item]


def test_letters_of_any_character_set_become_utf_8(tmp_path: Path) -> None:
    kept = told(headers(write_series(tmp_path / "plain", Series(edit=nested))))
    assert str(kept.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert kept.OtherPatientIDsSequence[0].PatientID == "山7"


def unknown_letters(ds: Dataset, k: int) -> None:
    named(ds, k)
    ds.SpecificCharacterSet = "NO SUCH SET"
    ds.PatientName = "Plain^Name"


def odd_dates(ds: Dataset, k: int) -> None:
    named(ds, k)
    ds.PatientBirthDate, ds.PatientSex, ds.StudyTime = "about 1950", "unknown sex", "noon"


@pytest.mark.parametrize("edit", [unknown_letters, odd_dates])
@pytest.mark.filterwarnings("ignore")
def test_what_is_odd_stops_nothing(tmp_path: Path, edit: Edit) -> None:
    kept = told(headers(write_series(tmp_path / "plain", Series(edit=edit))))
    assert (kept.PatientID, kept.StudyID) == ("P1", "S1")


def test_a_nifti_file_has_none(tmp_path: Path) -> None:
    assert read_scan(write_nifti(tmp_path / "ct.nii", fake_head())).source.headers is None

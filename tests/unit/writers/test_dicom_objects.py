"""What all objects share: whose they are, which identifiers they have, and that nothing else tells."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from stored_analyses import MADE, Stored, analysis_of, named, store, write_all

from infarct.errors import BadRequest
from infarct.findings import Analysis
from infarct.readers import read_scan
from infarct.volume import DicomHeaders, Scan, Source
from infarct.writers.formats import check_formats, write_formats

Make = Callable[[str], Stored]
OBJECTS = 9


def objects_in(folder: Path) -> dict[str, Dataset]:
    return {path.name: pydicom.dcmread(path) for path in sorted((folder / "dicom").iterdir())}


@pytest.mark.parametrize("kind", ["tilted_uneven", "enhanced"])
def test_objects_carry_the_patient_and_study_of_their_source(series_of: Make, tmp_path: Path, kind: str) -> None:
    case = series_of(kind)
    found = objects_in(write_all(case, tmp_path / "out"))
    assert len(found) == OBJECTS
    source = case.images[0][0]
    for item in found.values():
        assert str(item.PatientName) == "Müller^Canary"
        assert (item.PatientID, item.PatientBirthDate, item.PatientSex) == ("CANARY-7", "19500102", "F")
        assert (item.StudyInstanceUID, item.StudyDate, item.StudyTime) == (
            source.StudyInstanceUID,
            "20200304",
            "050607",
        )
        assert (item.AccessionNumber, item.StudyDescription) == ("CANARY-A", "Canary head")
        assert "InstitutionName" not in item
        assert (item.Manufacturer, item.ContentDate, item.ContentTime) == ("infarct", "20240506", "070809")
    assert len({item.SOPInstanceUID for item in found.values()}) == OBJECTS
    assert {item.Modality for item in found.values()} == {"SEG", "SR", "OT", "DOC"}
    assert len({item.SeriesInstanceUID for item in found.values()}) == 4


def test_the_same_input_gives_the_same_bytes(series_of: Make, tmp_path: Path) -> None:
    folders = [write_all(series_of("uneven"), tmp_path / name) for name in ("a", "b")]
    files = [sorted(path for path in folder.rglob("*") if path.is_file()) for folder in folders]
    assert len(files[0]) > OBJECTS
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def uids(folder: Path) -> set[str]:
    return {str(item.SOPInstanceUID) for item in objects_in(folder).values()}


def test_identifiers_follow_from_what_is_in_the_objects_not_from_the_clock(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")

    def written(name: str, analysis: Analysis, **options: Any) -> set[str]:
        return uids(write_all(replace(case, analysis=analysis), tmp_path / name, formats=("seg", "sr"), **options))

    before = written("before", case.analysis)
    findings = case.analysis.findings
    timed = replace(case.analysis, findings=findings.model_copy(update={"timings_s": {"register": 9.0}}))
    assert written("later", timed, made=datetime(2031, 1, 1)) == before
    reworded = replace(case.analysis, findings=findings.model_copy(update={"intended_use": "Other words."}))
    assert not written("reworded", reworded) & before
    mask = case.analysis.maps.infarct
    assert mask is not None
    moved = replace(case.analysis, maps=replace(case.analysis.maps, infarct=np.roll(mask, 1, axis=2)))
    assert not written("moved", moved) & before
    assert not written("nobody", case.analysis, deidentify=True) & before


def test_a_report_with_segments_is_another_object_than_one_without(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    found = [
        objects_in(write_all(case, tmp_path / name, formats=formats))["sr_findings.dcm"].SOPInstanceUID
        for name, formats in (("alone", ("sr",)), ("both", ("seg", "sr")))
    ]
    assert found[0] != found[1]


def test_deidentified_objects_tell_neither_patient_nor_date(series_of: Make, tmp_path: Path) -> None:
    case = series_of("tilted_uneven")
    folder = write_all(case, tmp_path / "out", deidentify=True)
    found = objects_in(folder)
    assert len(found) == OBJECTS
    for name, item in found.items():
        assert str(item.PatientName).startswith("REMOVED^")
        assert (item.PatientBirthDate, item.PatientSex, item.StudyDate, item.AccessionNumber) == ("", "", "", "")
        assert item.PatientIdentityRemoved == "YES"
        assert item.ContentDate == "19000101"
        content = (folder / "dicom" / name).read_bytes().lower()
        for secret in ("canary", "müller", "19500102", "20200304", "070y", "2024"):
            for coding in ("utf-8", "latin-1"):
                assert secret.encode(coding) not in content, (name, secret)


def test_nothing_but_dicom_objects_names_the_patient(
    series_of: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    case = series_of("tilted_uneven")
    folder = write_all(case, tmp_path / "out")
    others = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "dicom"]
    assert len(others) >= 9
    for path in others:
        content = path.read_bytes().lower()
        assert b"canary" not in content
        assert b"1.2.3" not in content
    told = caplog.text + repr(case.scan) + repr(case.scan.source) + "".join(capfd.readouterr())
    assert "anary" not in told
    assert "1950" not in told


def odd(ds: Dataset, k: int) -> None:
    """Headers as they should not be: what a reader takes and a strict writer would refuse or warn of."""
    named(ds, k)
    ds.PatientName, ds.PatientSex, ds.PatientBirthDate = "Canary without carets or end " * 4, "canary", "canary"
    ds.StudyDate, ds.StudyTime, ds.PatientID = "2020-03-04", "canary", "canary" * 20
    ds.PatientAge, ds.ReferringPhysicianName = "canary", "C" * 300
    del ds.FrameOfReferenceUID


def test_odd_headers_are_taken_over_in_silence(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    store(tmp_path / "source", "upright", odd)
    recwarn.clear()
    caplog.clear()
    capfd.readouterr()
    caplog.set_level(logging.DEBUG)
    scan = read_scan(tmp_path / "source")
    folder = write_all(Stored(tmp_path, (), scan, analysis_of(scan)), tmp_path / "out")
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
    found = objects_in(folder)
    assert len(found) == OBJECTS
    assert len({item.FrameOfReferenceUID for item in found.values() if item.Modality == "SEG"}) == 1


def japanese(ds: Dataset, k: int) -> None:
    named(ds, k)
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_names_in_any_letters_stay_as_they_are(tmp_path: Path) -> None:
    store(tmp_path / "source", "upright", japanese)
    scan = read_scan(tmp_path / "source")
    for item in objects_in(write_all(Stored(tmp_path, (), scan, analysis_of(scan)), tmp_path / "out")).values():
        assert str(item.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize("name", ["seg", "sr", "sc", "dicom-pdf"])
@pytest.mark.parametrize("source", [Source("nifti"), Source("phantom"), "no study", "no image"])
def test_objects_need_a_dicom_source_with_identifiers(
    series_of: Make, tmp_path: Path, source: Source | str, name: "str"
) -> None:
    case = series_of("upright")
    own = case.scan.source
    if isinstance(source, Source):
        changed = source
    elif source == "no study":
        changed = replace(own, study_uid=None)
    else:
        changed = replace(own, slices=(replace(own.slices[0], sop_instance_uid=""), *own.slices[1:]))
    scan = Scan(case.scan.hu, case.scan.geometry, case.scan.acquisition, changed)
    with pytest.raises(BadRequest):
        check_formats(scan, (name,))
    with pytest.raises(BadRequest):
        write_formats(scan, case.analysis, tmp_path, (name,), made=MADE)
    assert list(tmp_path.iterdir()) == []
    check_formats(scan, ("pdf", "nifti"))


def test_headers_are_never_shown() -> None:
    headers = DicomHeaders("1.2", "1.3", b"Canary")
    assert "Canary" not in repr((headers, Source("dicom", headers=headers)))

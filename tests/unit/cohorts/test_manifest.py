from pathlib import Path

import numpy as np
import pytest

from infarct.cohorts import Cohort
from infarct.cohorts.manifest import find, read
from infarct.errors import BadRequest, Refusal
from unit.cohorts.tiny_cohorts import dicom_series, lesion, manifest, nifti, old_lesion, text


def opened(folder: Path, *rows: str, header: str = "id,ct,mask") -> Cohort:
    return read(manifest(folder, *rows, header=header))


def reasons(cohort: Cohort) -> dict[str, str]:
    return {left.id: left.reason for left in cohort.left_out}


def test_a_row_becomes_a_case(tmp_path: Path) -> None:
    nifti(tmp_path / "old.nii.gz", old_lesion(), dtype=np.uint8)
    header = "id,ct,mask,old_mask,onset_h,aspects,side,age,sex,nihss,mrs90,patient,target"
    cohort = opened(tmp_path, "a-1,ct.nii.gz,mask.nii.gz,old.nii.gz,2.5,7,Left,71,F,12,3,p9,core", header=header)
    (case,) = cohort.cases
    assert (case.id, case.patient, case.target) == ("a-1", "p9", "core")
    clinical = case.clinical
    assert (clinical.onset_h, clinical.aspects, clinical.side, clinical.age) == (2.5, 7, "left", 71.0)
    assert (clinical.sex, clinical.nihss, clinical.mrs90) == ("f", 12, 3)
    loaded = case.load()
    np.testing.assert_array_equal(loaded.lesion, lesion())
    np.testing.assert_array_equal(loaded.old, old_lesion())
    assert loaded.hemorrhage is loaded.intracranial is None
    assert cohort.left_out == ()


def test_a_blank_mask_is_not_labelled(tmp_path: Path) -> None:
    (case,) = opened(tmp_path, "a,ct.nii.gz,").cases
    assert case.load().lesion is None
    assert case.patient == "a"
    assert case.target == "acute"


def test_an_empty_mask_file_is_a_case_without_a_lesion(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a,ct.nii.gz,none.nii.gz")
    nifti(tmp_path / "none.nii.gz", lesion() * 0)
    loaded = read(path).cases[0].load()
    assert loaded.lesion is not None
    assert not loaded.lesion.any()


def test_a_ct_may_be_a_dicom_folder(tmp_path: Path) -> None:
    dicom_series(tmp_path / "series")
    loaded = opened(tmp_path, "a,series,mask.nii.gz").cases[0].load()
    assert loaded.scan.source.kind == "dicom"
    np.testing.assert_array_equal(loaded.lesion, lesion())


def test_paired_files_are_listed(tmp_path: Path) -> None:
    header = "id,ct,regions,cbf,dwi,adc,followup_ct,followup_mask"
    cohort = opened(tmp_path, "a,ct.nii.gz,mask.nii.gz,,,mask.nii.gz,ct.nii.gz,mask.nii.gz", header=header)
    assert set(cohort.cases[0].paired) == {"regions", "adc", "followup_ct", "followup_mask"}
    assert cohort.missing["cbf"] == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,gone.nii.gz,,,,,,", "column ct does not exist"),
        ("a,ct.nii.gz,gone.nii.gz,,,,,", "column mask does not exist"),
        ("a,,,,,,,", "no CT"),
        ("a,ct.nii.gz,,five,,,,", "onset_h is no number from 0 to"),
        ("a,ct.nii.gz,,-1,,,,", "onset_h is no number"),
        ("a,ct.nii.gz,,inf,,,,", "onset_h is no number"),
        ("a,ct.nii.gz,,,11,,,", "aspects is no number from 0 to 10"),
        ("a,ct.nii.gz,,,7.5,,,", "aspects is no whole number"),
        ("a,ct.nii.gz,,,,both,,", "side is neither left nor right"),
        ("a,ct.nii.gz,,,,,x,", "sex is neither f nor m"),
        ("a,ct.nii.gz,,,,,,late", "target is none of acute, core, final"),
        ("a,ct.nii.gz,,,,,", "7 cells and the table 8 columns"),
    ],
)
def test_a_bad_row_is_left_out_with_its_reason(tmp_path: Path, row: str, words: str) -> None:
    header = "id,ct,mask,onset_h,aspects,side,sex,target"
    cohort = opened(tmp_path, row, "b,ct.nii.gz,mask.nii.gz,n/a,,nan,,", header=header)
    assert [case.id for case in cohort.cases] == ["b"]
    assert words in reasons(cohort)["a"]


def test_reasons_repeat_no_cell(tmp_path: Path) -> None:
    cohort = opened(tmp_path, "a,ct.nii.gz,Doe Jane", header="id,ct,age")
    assert "Doe" not in reasons(cohort)["a"]


def test_an_id_that_stands_twice_tells_nothing(tmp_path: Path) -> None:
    cohort = opened(tmp_path, "a,ct.nii.gz,", "b,ct.nii.gz,", "a,ct.nii.gz,mask.nii.gz")
    assert [case.id for case in cohort.cases] == ["b"]
    assert [left.id for left in cohort.left_out] == ["a", "a"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "Doe, Jane", "x" * 65, "\x1b[31m"])
def test_ids_that_are_no_names_are_left_out_by_their_row(tmp_path: Path, name: str) -> None:
    cohort = opened(tmp_path, f'"{name}",ct.nii.gz,')
    assert cohort.cases == ()
    assert list(reasons(cohort)) == ["row 2"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "absolute"),
        ("C:\\data\\ct.nii.gz", "absolute"),
        ("\\\\server\\ct.nii.gz", "absolute"),
        ("../ct.nii.gz", "out of"),
        ("a/../../ct.nii.gz", "out of"),
        ("link/ct.nii.gz", "out of"),
        ("x" * 5000, "impossible"),
    ],
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    with pytest.raises(BadRequest, match=words) as refused:
        opened(tmp_path / "in", "ok,ct.nii.gz,", f"a,{path},")
    assert "row 3" in str(refused.value)
    assert path not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no cases"),
        (b"id,ct\n", "no cases"),
        (b"id,ct,Jane Doe\na,b,c\n", "column 3 of the manifest is unknown"),
        (b"a1,/home/jane/ct.nii\nx,y\n", "column 1 of the manifest is unknown"),
        (b"id,ct,ct\na,b,c\n", "twice"),
        (b"id,mask\na,b\n", "no column ct"),
        (b"id;ct\na;b\n", "semicolons"),
        (b"id,ct\n\xff\xfe,b\n", "UTF-8"),
        (b'id,ct\n"a,b\n', "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match=words) as refused:
        read(path)
    assert "jane" not in str(refused.value).lower()


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """A mark at the beginning, upper case, blank lines and carriage returns."""
    manifest(tmp_path)
    path = tmp_path / "manifest.csv"
    path.write_bytes("﻿ID, CT ,Mask\r\n\r\na, ct.nii.gz ,mask.nii.gz\r\n,,\r\n".encode())
    (case,) = read(path).cases
    assert case.load().lesion is not None


def test_a_folder_or_a_file_is_found(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a,ct.nii.gz,")
    assert find(tmp_path) == path
    other = path.rename(tmp_path / "trial.CSV")
    assert find(other) == other
    assert find(tmp_path) is None
    assert find(text(tmp_path / "notes.txt", "")) is None


def test_a_mask_elsewhere_is_refused_when_the_case_is_loaded(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a,ct.nii.gz,wrong.nii.gz")
    nifti(tmp_path / "wrong.nii.gz", lesion()[1:])
    with pytest.raises(Refusal, match=r"^lesion mask: it has 11 x 72 x 64"):
        read(path).cases[0].load()

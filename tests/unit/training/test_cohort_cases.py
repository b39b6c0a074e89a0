"""A user's cohort made ready: the lesion keeps its side, and what cannot be used is left out and counted."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from infarct.cohorts.case import Case, Clinical, LabelledScan
from infarct.errors import BadRequest, UnreadableInput
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.preprocess.segment_input import EVERYDAY
from infarct.training import cohort_cases
from infarct.training.cases import ACUTE
from infarct.training.cohort_cases import KEPT_FOR_TESTS, UNLABELLED, _prepare, prepare_cohort_cases, roles_of
from infarct.training.store import read_index
from infarct.volume import Scan
from plain_head import PlainPatient, make_plain_patient
from same_process import SameProcess


@pytest.fixture(scope="module")
def patient() -> PlainPatient:
    return make_plain_patient(5)


def refused() -> LabelledScan:
    raise UnreadableInput("the file is truncated")


@pytest.fixture(scope="module")
def head(patient: PlainPatient) -> Head:
    return prepare_head(patient.scan)


@pytest.fixture(autouse=True)
def here(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare in this process, and find the brain of the one patient once: it takes seconds."""
    monkeypatch.setattr(cohort_cases, "ProcessPoolExecutor", SameProcess)
    monkeypatch.setattr(cohort_cases, "prepare_head", lambda _: head)


def test_the_lesion_keeps_its_side_and_volume(patient: PlainPatient, tmp_path: Path) -> None:
    truth = patient.truth
    case = Case("a", "p", "acute", lambda: LabelledScan(patient.scan, lesion=truth.infarct))
    assert _prepare(case, path=tmp_path / "case.npz", setting=EVERYDAY) is None
    with np.load(tmp_path / "case.npz") as stored:
        labels, spacing = stored["labels"], stored["spacing_mm_zyx"]
    columns = np.argwhere(labels == ACUTE)[:, 2]
    assert (columns.mean() > labels.shape[2] / 2) == (truth.side == "left")
    true_ml = float(truth.infarct.sum(axis=(1, 2)) @ patient.scan.geometry.slice_voxel_ml)
    assert (labels == ACUTE).sum() * spacing.prod() / 1000 == pytest.approx(true_ml, rel=0.15)


def test_what_is_left_out_is_counted_by_reason(patient: PlainPatient, tmp_path: Path) -> None:
    unlabelled = LabelledScan(patient.scan)
    cases = [Case(f"{n}", f"p{n}", "acute", refused) for n in range(5)]
    cases.append(Case("5", "p5", "acute", lambda: unlabelled))
    cases.append(Case("6", "p6", "acute", refused, stratum={"split": "test"}))
    for _ in range(2):  # those left out are tried again when a folder is continued
        index, left_out = prepare_cohort_cases(cases, tmp_path, EVERYDAY)
        assert left_out == {"the file is truncated": 5, UNLABELLED: 1, KEPT_FOR_TESTS: 1}
        assert json.loads(index.read_text())["cases"] == []


def users_own(patient: PlainPatient, mask: Path) -> list[Case]:
    """Return cases whose patients have names."""
    return [
        Case(f"{name}-scan", name, "acute", partial(read, patient.scan, mask), Clinical(onset_h=2.0)) for name in NAMES
    ]


NAMES = [f"Doe-Jane-{number}" for number in range(5)]


def read(scan: Scan, mask: Path) -> LabelledScan:
    assert mask.exists()
    return LabelledScan(scan, lesion=np.zeros(scan.hu.shape, dtype=bool))


def test_no_identifier_is_written(patient: PlainPatient, tmp_path: Path) -> None:
    (tmp_path / "mask").touch()
    cases = users_own(patient, tmp_path / "mask")
    folder = tmp_path / "cases"
    prepare_cohort_cases(cases, folder, EVERYDAY)
    assert {case.id for case in read_index(folder).cases} == {case.key for case in cases}
    assert {case.patient for case in read_index(folder).cases} == {case.patient_key for case in cases}
    packed = sorted(folder.glob("*.npz"))
    assert len(packed) == 5
    for path in packed:
        with np.load(path) as stored:
            about = json.loads(str(stored["about"]))
        assert about["id"] in {case.key for case in cases}
        assert "Doe" not in str(about) + path.name
    for path in folder.glob("*.json"):
        assert "Doe" not in path.read_text()


def test_other_cases_or_changed_files_need_another_folder(patient: PlainPatient, tmp_path: Path) -> None:
    (tmp_path / "mask").touch()
    cases = users_own(patient, tmp_path / "mask")
    folder = tmp_path / "cases"
    first = prepare_cohort_cases(cases, folder, EVERYDAY)
    packed = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert prepare_cohort_cases(cases[::-1], folder, EVERYDAY) == first
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")} == packed
    with pytest.raises(BadRequest, match="another way"):
        prepare_cohort_cases([replace(case, target="core") for case in cases], folder, EVERYDAY)
    (tmp_path / "mask").write_bytes(b"corrected")
    with pytest.raises(BadRequest, match="another way"):
        prepare_cohort_cases(cases, folder, EVERYDAY)


def parted(name: str, patient: str, split: str) -> Case:
    return Case(name, patient, "core", refused, stratum={"split": split})


def test_a_published_test_part_is_never_trained_on() -> None:
    """p1 stands in train and test, p2 in train and val: neither trains."""
    cases = [
        parted("a", "p0", "train"),
        parted("b", "p1", "train"),
        parted("c", "p1", "test"),
        parted("d", "p2", "train"),
        parted("e", "p2", "val"),
        parted("f", "p3", "test"),
    ]
    assert roles_of(cases, fold=0, seed=0) == {"a": "train", "d": "validation", "e": "validation"}


def test_without_a_validation_part_a_fifth_of_the_patients_validates() -> None:
    cases = [parted(f"{n}", f"p{n}", "train") for n in range(10)] + [parted("x", "q", "test")]
    roles = roles_of(cases, fold=0, seed=0)
    assert sorted(roles.values()) == ["train"] * 8 + ["validation"] * 2
    assert "x" not in roles

"""Every object against dciodvfy, an independent checker of DICOM objects (Debian package dicom3tools)."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from stored_analyses import Stored, analysis_of, named, store, write_all
from synthetic_head import make_aspects

from infarct.findings import HyperdenseArtery, Override
from infarct.readers import read_scan
from infarct.writers.dicom_objects import UNSTATED

Make = Callable[[str], Stored]
PROGRAM = "dciodvfy"
pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} (dicom3tools) is not installed")


def complaints(folder: Path) -> dict[str, list[str]]:
    """Return the errors of every object in ``folder``; terms of a private coding scheme are no error."""
    found = {}
    for path in sorted((folder / "dicom").iterdir()):
        done = subprocess.run([PROGRAM, "-new", path], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert lines, "the checker says at least which kind of object it is"
        found[path.name] = [line for line in lines if line.startswith("Error")]
    return found


@pytest.mark.parametrize("deidentify", [False, True])
@pytest.mark.parametrize("kind", ["tilted_uneven", "enhanced"])
def test_objects_are_without_errors(series_of: Make, tmp_path: Path, kind: str, deidentify: bool) -> None:
    found = complaints(write_all(series_of(kind), tmp_path / "out", deidentify=deidentify))
    assert len(found) == 9
    assert {name: errors for name, errors in found.items() if errors} == {}


@pytest.mark.parametrize("kind", ["upright", "thin", "turned", "transposed", "two_enhanced"])
def test_segmentations_and_reports_of_every_kind_are_without_errors(series_of: Make, tmp_path: Path, kind: str) -> None:
    found = complaints(write_all(series_of(kind), tmp_path / "out", formats=("seg", "sr")))
    assert not any(found.values()), found


def test_a_source_that_does_not_say_how_it_was_deidentified_gives_objects_without_errors(tmp_path: Path) -> None:
    def emptied(ds: Dataset, k: int) -> None:
        named(ds, k)
        ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", ""

    store(tmp_path / "source", "upright", emptied)
    scan = read_scan(tmp_path / "source")
    case = Stored(tmp_path, (), scan, analysis_of(scan))
    found = complaints(write_all(case, tmp_path / "out", formats=("seg", "sr")))
    assert not any(found.values()), found
    report = pydicom.dcmread(tmp_path / "out" / "dicom" / "sr_findings.dcm")
    assert (report.PatientIdentityRemoved, report.DeidentificationMethod) == ("YES", UNSTATED)


def test_findings_of_every_kind_are_without_errors(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    labels = np.zeros(case.scan.hu.shape, dtype=np.uint8)
    labels[3, 20:30, 40:50], labels[4, 20:28, 40:50] = 1, 4
    overrides = (Override(region="I", side="left", affected=False, reader="Ö. Reader", at="2024-01-01T00:00:00Z"),)
    artery = HyperdenseArtery(suspected=True, side="right", mean_hu=61.5, contralateral_mean_hu=43.25, ratio=1.42)
    findings = case.analysis.findings.model_copy(
        update={"aspects": make_aspects(overrides=overrides, score=None), "hyperdense_artery": artery}
    )
    analysis = replace(case.analysis, findings=findings, maps=replace(case.analysis.maps, followup_infarct=labels))
    found = complaints(write_all(replace(case, analysis=analysis), tmp_path / "out", formats=("seg", "sr")))
    assert "seg_followup_infarct.dcm" in found
    assert not any(found.values()), found


def test_the_checker_finds_what_is_wrong(series_of: Make, tmp_path: Path) -> None:
    folder = write_all(series_of("upright"), tmp_path / "out", formats=("sr",))
    path = folder / "dicom" / "sr_findings.dcm"
    path.write_bytes(path.read_bytes().replace(b"UNVERIFIED", b"UNKNOWN   "))
    assert complaints(folder)["sr_findings.dcm"]

"""Damaged inputs end in a refusal of one line, or in a scan that equals the clean one or says what differs."""

import shutil
from pathlib import Path

import mutator
import numpy as np
import pytest
from mutator import CANARY
from pydicom.dataset import Dataset
from synthetic_ct import Series, fake_head, write_nifti, write_series

from infarct.errors import Refusal
from infarct.readers import read_scan
from infarct.volume import Scan

DICOM_MUTANTS, NIFTI_MUTANTS = 320, 180


def _named(ds: Dataset, k: int) -> None:
    del k
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = CANARY, CANARY, "19510203"
    ds.InstitutionName, ds.StudyDescription, ds.SeriesDescription = CANARY, f"Head {CANARY}", f"Head {CANARY}"


def same_volume(found: Scan, clean: Scan) -> bool:
    """Tell whether HU and world positions agree (0.5 HU, 0.15 mm)."""
    if found.hu.shape != clean.hu.shape:
        return False
    corners = [(k, r, c) for k in range(len(clean.hu)) for r in (0, clean.hu.shape[1]) for c in (0, clean.hu.shape[2])]
    apart = found.geometry.index_to_world(corners) - clean.geometry.index_to_world(corners)
    return bool(np.abs(apart).max() < 0.15 and np.abs(found.hu - clean.hu).max() < 0.5)


def verdict(path: Path, clean: Scan) -> str | None:
    """Return what is wrong with the way an input ended, None where all is well."""
    try:
        scan = read_scan(path)
    except Refusal as refusal:
        text = str(refusal)
        unfit = "\n" in text or CANARY in text or str(path) in text or len(text) > 300
        return f"unfit message: {text}" if unfit else None
    shown = repr((scan.source, scan.acquisition, scan.flags, scan.geometry))
    if CANARY in shown:
        return f"canary shown: {shown}"
    if scan.flags or same_volume(scan, clean):
        return None
    return f"another volume without a flag: shape {scan.hu.shape}"


def dicom_verdict(files: mutator.Files, clean: Scan, seed: int, folder: Path) -> str | None:
    changed, kind = mutator.mutate_dicom(files, seed)
    wrong = verdict(mutator.write_files(folder, changed), clean)
    shutil.rmtree(folder)
    return f"seed {seed}, {kind}: {wrong}" if wrong else None


def nifti_verdict(content: bytes, clean: Scan, seed: int, path: Path) -> str | None:
    changed, kind = mutator.mutate_nifti(content, seed)
    path.write_bytes(changed)
    wrong = verdict(path, clean)
    return f"seed {seed}, {kind}: {wrong}" if wrong else None


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_damaged_dicom_is_refused_flagged_or_read_right(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "clean", Series().with_edit(_named))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    clean = read_scan(folder)
    assert not clean.flags
    wrong = [dicom_verdict(files, clean, seed, tmp_path / "mutant") for seed in range(DICOM_MUTANTS)]
    assert [line for line in wrong if line] == []


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damaged_nifti_is_refused_flagged_or_read_right(tmp_path: Path, suffix: str) -> None:
    path = write_nifti(tmp_path / f"clean{suffix}", fake_head())
    clean = read_scan(path)
    assert not clean.flags
    content = path.read_bytes()
    wrong = [nifti_verdict(content, clean, seed, tmp_path / f"mutant{suffix}") for seed in range(NIFTI_MUTANTS // 2)]
    assert [line for line in wrong if line] == []

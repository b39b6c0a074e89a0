"""ISLES'18: CT and perfusion slabs with the core drawn on diffusion MRI soon after."""

import re
from functools import partial
from pathlib import Path
from typing import Final

from infarct.cohorts.case import Case, Cohort, LeftOut
from infarct.cohorts.layout import Layout, files_below, folders, nifti_stem
from infarct.cohorts.masks import load_files

TRAINING: Final = "TRAINING"
TESTING: Final = "TESTING"
NOTES: Final = (
    "The 94 training slabs come from 63 patients, and the files do not say which belong together: folds may split a "
    "patient.",
)
_CASE: Final = re.compile(r"case_\d+")
_SERIES: Final = re.compile(r"SMIR\.Brain\.XX\.O\.(\w+)\.\d+")
"""The group is the whole kind: ``CT`` is not ``CT_CBF`` or ``CT_4DPWI``."""


def find(folder: Path) -> Path | None:
    """Return the folder that holds TRAINING, or the cases themselves."""
    if any(_series(case) for case in _cases(folder / TRAINING)):
        return folder
    return folder if any("CT" in _series(case) for case in _cases(folder)) else None


def read(root: Path) -> Cohort:
    """Return the training cases; testing cases have no reference and are left out."""
    training = root / TRAINING if (root / TRAINING).is_dir() else root
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for folder in _cases(training):
        series = _series(folder)
        files = {kind: _only_nifti(paths) for kind, paths in series.items()}
        ct, mask, cbf = (files.get(kind) for kind in ("CT", "OT", "CT_CBF"))
        if ct is None or mask is None:
            left_out.append(LeftOut(folder.name, f"there is not exactly one {'CT' if ct is None else 'mask (OT)'}"))
            continue
        cases.append(
            Case(
                id=folder.name,
                patient=folder.name,
                target="core",
                loader=partial(load_files, ct, lesion=mask),
                paired={"cbf": cbf} if cbf else {},
            )
        )
    untold = [LeftOut(f"testing {case.name}", "testing cases have no reference") for case in _cases(root / TESTING)]
    return Cohort("isles18", tuple(cases), (*left_out, *untold), NOTES)


def _cases(root: Path) -> list[Path]:
    return [path for path in folders(root) if _CASE.fullmatch(path.name)]


def _series(case: Path) -> dict[str, list[Path]]:
    """Return the folders of a case by the kind of series they hold."""
    found: dict[str, list[Path]] = {}
    for folder in folders(case):
        match = _SERIES.fullmatch(folder.name)
        if match:
            found.setdefault(match.group(1), []).append(folder)
    return found


def _only_nifti(series: list[Path]) -> Path | None:
    """Return the NIfTI file of the only folder of a kind, None where there are more or none."""
    files = [path for folder in series for path in files_below(folder) if nifti_stem(path) is not None]
    return files[0] if len(files) == 1 else None


LAYOUT: Final = Layout("isles18", "ISLES'18: TRAINING/case_1/SMIR.Brain.XX.O.CT.ID/*.nii", find, read)

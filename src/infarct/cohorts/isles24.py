"""ISLES'24: acute CT with the final infarct on MRI days later, in a BIDS-like tree."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from infarct.cohorts.case import Case, Clinical, Cohort, LeftOut, Paired
from infarct.cohorts.layout import Layout, files_below, folders, in_order, nifti_ending
from infarct.cohorts.masks import load_files
from infarct.cohorts.table_values import lenient_clinical

RAW_NAMES: Final = ("raw_data", "rawdata")
"""The description says rawdata, the archive holds raw_data."""
MASK_ENDING: Final = "_space-ncct_lesion-msk"
"""The archive also holds a stray mask in the MRI's own space, without ``space-ncct``: it is no reference for the CT."""
PAIRED_ENDINGS: Final[Mapping[Paired, str]] = {
    "cbf": "_space-ncct_cbf",
    "dwi": "_space-ncct_dwi",
    "adc": "_space-ncct_adc",
}
CLINICAL_COLUMNS: Final = {"age": "age", "sex": "sex", "nihss at admission": "nihss", "mrs 3 months": "mrs90"}
"""Columns of the phenotype tables that say what `Clinical` holds: the time to the door is no time to the CT."""
NOTES: Final = ("The mask is the final infarct on MRI 2 to 9 days later, not what the acute CT shows.",)
_SUBJECT: Final = re.compile(r"sub-stroke(case)?\d+")
_MAX_TABLE: Final = 1 << 20


def find(folder: Path) -> Path | None:
    """Return the folder that holds raw data and derivatives: ``folder`` or its ``train``."""
    for root in (folder, folder / "train"):
        raw = _raw(root)
        if raw is not None and (root / "derivatives").is_dir() and _subjects(raw):
            return root
    return None


def read(root: Path) -> Cohort:
    """Return the cases: one a subject."""
    raw = _raw(root)
    scans, derived = (_subjects(place) if place else {} for place in (raw, root / "derivatives"))
    tables = {path.name: path for path in files_below(root / "phenotype") if path.suffix == ".csv"}
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for name in (path.name for path in in_order({**derived, **scans}.values())):
        scan_files = list(files_below(scans[name])) if name in scans else []
        made_files = list(files_below(derived[name])) if name in derived else []
        ct, masks = nifti_ending(scan_files, "_ncct"), nifti_ending(made_files, MASK_ENDING)
        reason = _one("non-contrast CT", ct) or _one("lesion mask on the CT's grid (space-ncct)", masks)
        if reason:
            left_out.append(LeftOut(name, reason))
            continue
        cases.append(_case(name, ct[0], masks[0], made_files, tables))
    return Cohort("isles24", tuple(cases), tuple(left_out), NOTES)


def _case(name: str, ct: Path, mask: Path, made_files: Sequence[Path], tables: Mapping[str, Path]) -> Case:
    found = {kind: nifti_ending(made_files, ending) for kind, ending in PAIRED_ENDINGS.items()}
    return Case(
        id=name,
        patient=name,
        target="final",
        loader=partial(load_files, ct, lesion=mask),
        clinical=_clinical(name, tables),
        paired={kind: paths[0] for kind, paths in found.items() if len(paths) == 1},
    )


def _clinical(name: str, tables: Mapping[str, Path]) -> Clinical:
    """Return what the subject's baseline and outcome tables say."""
    cells: dict[str, str] = {}
    for file_name, path in tables.items():
        if file_name.startswith(f"{name}_"):
            for column, text in _first_row(path).items():
                known = CLINICAL_COLUMNS.get(" ".join(column.lower().split()))
                if known:
                    cells[known] = text
    return lenient_clinical(cells)


def _first_row(path: Path) -> dict[str, str]:
    """Return the first row of a small table by column, nothing where it cannot be read."""
    try:
        if path.stat().st_size > _MAX_TABLE:
            return {}
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig", errors="replace"), newline="")))
    except (OSError, csv.Error):
        return {}
    return dict(zip(lines[0], lines[1], strict=False)) if len(lines) > 1 else {}


def _raw(root: Path) -> Path | None:
    return next((root / name for name in RAW_NAMES if (root / name).is_dir()), None)


def _subjects(place: Path) -> dict[str, Path]:
    return {path.name: path for path in folders(place) if _SUBJECT.fullmatch(path.name)}


def _one(what: str, paths: Sequence[Path]) -> str | None:
    """Return why there is not exactly one file, None where there is."""
    if len(paths) == 1:
        return None
    return f"there are {len(paths)} files of the {what}" if paths else f"there is no {what}"


LAYOUT: Final = Layout(
    "isles24", "ISLES'24: raw_data/ (or rawdata/) and derivatives/ with sub-stroke folders", find, read
)

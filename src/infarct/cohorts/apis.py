"""APIS: paired CT and ADC with the core drawn by radiologists who saw both."""

import re
from functools import partial
from pathlib import Path
from typing import Final

from infarct.cohorts.case import Case, Cohort, LeftOut
from infarct.cohorts.layout import Layout, folders
from infarct.cohorts.masks import load_files

READER: Final = "r1"
"""Whose masks are used; a second reader's files are left aside."""
NOTES: Final = ("Masks are those of the first reader (r1), who saw the ADC map: a core, not what the CT alone shows.",)
_CASE: Final = re.compile(r"(train|test)_\d+")


def find(folder: Path) -> Path | None:
    """Return the folder that holds the cases: ``folder`` or its ``train``."""
    for root in (folder, folder / "train"):
        if any(_nifti(case / f"{case.name}_ncct") for case in _cases(root)):
            return root
    return None


def read(root: Path) -> Cohort:
    """Return the cases. A case without a mask file is left out: a lesion-free one has an empty mask."""
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for folder in _cases(root):
        name = folder.name
        ct, adc = (_nifti(folder / f"{name}_{kind}") for kind in ("ncct", "adc"))
        mask = _mask(root, folder)
        if ct is None or mask is None:
            reason = "there is no non-contrast CT" if ct is None else "there is no mask of the first reader (r1)"
            left_out.append(LeftOut(name, reason))
            continue
        cases.append(
            Case(
                id=name,
                patient=name,
                target="core",
                loader=partial(load_files, ct, lesion=mask),
                paired={"adc": adc} if adc else {},
            )
        )
    return Cohort("apis", tuple(cases), tuple(left_out), NOTES)


def _cases(root: Path) -> list[Path]:
    return [path for path in folders(root) if _CASE.fullmatch(path.name)]


def _mask(root: Path, folder: Path) -> Path | None:
    """Return the mask, in ``masks`` of the case or of the data set."""
    stem = f"{folder.name}_{READER}_mask"
    places = (folder / "masks", root / "masks")
    return next((path for place in places if (path := _nifti(place / stem)) is not None), None)


def _nifti(stem: Path) -> Path | None:
    candidates = (stem.with_name(f"{stem.name}{ending}") for ending in (".nii.gz", ".nii"))
    return next((path for path in candidates if path.is_file()), None)


LAYOUT: Final = Layout("apis", "APIS: train_000/train_000_ncct.nii.gz and masks/train_000_r1_mask.nii.gz", find, read)

"""A phantom cohort as `infarct phantom` writes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct.cohorts.aspects import AspectsTruth, both_sides
from infarct.cohorts.case import Case, Clinical, Cohort, LabelledScan, LeftOut, Paired
from infarct.cohorts.layout import Layout, folders
from infarct.cohorts.masks import check_same_grid, named, read_labels
from infarct.errors import BadRequest
from infarct.readers import read_scan
from infarct.types import LabelArray
from infarct.volume import Geometry, resample_labels

COHORT_FILE: Final = "cohort.json"
TRUTH_FILE: Final = "truth.json"
MASKS: Final = {
    "lesion": "label-infarct_mask",
    "old": "label-oldinfarct_mask",
    "intracranial": "label-intracranial_mask",
}
"""Names in `LabelledScan` and in file names."""
HEMORRHAGE: Final = "desc-hemorrhage_dseg"
REGIONS: Final = "desc-aspects_dseg"
DAMAGED: Final = "truth.json is damaged or of another version"


@dataclass(frozen=True)
class Session:
    """The files of one CT of a subject. ``rectified`` says that the truth lies on an upright grid of its own."""

    raw: Path
    truth: Path
    name: str
    rectified: bool
    detectability: float | None
    midline_shift_mm: float | None
    aspects: AspectsTruth | None = None

    @property
    def ct(self) -> Path:
        """The CT: a NIfTI file, or a folder of DICOM files."""
        series = self.raw / "ct" / "dicom"
        return series if series.is_dir() else self.raw / "ct" / f"{self.name}_ct.nii.gz"

    def truth_file(self, kind: str) -> Path:
        """Return the path of a mask or a label map."""
        return self.truth / f"{self.name}_{kind}.nii.gz"


def find(folder: Path) -> Path | None:
    """Return ``folder`` where it holds ``cohort.json`` and truth."""
    return folder if (folder / COHORT_FILE).is_file() and (folder / "derivatives" / "truth").is_dir() else None


def read(root: Path) -> Cohort:
    """Return the cases, one a subject: the CT that the preset is about.

    Raises `BadRequest` where ``cohort.json`` is damaged.
    """
    try:
        preset = json.loads((root / COHORT_FILE).read_text(encoding="utf-8"))["preset"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadRequest("cohort.json is damaged; make the phantom cohort again") from None
    session = "followup" if preset == "followup" else "acute"
    truth = root / "derivatives" / "truth"
    scans = {path.name for path in folders(root) if path.name.startswith("sub-")}
    truths = {path.name for path in folders(truth) if path.name.startswith("sub-")}
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for name in sorted(scans | truths, key=lambda name: (len(name), name)):
        found = _case(root / name, truth / name, session) if name in scans & truths else _lacking(name, name in scans)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            cases.append(found)
    return Cohort("phantom", tuple(cases), tuple(left_out), ("Synthetic: no patient is in it.",))


def _lacking(name: str, has_scans: bool) -> LeftOut:
    return LeftOut(name, f"the {'truth is' if has_scans else 'scans are'} missing: the subject was not finished")


def _case(raw: Path, truth: Path, session: str) -> Case | LeftOut:
    try:
        record: dict[str, Any] = json.loads((truth / TRUTH_FILE).read_text(encoding="utf-8"))
        if session not in record["sessions"]:
            return LeftOut(raw.name, "there is no follow-up CT, which this cohort is about")
        return _made(raw, truth, session, record)
    except (OSError, ValueError, KeyError, TypeError):
        return LeftOut(raw.name, DAMAGED)


def _made(raw: Path, truth: Path, session: str, record: Mapping[str, Any]) -> Case:
    about, row = record["sessions"][session], record["participant"]
    files = _session(raw, truth, session, record)
    return Case(
        id=row["patient"],
        patient=row["patient"],
        target="final" if session == "followup" else "acute",
        loader=partial(load_session, files),
        clinical=Clinical(
            onset_h=about["hours_from_onset"],
            age=row["age"],
            sex=row["sex"],
            side=row["side"],
            nihss=row["nihss"],
            mrs90=row["mrs90"],
            aspects=row["aspects_core"],
        ),
        stratum=dict(record["stratum"]),
        paired=_paired(raw, truth, files, record),
        lesion_free=about["file_volumes_ml"]["infarct"] == 0,
        synthetic=True,
    )


def _session(raw: Path, truth: Path, session: str, record: Mapping[str, Any]) -> Session:
    about = record["sessions"][session]
    observed = about["detectability"]
    place = f"ses-{session}"
    return Session(
        raw / place,
        truth / place,
        f"{raw.name}_{place}",
        rectified=about["grid"] == "rectified",
        detectability=observed["anatomical"] if observed else None,
        midline_shift_mm=about.get("midline_shift_mm"),
        aspects=_aspects(record) if session == "acute" else None,
    )


def _aspects(record: Mapping[str, Any]) -> AspectsTruth:
    """Return which regions are affected: known of the side that was scored, and of the other nothing."""
    told, row = record["aspects"], record["participant"]
    return AspectsTruth(
        by_core=both_sides(told["regions_by_core"], told["side"]),
        by_readers=tuple(both_sides(calls, told["side"]) for calls in told["regions_by_readers"]),
        side=row["side"],
        core_ml=row["core_ml"],
    )


def _paired(raw: Path, truth: Path, files: Session, record: Mapping[str, Any]) -> dict[Paired, Path]:
    """Return the files beside the case's CT that exist; a follow-up CT has none of its own but the regions."""
    mri = raw / "ses-mri" / "dwi" / f"{raw.name}_ses-mri"
    candidates: dict[Paired, Path] = {
        "regions": files.truth_file(REGIONS),
        "dwi": mri.with_name(f"{mri.name}_acq-b1000_dwi.nii.gz"),
        "adc": mri.with_name(f"{mri.name}_adc.nii.gz"),
    }
    if files.raw.name == "ses-acute":
        candidates["cbf"] = files.raw / "perf" / f"{files.name}_cbf.nii.gz"
        if "followup" in record["sessions"]:
            later = _session(raw, truth, "followup", record)
            candidates |= {"followup_ct": later.ct, "followup_mask": later.truth_file(MASKS["lesion"])}
    return {name: path for name, path in candidates.items() if path.exists()}


def load_session(files: Session) -> LabelledScan:
    """Return a CT with its truth. Raises `Refusal` where a file cannot be read or lies elsewhere."""
    scan = read_scan(files.ct)
    masks = {name: _labels(files, kind, scan.geometry) > 0 for name, kind in MASKS.items()}
    blood = _labels(files, HEMORRHAGE, scan.geometry)
    return LabelledScan(
        scan=scan,
        lesion=masks["lesion"],
        old=masks["old"],
        intracranial=masks["intracranial"],
        hemorrhage=blood,
        detectability=files.detectability,
        midline_shift_mm=files.midline_shift_mm,
        regions=_labels(files, REGIONS, scan.geometry),
        aspects=files.aspects,
    )


def _labels(files: Session, kind: str, geometry: Geometry) -> LabelArray:
    """Return a label map on the CT's grid.

    With DICOM a tilted or uneven stack keeps its slices, and its truth lies on the upright grid that NIfTI needs, at
    the right place in the same world: only then it is carried over, by nearest neighbour.
    """
    with named(f"truth {kind}"):
        labels, grid = read_labels(files.truth_file(kind))
        if files.rectified and files.ct.is_dir():
            return resample_labels(labels, grid, geometry, transform=np.eye(4))
        check_same_grid(grid, geometry)
    return labels


LAYOUT: Final = Layout(
    "phantom", "a phantom cohort: cohort.json and sub-0000 folders, as infarct phantom writes it", find, read
)

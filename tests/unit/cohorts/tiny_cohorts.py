"""Tiny data sets in the layouts of the real ones, all of the same small fake head with a known lesion."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_ct import SLICES, Series, datasets, fake_head, write, write_nifti

from infarct.types import BoolArray
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((SLICES, 72, 64), (5.0, 2.0, 2.0), origin_mm=(-63.0, -71.0, 0.0))
"""Where the fake head lies when it is written by `write_nifti` or as a DICOM series."""
VOXEL_ML = 5 * 2 * 2 / 1000


def lesion() -> BoolArray:
    """Return a block of 3 x 10 x 6 voxels (3.6 ml) in the left half (x rises to the left), low in the stack."""
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    mask[2:5, 30:40, 38:44] = True
    return mask


def old_lesion() -> BoolArray:
    """Return a block of 2 x 4 x 4 voxels in the right half, high in the stack."""
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    mask[8:10, 20:24, 16:20] = True
    return mask


def nifti(path: Path, array: Any = None, **options: Any) -> Path:
    """Write a volume (the fake head if None) into a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_nifti(path, fake_head() if array is None else array, **options)


def text(path: Path, content: str) -> Path:
    """Write a text file into a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def manifest(folder: Path, *rows: str, header: str = "id,ct,mask") -> Path:
    """Write ``manifest.csv`` with its scan ``ct.nii.gz`` and its mask ``mask.nii.gz``."""
    nifti(folder / "ct.nii.gz")
    nifti(folder / "mask.nii.gz", lesion(), dtype=np.uint8)
    return text(folder / "manifest.csv", "\n".join([header, *rows]) + "\n")


def isles24(
    root: Path,
    name: str = "sub-stroke0001",
    *,
    raw: str = "raw_data",
    sessions: tuple[str, str] = ("ses-01", "ses-02"),
    mask: Any = None,
    dtype: Any = np.float64,
) -> Path:
    """Write one subject of ISLES'24; the mask is the lesion, 1 stored as 0.9999999997, if None is given."""
    first, second = sessions
    nifti(root / raw / name / first / f"{name}_{first}_ncct.nii.gz")
    nifti(root / raw / name / first / f"{name}_{first}_cta.nii.gz")
    made = root / "derivatives" / name
    nifti(made / first / "perfusion-maps" / f"{name}_{first}_space-ncct_cbf.nii.gz")
    values = lesion() * 0.9999999997 if mask is None else mask
    nifti(made / second / f"{name}_{second}_space-ncct_lesion-msk.nii.gz", values, dtype=dtype)
    return root


def apis(root: Path, name: str = "train_000", *, mask: Any = None, masks_in_case: bool = True) -> Path:
    """Write one case of APIS."""
    case = root / name
    nifti(case / f"{name}_ncct.nii.gz")
    nifti(case / f"{name}_adc.nii.gz")
    place = (case if masks_in_case else root) / "masks"
    nifti(place / f"{name}_r1_mask.nii.gz", lesion() if mask is None else mask, dtype=np.uint8)
    return root


def isles18(root: Path, number: int = 1, *, part: str = "TRAINING", labelled: bool = True) -> Path:
    """Write one case of ISLES'18; the perfusion series stand before the CT in the listing."""
    case = root / part / f"case_{number}"
    for kind, array in (("CT_4DPWI", fake_head()), ("CT_CBF", fake_head()), ("CT", fake_head()), ("OT", lesion())):
        if kind == "OT" and not labelled:
            continue
        name = f"SMIR.Brain.XX.O.{kind}.{345560 + number}"
        nifti(case / name / f"{name}.nii", array + (7 if kind.startswith("CT_") else 0))
    return root


def cpaisd_labels() -> Any:
    """Return masks with core (1) where the lesion is and penumbra (2) around it."""
    labels = np.zeros(GEOMETRY.shape_zyx, dtype=np.uint8)
    labels[2:6, 28:44, 36:46] = 2
    labels[lesion()] = 1
    return labels


def cpaisd(
    root: Path,
    study: str = "1.2.3",
    *,
    split: str = "train",
    about: Mapping[str, Any] | None = None,
    places: Any = "dicom",
    labels: Any = None,
) -> Path:
    """Write one study of CPAISD. Folder names count from above, against the positions of the slices.

    ``places``: "dicom" puts raw.dcm in, a function of the slice's number gives the metadata instead.
    """
    labels = cpaisd_labels() if labels is None else labels
    folder = root / split / study
    images = datasets(Series())
    for k, hu in enumerate(fake_head()):
        place = folder / f"{SLICES - 1 - k:05d}"
        place.mkdir(parents=True)
        np.savez(place / "image.npz", image=hu)
        np.savez(place / "mask.npz", mask=labels[k])
        if places == "dicom":
            images[k].save_as(place / "raw.dcm", enforce_file_format=True)
        else:
            text(place / "metadata.json", json.dumps(places(k)))
    text(folder / "metadata.json", json.dumps(about or {}))
    return root


def dicom_series(folder: Path) -> Path:
    """Write the fake head as a DICOM series."""
    return write(folder, datasets(Series()))

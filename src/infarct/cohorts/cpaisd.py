"""CPAISD: CT slices as arrays with core and penumbra, each slice in a folder of its own."""

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from infarct.cohorts.case import Case, Cohort, LabelledScan, LeftOut
from infarct.cohorts.layout import Layout, folders
from infarct.cohorts.stored_slices import AXIAL, StoredSlice, stacked
from infarct.cohorts.table_values import lenient_clinical
from infarct.errors import BadRequest, UnreadableInput
from infarct.quiet import quiet
from infarct.readers.dicom_files import read_images
from infarct.readers.foreign import foreign
from infarct.types import Flag

SPLITS: Final = ("train", "val", "test")
IMAGE: Final = "image.npz"
MASK: Final = "mask.npz"
METADATA: Final = "metadata.json"
DICOM: Final = "raw.dcm"
CORE: Final = 1
PENUMBRA: Final = 2
MAX_PIXELS: Final = 4096 * 4096
NOTES: Final = ("The lesion is the core (1); the penumbra (2) is no infarct and counts as healthy tissue.",)


def find(folder: Path) -> Path | None:
    """Return the folder that holds train, val and test: ``folder`` or its ``dataset``."""
    for root in (folder, folder / "dataset"):
        if any((image / IMAGE).is_file() for study in _studies(root) for image in folders(study)[:1]):
            return root
    return None


def read(root: Path) -> Cohort:
    """Return the cases: one a study."""
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for study in _studies(root):
        split = study.parent.name
        name = f"{split}-{study.name}"
        slices = folders(study)
        reason = _incomplete(slices)
        if reason:
            left_out.append(LeftOut(name, reason))
            continue
        cases.append(
            Case(
                id=name,
                patient=study.name,
                target="core",
                loader=partial(load_study, tuple(slices)),
                clinical=lenient_clinical(_clinical_cells(study / METADATA)),
                stratum={"split": split},
            )
        )
    return Cohort("cpaisd", tuple(cases), tuple(left_out), NOTES)


def _studies(root: Path) -> list[Path]:
    return [study for split in SPLITS for study in folders(root / split)]


def _incomplete(slices: list[Path]) -> str | None:
    """Return why the folders of a study do not make a case, None where they do."""
    if not slices:
        return "the study holds no slices"
    for name in (IMAGE, MASK):
        absent = sum(not (folder / name).is_file() for folder in slices)
        if absent:
            return f"{absent} of {len(slices)} slices have no {name}: what they show is not known"
    return None


def _clinical_cells(path: Path) -> dict[str, str]:
    """Return what the study's metadata say in plain words; the time is given in classes of unknown unit."""
    values = _metadata(path)
    known = {name: values.get(name) for name in ("age", "sex", "nihss")}
    return {name: str(value) for name, value in known.items() if isinstance(value, str | int | float)}


def load_study(slices: tuple[Path, ...]) -> LabelledScan:
    """Return a study's scan with its core. Raises `Refusal`."""
    places, flags = _places(slices)
    stored = []
    for folder, place in zip(slices, places, strict=True):
        hu, labels = _plane(folder / IMAGE, "image"), _plane(folder / MASK, "mask")
        if not np.isin(labels, (0, CORE, PENUMBRA)).all():
            raise BadRequest("a mask holds other labels than 0, 1 (core) and 2 (penumbra)")
        stored.append(StoredSlice(hu.astype(np.float32), labels == CORE, *place.values))
    scan, core = stacked(stored, choice=f"{len(slices)} slices of a CPAISD study.")
    return LabelledScan(scan=scan.with_flags(*flags), lesion=core)


@dataclass(frozen=True)
class _Place:
    """Where a slice lies, LPS mm; as `StoredSlice` has it."""

    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm_yx: tuple[float, ...]

    @property
    def values(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        return self.position_mm, self.orientation, self.spacing_mm_yx


def _places(slices: tuple[Path, ...]) -> tuple[list[_Place], list[Flag]]:
    """Return where the slices lie, by their DICOM headers or else their metadata; never by the names of the folders.

    Raises `BadRequest` where neither says it for every slice.
    """
    if all((folder / DICOM).is_file() for folder in slices):
        by_header = [_header_place(folder / DICOM) for folder in slices]
        if None not in by_header:
            return [place for place in by_header if place], []
    metadata = [_metadata(folder / METADATA) for folder in slices]
    places = [_metadata_place(values) for values in metadata]
    if None in places:
        raise BadRequest("some slices have no position and pixel size, neither in raw.dcm nor in metadata.json")
    flags = []
    if not all(_numbers(values, "imageorientationpatient", 6) for values in metadata):
        words = "The metadata do not say how the patient lay; supine and head first was taken: left may be right."
        flags.append(Flag("orientation_unknown", "critical", words))
    return [place for place in places if place], flags


def _header_place(path: Path) -> _Place | None:
    with quiet():
        images = read_images(path)
    if len(images) != 1 or not (images[0].position_mm and images[0].orientation and images[0].spacing_mm_yx):
        return None
    return _Place(images[0].position_mm, images[0].orientation, images[0].spacing_mm_yx)


def _metadata_place(values: Mapping[str, Any]) -> _Place | None:
    position = _numbers(values, "imagepositionpatient", 3)
    height = _numbers(values, "slicelocation", 1)
    spacing = _numbers(values, "pixelspacing", 2)
    if position is None and height is not None:
        position = (0.0, 0.0, height[0])
    if position is None or spacing is None:
        return None
    return _Place(position, _numbers(values, "imageorientationpatient", 6) or AXIAL, spacing)


def _numbers(values: Mapping[str, Any], name: str, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers of a metadata entry (a list, a number, or text with commas or backslashes)."""
    found: Any = values.get(name)
    if isinstance(found, str):
        found = found.strip("[]() ").replace("\\", ",").split(",")
    parts: list[Any] = found if isinstance(found, list) else [found]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else None


def _metadata(path: Path) -> dict[str, Any]:
    """Return a metadata file, its names in lower case without separators; nothing where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {"".join(letter for letter in name.lower() if letter.isalnum()): value for name, value in content.items()}


def _plane(path: Path, key: str) -> npt.NDArray[Any]:
    """Return an array (rows, columns) of a packed file. Never unpickles. Raises `UnreadableInput`."""
    with foreign(f"an {path.name} cannot be read; unpack the data set again"):
        _check_size(path, key)
        with np.load(path, allow_pickle=False) as stored:
            plane = np.asarray(np.squeeze(stored[key]))
    if plane.ndim != 2 or plane.dtype.kind not in "iufb" or (plane.dtype.kind == "f" and not np.isfinite(plane).all()):
        raise UnreadableInput(f"an {path.name} holds no plane of numbers; unpack the data set again")
    return plane


def _check_size(path: Path, key: str) -> None:
    """Refuse an array that would unpack to more than any slice holds, before it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(f"{key}.npy").file_size > 8 * MAX_PIXELS:
            raise UnreadableInput(f"an {path.name} is larger than any slice")


LAYOUT: Final = Layout("cpaisd", "CPAISD: train/STUDY/SLICE/image.npz, also val/ and test/", find, read)

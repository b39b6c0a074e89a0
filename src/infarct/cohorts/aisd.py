"""AISD: acute CT as 8-bit pictures with graded masks, and the DICOM series beside them where they were downloaded.

With DICOM a case has real HU on its own geometry. Without, a picture is a window's grey values: HU, pixel size, slice
distance and side are assumed and flagged. Such cases serve training and evaluation only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from infarct.cohorts.case import Case, Cohort, LabelledScan, LeftOut
from infarct.cohorts.layout import Layout, folders, in_order
from infarct.errors import BadRequest, NotHeadCT, Refusal, UnreadableInput
from infarct.readers import read_scan
from infarct.readers.axes import StoredAxes
from infarct.readers.foreign import foreign
from infarct.readers.nifti import MIN_SLICES
from infarct.readers.plausibility import head_flags
from infarct.readers.slice_checks import slice_flags
from infarct.types import BoolArray, Flag, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, Source

IMAGE_NAMES: Final = ("image", "images")
MASK_NAMES: Final = ("mask", "masks")
REMOTE: Final = 1
"""Label of a healed infarct."""
ACUTE_LABELS: Final = (2, 3, 5)
"""Clear and blurred acute infarct, and "general infarct", whose age is not told."""
HIGHEST_LABEL: Final = 5
"""4 is an acute infarct that cannot be seen in the CT."""
NOTES: Final = (
    "The lesion is the acute infarct that can be seen (labels 2, 3, 5), remote infarcts (1) are old, invisible ones "
    "(4) count as healthy tissue. The published task is lesion and old together.",
)
WINDOW_HU: Final = (0.0, 80.0)
"""The window that the pictures are taken to show; the data set does not say it."""
WHITE_HU: Final = 1000.0
BLACK_HU: Final = -1000.0
"""What lies at or beyond the ends of the window: white is bone; black that reaches the picture's edge is air."""
SLICE_MM: Final = 5.0
"""Slice thickness, by the data set's description."""
FIELD_MM: Final = 230.0
"""Assumed width of a picture: a usual field of view of a head CT."""
ALIKE: Final = 0.95
"""Least correlation of pictures with the series that they are taken from."""
APART: Final = 0.01
"""By how much the right order must correlate better than the reverse."""
MAX_PIXELS: Final = 4096 * 4096


@dataclass(frozen=True)
class Files:
    """The files of a case: a picture and a mask a slice, of equal names, and the DICOM folder if there is one."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    dicom: Path | None


def find(folder: Path) -> Path | None:
    """Return ``folder`` where it holds pictures and masks, a folder a case."""
    images, masks = _place(folder, IMAGE_NAMES), _place(folder, MASK_NAMES)
    return folder if images and masks and any(_pictures(case) for case in folders(images)) else None


def read(root: Path) -> Cohort:
    """Return the cases: one a folder of pictures."""
    images, masks = _place(root, IMAGE_NAMES), _place(root, MASK_NAMES)
    assert images is not None  # find() saw them
    assert masks is not None
    series = _dicom_folders(root)
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    for folder in folders(images):
        name = folder.name
        pictures, labels = _pictures(folder), _pictures(masks / name)
        if not pictures or [path.name for path in pictures] != [path.name for path in labels]:
            reason = f"there are {len(pictures)} pictures and {len(labels)} masks, not one mask a picture"
            left_out.append(LeftOut(name, reason))
            continue
        files = Files(tuple(pictures), tuple(labels), series.get(name))
        cases.append(Case(id=name, patient=name, target="acute", loader=partial(load_pictures, files)))
    return Cohort("aisd", tuple(cases), tuple(left_out), NOTES)


def load_pictures(files: Files) -> LabelledScan:
    """Return a case's scan, from DICOM where it fits the pictures, and its masks. Raises `Refusal`."""
    pictures = _stack([_grey(path) for path in files.images])
    labels = _stack([_labels(path) for path in files.masks])
    if pictures.shape != labels.shape:
        raise UnreadableInput("pictures and masks differ in size")
    if len(pictures) < MIN_SLICES:
        raise NotHeadCT(f"there are {len(pictures)} slices; at least {MIN_SLICES} are needed")
    if labels.max() > HIGHEST_LABEL:
        raise BadRequest("a mask holds other labels than 0 to 5")
    found = _from_dicom(files.dicom, pictures, labels) if files.dicom else None
    scan, labels = found or _from_pictures(pictures, labels, beside=files.dicom is not None)
    return LabelledScan(scan=scan, lesion=np.isin(labels, ACUTE_LABELS), old=labels == REMOTE)


def _from_dicom(folder: Path, pictures: LabelArray, labels: LabelArray) -> tuple[Scan, LabelArray] | None:
    """Return the DICOM scan with the labels on it; None where it cannot be read or does not show the same slices.

    Whether the pictures count upwards or downwards is found by comparing them with the scan.
    """
    try:
        scan = read_scan(folder)
    except Refusal:
        return None
    axes = StoredAxes(*scan.source.stored_axes)
    turned = axes.turned(pictures)
    if turned.shape != scan.hu.shape:
        return None
    window = np.clip(scan.hu, *WINDOW_HU)
    up, down = (_correlation(window, stack) for stack in (turned, turned[::-1]))
    if max(up, down) < ALIKE or abs(up - down) < APART:
        return None
    onto = axes.turned(labels)
    return scan, np.ascontiguousarray(onto if up > down else onto[::-1])


def _from_pictures(pictures: LabelArray, labels: LabelArray, *, beside: bool) -> tuple[Scan, LabelArray]:
    """Return the pictures as a flagged scan in assumed HU on an assumed grid; ``beside`` tells of an unfit series."""
    if not _counts_upwards(pictures):
        pictures, labels = pictures[::-1], labels[::-1]
    hu = assumed_hu(pictures)
    pixel_mm = FIELD_MM / pictures.shape[2]
    geometry = Geometry.regular(pictures.shape, (SLICE_MM, pixel_mm, pixel_mm))
    words = (
        "The scan is a stack of 8-bit pictures: HU are grey values of a window that is assumed (0 to 80 HU), and so "
        f"are pixel size and slice distance ({pixel_mm:.2f} and {SLICE_MM:.0f} mm)."
    )
    words += " The DICOM series beside them does not show the same slices." if beside else ""
    view = "The pictures do not say how the patient lay; the radiological view was taken: left may be right."
    flags = [Flag("hu_from_picture", "critical", words), Flag("orientation_unknown", "critical", view)]
    flags += [*head_flags(hu, geometry), *slice_flags(hu)]
    source = Source("dicom", series_choice=f"{len(hu)} pictures of an AISD case.")
    return Scan(hu, geometry, source=source, flags=tuple(flags)), np.ascontiguousarray(labels)


def assumed_hu(pictures: LabelArray) -> Float32Array:
    """Return grey values (uint8, (z, y, x)) as HU: linear over `WINDOW_HU`, white as bone, black at the edge as air."""
    low, high = WINDOW_HU
    hu = np.asarray(low + pictures.astype(np.float32) * ((high - low) / 255), dtype=np.float32)
    hu[pictures == 255] = WHITE_HU
    for plane, grey in zip(hu, pictures, strict=True):
        plane[_reaching_edge(grey == 0)] = BLACK_HU
    return hu


def _reaching_edge(black: BoolArray) -> BoolArray:
    """Return the parts of a mask (rows, columns) that are connected with the picture's edge."""
    parts, count = ndimage.label(black)
    at_edge = np.zeros(count + 1, dtype=bool)
    for line in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        at_edge[line] = True
    at_edge[0] = False
    return np.asarray(at_edge[parts])


def _counts_upwards(pictures: LabelArray) -> bool:
    """Tell whether the last pictures are those of the vertex: less head is in them than in the first."""
    quarter = max(len(pictures) // 4, 1)
    first, last = ((end > 0).mean() for end in (pictures[:quarter], pictures[-quarter:]))
    return bool(last <= first)


def _correlation(hu: Float32Array, pictures: npt.NDArray[Any]) -> float:
    """Return the correlation of two stacks, over every fourth row and column; 0 where one is flat."""
    first, second = (np.asarray(stack[:, ::4, ::4], dtype=np.float64).ravel() for stack in (hu, pictures))
    first, second = first - first.mean(), second - second.mean()
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else 0.0


def _grey(path: Path) -> LabelArray:
    """Return a picture's grey values (uint8, (rows, columns)), a palette resolved."""
    with foreign("a picture cannot be read; unpack the data set again"), Image.open(path) as image:
        _check_size(image)
        return _single_channel(image.convert("RGB") if image.mode == "P" else image)


def _labels(path: Path) -> LabelArray:
    """Return a mask's labels (uint8, (rows, columns)): with a palette the entries' numbers, not their colours."""
    with foreign("a mask cannot be read; unpack the data set again"), Image.open(path) as image:
        _check_size(image)
        return _single_channel(image)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableInput("a picture is larger than any slice")


def _single_channel(image: Image.Image) -> LabelArray:
    """Return the one plane of a picture whose colours, if any, are all grey."""
    plane = np.asarray(image)
    if plane.ndim == 3:
        colours = plane[..., : min(plane.shape[2], 3)] if plane.shape[2] > 2 else plane[..., :1]
        if (colours != colours[..., :1]).any():
            raise UnreadableInput("a picture is coloured; AISD's are grey")
        plane = colours[..., 0]
    if plane.max(initial=0) > 255:
        raise UnreadableInput("a picture has more than 8 bits; AISD's have 8")
    return np.asarray(plane, dtype=np.uint8)


def _stack(planes: Sequence[LabelArray]) -> LabelArray:
    if len({plane.shape for plane in planes}) > 1:
        raise UnreadableInput("the pictures of a case differ in size")
    return np.stack(planes)


def _pictures(folder: Path) -> list[Path]:
    """Return the PNG files of a folder in the order of their numbers."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith("."))
    return in_order(files)


def _place(root: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of pictures or masks; an archive unpacked into a folder of its own name nests them."""
    for name in names:
        if (root / name / name).is_dir():
            return root / name / name
        if (root / name).is_dir():
            return root / name
    return None


def _dicom_folders(root: Path) -> dict[str, Path]:
    """Return the DICOM folder of each case: in ``dicom-0``, ``dicom-1``, ...; of a study with MR only its CT."""
    found: dict[str, Path] = {}
    for place in folders(root):
        if place.name.lower().startswith("dicom"):
            for case in folders(place):
                found.setdefault(case.name, case / "CT" if (case / "CT").is_dir() else case)
    return found


LAYOUT: Final = Layout("aisd", "AISD: image/CASE/*.png and mask/CASE/*.png, DICOM folders beside", find, read)

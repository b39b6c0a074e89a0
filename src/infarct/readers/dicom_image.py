"""One DICOM image (a file of a classic series or a frame of an enhanced one) as plain, checked values.

Everything that the readers need of a header is read here, once; later steps never touch a data set again.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

MAX_ROWS = 4096
"""Larger matrices are refused before anything is allocated."""


@dataclass(frozen=True)
class PixelFormat:
    """How stored values are laid out; ``padding`` is the inclusive range of stored padding values, if any."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Where the pixel data of one file lie: at ``offset`` of the file, or of ``inflated`` where it was deflated.

    ``length`` is None where the data are encapsulated (compressed).
    """

    path: Path
    transfer_syntax: str
    offset: int
    length: int | None
    frames: int
    format: PixelFormat
    inflated: bytes | None = None


@dataclass(frozen=True)
class Words:
    """Text that helps to choose a series; it may hold patient data and is never shown, but for the kernel."""

    image_type: tuple[str, ...]
    description: str
    body_part: str
    kernel: str | None
    contrast: bool
    manufacturer: str | None


@dataclass(frozen=True)
class Identity:
    """What an image belongs to; the patient only as a digest."""

    sop_uid: str
    series_uid: str
    study_uid: str
    patient: str
    modality: str
    series_number: int | None
    instance_number: int | None
    acquisition: tuple[str, ...]
    """Acquisition number, temporal position, acquisition time and the like, for telling repeats apart."""
    study_date: str


@dataclass(frozen=True, eq=False)
class Image:
    """One slice: its place in space, its rescaling and where its pixels are; None where the header does not say."""

    store: PixelStore
    frame: int | None
    identity: Identity
    words: Words
    position_mm: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    spacing_mm_yx: tuple[float, float] | None
    slope: float | None
    intercept: float | None
    padding: tuple[int, int] | None
    thickness_mm: float | None
    slice_location_mm: float | None
    kvp: float | None
    tilt_deg: float | None
    age_years: int | None


def value(dataset: Dataset, keyword: str) -> Any:
    """Return a tag's value, None where it is missing, empty or cannot be parsed."""
    try:
        found = dataset.get(keyword)
    except Exception:  # pydicom parses lazily; a broken optional tag counts as missing
        return None
    return None if found is None or found == "" else found


def text(dataset: Dataset, keyword: str) -> str:
    """Return a tag's text, all values joined by a space; empty where it is missing."""
    found = value(dataset, keyword)
    if found is None:
        return ""
    parts = found if not isinstance(found, str) and isinstance(found, Iterable) else [found]
    return " ".join(str(part) for part in parts).strip(" \0")


def uid(dataset: Dataset, keyword: str) -> str:
    """Return a unique identifier, empty where it is missing or holds anything but digits and dots."""
    found = text(dataset, keyword)
    return found if re.fullmatch(r"[0-9.]{1,64}", found) else ""


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers of a tag; None where it is missing or holds anything else."""
    found = value(dataset, keyword)
    if found is None:
        return None
    parts = [found] if isinstance(found, int | float | str) else found
    try:
        floats = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        return None
    return floats if len(floats) == count and all(math.isfinite(f) and abs(f) < 1e9 for f in floats) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the one finite number of a tag, or None."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the one whole number of a tag, or None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found == int(found) else None


def pixel_format(dataset: Dataset) -> PixelFormat | None:
    """Return the layout of the stored values; None where the header lacks it or it makes no sense."""
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    allocated, stored = integer(dataset, "BitsAllocated"), integer(dataset, "BitsStored")
    if rows is None or columns is None or allocated is None:
        return None
    stored = allocated if stored is None else stored
    high = integer(dataset, "HighBit")
    high = stored - 1 if high is None else high
    samples = integer(dataset, "SamplesPerPixel")
    signed = integer(dataset, "PixelRepresentation")
    sizes_ok = 0 < rows <= MAX_ROWS and 0 < columns <= MAX_ROWS
    bits_ok = 0 < stored <= high + 1 <= allocated <= 64 and signed in (0, 1, None)
    if not (sizes_ok and bits_ok):
        return None
    return PixelFormat(rows, columns, 1 if samples is None else samples, allocated, stored, high, signed == 1)


def padding_range(dataset: Dataset, fmt: PixelFormat) -> tuple[int, int] | None:
    """Return the inclusive range of stored values that mean 'no measurement', or None."""
    first = integer(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = integer(dataset, "PixelPaddingRangeLimit")
    ends = sorted(_as_stored(v, fmt) for v in (first, first if last is None else last))
    return ends[0], ends[1]


def _as_stored(padding: int, fmt: PixelFormat) -> int:
    """Undo a wrong VR: writers store a negative padding value as unsigned, and the other way round."""
    whole = 1 << fmt.bits_allocated
    if fmt.signed and padding >= whole // 2:
        return padding - whole
    if not fmt.signed and padding < 0:
        return padding + whole
    return padding


def age_years(dataset: Dataset) -> int | None:
    """Return the patient's age in whole years, from the age or else from the birth date; None if unknown."""
    match = re.fullmatch(r"\s*(\d{1,3})([DWMY])\s*", text(dataset, "PatientAge"))
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
        return int(years) if years <= 130 else None
    birth, day = text(dataset, "PatientBirthDate"), study_day(dataset)
    if not (re.fullmatch(r"\d{8}", birth) and re.fullmatch(r"\d{8}", day)):
        return None
    age = int(day[:4]) - int(birth[:4]) - (day[4:] < birth[4:])
    return age if 0 <= age <= 130 else None


def study_day(dataset: Dataset) -> str:
    """Return the date of the study, else of series or acquisition, as YYYYMMDD or an empty text."""
    days = (text(dataset, k) for k in ("StudyDate", "SeriesDate", "AcquisitionDate"))
    return next((day for day in days if day), "")


def identity(dataset: Dataset) -> Identity:
    """Return what an image belongs to."""
    patient = text(dataset, "PatientID") + "|" + text(dataset, "PatientName").rstrip("^ ")
    repeats = ("AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime", "ContentTime")
    return Identity(
        sop_uid=uid(dataset, "SOPInstanceUID"),
        series_uid=uid(dataset, "SeriesInstanceUID"),
        study_uid=uid(dataset, "StudyInstanceUID"),
        patient=hashlib.sha256(patient.encode("utf-8", "replace")).hexdigest(),
        modality=text(dataset, "Modality").upper(),
        series_number=integer(dataset, "SeriesNumber"),
        instance_number=integer(dataset, "InstanceNumber"),
        acquisition=tuple(text(dataset, keyword) for keyword in repeats),
        study_date=study_day(dataset),
    )


def words(dataset: Dataset) -> Words:
    """Return the text by which a series is chosen."""
    described = ("SeriesDescription", "ProtocolName", "StudyDescription")
    agent = text(dataset, "ContrastBolusAgent") or text(dataset, "ContrastBolusAgentSequence")
    no_agent = re.fullmatch(r"(?i)\s*(no(ne)?|without|n/?a|-|0|false)?\s*", agent)
    return Words(
        image_type=tuple(text(dataset, "ImageType").upper().split()),
        description=" ".join(text(dataset, keyword) for keyword in described).lower(),
        body_part=text(dataset, "BodyPartExamined").upper(),
        kernel=short(text(dataset, "ConvolutionKernel")),
        contrast=not no_agent,
        manufacturer=short(text(dataset, "Manufacturer")),
    )


def short(found: str) -> str | None:
    """Return a short code text with plain characters only, None if it is empty: free text is cut."""
    plain = re.sub(r"[^A-Za-z0-9+\-_. /^\[\]]", "", found)[:32].strip()
    return plain or None

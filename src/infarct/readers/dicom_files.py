"""Find the DICOM images in a folder and read their headers, once each."""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset

from infarct.errors import UnreadableInput
from infarct.readers import dicom_image as tags
from infarct.readers.dicom_enhanced import enhanced_images
from infarct.readers.dicom_image import Image, PixelFormat, PixelStore
from infarct.readers.foreign import foreign

Progress = Callable[[int, int], None]
MAX_FILES = 200_000
MAX_INFLATED_BYTES = 1 << 30
"""A deflated data set that unpacks to more than this is refused."""

DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
"""CT, Enhanced CT and Legacy Converted Enhanced CT Image Storage."""

_TAGS = [
    "TransferSyntaxUID",
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentTime",
    "Modality",
    "Manufacturer",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientAge",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "BodyPartExamined",
    "SliceThickness",
    "KVP",
    "GantryDetectorTilt",
    "ConvolutionKernel",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "TemporalPositionIdentifier",
    "SliceLocation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
_DICOMDIR = "1.2.840.10008.1.3.10"
_BROKEN = "a DICOM file cannot be parsed: it is truncated or damaged; copy the series again"


@dataclass(frozen=True)
class Found:
    """What a folder holds: the images, and how many files are no DICOM image."""

    images: tuple[Image, ...]
    other_files: int


def find_images(folder: Path, progress: Progress | None = None) -> Found:
    """Read the headers of all DICOM images under ``folder``.

    Raises `UnreadableInput` where a file that is DICOM cannot be parsed; other files are counted and left aside.
    """
    with foreign("the folder cannot be listed; check its permissions"):
        paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _is_clutter(p.relative_to(folder))]
    if not paths:
        raise UnreadableInput("the folder holds no files; pass the folder that holds the DICOM series")
    if len(paths) > MAX_FILES:
        raise UnreadableInput(f"the folder holds more than {MAX_FILES} files; pass the folder of one study")
    images: list[Image] = []
    others = 0
    for done, path in enumerate(paths, start=1):
        found = read_images(path)
        images.extend(found)
        others += not found
        if progress:
            progress(done, len(paths))
    return Found(tuple(images), others)


def _is_clutter(path: Path) -> bool:
    return path.name.startswith("._") or "__MACOSX" in path.parts


def read_images(path: Path) -> tuple[Image, ...]:
    """Return the image of a classic file, the frames of an enhanced one, or nothing for any other file."""
    with foreign("a file cannot be opened; check its permissions"), path.open("rb") as stream:
        head = stream.read(1024)
        if not _looks_like_dicom(head, path):
            return ()
        inflated = _inflated(stream, head) if DEFLATED.encode() in head else None
    with foreign(_BROKEN), BytesIO(inflated) if inflated is not None else path.open("rb") as stream:
        dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=_TAGS)
        offset = stream.tell()
        size = os.fstat(stream.fileno()).st_size if inflated is None else len(inflated)
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or _guessed_syntax(dataset)
        pixels = _pixel_element(stream, offset, syntax, size)
    if pixels is None:
        _refuse_torn_image(dataset, parsed_whole=offset <= size)
        return ()
    fmt = tags.pixel_format(dataset)
    if fmt is None:
        if tags.text(dataset, "Modality") == "CT" or tags.text(dataset, "SOPClassUID") in CT_CLASSES:
            raise UnreadableInput("a CT image lacks a valid size or pixel format in its header; export it again")
        return ()
    return _images(dataset, fmt, path, syntax, pixels, inflated)


def _images(
    dataset: Dataset, fmt: PixelFormat, path: Path, syntax: str, pixels: tuple[int, int | None], inflated: bytes | None
) -> tuple[Image, ...]:
    frames = tags.integer(dataset, "NumberOfFrames")
    frames = 1 if frames is None else frames
    if not 0 < frames <= 20_000:
        raise UnreadableInput("a DICOM file declares an impossible number of frames; export the series again")
    store = PixelStore(path, syntax, pixels[0], pixels[1], frames, fmt, inflated)
    if tags.value(dataset, "PerFrameFunctionalGroupsSequence") is not None or frames > 1:
        return enhanced_images(dataset, store)
    return (_classic_image(dataset, store),)


def _classic_image(dataset: Dataset, store: PixelStore) -> Image:
    position = tags.numbers(dataset, "ImagePositionPatient", 3)
    spacing = tags.numbers(dataset, "PixelSpacing", 2)
    return Image(
        store=store,
        frame=None,
        identity=tags.identity(dataset),
        words=tags.words(dataset),
        position_mm=None if position is None else (position[0], position[1], position[2]),
        orientation=tags.numbers(dataset, "ImageOrientationPatient", 6),
        spacing_mm_yx=None if spacing is None else (spacing[0], spacing[1]),
        slope=tags.number(dataset, "RescaleSlope"),
        intercept=tags.number(dataset, "RescaleIntercept"),
        padding=tags.padding_range(dataset, store.format),
        thickness_mm=tags.number(dataset, "SliceThickness"),
        slice_location_mm=tags.number(dataset, "SliceLocation"),
        kvp=tags.number(dataset, "KVP"),
        tilt_deg=tags.number(dataset, "GantryDetectorTilt"),
        age_years=tags.age_years(dataset),
    )


def _looks_like_dicom(head: bytes, path: Path) -> bool:
    """Tell DICOM by its mark, by the first tag where there is no preamble, or by its name."""
    if head[128:132] == b"DICM":
        return True
    if len(head) >= 132 and not any(head[:128]):  # an empty preamble whose mark is damaged
        return True
    group, element = struct.unpack("<HH", head[:4]) if len(head) >= 8 else (0, 0)
    if group in (0x0002, 0x0008) and element <= 0x0100:
        return True
    if head[:2] == b"\x00\x08" and head[4:6].isalpha():
        return True
    return path.suffix.lower() in (".dcm", ".dicom", ".ima") or (len(head) == 0 and path.suffix.lower() == ".dcm")


def _inflated(stream: BinaryIO, head: bytes) -> bytes:
    """Return the file as explicit little endian, its deflated data set unpacked within `MAX_INFLATED_BYTES`."""
    (meta_length,) = struct.unpack("<I", head[140:144])
    start = 144 + meta_length
    stream.seek(0)
    whole = stream.read()
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    body = unpacker.decompress(whole[start:], MAX_INFLATED_BYTES)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise UnreadableInput("a deflated DICOM file is truncated or unpacks to more than 1 GiB; export it again")
    plain = EXPLICIT_LITTLE.encode().ljust(len(DEFLATED), b"\0")
    return whole[:start].replace(DEFLATED.encode(), plain) + body


def _guessed_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    if implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if little else EXPLICIT_BIG


def _pixel_element(stream: BinaryIO, offset: int, syntax: str, size: int) -> tuple[int, int | None] | None:
    """Return offset and length (None if encapsulated) of the pixel data at ``offset``; None where there are none."""
    stream.seek(offset)
    head = stream.read(12)
    big = syntax == EXPLICIT_BIG
    order = ">" if big else "<"
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return None
    explicit = head[4:6] in (b"OW", b"OB", b"UN")
    (length,) = struct.unpack(order + "I", head[8:12] if explicit else head[4:8])
    start = offset + (12 if explicit else 8)
    if length == 0xFFFFFFFF:
        return start, None
    if start + length > size:
        raise UnreadableInput("the pixel data of a DICOM file are cut short; copy the series again")
    return start, length


def _refuse_torn_image(dataset: Dataset, *, parsed_whole: bool) -> None:
    """Refuse a file without pixel data, unless it is a whole DICOM object of a kind that holds none."""
    media = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) if hasattr(dataset, "file_meta") else ""
    if media == _DICOMDIR:
        return
    kind = tags.uid(dataset, "SOPClassUID")
    if CT_CLASSES.intersection((kind, media)):
        raise UnreadableInput("a CT image holds no pixel data: the file is truncated or damaged; copy the series again")
    if not (parsed_whole and kind and tags.text(dataset, "Modality")):
        raise UnreadableInput(_BROKEN)

"""A seeded maker of damaged inputs: what a bad disk, a bad copy or a bad export does to a small head CT.

Classes of damage, all in one file of the series or in the one NIfTI file, unless said otherwise:

- bits or runs of bytes of the header changed (anything before the pixel data, file meta included);
- a tag or header field given another value of its kind, emptied or deleted;
- truncation anywhere, an emptied file, a file of noise;
- pixel data: runs of random bytes across the head, blocks shuffled, high bits (512 HU and up) flipped, exchanged
  between two slices;
- files removed from within the series, copied, copied and then damaged, renamed.

What nobody could notice is left out: low bits of voxels, noise exchanged for noise in the air, the outermost
slices taken away together with every trace of them, and a change made alike in all slices of a series or in a NIfTI
header in such a way that nothing else in the file contradicts it (a scale off by a few percent).
"""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

CANARY = "ZzCanaryzZ"
Random = np.random.Generator
Files = dict[str, bytes]

PIXEL_BYTES = 72 * 64 * 2
"""Length of the pixel data, which stand last in each file."""
_ROW_BYTES = 64 * 2


def mutate_dicom(files: Files, seed: int) -> tuple[Files, str]:
    """Return a damaged copy of a folder's files (name to content), and the name of the damage."""
    rng = np.random.Generator(np.random.Philox(seed))
    damage = DICOM_DAMAGE[int(rng.integers(len(DICOM_DAMAGE)))]
    changed = dict(files)
    damage(changed, sorted(files)[int(rng.integers(len(files)))], rng)
    return changed, damage.__name__.strip("_")


def mutate_nifti(content: bytes, seed: int) -> tuple[bytes, str]:
    """Return a damaged copy of an unpacked or gzipped NIfTI file, and the name of the damage."""
    rng = np.random.Generator(np.random.Philox(seed))
    damage = NIFTI_DAMAGE[int(rng.integers(len(NIFTI_DAMAGE)))]
    return damage(content, rng), damage.__name__.strip("_")


def _flip_bits(content: bytes, start: int, stop: int, rng: Random, most: int = 4) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, most + 1))):
        changed[int(rng.integers(start, stop))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _header_bits(files: Files, name: str, rng: Random) -> None:
    files[name] = _flip_bits(files[name], 128, len(files[name]) - PIXEL_BYTES, rng)


def _header_bytes(files: Files, name: str, rng: Random) -> None:
    start = int(rng.integers(128, len(files[name]) - PIXEL_BYTES - 16))
    length = int(rng.integers(1, 17))
    files[name] = files[name][:start] + rng.bytes(length) + files[name][start + length :]


_NUMBERS = [
    "Rows",
    "Columns",
    "BitsStored",
    "HighBit",
    "BitsAllocated",
    "PixelRepresentation",
    "SamplesPerPixel",
    "RescaleSlope",
    "RescaleIntercept",
    "InstanceNumber",
    "SliceThickness",
    "AcquisitionNumber",
]
_OTHERS = [
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Modality",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "SOPInstanceUID",
    "PatientID",
    "PatientName",
    "ImageType",
    "ContrastBolusAgent",
    "PhotometricInterpretation",
    "PixelPaddingValue",
    "SOPClassUID",
]


def _tag_changed(files: Files, name: str, rng: Random) -> None:
    ds = pydicom.dcmread(io.BytesIO(files[name]))
    keyword = str(rng.choice(_NUMBERS + _OTHERS))
    _change(ds, keyword, rng)
    files[name] = _bytes(ds)


def _change(ds: Dataset, keyword: str, rng: Random) -> None:
    if keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        values = [float(v) for v in ds[keyword].value]
        values[int(rng.integers(len(values)))] += float(rng.choice([-20, -2.5, -1, 0.3, 0.5, 1.5, 5, 40]))
        setattr(ds, keyword, values)
    elif keyword == "Modality":
        ds.Modality = "MR"
    elif keyword.endswith("UID"):
        setattr(ds, keyword, f"1.9.{rng.integers(1e6)}")
    elif keyword == "RescaleSlope":
        ds.RescaleSlope = float(rng.choice([0, -1, 0.5, 1.01, 2, 1e9]))
    elif keyword == "RescaleIntercept":
        ds.RescaleIntercept = float(rng.choice([0, -1000, -2048, 1e7, 31]))
    elif keyword == "PixelPaddingValue":
        ds.add_new("PixelPaddingValue", "US", int(rng.choice([0, 24, 1059, 4095])))
    elif keyword in _NUMBERS:
        setattr(ds, keyword, int(rng.choice([0, 1, 2, 8, 15, 16, 32, 512, 65535])))
    elif keyword == "ImageType":
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    else:
        setattr(ds, keyword, CANARY)


def _tag_deleted(files: Files, name: str, rng: Random) -> None:
    ds = pydicom.dcmread(io.BytesIO(files[name]))
    keywords = [element.keyword for element in ds if element.keyword]
    delattr(ds, str(rng.choice(keywords)))
    files[name] = _bytes(ds)


def _tag_emptied(files: Files, name: str, rng: Random) -> None:
    ds = pydicom.dcmread(io.BytesIO(files[name]))
    keywords = [element.keyword for element in ds if element.keyword]
    ds[str(rng.choice(keywords))].value = None
    files[name] = _bytes(ds)


def _bytes(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _truncated(files: Files, name: str, rng: Random) -> None:
    files[name] = files[name][: int(rng.integers(0, len(files[name])))]


def _noise_file(files: Files, name: str, rng: Random) -> None:
    files[name] = files[name][:132] + rng.bytes(len(files[name]) - 132)


def _zeroed_pixels(files: Files, name: str, rng: Random) -> None:
    del rng
    files[name] = files[name][:-PIXEL_BYTES] + bytes(PIXEL_BYTES)


def _pixel_run(files: Files, name: str, rng: Random) -> None:
    files[name] = _random_run(files[name], len(files[name]) - PIXEL_BYTES, rng)


def _random_run(content: bytes, slice_start: int, rng: Random) -> bytes:
    """Put at least one row of random bytes over the middle rows of a slice."""
    start = slice_start + int(rng.integers(20, 45)) * _ROW_BYTES + int(rng.integers(_ROW_BYTES))
    length = int(rng.integers(_ROW_BYTES, 8 * _ROW_BYTES))
    return content[:start] + rng.bytes(length) + content[start + length :]


def _pixel_shuffle(files: Files, name: str, rng: Random) -> None:
    files[name] = files[name][:-PIXEL_BYTES] + _shuffled(files[name][-PIXEL_BYTES:], rng)


def _shuffled(pixels: bytes, rng: Random) -> bytes:
    blocks = np.frombuffer(pixels, np.uint8).reshape(-1, 32)
    return blocks[rng.permutation(len(blocks))].tobytes()


def _high_bits(files: Files, name: str, rng: Random) -> None:
    files[name] = _flipped_high_bit(files[name], len(files[name]) - PIXEL_BYTES, rng)


def _flipped_high_bit(content: bytes, slice_start: int, rng: Random) -> bytes:
    changed = bytearray(content)
    row, column = int(rng.integers(27, 46)), int(rng.integers(26, 38))  # in the brain of every slice
    changed[slice_start + (row * 64 + column) * 2 + 1] ^= 1 << int(rng.integers(1, 4))
    return bytes(changed)


def _pixels_exchanged(files: Files, name: str, rng: Random) -> None:
    other = str(rng.choice([key for key in files if key != name]))
    mine, theirs = files[name], files[other]
    files[name] = mine[:-PIXEL_BYTES] + theirs[-PIXEL_BYTES:]
    files[other] = theirs[:-PIXEL_BYTES] + mine[-PIXEL_BYTES:]


def _removed(files: Files, name: str, rng: Random) -> None:
    inner = sorted(files)[1:-1]
    for key in rng.choice(inner, int(rng.integers(1, 4)), replace=False):
        del files[str(key)]
    del name


def _copied(files: Files, name: str, rng: Random) -> None:
    files[f"copy{rng.integers(99)}"] = files[name]


def _copied_and_damaged(files: Files, name: str, rng: Random) -> None:
    files[name + "copy"] = files[name]
    DICOM_DAMAGE[int(rng.integers(6))](files, name, rng)


def _renamed(files: Files, name: str, rng: Random) -> None:
    names = [f"IM{n}" for n in rng.permutation(len(files))]
    contents = list(files.values())
    files.clear()
    files.update(zip(names, contents, strict=True))
    del name


Damage = Callable[[Files, str, Random], None]
DICOM_DAMAGE: tuple[Damage, ...] = (
    _header_bits,
    _header_bytes,
    _tag_changed,
    _tag_deleted,
    _tag_emptied,
    _truncated,
    _noise_file,
    _zeroed_pixels,
    _pixel_run,
    _pixel_shuffle,
    _high_bits,
    _pixels_exchanged,
    _removed,
    _copied,
    _copied_and_damaged,
    _renamed,
)

# --- NIfTI: int16, 64 x 72 x 12, voxels from byte 352 ---
VOXELS_AT = 352


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _packed_as(content: bytes, original: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0) if original[:2] == b"\x1f\x8b" else content


_FIELDS = {  # offset, length of the fields that say how the voxels lie and what they mean
    "sizeof_hdr": (0, 4),
    "dim": (40, 16),
    "datatype": (70, 4),
    "pixdim": (76, 16),
    "vox_offset": (108, 4),
    "units": (123, 1),
    "codes": (252, 4),
    "quaternion": (256, 24),
    "srow": (280, 48),
    "magic": (344, 4),
}


def _field_bytes(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    offset, length = _FIELDS[str(rng.choice(list(_FIELDS)))]
    start = offset + int(rng.integers(length))
    count = int(rng.integers(1, 5))
    return _packed_as(raw[:start] + rng.bytes(count) + raw[start + count :], content)


def _nifti_header_bits(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    changed = _flip_bits(raw, 0, 348, rng)
    return _packed_as(changed[:112] + raw[112:120] + changed[120:], content)  # the scaling has a class of its own


def _scaling(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    slope, intercept = (float(rng.choice(c)) for c in ([0.5, 0.9, 1.1, 2, -1, np.nan], [0, -1024, 1024, np.inf, 60]))
    return _packed_as(raw[:112] + np.array([slope, intercept], "<f4").tobytes() + raw[120:], content)


def _nifti_truncated(content: bytes, rng: Random) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _raw_bytes(content: bytes, rng: Random) -> bytes:
    """Damage the packed stream, whose checksum tells; an unpacked file loses or gains bytes instead."""
    if content[:2] == b"\x1f\x8b":
        return _flip_bits(content, 10, len(content), rng)
    start = int(rng.integers(len(content)))
    return content[:start] + rng.bytes(int(rng.integers(1, 50))) + content[start:]


def _voxel_run(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    return _packed_as(_random_run(raw, VOXELS_AT + int(rng.integers(12)) * PIXEL_BYTES, rng), content)


def _voxel_high_bit(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    return _packed_as(_flipped_high_bit(raw, VOXELS_AT + int(rng.integers(12)) * PIXEL_BYTES, rng), content)


def _voxel_shuffle(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    start = VOXELS_AT + int(rng.integers(12)) * PIXEL_BYTES
    shuffled = _shuffled(raw[start : start + PIXEL_BYTES], rng)
    return _packed_as(raw[:start] + shuffled + raw[start + PIXEL_BYTES :], content)


def _slices_shuffled(content: bytes, rng: Random) -> bytes:
    raw = _unpacked(content)
    slices = np.frombuffer(raw[VOXELS_AT:], np.uint8).reshape(12, PIXEL_BYTES)
    order = np.arange(12)
    while (order == np.arange(12)).all():
        order = rng.permutation(12)
    return _packed_as(raw[:VOXELS_AT] + slices[order].tobytes(), content)


NIFTI_DAMAGE: tuple[Callable[[bytes, Random], bytes], ...] = (
    _field_bytes,
    _nifti_header_bits,
    _scaling,
    _nifti_truncated,
    _raw_bytes,
    _voxel_run,
    _voxel_high_bit,
    _voxel_shuffle,
    _slices_shuffled,
)


def write_files(folder: Path, files: Files) -> Path:
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder

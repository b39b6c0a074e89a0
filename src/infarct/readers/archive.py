"""Zip archives, unpacked safely into a temporary folder."""

import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from infarct.errors import UnreadableInput
from infarct.readers.foreign import foreign

MAX_TOTAL_BYTES = 4 << 30
MAX_RATIO = 200
"""A compressed entry that unpacks to more than this many times its size is a bomb (CT slices reach about 10)."""
MAX_ENTRIES = 50_000
_RATIO_FREE_BYTES = 1 << 20
_SPLIT = 1 << 20


def is_zip(path: Path) -> bool:
    """Tell a zip archive by its first bytes."""
    with foreign("the file cannot be opened; check its permissions"), path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a temporary folder with the archive's files, gone when the block ends.

    Raises `UnreadableInput` where the archive is damaged, encrypted, nested, larger than `MAX_TOTAL_BYTES`, or has
    entries that point outside the folder. Files get numbers for names: nothing of the archive decides a path.
    """
    with tempfile.TemporaryDirectory(prefix="infarct-") as name:
        folder = Path(name)
        with foreign("the zip file is damaged; make it again"), zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not (entry.is_dir() or "__MACOSX" in entry.filename)]
            _check(entries)
            left = MAX_TOTAL_BYTES
            for index, entry in enumerate(entries):
                left -= _extract(archive, entry, folder / f"{index:06d}", left)
        yield folder


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if not entries:
        raise UnreadableInput("the zip file is empty; pass one that holds a DICOM series")
    if len(entries) > MAX_ENTRIES:
        raise UnreadableInput(f"the zip file holds more than {MAX_ENTRIES} files; pass one study")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise UnreadableInput("the zip file unpacks to more than 4 GiB; pass one series")
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        outside = parts.is_absolute() or ".." in parts.parts or entry.filename[1:2] == ":"
        if outside or stat.S_ISLNK(entry.external_attr >> 16):
            raise UnreadableInput("the zip file holds links or entries outside its folder; it is not safe to unpack")
        if entry.flag_bits & 1:
            raise UnreadableInput("the zip file is encrypted; unpack it first and pass the folder")
        if entry.file_size > _RATIO_FREE_BYTES and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise UnreadableInput("the zip file holds entries that unpack to far more than their size: a bomb")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, limit: int) -> int:
    written = 0
    with archive.open(entry) as stream, target.open("wb") as out:
        while block := stream.read(_SPLIT):
            if written == 0 and block[:4] == b"PK\x03\x04":
                raise UnreadableInput("the zip file holds another zip file; unpack it first and pass the folder")
            written += len(block)
            if written > min(limit, entry.file_size):
                raise UnreadableInput("the zip file unpacks to more than it declares; it is not safe to unpack")
            out.write(block)
    return written

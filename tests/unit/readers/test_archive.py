"""Zip archives: the same scan as the folder, and nothing unsafe is unpacked."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest
from synthetic_ct import Series, datasets, fake_head, write, write_series

from infarct.errors import UnreadableInput
from infarct.readers import archive, read_scan


def zipped(folder: Path, target: Path, extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.iterdir()):
            out.write(path, f"study/{path.name}")
        for name, content in (extra or {}).items():
            out.writestr(name, content)
    return target


def test_a_zip_reads_like_its_folder(tmp_path: Path) -> None:
    scan = read_scan(zipped(write_series(tmp_path / "a"), tmp_path / "a.zip", {"__MACOSX/._x.dcm": b"\0" * 300}))
    assert (scan.hu == fake_head()).all()
    assert scan.flags == ()


def test_a_name_without_suffix_will_do(tmp_path: Path) -> None:
    assert read_scan(zipped(write_series(tmp_path / "a"), tmp_path / "upload")).hu.shape == (12, 72, 64)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_entries_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(write_series(tmp_path / "a"), tmp_path / "a.zip", {name: b"x"})
    with pytest.raises(UnreadableInput, match="outside"):
        read_scan(path)


def test_links_are_refused(tmp_path: Path) -> None:
    path = zipped(write_series(tmp_path / "a"), tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as out:
        link = zipfile.ZipInfo("study/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableInput, match="links"):
        read_scan(path)


def test_a_zip_in_a_zip_is_refused(tmp_path: Path) -> None:
    inner = zipped(write_series(tmp_path / "a"), tmp_path / "a.zip").read_bytes()
    with pytest.raises(UnreadableInput, match="another zip"):
        read_scan(zipped(tmp_path / "a", tmp_path / "b.zip", {"inner": inner}))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(write_series(tmp_path / "a"), tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:  # set the encryption bit of every entry in the directory
        flags = struct.unpack_from("<H", content, at + 8)[0]
        struct.pack_into("<H", content, at + 8, flags | 1)
        at = content.find(b"PK\x01\x02", at + 4)
    path.write_bytes(content)
    with pytest.raises(UnreadableInput, match="encrypted"):
        read_scan(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = zipped(write_series(tmp_path / "a"), tmp_path / "a.zip", {"zeros": bytes(20 << 20)})
    with pytest.raises(UnreadableInput, match="bomb"):
        read_scan(path)


def test_too_much_in_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 100_000)
    with pytest.raises(UnreadableInput, match="GiB"):
        read_scan(zipped(write_series(tmp_path / "a"), tmp_path / "a.zip"))


def test_an_empty_or_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(UnreadableInput, match="empty"):
        read_scan(path)
    whole = zipped(write(tmp_path / "a", datasets(Series())), tmp_path / "a.zip").read_bytes()
    for length in (5, 2000, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableInput):
            read_scan(path)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read_scan(zipped(write_series(tmp_path / "a"), tmp_path / "a.zip"))
    assert list(scratch.iterdir()) == []

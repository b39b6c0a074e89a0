"""Reading prepared cases, and refusing damaged ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_blobs import SPACING_MM, blob_arrays, write_blobs

from infarct.errors import UnreadableInput
from infarct.training import store
from infarct.training.store import load_cases, read_index


def test_reads_what_was_prepared(tmp_path: Path) -> None:
    index = read_index(write_blobs(tmp_path / "cases"))
    assert index.setting["mirror"] is True
    assert [case.id for case in index.of("train")] == ["p0", "p1"]
    assert [case.id for case in index.of("validation")] == ["p2", "p3"]
    for number, case in enumerate(load_cases(index, index.cases)):
        channels, labels = blob_arrays(number, lesion=number % 2 == 0)
        np.testing.assert_array_equal(case.channels, channels.astype(np.float16))
        np.testing.assert_array_equal(case.labels, labels)
        assert case.spacing_mm_zyx == SPACING_MM
        assert case.voxel_ml == pytest.approx(0.02)
        assert tuple(case.counts.sum(axis=1)) == index.cases[number].voxels


def test_large_cases_are_mapped_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read_index(write_blobs(tmp_path / "cases"))
    in_memory = load_cases(index, index.of("train"))
    monkeypatch.setattr(store, "MEMORY_GB", 0.0)
    for _ in range(2):  # unpacked, then found
        mapped = load_cases(index, index.of("train"))
        assert all(isinstance(case.channels, np.memmap) for case in mapped)
        for a, b in zip(in_memory, mapped, strict=True):
            np.testing.assert_array_equal(a.channels, b.channels)
            np.testing.assert_array_equal(a.labels, b.labels)
    assert not list((tmp_path / "cases" / "unpacked").glob("*.part"))


def test_two_processes_unpack_into_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second unpacks the same case while the first has only begun to write it."""
    index = read_index(write_blobs(tmp_path / "cases", training=1, validation=0))
    monkeypatch.setattr(store, "MEMORY_GB", 0.0)
    process, save, written = [1], np.save, []

    def interrupted(file: Any, array: Any) -> None:
        written.append(file.name)
        if process == [1]:
            process[:] = [2]
            load_cases(index, index.cases)
        save(file, array)

    monkeypatch.setattr(store.os, "getpid", lambda: process[0])
    monkeypatch.setattr(np, "save", interrupted)
    (case,) = load_cases(index, index.cases)
    assert len(set(written)) == len(written) == 3  # channels twice, and labels by the second alone
    np.testing.assert_array_equal(case.labels, blob_arrays(0, lesion=True)[1])


def test_refuses_no_index_and_missing_cases(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"cases\.json"):
        read_index(tmp_path)
    folder = write_blobs(tmp_path / "cases")
    (folder / "1.npz").unlink()
    with pytest.raises(UnreadableInput, match="1 of 4"):
        read_index(folder)
    (folder / "cases.json").write_text(json.dumps({"cases": [{"file": "x"}], "setting": {}}))
    with pytest.raises(UnreadableInput, match=r"cases\.json"):
        read_index(folder)


def test_refuses_damaged_cases(tmp_path: Path) -> None:
    folder = write_blobs(tmp_path / "cases")
    whole = (folder / "0.npz").read_bytes()
    index = read_index(folder)
    for content in (b"", whole[: len(whole) // 2], b"no archive"):
        (folder / "0.npz").write_bytes(content)
        with pytest.raises(UnreadableInput, match="damaged"):
            load_cases(index, index.cases)
    with (folder / "0.npz").open("wb") as file:
        wrong = {"channels": np.zeros((2, 3, 3, 3), np.float16), "labels": np.full((3, 3, 3), 9, np.uint8)}
        np.savez(file, spacing_mm_zyx=np.ones(3, np.float32), **wrong)
    with pytest.raises(UnreadableInput, match="wrong"):
        load_cases(index, index.cases)

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_ct import fake_head

from infarct.cohorts.cpaisd import find, read
from infarct.cohorts.masks import farthest_mm
from infarct.errors import Refusal
from unit.cohorts.tiny_cohorts import GEOMETRY, cpaisd, cpaisd_labels, lesion


def metadata(k: int) -> dict[str, Any]:
    return {
        "ImagePositionPatient": [-63.0, -71.0, 5.0 * k],
        "Image Orientation (Patient)": "1\\0\\0\\0\\1\\0",
        "pixel_spacing": "[2.0, 2.0]",
    }


def location_only(k: int) -> dict[str, Any]:
    return {"slice_location": 5.0 * k, "PixelSpacing": [2.0, 2.0]}


def flipped(k: int) -> dict[str, Any]:
    """Stored rows run from the back of the head to the front, so slices of rising name come out turned."""
    return metadata(k) | {
        "ImagePositionPatient": [-63.0, 71.0, 5.0 * k],
        "imageorientationpatient": [1, 0, 0, 0, -1, 0],
    }


@pytest.mark.parametrize("inner", ["", "dataset"])
def test_slices_are_sorted_by_position_and_not_by_name(tmp_path: Path, inner: str) -> None:
    """The folders are named from above, the positions rise from below."""
    cpaisd(tmp_path / inner)
    root = find(tmp_path)
    assert root == tmp_path / inner
    (case,) = read(root).cases
    loaded = case.load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert farthest_mm(loaded.scan.geometry, GEOMETRY) < 1e-3


def test_the_penumbra_is_no_lesion(tmp_path: Path) -> None:
    (case,) = read(cpaisd(tmp_path)).cases
    loaded = case.load()
    assert case.target == "core"
    assert loaded.lesion is not None
    assert not loaded.lesion[cpaisd_labels() == 2].any()
    assert loaded.old is loaded.hemorrhage is None


def test_metadata_place_slices_where_there_is_no_dicom(tmp_path: Path) -> None:
    loaded = read(cpaisd(tmp_path, places=metadata)).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert farthest_mm(loaded.scan.geometry, GEOMETRY) < 1e-3
    assert "orientation_unknown" not in {flag.code for flag in loaded.scan.flags}


def test_a_bare_slice_location_sorts_and_says_that_the_side_is_assumed(tmp_path: Path) -> None:
    loaded = read(cpaisd(tmp_path, places=location_only)).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert "orientation_unknown" in {flag.code for flag in loaded.scan.flags}


def test_stored_rows_that_run_forwards_are_turned_with_their_masks(tmp_path: Path) -> None:
    loaded = read(cpaisd(tmp_path, places=flipped)).cases[0].load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head()[:, ::-1])
    np.testing.assert_array_equal(loaded.lesion, lesion()[:, ::-1])
    assert loaded.scan.geometry.y_direction[1] == 1.0


def test_without_any_position_a_study_cannot_be_stacked(tmp_path: Path) -> None:
    case = read(cpaisd(tmp_path, places=lambda _: {"PixelSpacing": [2.0, 2.0]})).cases[0]
    with pytest.raises(Refusal, match="no position"):
        case.load()


def test_two_slices_at_one_place_are_refused(tmp_path: Path) -> None:
    case = read(cpaisd(tmp_path, places=lambda k: location_only(max(k, 1)))).cases[0]
    with pytest.raises(Refusal, match="one place"):
        case.load()


def test_slices_without_a_mask_are_unknown_and_leave_the_study_out(tmp_path: Path) -> None:
    cpaisd(tmp_path)
    cpaisd(tmp_path, "1.2.4", split="val")
    (tmp_path / "train" / "1.2.3" / "00004" / "mask.npz").unlink()
    cohort = read(tmp_path)
    assert cohort.left_out == (("train-1.2.3", "1 of 12 slices have no mask.npz: what they show is not known"),)
    assert cohort.cases[0].stratum == {"split": "val"}


def test_a_study_in_two_splits_is_one_patient(tmp_path: Path) -> None:
    cpaisd(tmp_path, split="train")
    cpaisd(tmp_path, split="test")
    cases = read(tmp_path).cases
    assert len({case.id for case in cases}) == 2
    assert {case.patient for case in cases} == {"1.2.3"}


def test_clinical_values_come_from_the_study(tmp_path: Path) -> None:
    about = {"nihss": 9, "age": "66", "sex": "M", "time": "0-6", "lethality": None}
    clinical = read(cpaisd(tmp_path, about=about)).cases[0].clinical
    assert (clinical.nihss, clinical.age, clinical.sex, clinical.onset_h) == (9, 66.0, "m", None)


def test_unknown_labels_are_refused(tmp_path: Path) -> None:
    case = read(cpaisd(tmp_path, labels=cpaisd_labels() * 2)).cases[0]
    with pytest.raises(Refusal, match="other labels"):
        case.load()


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_arrays_are_refused_and_nothing_is_unpickled(tmp_path: Path, content: bytes | None) -> None:
    case = read(cpaisd(tmp_path)).cases[0]
    path = tmp_path / "train" / "1.2.3" / "00003" / "image.npz"
    if content is None:
        np.savez(path, image=np.array([{"not": "numbers"}], dtype=object))
    else:
        path.write_bytes(content)
    with pytest.raises(Refusal, match=r"image\.npz cannot be read"):
        case.load()


def test_an_array_larger_than_any_slice_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = read(cpaisd(tmp_path)).cases[0]
    monkeypatch.setattr("infarct.cohorts.cpaisd.MAX_PIXELS", 72 * 64)
    packed = np.zeros((800, 800), np.uint8)
    np.savez_compressed(tmp_path / "train" / "1.2.3" / "00003" / "mask.npz", mask=packed)
    with pytest.raises(Refusal, match="larger than any slice"):
        case.load()

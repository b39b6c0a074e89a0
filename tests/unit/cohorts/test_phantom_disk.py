"""What `infarct phantom` writes is read again, voxel by voxel; the pictures are small stand-ins."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_ct import fake_head

from infarct.cohorts import phantom_disk
from infarct.cohorts.phantom import phantom_cases
from infarct.errors import BadRequest, Refusal
from infarct.export import cohort as export
from infarct.export.cohort import make_cohort
from infarct.export.order import CohortOrder, Format
from infarct.phantom import Preset, Sample
from infarct.volume import Geometry, volume_ml
from same_process import SameProcess
from unit.cohorts.head_sample import head_sample, tilted
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion, old_lesion


def written(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    preset: Preset = "acute",
    *,
    store: Format = "nifti",
    geometry: Geometry = GEOMETRY,
    followup: bool = True,
    count: int = 1,
) -> Path:
    def fake(preset: Preset, index: int, *, split: str, pairs: object) -> Sample:
        del split, pairs
        return head_sample(preset, index, geometry=geometry, followup=followup)

    monkeypatch.setattr("infarct.export.subject.sample", fake)
    monkeypatch.setattr(export, "ProcessPoolExecutor", SameProcess)
    make_cohort(CohortOrder(preset, "validation", 1, count, store, ("followup",)), folder)
    return folder


def test_a_subject_is_read_as_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch)
    assert phantom_disk.find(root) == root
    (case,) = phantom_disk.read(root).cases
    loaded = case.load()
    assert loaded.midline_shift_mm == -2.5
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())
    np.testing.assert_array_equal(loaded.old, old_lesion())
    assert loaded.hemorrhage is not None
    assert set(np.unique(loaded.hemorrhage)) == {0, 2}
    assert loaded.intracranial is not None
    assert loaded.intracranial.any()
    assert case.lesion_free is False


def test_regions_are_read_with_what_is_known_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = phantom_disk.read(written(tmp_path / "out", monkeypatch)).cases
    loaded = case.load()
    assert loaded.midline_shift_mm == -2.5
    truth = loaded.aspects
    assert loaded.regions is not None
    assert set(np.unique(loaded.regions)) == {5}
    assert truth is not None
    assert truth.side == case.clinical.side
    assert truth.core_ml == 1.0
    for calls in (truth.by_core, *truth.by_readers):
        right, left = calls[:10], calls[10:]
        own, other = (right, left) if truth.side == "right" else (left, right)
        assert other == (None,) * 10  # the files say nothing of it
        assert set(own) <= {True, False}
    assert 10 - sum(map(bool, truth.by_core)) == case.clinical.aspects


def test_on_disk_and_on_the_fly_tell_the_same_of_a_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stored,) = phantom_disk.read(written(tmp_path / "out", monkeypatch)).cases
    (made,) = phantom_cases("acute", "validation", [1])
    assert (stored.id, stored.patient, stored.target) == (made.id, made.patient, made.target)
    for name in ("onset_h", "age", "sex", "side", "nihss", "mrs90"):
        assert getattr(stored.clinical, name) == getattr(made.clinical, name), name
    assert stored.stratum == made.stratum
    assert stored.clinical.aspects is not None


def test_the_followup_preset_is_about_the_followup_ct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = phantom_disk.read(written(tmp_path / "out", monkeypatch, "followup")).cases
    loaded = case.load()
    assert case.target == "final"
    np.testing.assert_array_equal(loaded.scan.hu, fake_head(seed=2))
    np.testing.assert_array_equal(loaded.lesion, np.roll(lesion(), 2, axis=1))
    assert case.clinical.onset_h is not None
    assert case.clinical.onset_h > 11


def test_pairs_name_the_followup_of_an_acute_ct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch)
    paired = phantom_disk.read(root).cases[0].paired
    assert set(paired) == {"regions", "followup_ct", "followup_mask"}
    assert all("ses-followup" in str(paired[name]) for name in ("followup_ct", "followup_mask"))


def test_a_followup_cohort_made_without_followups_has_no_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = phantom_disk.read(written(tmp_path / "out", monkeypatch, "followup", followup=False))
    assert cohort.cases == ()
    assert cohort.left_out == (("sub-0001", "there is no follow-up CT, which this cohort is about"),)


def test_the_healthy_are_labelled_and_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = phantom_disk.read(written(tmp_path / "out", monkeypatch, "healthy")).cases
    loaded = case.load()
    assert case.lesion_free is True
    assert loaded.lesion is not None
    assert not loaded.lesion.any()
    assert case.clinical.onset_h is case.clinical.side is None


@pytest.mark.parametrize("geometry", [GEOMETRY, tilted()], ids=["upright", "tilted"])
def test_dicom_cohorts_have_their_truth_on_the_source_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: Geometry
) -> None:
    root = written(tmp_path / "out", monkeypatch, store="dicom", geometry=geometry)
    loaded = phantom_disk.read(root).cases[0].load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    assert loaded.lesion is not None
    if geometry is GEOMETRY:
        np.testing.assert_array_equal(loaded.lesion, lesion())
        return
    assert loaded.scan.geometry.tilt_deg == pytest.approx(15, abs=0.01)
    # Twice resampled by half a slice at most: volume and place stay, the rim may move by a voxel.
    expected = volume_ml(lesion(), geometry)
    assert volume_ml(loaded.lesion, loaded.scan.geometry) == pytest.approx(expected, rel=0.2)
    assert (loaded.lesion & lesion()).sum() > 0.75 * lesion().sum()


def test_tilted_nifti_cohorts_share_the_rectified_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = phantom_disk.read(written(tmp_path / "out", monkeypatch, geometry=tilted())).cases[0].load()
    assert loaded.scan.geometry.is_upright
    assert loaded.lesion is not None
    assert volume_ml(loaded.lesion, loaded.scan.geometry) == pytest.approx(volume_ml(lesion(), tilted()), rel=0.2)


def test_unfinished_subjects_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch, count=4)
    truth = root / "derivatives" / "truth"
    (truth / "sub-0001").rename(tmp_path / "one")
    (root / "sub-0002").rename(tmp_path / "two")
    (truth / "sub-0003" / "truth.json").write_text("{")
    cohort = phantom_disk.read(root)
    assert [case.id for case in cohort.cases] == ["acute-validation-0004"]
    assert [left.id for left in cohort.left_out] == ["sub-0001", "sub-0002", "sub-0003"]
    assert ["truth is missing" in cohort.left_out[0].reason, "scans are missing" in cohort.left_out[1].reason] == [
        True
    ] * 2
    assert "truth.json is damaged" in cohort.left_out[2].reason


def test_a_record_of_another_shape_leaves_the_subject_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch)
    path = root / "derivatives" / "truth" / "sub-0001" / "truth.json"
    record = json.loads(path.read_text())
    del record["sessions"]["acute"]["file_volumes_ml"]
    for content in (record, [], None, {"sessions": 3}):
        path.write_text(json.dumps(content))
        assert phantom_disk.read(root).left_out[0].reason == "truth.json is damaged or of another version"


def test_a_missing_mask_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch)
    next(root.rglob("*ses-acute_label-oldinfarct_mask.nii.gz")).unlink()
    with pytest.raises(Refusal, match="truth label-oldinfarct_mask"):
        phantom_disk.read(root).cases[0].load()


def test_a_damaged_cohort_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = written(tmp_path / "out", monkeypatch)
    (root / "cohort.json").write_text("[]")
    with pytest.raises(BadRequest, match=r"cohort\.json"):
        phantom_disk.read(root)

from pathlib import Path

import pytest

from infarct.cohorts.apis import read
from infarct.cohorts.examine import examine
from unit.cohorts.tiny_cohorts import VOXEL_ML, apis, lesion, nifti


def test_cases_are_loaded_once_and_their_lesions_measured(tmp_path: Path) -> None:
    apis(tmp_path, "train_000")
    apis(tmp_path, "train_001", mask=lesion() * 0)
    seen: list[int] = []
    examination = examine(read(tmp_path), on_done=seen.append)
    assert seen == [1, 2]
    first, second = examination.facts
    assert first.lesion_ml == pytest.approx(180 * VOXEL_ML)
    assert second.lesion_ml == 0.0
    assert first.old_ml is None
    assert (first.slices, first.spacing_mm_zyx) == (12, pytest.approx((5.0, 2.0, 2.0)))
    assert [case.lesion_free for case in examination.cohort.cases] == [False, True]


def test_a_case_that_cannot_be_loaded_is_left_out_with_the_reason(tmp_path: Path) -> None:
    apis(tmp_path, "train_000")
    apis(tmp_path, "train_001", mask=lesion()[1:])
    apis(tmp_path, "train_002")
    next((tmp_path / "train_002" / "masks").iterdir()).unlink()
    cohort = examine(read(tmp_path)).cohort
    assert [case.id for case in cohort.cases] == ["train_000"]
    assert [left.id for left in cohort.left_out] == ["train_002", "train_001"]
    assert cohort.left_out[1].reason.startswith("lesion mask: it has 11 x 72 x 64 voxels")


def test_doubts_of_the_reader_are_told(tmp_path: Path) -> None:
    apis(tmp_path)
    nifti(tmp_path / "train_000" / "train_000_ncct.nii.gz", codes=(0, 0))
    nifti(tmp_path / "train_000" / "masks" / "train_000_r1_mask.nii.gz", lesion(), codes=(0, 0))
    assert "orientation_unknown" in examine(read(tmp_path)).facts[0].flags

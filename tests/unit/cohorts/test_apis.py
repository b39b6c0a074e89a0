from pathlib import Path

import numpy as np
import pytest

from infarct.cohorts.apis import find, read
from unit.cohorts.tiny_cohorts import apis, lesion, nifti


@pytest.mark.parametrize("masks_in_case", [True, False])
@pytest.mark.parametrize("inner", ["", "train"])
def test_masks_are_found_in_the_case_or_beside_it(tmp_path: Path, masks_in_case: bool, inner: str) -> None:
    apis(tmp_path / inner, masks_in_case=masks_in_case)
    root = find(tmp_path)
    assert root == tmp_path / inner
    (case,) = read(root).cases
    assert (case.id, case.target, [*case.paired]) == ("train_000", "core", ["adc"])
    np.testing.assert_array_equal(case.load().lesion, lesion())


def test_lesion_free_cases_are_kept_and_unlabelled_ones_left_out(tmp_path: Path) -> None:
    apis(tmp_path, "train_027", mask=lesion() * 0)
    apis(tmp_path, "train_028")
    next(tmp_path.rglob("train_028_r1_mask*")).unlink()
    cohort = read(tmp_path)
    (case,) = cohort.cases
    loaded = case.load()
    assert loaded.lesion is not None
    assert not loaded.lesion.any()
    assert cohort.left_out == (("train_028", "there is no mask of the first reader (r1)"),)


def test_a_second_readers_mask_is_left_aside(tmp_path: Path) -> None:
    apis(tmp_path)
    nifti(tmp_path / "train_000" / "masks" / "train_000_r2_mask.nii.gz", lesion() * 0)
    np.testing.assert_array_equal(read(tmp_path).cases[0].load().lesion, lesion())


def test_a_case_without_ct_is_left_out(tmp_path: Path) -> None:
    apis(tmp_path)
    apis(tmp_path, "train_001")
    (tmp_path / "train_001" / "train_001_ncct.nii.gz").unlink()
    assert read(tmp_path).left_out == (("train_001", "there is no non-contrast CT"),)

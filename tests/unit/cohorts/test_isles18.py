from pathlib import Path

import numpy as np
import pytest
from synthetic_ct import fake_head

from infarct.cohorts.isles18 import find, read
from infarct.errors import NotHeadCT
from unit.cohorts.tiny_cohorts import isles18, lesion, nifti


def test_the_ct_is_matched_exactly_and_not_its_perfusion_maps(tmp_path: Path) -> None:
    """The maps are named CT_CBF, CT_4DPWI, ... and hold other values here."""
    assert find(isles18(tmp_path)) == tmp_path
    (case,) = read(tmp_path).cases
    loaded = case.load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert case.target == "core"
    assert "CT_CBF" in case.paired["cbf"].name


def test_the_training_folder_itself_may_be_given(tmp_path: Path) -> None:
    isles18(tmp_path)
    assert find(tmp_path / "TRAINING") == tmp_path / "TRAINING"
    assert len(read(tmp_path / "TRAINING").cases) == 1


def test_cases_are_counted_as_a_person_counts(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        isles18(tmp_path, number)
    assert [case.id for case in read(tmp_path).cases] == ["case_1", "case_2", "case_10"]


def test_testing_cases_and_cases_without_mask_are_left_out(tmp_path: Path) -> None:
    isles18(tmp_path)
    isles18(tmp_path, 2, labelled=False)
    isles18(tmp_path, 1, part="TESTING", labelled=False)
    assert read(tmp_path).left_out == (
        ("case_2", "there is not exactly one mask (OT)"),
        ("testing case_1", "testing cases have no reference"),
    )


def test_the_user_is_told_that_folds_may_split_a_patient(tmp_path: Path) -> None:
    assert "63 patients" in read(isles18(tmp_path)).notes[0]


def test_slabs_of_a_few_slices_are_refused_when_loaded(tmp_path: Path) -> None:
    isles18(tmp_path)
    nifti(next(tmp_path.rglob("SMIR.Brain.XX.O.CT.*.nii")), fake_head()[:2])
    with pytest.raises(NotHeadCT, match="2 slices"):
        read(tmp_path).cases[0].load()

from pathlib import Path

import numpy as np
import pytest

from infarct.cohorts.isles24 import find, read
from unit.cohorts.tiny_cohorts import isles24, lesion, nifti, text


@pytest.mark.parametrize("raw", ["raw_data", "rawdata"])
@pytest.mark.parametrize("inner", ["", "train"])
def test_both_spellings_and_places_are_found(tmp_path: Path, raw: str, inner: str) -> None:
    isles24(tmp_path / inner, raw=raw)
    root = find(tmp_path)
    assert root == tmp_path / inner
    (case,) = read(root).cases
    assert (case.id, case.target) == ("sub-stroke0001", "final")


def test_masks_of_almost_one_are_whole(tmp_path: Path) -> None:
    loaded = read(isles24(tmp_path)).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert loaded.old is None


def test_a_stray_mask_in_the_mris_own_space_is_no_reference(tmp_path: Path) -> None:
    """As of subject 142 of the published archive."""
    isles24(tmp_path)
    folder = tmp_path / "derivatives" / "sub-stroke0001" / "ses-02"
    nifti(folder / "sub-stroke0001_ses-02_lesion-msk.nii", lesion()[:5])
    cohort = read(tmp_path)
    assert cohort.left_out == ()
    assert cohort.cases[0].load().lesion is not None


def test_the_other_names_of_the_description_are_read(tmp_path: Path) -> None:
    isles24(tmp_path, "sub-strokecase0001", raw="rawdata", sessions=("ses-0001", "ses-0002"))
    root = find(tmp_path)
    assert root is not None
    assert read(root).cases[0].id == "sub-strokecase0001"


def test_the_phenotype_is_read_and_missing_values_stay_unknown(tmp_path: Path) -> None:
    isles24(tmp_path)
    isles24(tmp_path, "sub-stroke0002")
    place = tmp_path / "phenotype" / "sub-stroke0001"
    baseline = " Age ,Sex,NIHSS at  admission,Onset to door\n70.0,F,12,95\n"
    text(place / "ses-01" / "sub-stroke0001_ses-01_demographic_baseline.csv", baseline)
    text(place / "ses-02" / "sub-stroke0001_ses-02_outcome.csv", "MRS 3 months,TICI postinterventional\nnan,2b\n")
    first, second = (case.clinical for case in read(tmp_path).cases)
    assert (first.age, first.sex, first.nihss, first.mrs90, first.onset_h) == (70.0, "f", 12, None, None)
    assert second.age is None


def test_pairs_are_those_on_the_cts_grid(tmp_path: Path) -> None:
    isles24(tmp_path)
    assert [*read(tmp_path).cases[0].paired] == ["cbf"]


def test_what_lacks_a_file_is_left_out(tmp_path: Path) -> None:
    isles24(tmp_path)
    isles24(tmp_path, "sub-stroke0002")
    isles24(tmp_path, "sub-stroke0010")
    next((tmp_path / "raw_data" / "sub-stroke0002").rglob("*_ncct.nii.gz")).unlink()
    next((tmp_path / "derivatives" / "sub-stroke0010").rglob("*lesion-msk*")).unlink()
    cohort = read(tmp_path)
    assert [case.id for case in cohort.cases] == ["sub-stroke0001"]
    assert cohort.left_out[0] == ("sub-stroke0002", "there is no non-contrast CT")
    assert cohort.left_out[1].reason == "there is no lesion mask on the CT's grid (space-ncct)"


def test_a_lesion_free_case_is_labelled_and_empty(tmp_path: Path) -> None:
    loaded = read(isles24(tmp_path, mask=lesion() * 0.0)).cases[0].load()
    assert loaded.lesion is not None
    assert not loaded.lesion.any()

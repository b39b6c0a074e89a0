import pickle

import numpy as np
import pytest
from synthetic_ct import fake_head

from infarct.cohorts import Case, Clinical, Cohort, LabelledScan
from infarct.volume import Scan
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion


def scan() -> Scan:
    return Scan(fake_head(), GEOMETRY)


def made() -> LabelledScan:
    return LabelledScan(scan(), lesion=lesion())


def test_a_case_loads_anew_each_time() -> None:
    case = Case("a", "p", "acute", made)
    first, second = case.load(), case.load()
    assert first is not second
    np.testing.assert_array_equal(first.lesion, second.lesion)


def test_not_labelled_is_none_and_labelled_without_anything_is_empty() -> None:
    loaded = LabelledScan(scan(), lesion=np.zeros(GEOMETRY.shape_zyx, dtype=bool))
    assert loaded.old is None
    assert loaded.lesion is not None
    assert not loaded.lesion.any()


def test_arrays_on_another_grid_or_of_another_type_are_an_error() -> None:
    with pytest.raises(ValueError, match="lesion"):
        LabelledScan(scan(), lesion=lesion()[1:])
    with pytest.raises(ValueError, match="old"):
        LabelledScan(scan(), old=lesion().astype(np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hemorrhage"):
        LabelledScan(scan(), hemorrhage=lesion())  # type: ignore[arg-type]


def test_what_a_case_prints_names_no_patient() -> None:
    case = Case("Doe-Jane", "Jane", "acute", made, Clinical(age=81))
    assert "Jane" not in repr(case)
    assert "81" not in repr(case)


def test_missing_values_are_counted_and_complete_ones_not_listed() -> None:
    first = Case("a", "a", "acute", made, Clinical(age=70, onset_h=2))
    second = Case("b", "b", "acute", made, Clinical(age=71))
    missing = Cohort("manifest", (first, second)).missing
    assert "age" not in missing
    assert missing["onset_h"] == 1
    assert missing["nihss"] == missing["adc"] == 2


def test_a_case_goes_to_another_process() -> None:
    case = pickle.loads(pickle.dumps(Case("a", "p", "acute", made)))
    assert case.load().lesion.sum() == 180

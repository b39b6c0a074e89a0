from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infarct.cohorts import Case, LabelledScan
from infarct.cohorts.folds import folds
from infarct.errors import BadRequest


def unread() -> LabelledScan:
    raise AssertionError("folds read no images")


def case(name: str, patient: str | None = None, *, lesion_free: bool | None = False) -> Case:
    return Case(name, patient or name, "acute", unread, lesion_free=lesion_free)


def names(groups: Sequence[Sequence[Case]]) -> list[list[str]]:
    return [[case.id for case in group] for group in groups]


COHORTS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([True, False, None])), min_size=1, max_size=40).map(
    lambda drawn: [case(f"c{i}", f"p{patient}", lesion_free=free) for i, (patient, free) in enumerate(drawn)]
)


@given(COHORTS, st.integers(2, 5), st.integers(0, 3))
def test_every_case_stands_in_one_group_and_every_patient_too(cases: list[Case], k: int, seed: int) -> None:
    if len({case.patient for case in cases}) < k:
        with pytest.raises(BadRequest):
            folds(cases, k, seed=seed)
        return
    groups = folds(cases, k, seed=seed)
    assert sorted(case.id for group in groups for case in group) == sorted(case.id for case in cases)
    places = Counter(patient for group in groups for patient in {case.patient for case in group})
    assert set(places.values()) == {1}
    assert all(groups)


def test_the_same_folds_whatever_the_order_of_the_cases() -> None:
    cases = [case(f"c{i:02d}") for i in range(23)]
    assert names(folds(cases)) == names(folds(cases[::-1])) == names(folds(cases))
    assert names(folds(cases)) != names(folds(cases, seed=1))


def test_lesion_free_cases_are_spread_evenly() -> None:
    """13 with a lesion and 7 without over 5 folds: 4 each, 2-3 with a lesion and 1-2 without."""
    cases = [case(f"l{i}") for i in range(13)] + [case(f"h{i}", lesion_free=True) for i in range(7)]
    groups = folds(cases, 5)
    assert sorted(len(group) for group in groups) == [4] * 5
    assert {sum(bool(case.lesion_free) for case in group) for group in groups} == {1, 2}


def test_patients_with_many_cases_do_not_pile_up() -> None:
    cases = [case(f"c{i}", f"p{i // 4}") for i in range(20)] + [case(f"s{i}") for i in range(5)]
    assert sorted(len(group) for group in folds(cases, 5)) == [5] * 5


@pytest.mark.parametrize("k", [0, 1, 4])
def test_impossible_numbers_of_folds_are_refused(k: int) -> None:
    with pytest.raises(BadRequest, match="3 patients"):
        folds([case("a"), case("b"), case("c"), case("c2", "c")], k)

"""Which scans are evaluated, and under which name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infarct.cohorts import Cohort
from infarct.errors import BadRequest
from infarct.evaluation import named_cohorts
from infarct.evaluation.named_cohorts import open_named
from infarct.phantom import Patient, draw
from unit.evaluation.made_up_case import CASE


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = Cohort("isles24", (CASE, replace(CASE, id="scan-2")))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: cohort)


def opened(*cohorts: str, **wanted: Any) -> list[tuple[str, int]]:
    return [(one.name, len(one.cases)) for one in open_named(cohorts, **wanted)]


@pytest.mark.usefixtures("two_cases")
def test_cohorts_and_their_names() -> None:
    assert opened("folder") == [("isles24", 2)]
    assert opened("mine=folder", "folder", first=1) == [("mine", 1), ("isles24", 1)]
    assert opened("folder", slice_mm=5.0) == [("isles24 5 mm", 2)]


def test_a_part_of_a_cohort_is_chosen_before_the_first_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("train", "train", "test", "test")
    cases = tuple(replace(CASE, id=f"{n}", stratum={"split": part}) for n, part in enumerate(parts))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("cpaisd", cases))
    (found,) = open_named(("folder",), split="test", first=1)
    assert found.cases == (cases[2],)
    with pytest.raises(BadRequest, match="its parts are test, train"):
        opened("folder", split="val")
    with pytest.raises(BadRequest, match="not parted"):
        opened("phantom:acute:test", split="val", first=1)


def test_phantoms_by_preset_and_split() -> None:
    assert opened("phantom:acute:test") == [("acute test", 60)]
    assert opened("phantom:acute:shifted", "x=phantom:healthy:validation", first=3) == [("acute shifted", 3), ("x", 3)]


def test_the_first_follow_up_phantoms_of_each_class() -> None:
    """Bins of the paper: severe below 22 HU, intermediate to 32, subtle above."""
    (found,) = open_named(("phantom:followup:test",), per_class=2)
    densities = {one.name: stroke.mean_hu for one in drawn(60) if (stroke := one.stroke) and stroke.mean_hu is not None}
    for low, high in ((0, 22), (22, 32), (32, 100)):
        assert [case.id for case in found.cases if low <= densities[case.id] < high] == [
            name for name, mean_hu in densities.items() if low <= mean_hu < high
        ][:2]
    assert opened("phantom:healthy:test", first=3, per_class=1) == [("healthy test", 3)]


def drawn(count: int) -> list[Patient]:
    return [draw("followup", index, "test") for index in range(count)]


@pytest.mark.usefixtures("two_cases")
@pytest.mark.parametrize(
    ("cohorts", "said"),
    [
        (("phantom:acut:test",), "phantom:PRESET:SPLIT"),
        (("phantom:acute",), "phantom:PRESET:SPLIT"),
        (("phantom:acute:test:thin",), "phantom:PRESET:SPLIT"),
        (("phantom:acute:train",), "--first"),
        (("folder", "folder"), "same name"),
    ],
)
def test_what_is_no_cohort_is_refused(cohorts: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        opened(*cohorts)


def test_an_empty_cohort_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", ()))
    with pytest.raises(BadRequest, match="no case"):
        opened("folder")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        opened(str(tmp_path / "nowhere"))

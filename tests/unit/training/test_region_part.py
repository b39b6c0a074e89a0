"""A part of a folder of prepared cases, and cases that no training reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.phantom import draw
from infarct.preprocess.region_input import EVERYDAY, RegionSetting
from infarct.training.aspects_task import aspects_task
from infarct.training.cases import Order, PhantomShare, kind_of, orders_of
from infarct.training.region_cases import RegionPlan, prepare_ordered
from infarct.training.region_store import list_part, load_region_cases, read_region_index
from unit.reproduce.miniature_aspects import prepare_plan
from unit.training.prepared_regions import TINY, tiny_aspects

WHOLE = RegionPlan((PhantomShare("aspects", 4, 2), PhantomShare("healthy", 2, 1)), TINY)
PART = RegionPlan((PhantomShare("aspects", 2, 1), PhantomShare("healthy", 1, 0)), TINY)


def test_a_part_lists_the_patients_of_its_plan(tmp_path: Path) -> None:
    prepare_plan(WHOLE, tmp_path / "cases")
    folder = list_part(tmp_path / "cases", PART, tmp_path / "parts" / "some")
    index = read_region_index(folder)
    assert [Path(case.file).name for case in index.cases] == [order.file for order in orders_of(PART.shares)]
    assert {path.suffix for path in folder.iterdir()} == {".json"}
    assert kind_of(folder) == "phantoms"
    whole = {case.id: case for case in load_region_cases(*_everything(tmp_path / "cases"))}
    for case in load_region_cases(index, index.cases):
        np.testing.assert_array_equal(case.input.image, whole[case.id].input.image)
    (tmp_path / "cases").rename(tmp_path / "moved")
    assert list_part(tmp_path / "moved", PART, tmp_path / "parts" / "again")


def _everything(folder: Path):  # type: ignore[no-untyped-def]
    index = read_region_index(folder)
    return index, index.cases


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    prepare_plan(PART, tmp_path / "cases")
    with pytest.raises(BadRequest, match="5 of 9 patients"):
        list_part(tmp_path / "cases", WHOLE, tmp_path / "part")
    finer = RegionSetting("finer", (5.0, 1.0, 1.0), TINY.patch_zyx)
    with pytest.raises(BadRequest, match="grid"):
        list_part(tmp_path / "cases", replace(PART, setting=finer), tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.slow
def test_patients_to_test_on_are_prepared_but_never_trained_on(tmp_path: Path) -> None:
    prepare_ordered([Order("aspects", 0, "test")], tmp_path, setting=EVERYDAY)
    (case,) = read_region_index(tmp_path).cases
    assert (case.role, case.file) == ("test", "aspects-test-00000.npz")
    assert case.id == draw("aspects", 0, "test").name != draw("aspects", 0, "train").name
    with pytest.raises(BadRequest, match="no case to train on"):
        aspects_task(tiny_aspects(phantoms=replace(WHOLE, setting=EVERYDAY)), tmp_path)

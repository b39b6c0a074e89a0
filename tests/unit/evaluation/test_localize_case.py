"""One scan's tiles by hand: eight of the infarct, seven at their mirrored places, 384 in the brain."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from infarct.evaluation import localize_cohort
from infarct.evaluation.localize import LOCALIZE_FORM, Clusters, LocalizeResult, evaluate_tiles
from infarct.evaluation.localize_cohort import evaluate_labelled, judge_tiles, marked_mask, tile_means, tile_truth
from infarct.evaluation.result import Form
from infarct.evaluation.run import Task
from infarct.types import BoolArray
from unit.evaluation.tiled_case import (
    BRAIN,
    CASE,
    EMPTY,
    GRID_TILES,
    HEALTHY,
    INFARCT,
    OLD,
    OPPOSITE,
    box,
    load,
    method_of,
    picture,
    prepared,
)

TASK = Task("cohort", "scan-1", 0, 0, "print")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localize_cohort, "prepare_tiles", lambda *_: prepared())
    monkeypatch.setattr(localize_cohort, "case_picture", lambda *_: b"picture")


def result(marked: BoolArray, **thresholds: float) -> LocalizeResult:
    found = evaluate_labelled(CASE, load(), {"vgg16": method_of(marked, **thresholds)}, task=TASK)
    return found.result.by_method["vgg16"]


def test_a_map_of_the_infarct_is_right_about_every_tile() -> None:
    case = result(INFARCT)
    assert (case.infarct, case.normal) == ((1.0,) * 8, (0.0,) * 7)
    assert (len(case.all_infarct), len(case.all_free), case.partly) == (8, GRID_TILES - 8, 0)
    assert (case.patch_accuracy, case.recognised, case.found) == (1.0, True, True)
    assert case.clusters == Clusters(touch=1, false=0, false_in_old=0)


def test_a_map_of_the_wrong_side_is_wrong_about_every_tile() -> None:
    case = result(OPPOSITE)
    assert (case.infarct, case.normal) == ((0.0,) * 8, (1.0,) * 7)
    assert (case.patch_accuracy, case.recognised, case.found) == (0.0, False, False)
    assert case.clusters == Clusters(touch=0, false=1, false_in_old=1)
    assert sum(case.all_free) == 8


def test_half_of_the_infarct_and_a_place_elsewhere() -> None:
    """The lower slice of the infarct, and one tile far from it in the same slice."""
    marked = (INFARCT & box(slice(2, 3), slice(0, 40), slice(0, 40))) | box(slice(2, 3), slice(32, 36), slice(4, 8))
    case = result(marked)
    assert sum(case.infarct) == 4
    assert case.patch_accuracy == 11 / 15
    assert case.clusters == Clusters(touch=1, false=1, false_in_old=0)


def test_thresholds_are_those_of_balanced_tiles_and_of_whole_slices() -> None:
    """The map fills half of the tiles in the columns 24 to 27, and none of those beside them."""
    half = INFARCT & box(slice(0, 6), slice(0, 40), slice(26, 28))
    assert result(half, threshold=0.5, whole_threshold=0.6).patch_accuracy == 11 / 15
    assert not result(half, threshold=0.5, whole_threshold=0.6).found
    high = result(half, threshold=0.6, whole_threshold=0.5)
    assert (high.patch_accuracy, high.recognised, high.found) == (7 / 15, False, True)


def test_tiles_that_hold_a_little_of_the_infarct_are_neither() -> None:
    """One row more of infarct, in both slices: a quarter of two tiles each, which no rate counts."""
    wider = INFARCT | box(slice(2, 4), slice(16, 17), slice(24, 32))
    truth = tile_truth(replace(load(), lesion=wider), picture())
    judged = judge_tiles(prepared(), truth, method_of(wider, whole_threshold=0.2), shared_s=2.0)
    case = evaluate_tiles(judged, truth, result(INFARCT).about)
    assert (len(case.all_infarct), case.partly, len(case.all_free)) == (8, 4, GRID_TILES - 12)
    assert case.clusters == Clusters(touch=1, false=0, false_in_old=0)
    assert (case.seconds or 0) > 2
    with pytest.raises(ValueError, match="differ in number"):
        evaluate_tiles(replace(judged, grid=judged.grid[1:]), truth, case.about)


def test_a_healthy_brain_has_no_balanced_tiles() -> None:
    marked = box(slice(0, 1), slice(8, 12), slice(8, 12)) | box(slice(4, 5), slice(8, 12), slice(8, 12))
    found = evaluate_labelled(HEALTHY, HEALTHY.load(), {"vgg16": method_of(marked)}, task=TASK)
    case = found.result.by_method["vgg16"]
    assert not case.about.ill
    assert (case.tiles, case.patch_accuracy, case.recognised, case.about.lesion_mm) == (0, None, None, None)
    assert (case.clusters.false, len(case.all_free)) == (2, GRID_TILES)


def test_where_nobody_outlined_old_infarcts_none_are_counted() -> None:
    truth = tile_truth(replace(load(), old=None), picture())
    assert truth.old is None
    assert len(truth.balanced) == 16
    judged = judge_tiles(prepared(), truth, method_of(OLD), shared_s=0.0)
    assert evaluate_tiles(judged, truth, result(INFARCT).about).clusters == Clusters(0, 1, None)


def test_what_is_known_of_the_scan_is_kept() -> None:
    about = result(INFARCT).about
    assert (about.region, about.area, about.size, about.onset_h) == ("supratentorial", "cortical", ">1.5 cm", 2.0)
    assert (about.kvp, about.thickness_mm, about.detectability, about.fingerprint) == (120.0, 5.0, 4.0, "print")
    assert about.id != "scan-1"  # a key
    assert about.lesion_ml == pytest.approx(2 * 64 * 0.02)
    assert about.lesion_mm == pytest.approx(14 * 2**0.5 + 2, rel=1e-3)


def test_several_methods_judge_the_same_tiles() -> None:
    methods = {"vgg16": method_of(INFARCT), "asymmetry": method_of(OPPOSITE)}
    found = evaluate_labelled(CASE, load(), methods, task=TASK)
    assert {name: one.patch_accuracy for name, one in found.result.by_method.items()} == {"vgg16": 1, "asymmetry": 0}
    assert set(found.pictures) == {"vgg16", "asymmetry"}


def test_results_come_back_from_json() -> None:
    found = evaluate_labelled(CASE, load(), {"vgg16": method_of(INFARCT)}, task=TASK).result
    form: Form = LOCALIZE_FORM  # type: ignore[type-arg]
    assert form.read(json.loads(json.dumps(form.written(found)))) == found
    assert form.written(found) == asdict(found)
    with pytest.raises(ValueError, match="no method"):
        form.read({"by_method": {}})


def test_marked_tiles_are_drawn_where_they_lie() -> None:
    truth = tile_truth(load(), picture())
    assert (marked_mask(prepared(), truth.balanced[truth.balanced_infarct]) == INFARCT).all()


def test_means_of_tiles_are_those_of_their_pixels() -> None:
    values = np.random.default_rng(0).normal(size=EMPTY.shape).astype(np.float32)
    places = np.array([[0, 0, 0], [5, 36, 36], [3, 7, 9]])
    expected = [values[k, row : row + 4, column : column + 4].mean() for k, row, column in places]
    assert tile_means(values, places, 4) == pytest.approx(expected, abs=1e-6)
    assert BRAIN.sum() == 6 * 32 * 32

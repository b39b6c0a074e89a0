"""Every number of a case by hand, on anisotropic and uneven voxels."""

import math

import numpy as np
import pytest

from infarct.evaluation.segment import MEASURES, CaseAbout, CaseResult, Prediction, Truth, evaluate_case
from infarct.measure.lesions import LesionCounts
from infarct.measure.overlap import Counts
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((6, 20, 20), (5.0, 2.0, 1.0))  # 0.01 ml a voxel
ABOUT = CaseAbout("scan-1", "patient-1", "here", onset_h=4.0, detectability=2.0)


def box(z: slice = slice(0), y: slice = slice(0), x: slice = slice(0)) -> np.ndarray:
    mask = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    mask[z, y, x] = True
    return mask


LESION = box(slice(1, 3), slice(2, 7), slice(2, 12))  # 100 voxels, 1 ml
FOUND = box(slice(1, 3), slice(2, 7), slice(7, 17))  # 100 voxels, 50 of them right
BRAIN = box(slice(0, 6), slice(0, 20), slice(0, 10))  # 1,200 voxels
NOTHING = box()


def case(acute: np.ndarray, truth: np.ndarray, **more: object) -> CaseResult:
    old = more.pop("old", None)
    return evaluate_case(Prediction(acute, **more), Truth(truth, old, BRAIN), GEOMETRY, ABOUT)  # type: ignore[arg-type]


def test_a_half_found_lesion_by_hand() -> None:
    found = case(FOUND, LESION, seconds=3.5)
    # Prediction and lesion reach 70 and 20 voxels beyond the brain; they count all the same.
    assert found.counts == Counts(tp=50, fp=50, fn=50, tn=1200 + 70 - 150)
    assert (found.truth_ml, found.predicted_ml) == pytest.approx((1.0, 1.0))
    assert found.false_positive_ml == pytest.approx(0.5)
    assert found.volume_difference_ml == pytest.approx(0.0)
    assert found.lesions == LesionCounts(tp=1, fp=0, fn=0)
    assert found.hausdorff95_mm == pytest.approx(5.0)
    assert found.seconds == 3.5
    assert found.old is None
    assert found.calibration is None


def test_measures_name_what_the_case_holds() -> None:
    values = {name: measure.of(case(FOUND, LESION)) for name, measure in MEASURES.items()}
    assert values["dice"] == values["sensitivity"] == values["precision"] == pytest.approx(0.5)
    assert values["specificity"] == pytest.approx(1 - 50 / 1170)
    assert values["lesion_f1"] == values["lesion_sensitivity"] == 1
    assert math.isnan(values["seconds"])
    smaller = case(FOUND & LESION, LESION)
    assert MEASURES["volume_difference_ml"].of(smaller) == pytest.approx(-0.5)
    assert MEASURES["volume_difference_pct"].of(smaller) == pytest.approx(-50)
    assert MEASURES["absolute_difference_ml"].of(smaller) == pytest.approx(0.5)


def test_wrong_marks_outside_the_brain_are_not_forgiven() -> None:
    outside = box(slice(5, 6), slice(0, 5), slice(15, 20))
    assert case(outside, NOTHING).counts.fp == 25
    assert case(outside, NOTHING).false_positive_ml == pytest.approx(0.25)


def test_a_scan_without_lesion() -> None:
    found = case(FOUND, NOTHING)
    assert not found.has_lesion
    assert found.false_positive_ml == found.predicted_ml == pytest.approx(1.0)
    undefined = ("dice", "sensitivity", "surface_mean_mm", "surface_dice", "volume_difference_pct", "lesion_f1")
    assert all(math.isnan(MEASURES[name].of(found)) for name in undefined)
    assert found.lesions.fp == 1


def test_a_missed_lesion() -> None:
    found = case(NOTHING, LESION)
    assert found.counts.dice == 0
    assert found.surface_dice == 0
    assert math.isnan(found.surface_mean_mm)
    assert found.lesions == LesionCounts(tp=0, fp=0, fn=1)
    assert found.volume_difference_pct == pytest.approx(-100)


def test_old_infarct_called_acute() -> None:
    scar = box(slice(1, 3), slice(2, 7), slice(15, 19))  # 40 voxels; 20 of them were called acute
    with_class = case(FOUND, LESION, old=scar)
    assert with_class.old is not None
    assert with_class.old.called_acute_ml == pytest.approx(0.2)
    assert with_class.old.called_acute_pct == pytest.approx(50)
    assert math.isnan(with_class.old.dice)  # the system has no class for it
    found = evaluate_case(Prediction(NOTHING, old=scar), Truth(LESION, scar, BRAIN), GEOMETRY, ABOUT).old
    assert found is not None
    assert (found.dice, found.called_acute_pct) == (1.0, 0.0)
    none = case(FOUND, LESION, old=NOTHING).old
    assert none is not None
    assert math.isnan(none.called_acute_pct)


def test_calibration_is_counted_where_specificity_is() -> None:
    probability = np.where(FOUND, np.float32(0.9), np.float32(0.0)).astype(np.float32)
    sums = case(FOUND, LESION, probability=probability).calibration
    assert sums is not None
    assert sum(sums.voxels) == 1200 + 70
    assert sums.voxels[13] == 100  # 0.9 lies in the bin from 13/15
    assert sums.positives[13] == 50
    assert sums.positives[0] == 50


def test_without_a_brain_all_voxels_count() -> None:
    found = evaluate_case(Prediction(FOUND), Truth(LESION), GEOMETRY, ABOUT)
    assert sum((found.counts.tp, found.counts.fp, found.counts.fn, found.counts.tn)) == LESION.size


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        evaluate_case(Prediction(FOUND[1:]), Truth(LESION), GEOMETRY, ABOUT)

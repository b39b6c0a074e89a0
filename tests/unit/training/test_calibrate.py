"""The operating point: temperatures that are known, and thresholds that can be read off."""

import numpy as np
import pytest
from scipy import special

from infarct.preprocess.segment_input import EVERYDAY
from infarct.systems.segment import SegmentConfig, calibrated, masks
from infarct.training.calibrate import (
    OperatingPoint,
    Predicted,
    acute_outcomes,
    best_acute_point,
    best_old_threshold,
    calibrate,
    fit_temperature,
    knows_old,
)
from infarct.types import BoolArray, Float32Array, LabelArray


def truthful(temperature: float, *, seed: int = 0, shape: tuple[int, int, int] = (8, 60, 60)) -> Predicted:
    """Return a case whose labels are drawn with the right probability, its logits ``temperature`` times too steep."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 1.5, (2, *shape))
    labels = np.ones(shape, np.uint8)
    hits = random.random((2, *shape)) < special.expit(logits)
    labels[hits[1]] = 3
    labels[hits[0]] = 2
    return Predicted(special.expit(logits * temperature).astype(np.float32), labels, 0.02)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature_that_was_put_in(temperature: float) -> None:
    assert fit_temperature([truthful(temperature)], 0) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_looks_inside_the_brain_only() -> None:
    case = truthful(2.0)
    labels = case.labels.copy()
    labels[:4] = 0
    outside = case.probabilities.copy()
    outside[:, :4] = 0.999
    inside = Predicted(case.probabilities[:, 4:], case.labels[4:], 0.02)
    assert fit_temperature([Predicted(outside, labels, 0.02)], 0) == pytest.approx(fit_temperature([inside], 0))


def test_an_output_that_finds_no_old_infarct_does_not_know_them() -> None:
    labels = np.ones((4, 20, 20), np.uint8)
    labels[1:3, 5:10, 5:10] = 3
    silent = np.full((2, *labels.shape), 0.01, np.float32)
    finding = np.stack([silent[0], np.where(labels == 3, np.float32(0.6), np.float32(0.1))])
    assert knows_old([Predicted(finding, labels, 0.02)])
    assert not knows_old([Predicted(silent, labels, 0.02)])
    assert knows_old([Predicted(silent, np.minimum(labels, 1), 0.02)])


def test_without_positives_nothing_is_learnt() -> None:
    case = truthful(2.0)
    healthy = Predicted(case.probabilities, np.minimum(case.labels, 1), 0.02)
    assert fit_temperature([healthy], 0) == 1.0
    point = calibrate([healthy], calibrated_on="one case")
    assert point.temperature == (1.0, 1.0)
    assert point.threshold[1] == 0.5


def blank(shape: tuple[int, int, int] = (3, 10, 10)) -> tuple[Float32Array, LabelArray]:
    return np.full((2, *shape), 0.01, np.float32), np.ones(shape, np.uint8)


def lesion_case(inside: float, rim: float) -> Predicted:
    """Return a lesion of 4 x 4 voxels given ``inside``, with a rim of healthy voxels given ``rim``."""
    probabilities, labels = blank()
    probabilities[0, 1, 2:8, 2:8] = rim
    probabilities[0, 1, 3:7, 3:7] = inside
    labels[1, 3:7, 3:7] = 2
    return Predicted(probabilities, labels, 0.1)


def false_case(probability: float, voxels: int) -> Predicted:
    """Return a healthy case with one speck of ``voxels`` voxels of 0.1 ml."""
    probabilities, labels = blank()
    probabilities[0, 0, 0, :voxels] = probability
    return Predicted(probabilities, labels, 0.1)


def test_takes_the_threshold_that_separates_the_lesion_from_its_rim() -> None:
    threshold, minimum_ml = best_acute_point([lesion_case(0.62, 0.38)], old_threshold=0.5)
    assert 0.38 < threshold <= 0.62
    assert minimum_ml == 0.0


def test_drops_specks_where_that_keeps_the_lesion() -> None:
    """Specks of .5 ml beside a lesion of 1.6 ml cost Dice: the smallest lesion is set just above them."""
    case = lesion_case(0.6, 0.1)
    probabilities = case.probabilities.copy()
    probabilities[0, 0, 0, :5] = 0.6
    threshold, minimum_ml = best_acute_point([Predicted(probabilities, case.labels, 0.1)], old_threshold=0.5)
    assert threshold <= 0.6
    assert minimum_ml == 1.0


def test_false_volume_comes_first() -> None:
    """At .55 and below, the healthy cases have 2 ml marked: with 1 ml allowed, a worse Dice is taken."""
    lesions = [lesion_case(0.9, 0.1), lesion_case(0.5, 0.1)]
    healthy = [false_case(0.55, 10), false_case(0.55, 10)]
    rule = {"old_threshold": 0.5, "minima_ml": (0.0,)}
    free, _ = best_acute_point(lesions + healthy, false_ml=3.0, **rule)  # type: ignore[arg-type]
    strict, _ = best_acute_point(lesions + healthy, false_ml=0.5, **rule)  # type: ignore[arg-type]
    assert free <= 0.5
    assert strict > 0.55


def test_where_no_point_will_do_the_least_false_volume_wins() -> None:
    """Ten voxels are sure, ten more at .5: no threshold leaves nothing, the highest leave ten."""
    case = false_case(1.0, 10)
    probabilities = case.probabilities.copy()
    probabilities[0, 0, 1] = 0.5
    healthy = Predicted(probabilities, case.labels, 0.1)
    threshold, _ = best_acute_point([lesion_case(0.7, 0.1), healthy], old_threshold=0.5, minima_ml=(0.0,), false_ml=0.1)
    assert 0.5 < threshold <= 0.7


def test_old_threshold_by_dice_of_old_infarcts() -> None:
    case = lesion_case(0.7, 0.3)
    swapped = Predicted(case.probabilities[::-1].copy(), np.where(case.labels == 2, 3, case.labels), 0.1)
    assert 0.3 < best_old_threshold([swapped]) <= 0.7
    assert best_old_threshold([case]) == 0.5


def as_the_system_does(case: Predicted, point: OperatingPoint) -> tuple[BoolArray, BoolArray]:
    config = SegmentConfig(
        EVERYDAY, (1, 1, 1), point.temperature, point.threshold, point.minimum_ml, point.calibrated_on
    )
    return masks(calibrated(case.probabilities, point.temperature), config, case.voxel_ml)


def test_scores_the_masks_that_the_system_will_make() -> None:
    cases = [truthful(1.5, seed=seed, shape=(4, 20, 20)) for seed in range(4)]
    cases[3] = Predicted(cases[3].probabilities, np.where(cases[3].labels == 2, 1, cases[3].labels), 0.02)
    point = calibrate(cases, calibrated_on="four cases")
    assert len(point.threshold) == len(point.temperature) == 2
    for candidate in (point, OperatingPoint((1.4, 0.8), (0.35, 0.4), 0.05)):
        for case, outcome in zip(cases, acute_outcomes(cases, candidate), strict=True):
            acute, _ = as_the_system_does(case, candidate)
            truth = case.labels == 2
            assert outcome.marked_ml == pytest.approx(acute.sum() * case.voxel_ml)
            if truth.any():
                assert outcome.dice == pytest.approx(2 * (acute & truth).sum() / (acute.sum() + truth.sum()))
            else:
                assert outcome.dice is None


def test_one_output() -> None:
    """The paper's network has no output for old infarcts."""
    case = lesion_case(0.62, 0.38)
    point = calibrate([Predicted(case.probabilities[:1], case.labels, 0.1)], calibrated_on="one case")
    assert len(point.temperature) == len(point.threshold) == 1
    assert acute_outcomes([Predicted(case.probabilities[:1], case.labels, 0.1)], point)[0].dice == 1.0


def test_needs_a_case() -> None:
    with pytest.raises(ValueError, match="validation cases"):
        calibrate([], calibrated_on="nothing")

"""The charts show the readings as they are, from one patient to many, in PNGs that are the same each time."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from infarct.evaluation.aspects_figures import (
    RocCurve,
    RocPoint,
    ScorePair,
    aspects_figures,
    roc,
    score_agreement,
    score_boxes,
    score_differences,
)
from infarct.evaluation.figures import png
from infarct.findings import INTENDED_USE
from infarct.measure.agreement import bland_altman, roc_auc

RANDOM = np.random.default_rng(6)
REFERENCE = np.concatenate([RANDOM.integers(2, 10, 78), [10, 10]])
SCORES = np.clip(REFERENCE + RANDOM.integers(-2, 3, 80), 0, 10)
PAIR = ScorePair(REFERENCE, SCORES, "CT perfusion", "DA-Net")


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]


def test_every_patient_is_a_dot_of_its_box() -> None:
    axes = score_boxes(PAIR).axes[0]
    values = sorted(set(REFERENCE.tolist()))
    for place, dots in zip(values, axes.collections, strict=True):
        offsets = np.asarray(dots.get_offsets())
        np.testing.assert_array_equal(np.sort(offsets[:, 1]), np.sort(SCORES[place == REFERENCE]))
        assert np.abs(offsets[:, 0] - place).max() <= 0.35
        assert len(np.unique(offsets, axis=0)) == len(offsets)  # none hides another
    numbers = [text.get_text() for text in axes.texts if text.get_text().isdigit()]
    assert numbers == [str(int((place == REFERENCE).sum())) for place in values]
    medians = {float(np.asarray(line.get_ydata())[0]) for line in axes.lines if line.get_zorder() == 4}
    assert medians == {float(np.median(SCORES[place == REFERENCE])) for place in values}


def test_bland_altman_dots_hold_all_patients() -> None:
    axes = score_agreement(PAIR).axes[0]
    (collection, *_) = axes.collections
    assert isinstance(collection, PathCollection)
    sizes, dots = collection.get_sizes(), np.asarray(collection.get_offsets())
    share = np.mean(
        [(a + b == 2 * dots[0, 0]) and (b - a == dots[0, 1]) for a, b in zip(REFERENCE, SCORES, strict=True)]
    )
    assert sizes[0] / sum(sizes) == pytest.approx(share)
    assert np.average(dots[:, 1], weights=sizes) == pytest.approx((SCORES - REFERENCE).mean())


def test_bland_altman_lines_are_mean_and_limits() -> None:
    figure = score_agreement(PAIR)
    lines = [float(np.asarray(line.get_ydata())[0]) for line in figure.axes[0].lines]
    found = bland_altman(REFERENCE, SCORES)
    assert lines == pytest.approx([0, found.mean.estimate, found.low, found.high])
    assert figure.axes[0].get_ylabel() == "DA-Net \N{MINUS SIGN} CT perfusion, points"


def test_bars_count_patients() -> None:
    axes = score_differences(ScorePair(np.array([5, 5, 9, 10]), np.array([5, 6, 9, 5]))).axes[0]
    bars = {round(bar.get_x() + bar.get_width() / 2): int(bar.get_height()) for bar in axes.patches}  # type: ignore[attr-defined]
    assert {place: count for place, count in bars.items() if count} == {-5: 1, 0: 2, 1: 1}
    assert axes.get_title() == "Differences: 50 % equal, 75 % within 1"


def test_legend_tells_how_many_patients_a_dot_is() -> None:
    assert legend(score_agreement(ScorePair(np.array([4, 4, 7]), np.array([4, 4, 8]))))[:2] == [
        "1 patient",
        "2 patients",
    ]


@pytest.mark.parametrize("patients", [1, 2, 80])
def test_charts_say_what_they_may_be_used_for(patients: int) -> None:
    for drawing in aspects_figures(ScorePair(REFERENCE[:patients], SCORES[:patients])):
        assert INTENDED_USE in [text.get_text() for text in drawing.figure.texts]


def test_charts_are_the_same_each_time() -> None:
    few = ScorePair(REFERENCE[:2], SCORES[:2])
    found = {drawing.name: png(drawing.figure) for drawing in aspects_figures(few)}
    assert set(found) == {"aspects_boxes", "aspects_bland_altman", "aspects_differences"}
    assert found["aspects_bland_altman"] == png(score_agreement(few))


def test_a_roc_by_hand() -> None:
    """Two of three positives lie above all negatives; a positive and a negative share a probability: one step."""
    curve = RocCurve("x", np.array([1, 1, 0, 1, 0], dtype=bool), np.array([0.9, 0.8, 0.4, 0.4, 0.1]))
    wrong, found = curve.points
    np.testing.assert_allclose(wrong, [0, 0, 0, 0.5, 1])
    np.testing.assert_allclose(found, [0, 1 / 3, 2 / 3, 1, 1])
    assert np.trapezoid(found, wrong) == pytest.approx(roc_auc(curve.truth, curve.probability)) == 5.5 / 6


def test_a_roc_chart_names_curves_and_points() -> None:
    random = np.random.default_rng(1)
    truth = random.random(60) < 0.4
    curve = RocCurve("against core", truth, np.round(truth + random.normal(size=60), 1))
    assert np.trapezoid(*curve.points[::-1]) == pytest.approx(roc_auc(truth, curve.probability))
    figure = roc([curve], [RocPoint("reader 1 against core", 0.7, 0.9)], title="Regions")
    assert legend(figure) == [
        f"against core: AUC {roc_auc(truth, curve.probability):.3f}", "reader 1 against core",
    ]  # fmt: skip
    (point,) = figure.axes[0].collections
    np.testing.assert_allclose(np.asarray(point.get_offsets()), [[0.1, 0.7]])
    assert INTENDED_USE in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("truth", [[True, True], [False, False], [True]])
def test_a_roc_needs_both_kinds(truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        RocCurve("x", np.array(truth), np.array([0.1, 0.2]))


@pytest.mark.parametrize(
    ("reference", "scores", "words"),
    [
        ([1, 2], [1], "differ in number"),
        ([], [], "are none"),
        ([1, 11], [1, 2], "whole numbers from 0 to 10"),
        ([1, 2], [-1, 2], "whole numbers from 0 to 10"),
        ([1, 2], [1.5, 2], "whole numbers from 0 to 10"),
    ],
)
def test_what_is_no_pair_of_scores_is_refused(reference: list[int], scores: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScorePair(np.array(reference, dtype=int), np.array(scores))

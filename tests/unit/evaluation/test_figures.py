"""Figures show what the results hold, in PNGs that are the same each time."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from infarct.evaluation.figures import Drawing, png, segment_figures, styles_of
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.summary import summarise
from infarct.findings import INTENDED_USE
from unit.evaluation.drawn_results import drawn_results

ILL = drawn_results("ill", 40, seed=1)
FREE = drawn_results("free", 12, seed=2, healthy=1.0)


def drawn(results: list[CaseResult]) -> dict[str, Figure]:
    drawings = segment_figures(results, summarise(results).calibration)
    assert all(isinstance(drawing, Drawing) for drawing in drawings)
    return {drawing.name: drawing.figure for drawing in drawings}


FIGURES = drawn([*ILL, *FREE])


def test_every_figure_is_there_and_says_what_it_may_be_used_for() -> None:
    assert set(FIGURES) == {
        "dice_by_volume", "volume_agreement", "strata", "lesion_free", "calibration", "detectability",
    }  # fmt: skip
    for figure in FIGURES.values():
        assert INTENDED_USE in [text.get_text() for text in figure.texts]


def test_points_lie_where_the_cases_are() -> None:
    points = FIGURES["dice_by_volume"].axes[0].collections[0].get_offsets()
    expected = [(case.truth_ml, case.counts.dice) for case in ILL]
    np.testing.assert_allclose(np.asarray(points), expected)


def test_bland_altman_by_hand() -> None:
    differences = np.array([case.predicted_ml - case.truth_ml for case in ILL])
    lines = [float(np.asarray(line.get_ydata())[0]) for line in FIGURES["volume_agreement"].axes[1].lines]
    reach = 1.96 * differences.std(ddof=1)
    for value in (differences.mean(), differences.mean() - reach, differences.mean() + reach):
        assert any(abs(line - value) < 1e-9 for line in lines)


def test_the_band_of_sensitivity_holds_its_mean() -> None:
    axes = FIGURES["detectability"].axes[0]
    means = np.asarray(next(line for line in axes.lines if line.get_label() == "ill").get_ydata())
    assert len(means) == 5  # 40 scans in classes of at least 8
    ordered = sorted(ILL, key=lambda case: case.about.detectability)
    assert means[0] == pytest.approx(np.mean([case.counts.sensitivity for case in ordered[:8]]))
    assert (np.diff(means) > 0).all()


def test_figures_without_anything_to_show_are_left_out() -> None:
    assert set(drawn(FREE)) == {"lesion_free", "calibration"}
    assert "lesion_free" not in drawn(ILL[:3])
    assert not drawn([])


def test_a_cohort_looks_the_same_in_every_figure() -> None:
    styles = styles_of(["a", "b"])
    assert styles["a"]["color"] != styles["b"]["color"]
    assert styles["a"]["marker"] != styles["b"]["marker"]
    assert len(styles_of([str(n) for n in range(20)])) == 20


def test_same_figure_same_bytes() -> None:
    one, two = (png(drawn(FREE)["lesion_free"]) for _ in range(2))
    assert one == two
    assert one.startswith(b"\x89PNG")

"""Numbers of tiles over scans, by hand on few of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from infarct.evaluation.localize import LocalizeAbout
from infarct.evaluation.localize_figures import localize_figures, roc_panels
from infarct.evaluation.localize_report import caption, comparison_table
from infarct.evaluation.localize_summary import (
    GROUPS,
    ONSETS,
    LocalizeSummary,
    TileFigures,
    members,
    summarise_localize,
)
from infarct.evaluation.localize_tables import localize_tables, ranked_worst
from infarct.evaluation.tables import Table, as_csv
from unit.evaluation.tiled_results import drawn_tiles, tiled

EARLY = LocalizeAbout("a", "A", "x", ill=True, onset_h=6.0, region="supratentorial", area="cortical", size=">1.5 cm")
LATE = LocalizeAbout("b", "B", "x", ill=True, onset_h=7.0, region="infratentorial", size="0.5-1.5 cm")
LATER = LocalizeAbout("c", "C", "x", ill=True, onset_h=13.0)
HEALTHY = LocalizeAbout("d", "D", "x", ill=False)
CASES = [
    tiled(EARLY, (0.9, 0.8, 0.3), (0.1, 0.2, 0.6), false=1),
    tiled(LATE, (0.4,), (0.3,), false=2),
    tiled(LATER, (0.7,), ()),
    tiled(HEALTHY, (), (), false=3),
]


def row(summary: LocalizeSummary, label: str, onset: str = "all") -> TileFigures:
    (found,) = (one for one in summary.groups if (one.label, one.onset) == (label, onset))
    return found


def named(tables: tuple[Table, ...], name: str) -> Table:
    return next(table for table in tables if table.name == name)


@pytest.fixture(scope="module")
def summary() -> LocalizeSummary:
    return summarise_localize(CASES, resamples=5)


def test_balanced_tiles_by_hand(summary: LocalizeSummary) -> None:
    """Of five infarct tiles three are called, of four normal ones one is."""
    found = row(summary, "all").balanced
    rates = found.decisions
    assert (rates.count, rates.positives) == (9, 5)
    assert rates.sensitivity.estimate == 3 / 5
    assert rates.specificity.estimate == 3 / 4
    assert rates.accuracy.estimate == 6 / 9
    assert rates.precision.estimate == 3 / 4
    assert rates.f_score.estimate == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    # Pairs of an infarct and a normal tile that are ranked rightly: .9, .8 and .7 win 4 each, .4 wins 3, .3 wins 2
    # and ties once.
    assert found.ranking.auc.estimate == pytest.approx((4 + 4 + 4 + 3 + 2.5) / 20)
    # Falling scores: 1 1 1 0 1 then .3 once each: precisions 1, 1, 1, 4/5, and 5 of 7 at the tie.
    assert found.ranking.average_precision.estimate == pytest.approx((1 + 1 + 1 + 4 / 5 + 5 / 7) / 5)
    assert math.isnan(rates.accuracy.low)  # three patients


def test_patients_by_hand(summary: LocalizeSummary) -> None:
    found = row(summary, "all")
    assert (found.scans, found.patients) == (3, 3)
    assert found.patch_accuracy.mean.estimate == pytest.approx((4 / 6 + 1 / 2 + 1) / 3)
    assert found.recognised.estimate == found.found.estimate == 2 / 3
    assert found.false_clusters.estimate == 1.0
    ill, healthy = summary.false_marks[::-1]
    assert (ill.clusters.estimate, healthy.clusters.estimate, healthy.clean.estimate) == (1.0, 3.0, 0.0)
    assert ill.tiles_pct.estimate == pytest.approx(100 * (1 / 3 + 0) / 2)  # of two brains with free tiles


def test_groups_hold_whom_they_name(summary: LocalizeSummary) -> None:
    holds = {
        (group, onset): [case.about.id for case in members(CASES, group, onset)] for group in GROUPS for onset in ONSETS
    }
    assert holds["all", "≤ 6 h"] == holds["supratentorial", "≤ 6 h"] == holds["cortical", "≤ 6 h"] == ["a"]
    assert holds["all", "6-12 h"] == holds["infratentorial", "6-12 h"] == holds["≤ 1.5 cm", "6-12 h"] == ["b"]
    assert sum(len(one) for one in holds.values()) == 6
    assert len(GROUPS) * len(ONSETS) == 14
    empty = row(summary, "infratentorial", "≤ 6 h")
    assert (empty.patients, empty.balanced.decisions.count) == (0, 0)
    assert math.isnan(empty.balanced.ranking.auc.estimate)
    assert {one.label for one in summary.groups} == {"all", "supratentorial", "infratentorial", "cortical", "≤ 1.5 cm"}


def test_what_nobody_said_is_counted(summary: LocalizeSummary) -> None:
    (found,) = summary.overview
    assert (found.scans, found.ill, found.infarct_tiles, found.normal_tiles, found.partly) == (4, 3, 5, 4, 4)
    assert (found.no_region, found.no_area, found.no_size, found.no_onset, found.later) == (1, 1, 1, 0, 1)
    plain = summarise_localize(drawn_tiles("y", 6, told=False), resamples=5)
    assert {one.label for one in plain.groups} == {"all"}
    assert (plain.overview[0].no_region, plain.overview[0].no_size) == (6, 6)


def test_classes_come_in_order_and_unknown_last() -> None:
    known = drawn_tiles("y", 12)
    unknown = replace(known[0], about=replace(known[0].about, kvp=None, detectability=None))
    found = summarise_localize([unknown, *known[1:]], resamples=5)
    assert [one.label for one in found.strata if one.by == "tube voltage"] == ["100 kVp", "120 kVp", "unknown"]
    by_d = [one for one in found.strata if one.by == "detectability d'"]
    assert [one.label for one in by_d] == ["<1", "1-3", "3-10", "10-30", ">=30", "unknown"][-len(by_d) :] or by_d
    assert sum(one.patients for one in by_d) == 12
    assert not summarise_localize([unknown], resamples=5).strata[0].by.startswith("detect")


def test_tables_hold_the_numbers(summary: LocalizeSummary) -> None:
    tables = localize_tables(summary, CASES, [])
    first = named(tables, "balanced")
    cells = dict(zip((column.name for column in first.columns), first.rows[2], strict=True))
    assert (cells["label"], cells["onset"], cells["patients"], cells["tiles"], cells["infarct_tiles"]) == (
        "all",
        "all",
        3,
        9,
        5,
    )
    assert cells["f_score"] is row(summary, "all").balanced.decisions.f_score
    whole = named(tables, "whole_slices")
    assert dict(zip((column.name for column in whole.columns), whole.rows[2], strict=True))["found"].estimate == 2 / 3  # type: ignore[union-attr]
    cases = named(tables, "cases")
    assert [
        line[cases.columns.index(next(c for c in cases.columns if c.name == "infarct_called"))] for line in cases.rows
    ] == [2, 0, 1, 0]
    assert all(as_csv(table) for table in tables)


def test_the_worst_are_missed_infarcts_then_false_clusters() -> None:
    assert [case.about.id for case in ranked_worst(CASES)] == ["b", "d", "a"]
    many = [replace(CASES[1], about=replace(LATE, id=str(number))) for number in range(30)]
    assert len(ranked_worst(many)) == 20
    assert caption(CASES[1]).startswith(
        "b, missed, infarct 0.0 ml, infratentorial, 0 of 1 infarct tiles called, 2 false"
    )
    assert "healthy, 3 false clusters" in caption(CASES[3])


def test_methods_stand_side_by_side(summary: LocalizeSummary) -> None:
    other = summarise_localize([replace(case, normal=case.infarct, infarct=case.normal) for case in CASES], resamples=5)
    table = comparison_table({"vgg16": summary, "asymmetry": other})
    assert [line[1] for line in table.rows] == ["vgg16", "asymmetry"]
    assert [line[3].estimate for line in table.rows] == pytest.approx([6 / 9, 3 / 9])  # type: ignore[union-attr]
    assert [line[-1].estimate for line in table.rows] == [3.0, 3.0]  # type: ignore[union-attr]
    healthy = summarise_localize([CASES[3]], resamples=5)
    assert comparison_table({"vgg16": healthy}).rows[0][2:5] == (None, None, None)


def test_a_better_method_has_better_intervals() -> None:
    poor, good = (
        row(summarise_localize(drawn_tiles("y", 24, skill=skill), resamples=50), "all") for skill in (0.0, 3.0)
    )
    assert poor.balanced.ranking.auc.high < 0.6
    assert good.balanced.ranking.auc.low > 0.95
    assert good.balanced.ranking.average_precision.high <= 1.0


def test_every_figure_is_drawn() -> None:
    cases = drawn_tiles("y", 40)
    found = summarise_localize(cases, resamples=5)
    drawings = {one.name: one.figure for one in localize_figures(cases, found)}
    assert list(drawings) == ["roc_panels", "balanced_and_whole", "patch_accuracy", "detectability"]
    panels = drawings["roc_panels"].axes
    assert [axes.get_title() for axes in panels[:3]] == [
        "(a) all, ≤ 6 h",
        "(b) all, 6-12 h",
        "(c) supratentorial, ≤ 6 h",
    ]
    assert len([axes for axes in panels if axes.get_title()]) == 14
    histograms = drawings["patch_accuracy"].axes[:2]
    heights = [sum(bar.get_height() for bar in axes.patches) for axes in histograms]  # type: ignore[attr-defined]
    assert heights == [10, 30]
    (trend,) = (line for line in drawings["patch_accuracy"].axes[2].lines if str(line.get_label()).startswith("trend"))
    sizes = np.array([case.about.lesion_mm for case in cases]) / 10
    assert np.asarray(trend.get_xdata()).tolist() == pytest.approx([sizes.min(), sizes.max()])


def test_figures_without_patients_say_so(summary: LocalizeSummary) -> None:
    words = [text.get_text() for axes in roc_panels(CASES, summary).axes for text in axes.texts]
    assert words.count("no patients") == 8
    assert list(localize_figures([CASES[3]], summarise_localize([CASES[3]], resamples=5))) == []

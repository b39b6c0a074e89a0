"""Methods on the same scans: values against other ways to the same number, differences by properties, and the plot."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from infarct.evaluation.aspects import CORE, SYSTEM, ScanResults
from infarct.evaluation.aspects_comparison import READERS, Compared, compare, comparison_table, forest
from infarct.evaluation.aspects_summary import summarise_aspects
from unit.evaluation.drawn_methods import drawn_methods

NAMES = ("good", "same", "poor")
SCANS = [
    ScanResults({"good": scan.by_method["good"], "same": scan.by_method["good"], "poor": scan.by_method["poor"]})
    for scan in drawn_methods("here", 40, {"good": 3.0, "poor": 0.5}, healthy=0.1)
]
FOUND = compare(SCANS, NAMES, resamples=60)


def of(method: str, measure: str, over: str, found: tuple[Compared, ...] = FOUND) -> Compared:
    (one,) = (row for row in found if (row.method, row.measure, row.over) == (method, measure, over))
    return one


def test_every_measure_of_every_method_is_there() -> None:
    regions = product(("Balanced accuracy", "ROC AUC", "Accuracy"), ("affected hemisphere", "both hemispheres"))
    scores = [("ICC(A,1)", f"score against {judge}") for judge in (CORE, "reader 1", "reader 2")]
    lines = {*regions, *scores, ("Balanced accuracy at > 6", "score against core")}
    assert {(one.measure, one.over) for one in FOUND if one.method != READERS} == lines
    assert len(FOUND) == 3 * len(lines) + 1
    assert of(READERS, "ICC(A,1)", "reader 2 against reader 1").difference is None


def test_regions_count_where_every_method_judged_them() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rows = [
        [scan.by_method[name].regions[place] for name in NAMES]
        for scan in SCANS
        for place in range(20)
        if all(scan.by_method[name].regions[place].affected is not None for name in NAMES)
    ]
    assert len(rows) < 20 * len(SCANS)
    truth = [row[0].core for row in rows]
    for number, name in enumerate(NAMES):
        own = [row[number] for row in rows]
        called, probability = [one.affected for one in own], [one.probability for one in own]
        expected = {
            "Balanced accuracy": metrics.balanced_accuracy_score(truth, called),
            "Accuracy": metrics.accuracy_score(truth, called),
            "ROC AUC": metrics.roc_auc_score(truth, probability),
        }
        for measure, value in expected.items():
            found = of(name, measure, "both hemispheres").value
            assert found.estimate == pytest.approx(value)
            assert found.count == len(rows)
            assert found.low <= found.estimate <= found.high


def test_differences_are_those_of_the_values() -> None:
    for one in FOUND:
        if one.method in ("same", "poor"):
            assert one.difference is not None
            before = of("good", one.measure, one.over).value
            assert one.difference.estimate == pytest.approx(one.value.estimate - before.estimate)
            assert one.difference.count == one.value.count == before.count
        else:
            assert one.difference is None


def test_a_method_does_not_differ_from_itself_and_a_poor_one_does() -> None:
    for one in FOUND:
        if one.method == "same":
            assert one.difference is not None
            assert (one.difference.low, one.difference.high) == (0, 0)
    for over in ("affected hemisphere", "both hemispheres"):
        change = of("poor", "ROC AUC", over).difference
        assert change is not None
        assert change.high < 0


def test_a_difference_turns_round_with_the_order() -> None:
    turned = compare(SCANS, ("poor", "good"), resamples=60)
    straight = compare(SCANS, ("good", "poor"), resamples=60)
    for one in straight:
        if one.difference is not None:
            other = of("good", one.measure, one.over, turned).difference
            assert other is not None
            ends = (other.estimate, other.low, other.high)
            assert ends == pytest.approx((-one.difference.estimate, -one.difference.high, -one.difference.low))


def test_one_method_has_the_values_of_its_own_report() -> None:
    """With nobody else to judge, nothing more is left out."""
    alone = compare(SCANS[:6], ("good",), resamples=5)
    summary = summarise_aspects([scan.by_method["good"] for scan in SCANS[:6]], resamples=5)
    (report,) = (one for one in summary.scores if (one.judge, one.reference) == (SYSTEM, CORE))
    assert of("good", "ICC(A,1)", "score against core", alone).value == report.icc_absolute
    (cut,) = (
        one for one in summary.cuts if (one.judge, one.reference, one.cut, one.positive) == (SYSTEM, CORE, 6, "above")
    )
    found = of("good", "Balanced accuracy at > 6", "score against core", alone).value
    assert found == cut.decisions.balanced_accuracy


def test_groups_stand_apart_and_few_scans_have_no_interval() -> None:
    lone = ScanResults(
        {name: replace(one, about=replace(one.about, group="alone")) for name, one in SCANS[0].by_method.items()}
    )
    found = compare([*SCANS[:3], lone], NAMES, resamples=5)
    assert list(dict.fromkeys(one.group for one in found)) == ["here", "alone"]
    assert all(math.isnan(one.value.low) for one in found)
    assert compare([], NAMES) == ()


def test_regions_without_a_probability_are_in_no_roc() -> None:
    bare = [
        ScanResults(
            {
                "good": scan.by_method["good"],
                "poor": replace(
                    scan.by_method["poor"],
                    regions=tuple(replace(one, probability=None) for one in scan.by_method["poor"].regions),
                ),
            }
        )
        for scan in SCANS[:6]
    ]
    measures = {one.measure for one in compare(bare, ("good", "poor"), resamples=5)}
    assert "ROC AUC" not in measures
    assert "Balanced accuracy" in measures


def test_the_plot_shows_every_value_and_every_difference() -> None:
    values, differences = forest(FOUND, NAMES).axes
    drawn = np.sort([x for line in values.containers for x in np.asarray(line.lines[0].get_xdata())])  # type: ignore[union-attr]
    assert drawn == pytest.approx(np.sort([one.value.estimate for one in FOUND]))
    assert len(differences.containers) == 2
    labels = [text.get_text() for text in values.get_yticklabels()]
    assert labels[0] == "Balanced accuracy, affected hemisphere"
    assert len(labels) == len({(one.measure, one.over) for one in FOUND})
    table = comparison_table(FOUND, NAMES)
    assert len(table.rows) == len(FOUND)

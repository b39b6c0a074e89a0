"""Whether an order holds is read from the numbers alone."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.evaluation.ablation import (
    PUBLISHED_ABLATION,
    NamedRun,
    ablation_table,
    difference,
    order_sentence,
    overlap_table,
    steps,
)
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.tables import as_markdown
from infarct.measure.overlap import Counts
from unit.evaluation.drawn_results import drawn_results

CASES = drawn_results("here", 30, seed=3)


def run(name: str, dice: np.ndarray, *, seconds: float = 1.0, published: float | None = None) -> NamedRun:
    """Return a run with the given Dice a scan (TP d, FP and FN 1 - d each, in thousandths)."""
    results = []
    for case, value in zip(CASES, dice, strict=True):
        tp = round(1000 * value)
        counts = Counts(tp, 1000 - tp, 1000 - tp, 10_000)
        results.append(replace(case, counts=counts, truth_ml=1.0, seconds=seconds))
    return NamedRun(name, tuple(results), published)


RANDOM = np.random.default_rng(0)
BASE = RANDOM.uniform(0.3, 0.7, 30)
LITTLE = RANDOM.normal(0, 0.02, (4, 30))


def test_changes_are_paired_scan_by_scan() -> None:
    change = difference(run("a", BASE), run("b", BASE + 0.05))
    assert change.estimate == pytest.approx(0.05, abs=1e-3)
    assert change.high - change.low < 0.002
    assert change.count == 30


def test_only_scans_that_both_answered_count() -> None:
    second = run("b", BASE + 0.05)
    change = difference(run("a", BASE), replace(second, results=second.results[10:]))
    assert change.count == 20


def test_an_order_that_holds() -> None:
    found = steps([run("a", BASE), run("b", BASE + 0.03 + LITTLE[0]), run("c", BASE + 0.08 + LITTLE[1])])
    assert [(step.before, step.after) for step in found] == [("a", "b"), ("b", "c")]
    assert order_sentence(found).startswith("The order holds: every step")


def test_an_order_that_could_be_chance() -> None:
    sentence = order_sentence(steps([run("a", BASE), run("b", BASE + 0.1), run("c", BASE + 0.101 + LITTLE[2])]))
    assert sentence.startswith("The order holds in the means, but 1 of 2 steps could be chance")
    assert "'b' to 'c'" in sentence


def test_an_order_that_does_not_hold() -> None:
    sentence = order_sentence(steps([run("a", BASE), run("b", BASE - 0.05), run("c", BASE + 0.1)]))
    assert sentence.startswith("The order does not hold: 'a' to 'b' changes the Dice by −0.050")
    assert "'b' to 'c'" not in sentence


def test_runs_without_a_common_scan_have_no_order() -> None:
    first, second = run("a", BASE[:15].repeat(2)), run("b", BASE)
    apart = replace(first, results=first.results[:15]), replace(second, results=second.results[15:])
    assert order_sentence(steps(apart)).startswith("The order does not hold")
    assert order_sentence(steps([first])) == "One run has no order."


def test_the_table_has_a_row_a_run_in_the_given_order() -> None:
    runs = [
        run(name, BASE + 0.04 * place, published=dice) for place, (name, dice) in enumerate(PUBLISHED_ABLATION.items())
    ]
    table = ablation_table(runs)
    assert [row[0] for row in table.rows] == list(PUBLISHED_ABLATION)
    assert [row[-1] for row in table.rows] == list(PUBLISHED_ABLATION.values())
    assert table.rows[0][-2] is None
    assert table.rows[1][-2].estimate == pytest.approx(0.04, abs=1e-3)  # type: ignore[union-attr]
    assert "The order holds" in as_markdown(table)


def test_overlap_of_tiles() -> None:
    runs = [(25, run("25", BASE, seconds=45)), (50, run("50", BASE - 0.01, seconds=90)), (60, run("60", BASE + 0.01))]
    table = overlap_table(runs)
    assert [row[0] for row in table.rows] == [25, 50, 60]
    assert table.rows[0][1].mean.estimate == 45  # type: ignore[union-attr]
    assert table.rows[1][-3].estimate == pytest.approx(-0.01, abs=1e-3)  # type: ignore[union-attr]
    assert table.rows[1][-2:] == (90.0, 0.622)
    assert table.rows[2][-2:] == (None, None)
    assert "at 60 % (1.0 s a scan)" in table.note
    assert not overlap_table([]).rows


def test_scans_without_lesion_do_not_count() -> None:
    free: list[CaseResult] = [replace(case, truth_ml=0.0, counts=Counts(0, 5, 0, 5)) for case in CASES]
    mixed = NamedRun("a", (*run("a", BASE).results, *free[:0]))
    assert ablation_table([mixed]).rows[0][1].count == 30  # type: ignore[union-attr]
    only_free = NamedRun("a", tuple(free))
    assert ablation_table([only_free]).rows[0][1].count == 0  # type: ignore[union-attr]

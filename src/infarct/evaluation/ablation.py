"""Several runs over the same scans: the ablation of the segment paper (table 1) and its overlap of tiles (table 2).

Runs are compared scan by scan, so that what is hard in a scan cancels out, and the interval of a difference comes from
drawing patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from infarct.evaluation.segment import MEASURES, PAPER_MEASURES, CaseResult
from infarct.evaluation.summary import Spread, spread
from infarct.evaluation.tables import Cell, Column, Table, number
from infarct.measure.bootstrap import Interval, paired_difference


@dataclass(frozen=True)
class NamedRun:
    """The results of one setting; ``published`` is the Dice that the paper prints for it, None where it has none."""

    name: str
    results: tuple[CaseResult, ...]
    published: float | None = None


PUBLISHED_ABLATION: Final[dict[str, float]] = {
    "no preprocessing": 0.508,
    "preprocessing": 0.511,
    "+ weighted sampler": 0.547,
    "+ residual connections": 0.574,
    "+ squeeze and excitation": 0.612,
    "+ standardisation, weighted loss": 0.628,
}
"""Segment paper, table 1: Dice, mean of five folds, each row with what the rows above it have. The last changes two
things at once."""
PUBLISHED_OVERLAP: Final[dict[int, tuple[float, float]]] = {25: (45.0, 0.628), 50: (90.0, 0.622), 75: (440.0, 0.630)}
"""Segment paper, table 2: overlap of tiles in percent, then seconds a patient on a Tesla T4, and Dice."""


@dataclass(frozen=True)
class Step:
    """How the Dice changes from one run to the next, over ``scans`` that both answered."""

    before: str
    after: str
    difference: Interval


def steps(runs: Sequence[NamedRun]) -> tuple[Step, ...]:
    """Return the change of Dice from each run to the next."""
    return tuple(Step(before.name, after.name, difference(before, after)) for before, after in pairwise(runs))


def difference(before: NamedRun, after: NamedRun) -> Interval:
    """Return the mean change of Dice over the scans with a lesion that both runs answered, with its interval."""
    earlier = {_key(case): case for case in before.results}
    pairs = [(earlier[_key(case)], case) for case in after.results if _key(case) in earlier]
    return paired_difference(
        [one.counts.dice for one, _ in pairs],
        [two.counts.dice for _, two in pairs],
        [(two.about.group, two.about.patient) for _, two in pairs],
    )


def order_sentence(found: Sequence[Step]) -> str:
    """Return whether every run is better than the one before, as far as the numbers say."""
    if not found:
        return "One run has no order."
    falling = [step for step in found if not step.difference.estimate > 0]
    unsure = [step for step in found if step.difference.estimate > 0 and not step.difference.excludes_zero]
    if falling:
        return f"The order does not hold: {_list(falling)}."
    if unsure:
        return (
            f"The order holds in the means, but {len(unsure)} of {len(found)} steps could be chance "
            f"(the 95 % interval reaches 0): {_list(unsure)}."
        )
    return "The order holds: every step raises the Dice, and no 95 % interval reaches 0."


def ablation_table(runs: Sequence[NamedRun]) -> Table:
    """Return the ablation in the order of ``runs``, each with its change against the row above."""
    found = steps(runs)
    changes: tuple[Interval | None, ...] = (None, *(step.difference for step in found))
    columns = (
        Column("run", "Run"),
        *(Column(name, MEASURES[name].title, MEASURES[name].digits) for name in PAPER_MEASURES),
        Column("change", "Dice against the row above"),
        Column("published_dice", "Dice in the paper"),
    )
    rows = tuple((run.name, *_measured(run), change, run.published) for run, change in zip(runs, changes, strict=True))
    note = f"{order_sentence(found)} Mean ± SD over scans; intervals, and changes scan by scan, from drawing patients."
    return Table("ablation", "Ablation", columns, rows, note)


def overlap_table(runs: Sequence[tuple[int, NamedRun]]) -> Table:
    """Return time and quality by the overlap of tiles, in percent; changes are against the first row."""
    first = runs[0][1] if runs else None
    columns = (
        Column("overlap_pct", "Overlap, %"),
        Column("seconds", "Seconds a scan", 1),
        *(Column(name, MEASURES[name].title, MEASURES[name].digits) for name in PAPER_MEASURES),
        Column("change", "Dice against the first row"),
        Column("published_seconds", "Seconds in the paper (T4)", 0),
        Column("published_dice", "Dice in the paper"),
    )
    rows: list[tuple[Cell, ...]] = []
    for overlap_pct, run in runs:
        change = None if first is None or run is first else difference(first, run)
        published = PUBLISHED_OVERLAP.get(overlap_pct, (None, None))
        rows.append((overlap_pct, _spread(run, "seconds"), *_measured(run), change, *published))
    return Table("overlap_of_tiles", "Overlap of tiles", columns, tuple(rows), _fastest(runs))


def _fastest(runs: Sequence[tuple[int, NamedRun]]) -> str:
    """Return which overlap has the best Dice, and what it costs against the quickest."""
    if len(runs) < 2:
        return ""
    timed = [(pct, _spread(run, "seconds").mean.estimate, _spread(run, "dice").mean.estimate) for pct, run in runs]
    best, quickest = max(timed, key=lambda row: row[2]), min(timed, key=lambda row: row[1])
    return (
        f"Best Dice: {number(best[2], 3)} at {best[0]} % ({number(best[1], 1)} s a scan). Quickest: "
        f"{number(quickest[1], 1)} s a scan at {quickest[0]} % (Dice {number(quickest[2], 3)})."
    )


def _key(case: CaseResult) -> tuple[str, str]:
    return case.about.group, case.about.id


def _spread(run: NamedRun, name: str) -> Spread:
    cases = [case for case in run.results if case.has_lesion]
    return spread((MEASURES[name].of(case) for case in cases), cases)


def _measured(run: NamedRun) -> tuple[Spread, ...]:
    return tuple(_spread(run, name) for name in PAPER_MEASURES)


def _list(found: Sequence[Step]) -> str:
    """Return the changes in words."""
    parts = []
    for step in found:
        change = step.difference
        bounds = f"{number(change.low, 3)} to {number(change.high, 3)}"
        parts.append(f"{step.before!r} to {step.after!r} changes the Dice by {number(change.estimate, 3)} ({bounds})")
    return "; ".join(parts)

"""Several methods of ASPECTS on the same scans, each held against the first.

Only what every method judged counts, so that all are measured by the same regions and scores. The interval of a
difference comes from drawing patients, the same for both methods, so that what is hard in a patient cancels out.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infarct.evaluation.aspects import CORE, SYSTEM, ScanResults
from infarct.evaluation.aspects_ablation import MEASURES, CallArrays, Measure, RegionCall, change, value
from infarct.evaluation.aspects_summary import Counted, Two, icc_absolute_of, readers_of
from infarct.evaluation.aspects_tables import AUC
from infarct.evaluation.drawing import panels, points
from infarct.evaluation.figures import COLOURS, GREY, png
from infarct.evaluation.report import METRICS_FILE, about_run
from infarct.evaluation.result import Failure, without_nan
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import GROUP, Column, Table, as_csv, as_markdown
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.measure.agreement import Rows, accuracy, balanced_accuracy, dichotomised, resampled
from infarct.measure.bootstrap import RESAMPLES, Interval
from infarct.measure.overlap import count
from infarct.types import Float64Array

COMPARISON: Final = "comparison"
REGION_MEASURES: Final[dict[str, Measure]] = {
    "Balanced accuracy": MEASURES["balanced_accuracy"],
    AUC.title: MEASURES["roc_auc"],
    "Accuracy": lambda calls, rows: accuracy(count(calls.found[rows], calls.affected[rows])),
}
READERS: Final = "readers"
CUT: Final = 6
"""The score is dichotomised above it, as in the aspects paper."""
NOTE: Final = (
    "Only what every method judged counts: regions, and scores of the side of the stroke. 95 % intervals from drawing "
    "patients, of differences the same patients for both methods; they do not hold what chance did in training. A "
    "reader by a reader is the ceiling that a method's agreement with readers can be held to."
)
ROW_INCHES: Final = 0.42


@dataclass(frozen=True)
class Compared:
    """One ``measure`` of a method over ``over``: its value, and that less the first method's, None for that itself.

    The readers, measured by each other, stand here as a method, without a difference.
    """

    group: str
    measure: str
    over: str
    method: str
    value: Interval
    difference: Interval | None


def write_comparison(
    results: Sequence[ScanResults],
    failures: Sequence[Failure],
    methods: Sequence[str],
    folder: Path,
    settings: Mapping[str, Any],
) -> Path:
    """Write the comparison as CSV, figure, ``metrics.json`` and Markdown into ``folder``; return the path of the last.

    Each file is written whole or not at all.
    """
    found = compare(results, methods)
    table = comparison_table(found, methods)
    metrics = about_run(settings, failures) | {COMPARISON: without_nan([asdict(one) for one in found])}
    write_whole(folder / f"{COMPARISON}.csv", as_csv(table).encode())
    if found:
        write_whole(folder / f"{COMPARISON}.png", png(forest(found, methods)))
    write_whole(folder / METRICS_FILE, (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode())
    text = f"# Methods of ASPECTS side by side\n\n{INTENDED_USE}\n\n{as_markdown(table)}"
    return write_whole(folder / f"{COMPARISON}.md", text.encode())


def compare(
    results: Sequence[ScanResults], methods: Sequence[str], *, resamples: int = RESAMPLES
) -> tuple[Compared, ...]:
    """Return every measure of the ``methods``, group by group; differences are to the first of them."""
    found: list[Compared] = []
    for scans in grouped(results).values():
        for counted in get_args(Counted):
            found += _regions(scans, methods, counted, resamples)
        found += _scores(scans, methods, resamples)
    return tuple(found)


def comparison_table(found: Sequence[Compared], methods: Sequence[str]) -> Table:
    """Return the comparison as a table."""
    columns = (
        *(GROUP, Column("measure", "Measure"), Column("over", "Of"), Column("method", "Method")),
        *(Column("count", "n"), Column("value", "Value"), Column("difference", f"Less that of {methods[0]}")),
    )
    rows = tuple(
        (one.group, one.measure, one.over, one.method, one.value.count, one.value, one.difference) for one in found
    )
    return Table(COMPARISON, f"Each method, and its difference to {methods[0]}", columns, rows, NOTE)


def forest(found: Sequence[Compared], methods: Sequence[str]) -> Figure:
    """Return a forest plot: every measure of each method, and beside it the difference to the first method."""
    groups = list(dict.fromkeys(one.group for one in found))
    lines = list(dict.fromkeys((one.group, one.measure, one.over) for one in found))
    place = {line: -float(number) for number, line in enumerate(lines)}
    figure, (values, differences) = panels(2, height=1.6 + ROW_INCHES * len(lines))
    judges = list(dict.fromkeys([*methods, *(one.method for one in found)]))
    offsets = np.linspace(0.27, -0.27, len(methods)).tolist()
    for look, judge in enumerate(judges):
        offset = offsets[look] if judge in methods else 0.0
        own = [one for one in found if one.method == judge]
        _draw(values, [(one.value, place[_line(one)] + offset) for one in own], judge, look)
        _draw(differences, [(one.difference, place[_line(one)] + offset) for one in own if one.difference], judge, look)
    names = [
        f"{measure}, {over}" if len(groups) == 1 else f"{group}: {measure}, {over}" for group, measure, over in lines
    ]
    values.set_yticks(list(place.values()), names, fontsize=8)
    differences.set_yticks(list(place.values()), [""] * len(place))
    differences.axvline(0, color=GREY, linewidth=0.9)
    for axes in (values, differences):
        axes.set_ylim(-len(lines) + 0.4, 0.6)
    values.set(xlabel="Value, 95 % interval", title="Each method")
    differences.set(xlabel="Difference, 95 % interval", title=f"Difference to {methods[0]}")
    figure.legend(*values.get_legend_handles_labels(), loc="outside upper center", ncols=len(judges), fontsize=8)
    return figure


def _line(one: Compared) -> tuple[str, str, str]:
    return one.group, one.measure, one.over


def _draw(axes: Axes, placed: Sequence[tuple[Interval, float]], label: str, look: int) -> None:
    if placed:
        values, places = zip(*placed, strict=True)
        points(axes, values, places, horizontal=True, label=label, look=look % len(COLOURS))


def _regions(
    scans: Sequence[ScanResults], methods: Sequence[str], counted: Counted, resamples: int
) -> Iterator[Compared]:
    """Yield the measures of regions; the ROC is over those to which every method gave a probability."""
    called = {name: CallArrays.of(calls, counted) for name, calls in _calls(scans, methods).items()}
    rated = {name: CallArrays.of(calls, counted) for name, calls in _calls(scans, methods, rated=True).items()}
    for title, measure in REGION_MEASURES.items():
        arrays = rated if title == AUC.title else called
        first = arrays[methods[0]]
        for name in methods:
            if len(arrays[name].affected):
                difference = None
                if name != methods[0]:
                    difference = change(first, arrays[name], measure, resamples=resamples)
                found = value(arrays[name], measure, resamples=resamples)
                yield Compared(scans[0].about.group, title, counted, name, found, difference)


def _calls(
    scans: Sequence[ScanResults], methods: Sequence[str], *, rated: bool = False
) -> dict[str, tuple[RegionCall, ...]]:
    """Return each method's calls of the regions that core and all methods judged, and gave a probability if ``rated``;
    the same regions in the same order."""
    calls: dict[str, list[RegionCall]] = {name: [] for name in methods}
    for scan in scans:
        for rows in zip(*(scan.by_method[name].regions for name in methods), strict=True):
            core = rows[0].core
            if core is None or any(row.affected is None or (rated and row.probability is None) for row in rows):
                continue
            for name, row in zip(methods, rows, strict=True):
                calls[name].append(
                    RegionCall(
                        patient=scan.about.patient,
                        region=row.region,
                        side=row.side,
                        of_stroke=row.side == scan.about.side,
                        affected=core,
                        probability=np.nan if row.probability is None else row.probability,
                        found=bool(row.affected),
                    )
                )
    return {name: tuple(found) for name, found in calls.items()}


def _scores(scans: Sequence[ScanResults], methods: Sequence[str], resamples: int) -> Iterator[Compared]:
    """Yield how scores of the side of the stroke agree with core and readers, and readers with each other."""
    readers = readers_of([scan.by_method[methods[0]] for scan in scans])
    for reference in (CORE, *readers):
        yield from _agreement(scans, methods, ("ICC(A,1)", reference, icc_absolute_of), resamples)
    for one, other in combinations(readers, 2):
        known = _scored(scans, methods, (one, other))
        if known:
            first, second = (_readings(known, methods[0], judge) for judge in (one, other))
            found = _resampled(known, partial(_statistic, icc_absolute_of, first, second), resamples)
            yield Compared(scans[0].about.group, "ICC(A,1)", f"{other} against {one}", READERS, found, None)
    yield from _agreement(scans, methods, (f"Balanced accuracy at > {CUT}", CORE, _above_cut), resamples)


def _agreement(
    scans: Sequence[ScanResults], methods: Sequence[str], measure: tuple[str, str, Two], resamples: int
) -> Iterator[Compared]:
    """Yield a measure, (title, reference, statistic), of each method's scores."""
    title, reference, statistic = measure
    known = _scored(scans, methods, (reference,))
    truth = _readings(known, methods[0], reference)
    read = {name: _readings(known, name, SYSTEM) for name in methods}
    for name in methods if known else ():
        found = _resampled(known, partial(_statistic, statistic, truth, read[name]), resamples)
        difference = None
        if name != methods[0]:
            both = partial(_change, statistic, truth, read[methods[0]], read[name])
            difference = _resampled(known, both, resamples)
        yield Compared(scans[0].about.group, title, f"score against {reference}", name, found, difference)


def _scored(scans: Sequence[ScanResults], methods: Sequence[str], judges: Sequence[str]) -> list[ScanResults]:
    """Return the scans of strokes in which all methods and all of the ``judges`` gave a score."""
    return [
        scan
        for scan in scans
        if all(scan.by_method[name].score_by(judge) is not None for name in methods for judge in (SYSTEM, *judges))
    ]


def _readings(scans: Sequence[ScanResults], method: str, judge: str) -> Float64Array:
    """Return a judge's scores of scans in which all are known, (n,)."""
    return np.array([scan.by_method[method].score_by(judge) for scan in scans], dtype=np.float64)


def _resampled(scans: Sequence[ScanResults], statistic: Callable[[Rows], float], resamples: int) -> Interval:
    return resampled(statistic, [scan.about.patient for scan in scans], resamples=resamples)


def _statistic(of: Two, truth: Float64Array, scores: Float64Array, rows: Rows) -> float:
    return of(truth[rows], scores[rows])


def _change(of: Two, truth: Float64Array, before: Float64Array, after: Float64Array, rows: Rows) -> float:
    return of(truth[rows], after[rows]) - of(truth[rows], before[rows])


def _above_cut(truth: Float64Array, scores: Float64Array) -> float:
    return balanced_accuracy(dichotomised(truth, scores, CUT))

"""The figures of an evaluation of tiles: the localize paper's ROC panels and patch accuracy, and detection by d'."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy import stats

from infarct.evaluation.aspects_figures import RocCurve
from infarct.evaluation.drawing import panels, points
from infarct.evaluation.figures import COLOURS, GREY, Drawing
from infarct.evaluation.localize import LocalizeResult
from infarct.evaluation.localize_summary import (
    ALL,
    GROUPS,
    ONSETS,
    LocalizeSummary,
    Rates,
    TileFigures,
    TileScores,
    classed,
    members,
)
from infarct.evaluation.summary import DETECTABILITY
from infarct.evaluation.tables import number
from infarct.findings import INTENDED_USE
from infarct.measure.agreement import spearman
from infarct.measure.bootstrap import Interval
from infarct.measure.strata import UNKNOWN
from infarct.types import Float64Array

COLUMNS: Final = 4
"""ROC panels side by side: both onsets of two groups."""
SMALL_MM: Final = 15.0
"""The paper's bound between small and large infarcts, 1.5 cm."""
LEAST_FOR_TREND: Final = 5
BINS: Final = 10
LEAST_D: Final = 0.1
"""Lower d' are drawn here: the axis is logarithmic."""
_PLAIN: Final = FuncFormatter(lambda value, _: f"{value:g}")


def localize_figures(cases: Sequence[LocalizeResult], summary: LocalizeSummary) -> Iterator[Drawing]:
    """Yield every figure that the scans of one cohort, whose numbers are in ``summary``, have something to show in."""
    group = cases[0].about.group
    if members(cases, ALL):
        yield Drawing("roc_panels", roc_panels(cases, summary))
        yield Drawing("balanced_and_whole", balanced_and_whole(cases))
    tiled = [case for case in cases if case.patch_accuracy is not None and case.about.lesion_mm is not None]
    if tiled:
        yield Drawing("patch_accuracy", patch_accuracy(tiled))
    by_d = [one for one in summary.strata if (one.group, one.by) == (group, DETECTABILITY.name)]
    seen = [one for one in by_d if one.label != UNKNOWN]
    if seen:
        yield Drawing("detectability", by_detectability(cases, seen))


def roc_panels(cases: Sequence[LocalizeResult], summary: LocalizeSummary) -> Figure:
    """Return the paper's figure 2: the ROC of balanced tiles, by group of patients and time from onset."""
    rows = math.ceil(len(GROUPS) * len(ONSETS) / COLUMNS)
    figure = Figure(figsize=(3.3 * COLUMNS, 3.2 * rows), facecolor="white")
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.075, top=0.97, wspace=0.3, hspace=0.42)
    figure.text(0.008, 0.006, INTENDED_USE, fontsize=8, color=GREY)
    every = list(figure.subplots(rows, COLUMNS, squeeze=False).ravel())
    rates = {(one.label, one.onset): one.balanced for one in summary.groups if one.group == cases[0].about.group}
    for place, (group, onset) in enumerate(product(GROUPS, ONSETS)):
        title = f"({chr(ord('a') + place)}) {group}, {onset}"
        _roc_panel(every[place], members(cases, group, onset), rates.get((group, onset)), title)
    for axes in every[len(GROUPS) * len(ONSETS) :]:
        axes.set_axis_off()
    return figure


def _roc_panel(axes: Axes, cases: Sequence[LocalizeResult], rates: Rates | None, title: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 − specificity", ylabel="Sensitivity")
    axes.set_title(title, fontsize=9)
    axes.set_aspect("equal")
    tiles = TileScores.balanced(cases)
    patients = len(set(tiles.owner))
    words = f"n {patients}, {len(tiles.truth)} tiles"
    if rates is None or not tiles.truth.any() or tiles.truth.all():
        words = "no patients" if not cases else f"{words}\nof one kind only"
    else:
        axes.plot(*RocCurve(title, tiles.truth, tiles.scores).points, color=COLOURS[0], linewidth=1.5)
        found = rates.decisions
        where = [1 - found.specificity.estimate], [found.sensitivity.estimate]
        axes.scatter(*where, marker="s", s=26, color="black", zorder=4)
        words = f"AUC {_with_bounds(rates.ranking.auc)}\nAP {_with_bounds(rates.ranking.average_precision)}\n{words}"
    plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    axes.text(0.97, 0.04, words, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, bbox=plate)


def balanced_and_whole(cases: Sequence[LocalizeResult]) -> Figure:
    """Return ROC and precision-recall curves of balanced tiles and of whole slices; squares are the thresholds."""
    figure, (roc, recall) = panels(2, height=4.8)
    ill = members(cases, ALL)
    roc.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    kinds = {"balanced tiles": TileScores.balanced(ill), "whole slices": TileScores.whole(ill)}
    for (name, tiles), colour in zip(kinds.items(), COLOURS, strict=False):
        if not tiles.truth.any() or tiles.truth.all():
            continue
        wrong, found = RocCurve(name, tiles.truth, tiles.scores).points
        positives, negatives = np.count_nonzero(tiles.truth), np.count_nonzero(~tiles.truth)
        precision = found[1:] * positives / (found[1:] * positives + wrong[1:] * negatives)
        share = positives / (positives + negatives)
        roc.plot(wrong, found, color=colour, linewidth=1.6, label=name)
        recall.step(found[1:], precision, where="pre", color=colour, linewidth=1.4, label=name)
        recall.axhline(share, color=colour, linewidth=0.8, linestyle=":", label=f"chance, {number(100 * share, 1)} %")
        hits, slips = tiles.called[tiles.truth].mean(), tiles.called[~tiles.truth].mean()
        roc.scatter([slips], [hits], marker="s", s=40, color=colour, zorder=4)
        if hits:
            right = hits * positives / (hits * positives + slips * negatives)
            recall.scatter([hits], [right], marker="s", s=40, color=colour, zorder=4)
    roc.set(xlabel="1 − specificity", ylabel="Sensitivity", title="ROC", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    recall.set(xlabel="Sensitivity (recall)", ylabel="Precision", title="Precision and recall")
    recall.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    roc.legend(loc="lower right", fontsize=8, edgecolor="none")
    recall.legend(loc="best", fontsize=8, edgecolor="none")
    return figure


def patch_accuracy(cases: Sequence[LocalizeResult]) -> Figure:
    """Return the paper's figure 3: patch-level accuracy of small and of large infarcts, and over size with its trend.

    Small are those whose longest diameter in a slice is at most 1.5 cm, as measured in the mask.
    """
    figure, axes = panels(3, height=4.6)
    sizes_mm = np.array([case.about.lesion_mm for case in cases], dtype=np.float64)
    percent = 100 * np.array([case.patch_accuracy for case in cases], dtype=np.float64)
    small = sizes_mm <= SMALL_MM
    for panel, chosen, name in ((axes[0], small, "at most 1.5 cm"), (axes[1], ~small, "more than 1.5 cm")):
        _histogram(panel, percent[chosen], name)
    scatter = axes[2]
    scatter.scatter(sizes_mm / 10, percent, color=COLOURS[0], s=20, alpha=0.6, linewidths=0)
    scatter.axvline(SMALL_MM / 10, color=GREY, linewidth=0.8, linestyle=":")
    _logarithmic(scatter)
    _trend(scatter, sizes_mm / 10, percent)
    scatter.set(xlabel="Longest diameter of the infarct, cm", ylabel="Patch-level accuracy, %", ylim=(-3, 103))
    scatter.set_title("Accuracy over size")
    return figure


def _histogram(axes: Axes, percent: Float64Array, name: str) -> None:
    counts, _, bars = axes.hist(
        percent, bins=np.linspace(0, 100, BINS + 1).tolist(), color=COLOURS[0], edgecolor="white"
    )
    axes.bar_label(bars, labels=[str(int(count)) if count else "" for count in np.ravel(counts)], fontsize=8, padding=2)  # type: ignore[arg-type]
    axes.set(xlabel="Patch-level accuracy, %", ylabel="Patients", xlim=(0, 100))
    axes.set_ylim(0, max(1.0, 1.15 * float(np.max(counts))))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    words = "no patients"
    if len(percent):
        high = np.count_nonzero(percent >= 70)
        words = f"{np.count_nonzero(percent == 100)} with 100 %, {high} with ≥ 70 %"
    axes.set_title(f"{name}: {len(percent)} patients\n{words}", fontsize=10)


def _trend(axes: Axes, sizes_cm: Float64Array, percent: Float64Array) -> None:
    """Draw the least-squares line over the logarithm of the size."""
    if len(percent) < LEAST_FOR_TREND or not np.ptp(sizes_cm):
        return
    slope, level = np.polyfit(np.log10(sizes_cm), percent, 1)
    ends = np.array([sizes_cm.min(), sizes_cm.max()])
    rank = spearman(sizes_cm, percent).statistic
    label = f"trend: {number(float(slope), 0)} points a tenfold size; Spearman {number(rank, 2)}"
    axes.plot(ends, slope * np.log10(ends) + level, color=COLOURS[1], linewidth=1.6, label=label)
    axes.legend(loc="lower right", fontsize=8, edgecolor="none")


def by_detectability(cases: Sequence[LocalizeResult], classes: Sequence[TileFigures]) -> Figure:
    """Return the AUC of balanced tiles and the share of patients detected against the ideal observer's d'.

    The observer sees the whole infarct and knows where to look, so the AUC of single tiles may lie far below its own.
    """
    figure, (auc, found) = panels(2, height=4.8)
    members_of = classed(cases, DETECTABILITY.name)
    seen = [[case.about.detectability or 0.0 for case in members_of[one.label]] for one in classes]
    places = [max(float(np.median(values)), LEAST_D) for values in seen]
    ideal = np.geomspace(LEAST_D, max(10.0, *places), 80)
    auc.plot(ideal, stats.norm.cdf(ideal / math.sqrt(2)), color=GREY, linewidth=1.2, label="ideal observer, whole scan")
    kinds = {"balanced tiles": [one.balanced for one in classes], "whole slices": [one.whole for one in classes]}
    for look, (name, rates) in enumerate(kinds.items()):
        values = [one.ranking.auc for one in rates]
        points(auc, values, places, horizontal=False, label=name, look=look, joined=True)
    shares = {
        "an infarct tile called (balanced)": [one.recognised for one in classes],
        "a cluster touches it (whole slices)": [one.found for one in classes],
    }
    for look, (name, values) in enumerate(shares.items()):
        points(found, values, places, horizontal=False, label=name, look=look, joined=True)
    auc.axhline(0.5, color=GREY, linewidth=0.7, linestyle=":")
    auc.set(ylabel="ROC AUC of tiles", ylim=(-0.03, 1.03), title="What can be seen, and what is ranked")
    found.set(ylabel="Patients detected", ylim=(-0.03, 1.11), title="What is found")
    for axes in (auc, found):
        _logarithmic(axes)
        axes.set(xlabel="Ideal observer's d', median of a class", xlim=(0.8 * ideal[0], 1.25 * ideal[-1]))
        axes.legend(loc="lower right" if axes is auc else "center left", fontsize=8, edgecolor="none")
    for one, place in zip(classes, places, strict=True):
        found.annotate(f"n {one.patients}", (place, 1.04), ha="center", fontsize=8, color=GREY)
    return figure


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _with_bounds(value: Interval) -> str:
    if math.isnan(value.low):
        return number(value.estimate, 2)
    return f"{number(value.estimate, 2)} ({number(value.low, 2)} to {number(value.high, 2)})"

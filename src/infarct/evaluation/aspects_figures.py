"""The ASPECTS paper's three charts of two readings (its figure 4 b and d): boxes, Bland-Altman, histogram; and the ROC.

Scores are whole numbers, so many patients share a point: the area of a dot is the number of its patients.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from infarct.evaluation.figures import COLOURS, GREY, MARKERS, Drawing
from infarct.evaluation.tables import number
from infarct.findings import INTENDED_USE
from infarct.measure.agreement import bland_altman, icc, roc_auc, spearman
from infarct.types import BoolArray, Float64Array

BEST: Final = 10
"""The ASPECTS of a hemisphere without infarct."""
COLOUR: Final = COLOURS[0]
LIMIT_COLOUR: Final = COLOURS[1]
LARGEST_DOT: Final = 320.0
"""Area in points squared of the dot of most patients."""
DOT: Final[dict[str, Any]] = {"color": COLOUR, "alpha": 0.6, "linewidths": 0}


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Probabilities (n,) for what is true or not (bool, (n,)), as the chart calls them; at least one of each kind.

    Raises `ValueError` where they differ in number or only one kind is there.
    """

    name: str
    truth: BoolArray
    probability: Float64Array

    def __post_init__(self) -> None:
        if self.truth.shape != self.probability.shape or self.truth.all() or not self.truth.any():
            raise ValueError("a ROC curve needs positives and negatives, each with a probability")

    @property
    def points(self) -> tuple[Float64Array, Float64Array]:
        """Shares of false and of true positives, each rising from 0 to 1; equal probabilities are one step."""
        order = np.argsort(-self.probability, kind="stable")
        truth, ordered = self.truth[order], self.probability[order]
        last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
        found, wrong = (np.r_[0, np.cumsum(kind)[last]] / kind.sum() for kind in (truth, ~truth))
        return wrong, found


@dataclass(frozen=True)
class RocPoint:
    """A judge who says yes or no: one point of the chart."""

    name: str
    sensitivity: float
    specificity: float


@dataclass(frozen=True, eq=False)
class ScorePair:
    """Two readings of the same patients: ASPECTS 0-10 (n,), at least one, and what the charts call them.

    Raises `ValueError` for scores that are not whole numbers from 0 to 10, or that differ in number.
    """

    reference: npt.NDArray[np.intp]
    scores: npt.NDArray[np.intp]
    reference_name: str = "Reference"
    scores_name: str = "Automatic"

    def __post_init__(self) -> None:
        if self.reference.ndim != 1 or self.reference.shape != self.scores.shape or not len(self.reference):
            raise ValueError("the readings differ in number or are none")
        for scores in (self.reference, self.scores):
            if not np.issubdtype(scores.dtype, np.integer) or scores.min() < 0 or scores.max() > BEST:
                raise ValueError(f"ASPECTS are whole numbers from 0 to {BEST}")

    @property
    def differences(self) -> npt.NDArray[np.intp]:
        """The scores less the reference, (n,)."""
        return self.scores.astype(np.intp) - self.reference.astype(np.intp)


def aspects_figures(pair: ScorePair) -> tuple[Drawing, ...]:
    """Return the three charts of two readings."""
    return (
        Drawing("aspects_boxes", score_boxes(pair)),
        Drawing("aspects_bland_altman", score_agreement(pair)),
        Drawing("aspects_differences", score_differences(pair)),
    )


def roc(curves: Sequence[RocCurve], points: Sequence[RocPoint], *, title: str) -> Figure:
    """Return ROC curves with the area under each, and judges who give no probability as points among them."""
    figure, axes = _panel()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
    for curve, colour in zip(curves, cycle(COLOURS), strict=False):
        label = f"{curve.name}: AUC {number(roc_auc(curve.truth, curve.probability), 3)}"
        axes.plot(*curve.points, color=colour, linewidth=1.6, label=label)
    for point, marker in zip(points, cycle(MARKERS), strict=False):
        where = [1 - point.specificity], [point.sensitivity]
        axes.scatter(*where, marker=marker, s=52, color="black", zorder=4, label=point.name)
    axes.set(
        xlabel="1 − specificity", ylabel="Sensitivity", title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02),
    )  # fmt: skip
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def score_boxes(pair: ScorePair) -> Figure:
    """Return a box of the scores at each score of the reference, every patient a dot: quartiles, whiskers to 1.5."""
    figure, axes = _panel()
    axes.plot([0, BEST], [0, BEST], color=GREY, linewidth=0.9)
    for score in np.unique(pair.reference):
        values = pair.scores[pair.reference == score]
        drawn = axes.boxplot(values, positions=[score], widths=0.7, showfliers=False, manage_ticks=False)
        for part in ("boxes", "whiskers", "caps"):
            for line in drawn[part]:
                line.set(color=COLOUR, linewidth=1.3)
        for line in drawn["medians"]:
            line.set(color=LIMIT_COLOUR, linewidth=2.2, zorder=4)
        axes.scatter(*_spread_out(score, values), s=11, zorder=3, **DOT)
        axes.annotate(str(len(values)), (score, BEST + 0.6), ha="center", va="bottom", fontsize=8, color=COLOUR)
    absolute, rank = icc(np.stack([pair.reference, pair.scores], axis=1), "absolute"), spearman(*_readings(pair))
    bounds = " to ".join(number(bound, 2) for bound in (absolute.low, absolute.high))
    words = f"ICC(A,1) {number(absolute.estimate, 2)} ({bounds})\nSpearman {number(rank.statistic, 2)}"
    axes.text(0.98, 0.03, words, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)
    axes.set(
        xlabel=f"{pair.reference_name}: ASPECTS", ylabel=f"{pair.scores_name}: ASPECTS", title="Score against score",
        xlim=(-0.6, BEST + 0.6), ylim=(-0.6, BEST + 1.2),
    )  # fmt: skip
    axes.set_xticks(range(BEST + 1))
    axes.set_yticks(range(BEST + 1))
    return figure


def score_agreement(pair: ScorePair) -> Figure:
    """Return the differences against the means of both readings, with mean and limits (Bland and Altman, 1986)."""
    figure, axes = _panel()
    means = (pair.reference + pair.scores) / 2
    dots = Counter(zip(means.tolist(), pair.differences.tolist(), strict=True))
    most = max(dots.values())
    places = np.array(list(dots))
    axes.scatter(places[:, 0], places[:, 1], s=[LARGEST_DOT * n / most for n in dots.values()], zorder=3, **DOT)
    for shown in sorted({1, most}):
        axes.scatter([], [], s=LARGEST_DOT * shown / most, label=f"{shown} patient{'s' * (shown > 1)}", **DOT)
    found = bland_altman(*_readings(pair))
    axes.axhline(0, color=GREY, linewidth=0.9)
    axes.axhline(found.mean.estimate, color=LIMIT_COLOUR, linewidth=1.4, label=f"mean {number(found.mean.estimate, 2)}")
    limits = f"limits {number(found.low, 2)} to {number(found.high, 2)}"
    for limit, label in ((found.low, limits), (found.high, None)):
        axes.axhline(limit, color=LIMIT_COLOUR, linewidth=1.0, linestyle="--", label=label)
    _centre(axes, [*pair.differences, found.low, found.high])
    axes.set(
        xlabel="Mean of both", ylabel=_difference(pair), title="Bland-Altman: mean and 95 % limits",
        xlim=(-0.6, BEST + 0.6),
    )  # fmt: skip
    axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def score_differences(pair: ScorePair) -> Figure:
    """Return how many patients differ by how much, with the shares that are equal and within one point."""
    figure, axes = _panel()
    differences = pair.differences
    reach = max(3, int(np.abs(differences).max()))
    places = np.arange(-reach, reach + 1)
    counts = (differences == places[:, None]).sum(axis=1)
    bars = axes.bar(places, counts, width=0.8, color=[COLOUR if place == 0 else COLOURS[4] for place in places])
    axes.bar_label(bars, labels=[str(n) if n else "" for n in counts], fontsize=8, padding=2)
    equal, near = (100 * float(np.mean(np.abs(differences) <= within)) for within in (0, 1))
    axes.set(
        xlabel=_difference(pair), ylabel="Patients", xlim=(-reach - 0.7, reach + 0.7),
        title=f"Differences: {equal:.0f} % equal, {near:.0f} % within 1",
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=21))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.1)
    return figure


def _readings(pair: ScorePair) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return pair.reference, pair.scores


def _difference(pair: ScorePair) -> str:
    return f"{pair.scores_name} − {pair.reference_name}, points"


def _spread_out(place: int, values: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return where the dots of a box stand: those of one score side by side about ``place``, at most the box wide."""
    ordered = np.sort(values)
    _, counts = np.unique(ordered, return_counts=True)
    beside = np.concatenate([np.arange(count) - (count - 1) / 2 for count in counts])
    return place + beside * min(0.08, 0.6 / counts.max()), ordered


def _centre(axes: Axes, differences: Iterable[float]) -> None:
    """Let the differences reach as far up as down, and at least three points."""
    reach = max(3.0, float(np.nanmax(np.abs(np.fromiter(differences, dtype=np.float64))))) + 0.8
    axes.set_ylim(-reach, reach)


def _panel() -> tuple[Figure, Axes]:
    """Return a figure of one panel, with room below for what it may be used for."""
    figure = Figure(figsize=(6.0, 4.9), facecolor="white")
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0.045, 1, 0.955)))
    figure.text(0.008, 0.012, INTENDED_USE, fontsize=8, color=GREY)
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes

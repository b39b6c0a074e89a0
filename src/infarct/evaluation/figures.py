"""The figures of a segmentation's evaluation; each says what it may be used for.

Colours are those of Okabe and Ito; every cohort also has a marker of its own.
"""

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, PercentFormatter

from infarct.evaluation.segment import CaseResult
from infarct.evaluation.summary import STRATA, GroupCalibration, classed, grouped
from infarct.evaluation.tables import number
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import patient_bootstrap
from infarct.measure.strata import LESION_VOLUME, ONSET
from infarct.types import Float64Array

DOTS_PER_INCH: Final = 120
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS: Final = ("o", "^", "s", "D", "v", "P")
GREY: Final = "#666666"
LEAST_A_CLASS: Final = 8
"""Scans a class of d' has at least; fewer would draw noise as a curve."""
MOST_CLASSES: Final = 6


Styles: TypeAlias = Mapping[str, dict[str, Any]]
"""What matplotlib's `scatter` takes, by cohort."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure under the name of its file."""

    name: str
    figure: Figure


def segment_figures(results: Sequence[CaseResult], calibrations: Sequence[GroupCalibration]) -> tuple[Drawing, ...]:
    """Return every figure that the results have something to show in."""
    styles = styles_of(grouped(results))
    lesions = [case for case in results if case.has_lesion]
    free = [case for case in results if not case.has_lesion]
    simulated = [case for case in lesions if math.isfinite(case.about.detectability)]
    drawings = []
    if lesions:
        drawings += [
            Drawing("dice_by_volume", dice_by_volume(lesions, styles)),
            Drawing("volume_agreement", volume_agreement(lesions, styles)),
            Drawing("strata", boxes_by_stratum(lesions, styles)),
        ]
    if free:
        drawings.append(Drawing("lesion_free", lesion_free(free, styles)))
    if calibrations:
        drawings.append(Drawing("calibration", calibration(calibrations, styles)))
    if simulated:
        drawings.append(Drawing("detectability", by_detectability(simulated, styles)))
    return tuple(drawings)


def styles_of(groups: Iterable[str]) -> Styles:
    """Return how each cohort is drawn, the same in every figure."""
    looks = zip(groups, cycle(COLOURS), cycle(MARKERS), strict=False)
    return {group: {"color": c, "marker": m, "s": 22, "alpha": 0.7, "linewidths": 0} for group, c, m in looks}


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, with neither time nor version in it: same results, same bytes."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def dice_by_volume(cases: Sequence[CaseResult], styles: Styles) -> Figure:
    """Return the Dice of every scan with a lesion against its volume."""
    figure, (axes,) = _panels(1)
    for group, members in grouped(cases).items():
        style = styles[group]
        volumes_ml = [case.truth_ml for case in members]
        mean = float(np.mean([case.counts.dice for case in members]))
        axes.scatter(volumes_ml, [case.counts.dice for case in members], label=f"{group}: mean {mean:.2f}", **style)
    _logarithmic(axes)
    axes.set(xlabel="True lesion volume, ml", ylabel="Dice", ylim=(-0.03, 1.03), title="Dice against lesion volume")
    for bound in LESION_VOLUME.bounds:
        axes.axvline(bound, color=GREY, linewidth=0.7, linestyle=":")
    _legend(axes)
    return figure


def volume_agreement(cases: Sequence[CaseResult], styles: Styles) -> Figure:
    """Return predicted against true volume, and their difference against their mean (Bland and Altman, 1986)."""
    figure, (plain, difference) = _panels(2)
    for group, members in grouped(cases).items():
        style = styles[group]
        truth, found = (np.array([getattr(c, name) for c in members]) for name in ("truth_ml", "predicted_ml"))
        plain.scatter(truth, found, label=group, **style)
        difference.scatter((truth + found) / 2, found - truth, **style)
        _limits(difference, found - truth, group, style["color"])
    most = max(max(case.truth_ml, case.predicted_ml) for case in cases) * 1.2
    plain.plot([0, most], [0, most], color=GREY, linewidth=0.9)
    for axis in ("x", "y"):
        getattr(plain, f"set_{axis}scale")("symlog", linthresh=1.0)
        getattr(plain, f"set_{axis}lim")(-0.1, most)
        getattr(plain, f"{axis}axis").set_major_formatter(_PLAIN)
    plain.set(xlabel="True volume, ml", ylabel="Predicted volume, ml", title="Predicted and true volume")
    difference.set(
        xlabel="Mean of both, ml", ylabel="Predicted less true, ml", title="Bland-Altman: mean and 95 % limits"
    )
    difference.axhline(0, color=GREY, linewidth=0.9)
    _legend(plain)
    _legend(difference)
    return figure


def boxes_by_stratum(cases: Sequence[CaseResult], styles: Styles) -> Figure:
    """Return box plots of the Dice by lesion volume and by time from onset: quartiles, whiskers to 1.5 times them."""
    known = [strata for strata in (LESION_VOLUME, ONSET) if any(math.isfinite(STRATA[strata](c)) for c in cases)]
    figure, panels = _panels(len(known))
    groups = grouped(cases)
    for axes, strata in zip(panels, known, strict=True):
        labels = list(classed(cases, strata))
        width = 0.8 / len(groups)
        for place, (group, members) in enumerate(groups.items()):
            classes = classed(members, strata)
            for position, label in enumerate(labels):
                where = position + (place - (len(groups) - 1) / 2) * width
                _box(axes, [case.counts.dice for case in classes.get(label, [])], where, 0.85 * width, styles[group])
        axes.set_xticks(range(len(labels)), labels)
        axes.set(ylabel="Dice", ylim=(-0.03, 1.12), title=f"Dice by {strata.name}", xlim=(-0.5, len(labels) - 0.5))
        axes.set_yticks(np.linspace(0, 1, 6))
    for group in groups:
        panels[0].scatter([], [], label=group, **styles[group])
    _legend(panels[0])
    return figure


def lesion_free(cases: Sequence[CaseResult], styles: Styles) -> Figure:
    """Return how much was marked in scans without a lesion: the share of scans with at most so many ml."""
    figure, (axes,) = _panels(1)
    for group, members in grouped(cases).items():
        style = styles[group]
        marked = np.sort([case.false_positive_ml for case in members])
        share = np.arange(1, len(marked) + 1) / len(marked)
        label = f"{group}: median {float(np.median(marked)):.1f} ml"
        axes.step(np.r_[0, marked], np.r_[0, share], where="post", color=style["color"], label=label)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(
        xlabel="Wrongly marked volume, ml",
        ylabel="Scans with at most this",
        ylim=(0, 1.02),
        title="Scans without an acute lesion",
    )
    axes.set_xlim(left=0)
    _legend(axes, place="lower right")
    return figure


def calibration(groups: Sequence[GroupCalibration], styles: Styles) -> Figure:
    """Return observed against predicted frequency of lesion in voxels, and how many voxels stand behind each bin."""
    figure, (plain, counts) = _panels(2)
    plain.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
    for one in groups:
        sums, style = one.reliability, styles[one.group]
        error = sums.expected_calibration_error(first_bin=1)
        label = f"{one.group}: error {error:.3f} above the lowest bin"
        line = {"color": style["color"], "marker": style["marker"]}
        plain.plot(sums.mean_probability, sums.observed, markersize=5, linewidth=1.2, label=label, **line)
        filled = [count or math.nan for count in sums.voxels]
        counts.plot(sums.mean_probability, filled, markersize=5, linewidth=1.2, **line)
    plain.set(
        xlabel="Predicted probability", ylabel="Share of voxels that are lesion", title="Calibration of voxels",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    counts.set_yscale("log")
    counts.set(xlabel="Predicted probability", ylabel="Voxels", title="Voxels behind each point", xlim=(0, 1))
    _legend(plain)
    return figure


def by_detectability(cases: Sequence[CaseResult], styles: Styles) -> Figure:
    """Return sensitivity for voxels and for patients against the ideal observer's d', with 95 % bands."""
    figure, panels = _panels(2)
    shown: tuple[tuple[Axes, str, Callable[[CaseResult], float]], ...] = (
        (panels[0], "Share of the lesion found (sensitivity)", lambda case: case.counts.sensitivity),
        (panels[1], "Scans with a lesion found", lambda case: float(case.lesions.tp > 0)),
    )
    for axes, title, of in shown:
        for group, members in grouped(cases).items():
            style = styles[group]
            values = [of(case) for case in members]
            places = [max(case.about.detectability, 0.1) for case in members]
            axes.scatter(places, values, **(style | {"alpha": 0.35, "s": 14}))
            _band(axes, members, of, style, label=group)
        _logarithmic(axes)
        axes.set(xlabel="Ideal observer's d'", ylabel=title, ylim=(-0.03, 1.03))
        axes.axvline(1.0, color=GREY, linewidth=0.7, linestyle=":")
    panels[0].set_title("What can be seen, and what is found")
    panels[1].set_title("Classes of equal size, 95 % bands")
    _legend(panels[0])
    return figure


def _band(
    axes: Axes, cases: Sequence[CaseResult], of: Callable[[CaseResult], float], style: dict[str, Any], *, label: str
) -> None:
    """Draw the mean and its 95 % band over classes of d' of equal size."""
    ordered = sorted(cases, key=lambda case: case.about.detectability)
    classes = min(MOST_CLASSES, len(ordered) // LEAST_A_CLASS)
    if not classes:
        return
    middle, mean, low, high = [], [], [], []
    for part in np.array_split(np.arange(len(ordered)), classes):
        members = [ordered[index] for index in part]
        found = patient_bootstrap([of(case) for case in members], [case.about.patient for case in members])
        middle.append(float(np.median([max(case.about.detectability, 0.1) for case in members])))
        mean.append(found.estimate)
        low.append(found.low)
        high.append(found.high)
    axes.fill_between(middle, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axes.plot(middle, mean, color=style["color"], marker=style["marker"], markersize=5, linewidth=1.6, label=label)


def _limits(axes: Axes, differences: Float64Array, group: str, colour: str) -> None:
    """Draw mean difference and limits of agreement, mean ± 1.96 SD; the legend says what they are."""
    if len(differences) < 2:
        return
    mean, reach = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    words = " to ".join(number(limit, 0) for limit in (mean - reach, mean + reach))
    axes.axhline(mean, color=colour, linewidth=1.4, label=f"{group}: {number(mean, 1)} ({words}) ml")
    for limit in (mean - reach, mean + reach):
        axes.axhline(limit, color=colour, linewidth=1.0, linestyle="--")


def _box(axes: Axes, values: Sequence[float], where: float, width: float, style: dict[str, Any]) -> None:
    if not values:
        return
    drawn = axes.boxplot(values, positions=[where], widths=width, showfliers=False, manage_ticks=False)
    for part in ("boxes", "whiskers", "caps", "medians"):
        for line in drawn[part]:
            line.set(color=style["color"], linewidth=1.3)
    spots = where + width * np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [where]
    axes.scatter(spots, values, **(style | {"s": 9, "alpha": 0.45}))
    axes.annotate(str(len(values)), (where, 1.05), ha="center", va="bottom", fontsize=8, color=style["color"])


_PLAIN: Final = FuncFormatter(lambda value, _: f"{value:g}")


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_PLAIN)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels side by side, with room below for what it may be used for."""
    figure = Figure(figsize=(5.6 * count + 0.4, 4.6), facecolor="white")
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0.045, 1, 0.955)))
    figure.text(0.008, 0.012, INTENDED_USE, fontsize=8, color=GREY)
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in panels:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _legend(axes: Axes, *, place: Literal["best", "lower right"] = "best") -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")

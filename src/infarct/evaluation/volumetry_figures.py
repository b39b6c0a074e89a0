"""The figures of an evaluation of volumetry, after those of the paper: densities, volumes, their agreement."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infarct.evaluation.drawing import panels
from infarct.evaluation.figures import COLOURS, GREY, MARKERS, Drawing
from infarct.evaluation.tables import number
from infarct.evaluation.volumetry import FollowupResults
from infarct.evaluation.volumetry_pictures import STYLES
from infarct.evaluation.volumetry_summary import (
    VolumePairs,
    limits_of_agreement,
    of_class,
    weighted_bias,
    weighted_icc,
    with_infarct,
)
from infarct.measure.severity import SEVERITIES, SEVERITY_HU

BIN_HU: Final = 1.0
HEIGHT: Final = 4.6
Draw: TypeAlias = Callable[[Axes, VolumePairs, str, int], None]
"""Draws what networks of a name told of some scans, in the look of a number."""


def volumetry_figures(cases: Sequence[FollowupResults]) -> Iterator[Drawing]:
    """Yield every figure that the scans of one cohort have something to show in."""
    if any(case.about.mean_hu is not None for case in with_infarct(cases)):
        yield Drawing("densities", densities(cases))
    if with_infarct(cases):
        yield Drawing("volumes", by_class(cases, _scatter))
        yield Drawing("bland_altman", by_class(cases, _bland_altman))


def densities(cases: Sequence[FollowupResults]) -> Figure:
    """Return how many infarcts have which mean density without blood, over the classes."""
    figure, (axes,) = panels(1, height=HEIGHT)
    means = np.array([case.about.mean_hu for case in with_infarct(cases) if case.about.mean_hu is not None])
    low, high = np.floor(min(means.min(), 14.0)), np.ceil(max(means.max(), 44.0))
    for name, style in zip(SEVERITIES, STYLES, strict=False):
        count = len(of_class(cases, name))
        axes.axvspan(*SEVERITY_HU[name], color=style.colour, alpha=0.18, linewidth=0, label=f"{name}: {count}")
    axes.hist(means, bins=np.arange(low, high + BIN_HU, BIN_HU).tolist(), color=GREY, edgecolor="white")
    axes.set(xlabel="Mean density of the infarct without blood, HU", ylabel="Scans", title="How dark infarcts are")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="best", fontsize=8, edgecolor="none")
    return figure


def by_class(cases: Sequence[FollowupResults], draw: Draw) -> Figure:
    """Return a panel for each class, all networks in each."""
    figure, every = panels(len(SEVERITIES), height=HEIGHT)
    for axes, name in zip(every, SEVERITIES, strict=True):
        members = of_class(cases, name)
        axes.set_title(f"{name}: {len(members)} scans")
        for look, method in enumerate(cases[0].by_method if members else ()):
            draw(axes, VolumePairs.of(members, method), method, look)
        if members:
            axes.legend(loc="best", fontsize=8, edgecolor="none")
    return figure


def _scatter(axes: Axes, pairs: VolumePairs, method: str, look: int) -> None:
    weights = np.ones(len(pairs.dice))
    icc = number(weighted_icc(pairs, weights, "absolute"), 2)
    axes.scatter(pairs.truth_ml, pairs.found_ml, label=f"{method}: ICC(A,1) {icc}", **_dots(look))
    end = 1.05 * max(float(np.max([pairs.truth_ml, pairs.found_ml])), axes.get_xlim()[1] if look else 1.0)
    if not look:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, transform=axes.transAxes)
    axes.set(xlabel="True volume, ml", ylabel="Told volume, ml", xlim=(0, end), ylim=(0, end))


def _bland_altman(axes: Axes, pairs: VolumePairs, method: str, look: int) -> None:
    weights, colour = np.ones(len(pairs.dice)), COLOURS[look]
    bias, (low, high) = weighted_bias(pairs, weights), limits_of_agreement(pairs, weights)
    axes.scatter((pairs.truth_ml + pairs.found_ml) / 2, pairs.found_ml - pairs.truth_ml, **_dots(look))
    words = f"{method}: {number(bias, 1)} ({number(low, 1)} to {number(high, 1)}) ml"
    axes.axhline(bias, color=colour, linewidth=1.4, label=words)
    for limit in (low, high):
        axes.axhline(limit, color=colour, linewidth=1.0, linestyle="--")
    axes.axhline(0, color=GREY, linewidth=0.7)
    axes.set(xlabel="Mean of both volumes, ml", ylabel="Told less true volume, ml")


def _dots(look: int) -> dict[str, Any]:
    return {"color": COLOURS[look], "marker": MARKERS[look], "alpha": 0.6, "linewidths": 0, "s": 22}

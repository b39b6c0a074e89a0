"""One look for figures that compare: panels side by side, and estimates with their intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from infarct.evaluation.figures import COLOURS, GREY, MARKERS
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import Interval


def panels(count: int = 1, *, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels side by side, ``height`` inches, with room below for what it may be used for."""
    figure = Figure(figsize=(7.2 if count == 1 else 5.2 * count, height), facecolor="white")
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0.06, 1, 0.94)))
    figure.text(0.008, 0.012, INTENDED_USE, fontsize=8, color=GREY)
    found = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in found:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, found


def points(
    axes: Axes,
    values: Sequence[Interval],
    places: Sequence[float],
    *,
    horizontal: bool,
    label: str = "here",
    look: int = 0,
    joined: bool = False,
) -> None:
    """Draw estimates with their intervals, at ``places`` on the other axis; without an interval the estimate alone.

    ``look`` numbers colour and marker; ``joined`` draws a line through the estimates.
    """
    estimates = np.array([value.estimate for value in values])
    reach = np.nan_to_num([[v.estimate - v.low for v in values], [v.high - v.estimate for v in values]]).clip(min=0)
    style: dict[str, Any] = {"color": COLOURS[look], "capsize": 3, "label": label}
    style["fmt"] = MARKERS[look] + ("-" if joined else "")
    if horizontal:
        axes.errorbar(estimates, places, xerr=reach, **style)
    else:
        axes.errorbar(places, estimates, yerr=reach, **style)

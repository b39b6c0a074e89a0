"""The flow chart of a cohort: how many were screened, left out and why, and taken in."""

import io
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from infarct.cohorts.flow import Flow
from infarct.findings import INTENDED_USE

DOTS_PER_INCH: Final = 120
STEP: Final = 1.0
"""Height of a step of the chart, in inches; a reason more takes `LINE`."""
LINE: Final = 0.19
WIDTH: Final = 8.4
MAIN, ASIDE = 2.1, 4.3
"""Middle of the boxes on the left, and left edge of those on the right, in inches."""
_BOX: Final[dict[str, Any]] = {"boxstyle": "square,pad=0.5", "facecolor": "white", "edgecolor": "#333333"}
_ARROW: Final[dict[str, Any]] = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.0, "shrinkA": 0, "shrinkB": 2}


def draw_flow(flow: Flow) -> bytes:
    """Return a PNG: boxes from the screened above to those taken in below, and beside the line those left out."""
    steps = [(column, reasons) for column in flow.applied if (reasons := flow.left_out(column))]
    heights = [STEP + LINE * (len(reasons) - 1) for _, reasons in steps]
    total = (sum(heights) or STEP) + 1.7
    figure = Figure(figsize=(WIDTH, total), dpi=DOTS_PER_INCH, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, total)
    axes.set_axis_off()
    place, rest = total - 0.5, len(flow.decisions)
    _main_box(axes, place, "Screened", rest)
    for height, (_, reasons) in zip(heights, steps, strict=True):
        after = place - height
        _arrow(axes, (MAIN, place - 0.3), (MAIN, after + 0.3))
        middle = (place + after) / 2
        _arrow(axes, (MAIN, middle), (ASIDE - 0.12, middle))
        axes.text(ASIDE, middle, _reasons(reasons), va="center", fontsize=9, bbox=_BOX, parse_math=False)
        place, rest = after, rest - sum(reasons.values())
        _main_box(axes, place, "Included" if rest == flow.included else "Remaining", rest)
    if not steps:
        _arrow(axes, (MAIN, place - 0.3), (MAIN, place - STEP + 0.3))
        _main_box(axes, place - STEP, "Included", rest)
    axes.text(0.2, 0.12, _footnote(flow), fontsize=7.5, color="#666666", va="bottom")
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _main_box(axes: Axes, height: float, name: str, count: int) -> None:
    axes.text(MAIN, height, f"{name}\nn = {count}", ha="center", va="center", fontsize=10, bbox=_BOX)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops=_ARROW)


def _reasons(reasons: dict[str, int]) -> str:
    lines = [f"Left out: n = {sum(reasons.values())}", *(f"{why}: {count}" for why, count in reasons.items())]
    return "\n".join(lines)


def _footnote(flow: Flow) -> str:
    absent = f"Not in the table, so not applied: {', '.join(flow.not_applied)}. " if flow.not_applied else ""
    return f"{absent}\n{INTENDED_USE}".strip()

"""One picture of the reference standard, to be looked at: core and penumbra on the CT, and relative flow."""

import io
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from infarct.preprocess.head import Head
from infarct.reference.perfusion import PerfusionReference
from infarct.types import BoolArray
from infarct.volume import Geometry
from infarct.writers.panels import Field, head_field

SLICES: Final = 6
DOTS_PER_INCH: Final = 100
WINDOW_HU: Final = (0.0, 80.0)
HIGHEST_RATIO: Final = 1.5
CORE_COLOUR: Final = "#ff7a2e"
PENUMBRA_COLOUR: Final = "#f0e442"
"""Of Okabe and Ito, lightened for a black background; the penumbra's outline is dashed as well."""


def draw_reference(head: Head, found: PerfusionReference) -> bytes:
    """Return a PNG: six slices from below upwards, the CT above and flow against the other side below.

    The patient's right is on the left.
    """
    lesion = found.penumbra if found.penumbra is not None and found.penumbra.any() else found.core
    levels = spread_levels(head.brain, lesion)
    field = head_field(head.brain, head.geometry.pixel_spacing_mm_yx)
    figure = Figure(figsize=(2.3 * len(levels), 6.2), dpi=DOTS_PER_INCH, facecolor="black")
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    grid = figure.add_gridspec(2, len(levels), left=0.01, right=0.99, bottom=0.09, top=0.94, wspace=0.02, hspace=0.03)
    colours: Any = None
    for column, k in enumerate(levels):
        upper, lower = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        upper.imshow(field.cut(head.hu[k], -1000.0), cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], origin="upper")
        ratio = np.ma.masked_invalid(field.cut(found.relative_cbf[k], np.nan))
        colours = lower.imshow(ratio, cmap="viridis", vmin=0.0, vmax=HIGHEST_RATIO, origin="upper")
        for axes in (upper, lower):
            _outline(axes, found, k, field)
            mark_sides(axes, head.geometry)
    scale = figure.colorbar(colours, cax=figure.add_axes((0.30, 0.065, 0.40, 0.015)), orientation="horizontal")
    scale.ax.tick_params(colors="white", labelsize=8)
    scale.set_label("CBF against the other side", color="white", fontsize=8, labelpad=1)
    figure.text(0.5, 0.965, _caption(found), color="white", ha="center", va="center", fontsize=10)
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _caption(found: PerfusionReference) -> str:
    late = "no Tmax" if found.penumbra_ml is None else f"Tmax > 6 s {found.penumbra_ml:.0f} ml (dashed)"
    scores = ", ".join(f"{s.side} {s.score if s.score is not None else f'{s.least}-{s.most}'}" for s in found.scores)
    return f"Core {found.core_ml:.1f} ml, {late}. ASPECTS {scores or 'not judged'}. Research use only."


def spread_levels(brain: BoolArray, lesion: BoolArray) -> list[int]:
    """Return slices spread over the lesion and a little beyond; over the brain where there is none."""
    present = np.flatnonzero((lesion if lesion.any() else brain).any(axis=(1, 2)))
    low, high = present[0], present[-1]
    if high - low < SLICES:
        low, high = max(low - SLICES // 2, 0), min(high + SLICES // 2, len(brain) - 1)
    places = low + (np.arange(SLICES) + 0.5) / SLICES * (high - low)
    return sorted({round(float(place)) for place in places})


def _outline(axes: Axes, found: PerfusionReference, k: int, field: Field) -> None:
    for mask, colour, style in ((found.penumbra, PENUMBRA_COLOUR, "dashed"), (found.core, CORE_COLOUR, "solid")):
        if mask is not None and mask[k].any():
            part = field.cut(mask[k].astype(np.float32), 0.0)
            axes.contour(part, levels=[0.5], colors=[colour], linewidths=1.3, linestyles=style)


def mark_sides(axes: Axes, geometry: Geometry) -> None:
    """Take the frame off, give the pixels their shape, and burn in the patient's sides."""
    sy, sx = geometry.pixel_spacing_mm_yx
    axes.set_aspect(sy / sx)
    axes.set_axis_off()
    for x, letter in ((0.03, "R"), (0.91, "L")):
        axes.text(x, 0.5, letter, transform=axes.transAxes, color="white", fontsize=10, fontweight="bold")

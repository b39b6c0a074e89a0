"""One picture of the reference standard, to be confirmed by eye: DWI, ADC and CT under each other, with the infarct."""

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from infarct.preprocess.head import Head
from infarct.reference.dwi import DwiReference
from infarct.reference.picture import DOTS_PER_INCH, WINDOW_HU, mark_sides, spread_levels
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry
from infarct.writers.panels import Field, head_field

BRIGHTNESS_WINDOW: Final = (0.2, 2.2)
ADC_WINDOW_UM2_S: Final = (200.0, 1800.0)
INFARCT_COLOUR: Final = "#ff7a2e"
REJECTED_COLOUR: Final = "#56b4e9"
"""Of Okabe and Ito, the first lightened for a black background; what was rejected is dashed as well."""


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of slices: its name, values (z, y, x), and the values that are black and white."""

    name: str
    values: Float32Array
    window: tuple[float, float]
    outside: float


@dataclass(frozen=True, eq=False)
class _View:
    """What is drawn, all on one grid."""

    geometry: Geometry
    brain: BoolArray
    mask: BoolArray
    rejected: BoolArray
    rows: tuple[_Row, ...]


def draw_dwi(found: DwiReference, head: Head | None) -> bytes:
    """Return a PNG: six slices from below upwards, brightness above, ADC below it, and the CT where there is one.

    The patient's right is on the left. The infarct is orange, what was bright but rejected is blue and dashed.
    """
    view = _view(found, head)
    levels = spread_levels(view.brain, view.mask if view.mask.any() else view.rejected)
    field = head_field(view.brain, view.geometry.pixel_spacing_mm_yx)
    figure = Figure(figsize=(2.3 * len(levels), 2.9 * len(view.rows) + 0.5), dpi=DOTS_PER_INCH, facecolor="black")
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    grid = figure.add_gridspec(
        len(view.rows), len(levels), left=0.01, right=0.99, bottom=0.01, top=0.93, wspace=0.02, hspace=0.02
    )
    for place, row in enumerate(view.rows):
        for column, k in enumerate(levels):
            axes = figure.add_subplot(grid[place, column])
            low, high = row.window
            axes.imshow(field.cut(row.values[k], row.outside), cmap="gray", vmin=low, vmax=high, origin="upper")
            _outline(axes, view, k, field)
            mark_sides(axes, view.geometry)
            if column == 0:
                axes.text(0.03, 0.97, row.name, transform=axes.transAxes, color="white", fontsize=9, va="top")
    figure.text(0.5, 0.965, _caption(found), color="white", ha="center", va="center", fontsize=10)
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _view(found: DwiReference, head: Head | None) -> _View:
    """Return what is drawn: on the CT's grid where there is a CT, else on the images' own."""
    on_ct = found.on_ct
    if head is None or on_ct is None:
        images, lesions = found.images, found.lesions
        rows = _diffusion_rows(images.brightness, images.adc_um2_s)
        return _View(images.geometry, images.brain, lesions.mask, lesions.rejected, rows)
    rows = (*_diffusion_rows(on_ct.brightness, on_ct.adc_um2_s), _Row("CT", head.hu, WINDOW_HU, -1000.0))
    return _View(on_ct.geometry, head.brain, on_ct.mask, on_ct.rejected, rows)


def _diffusion_rows(brightness: Float32Array, adc_um2_s: Float32Array) -> tuple[_Row, ...]:
    return _Row("DWI", brightness, BRIGHTNESS_WINDOW, 0.0), _Row("ADC", adc_um2_s, ADC_WINDOW_UM2_S, 0.0)


def _caption(found: DwiReference) -> str:
    lesions = found.lesions
    volume_ml = found.infarct_ml if found.on_ct is None else found.on_ct.infarct_ml
    asked = "low ADC required" if lesions.adc_required else "ADC not decisive: confirm by eye"
    out_ml = lesions.shine_through_ml + lesions.artefact_ml
    return f"Infarct {volume_ml:.1f} ml, {asked}; left out {out_ml:.1f} ml (dashed). Research use only."


def _outline(axes: Axes, view: _View, k: int, field: Field) -> None:
    for mask, colour, style in (
        (view.rejected, REJECTED_COLOUR, "dashed"),
        (view.mask, INFARCT_COLOUR, "solid"),
    ):
        if mask[k].any():
            part = field.cut(mask[k].astype(np.float32), 0.0)
            axes.contour(part, levels=[0.5], colors=[colour], linewidths=1.1, linestyles=style)

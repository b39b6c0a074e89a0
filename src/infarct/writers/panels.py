"""Pictures of slices: one panel at a time, as an RGB array with its marks burned in.

The patient's right is on the left of every panel (radiological view), because `Scan.hu` runs from the patient's
right to the left along x. The letters R and L are part of the pixels, so that a copied picture keeps them.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image
from scipy import ndimage

from infarct.types import BoolArray, Float32Array

RgbArray: TypeAlias = npt.NDArray[np.uint8]
"""Picture, (rows, columns, 3), row 0 anterior, column 0 on the patient's right."""

DOTS_PER_INCH: Final = 100
AIR_HU: Final = -1000.0
GREY_LEVELS: Final = 64
"""Grey steps of a picture: finer than the noise of a CT, and PNG packs them much smaller than 256."""
OUTLINE_SMOOTHING_MM: Final = 0.7
"""Outlines follow the mask smoothed by this much, which takes off stairs and specks of single voxels."""
NAMED_DEPTH_MM: Final = 1.2
"""A part of a slice no deeper than this, a sliver at the edge of a region, gets no name."""

_GREYS: Final = LinearSegmentedColormap.from_list("greys", ["#000000", "#ffffff"], N=GREY_LEVELS)
_FONT: Final = "DejaVu Sans"  # it comes with matplotlib, so the pixels are the same on every machine


@dataclass(frozen=True)
class Window:
    """A display window: Hounsfield units from black to white."""

    width_hu: int
    centre_hu: int

    @property
    def label(self) -> str:
        """The window's usual short name, for example W80 C40."""
        return f"W{self.width_hu} C{self.centre_hu}"

    @property
    def limits_hu(self) -> tuple[float, float]:
        """The densities shown black and white."""
        return self.centre_hu - self.width_hu / 2, self.centre_hu + self.width_hu / 2


BRAIN_WINDOW: Final = Window(width_hu=80, centre_hu=40)
STROKE_WINDOW: Final = Window(width_hu=30, centre_hu=35)


@dataclass(frozen=True)
class LineStyle:
    """How an outline is drawn; colour, width and dashes each tell it apart."""

    colour: str
    width_pt: float
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of ``mask`` (bool, (y, x)) on a slice, with an optional name written inside.

    ``fill`` is how far its colour covers the slice inside, 0 to 1.
    """

    mask: BoolArray
    style: LineStyle
    text: str = ""
    text_pt: float = 12.0
    fill: float = 0.0


@dataclass(frozen=True)
class Field:
    """The part of a slice that is shown, in pixel edges; may reach beyond the slice, where it is black."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    def cut(self, image: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
        """Return the field of ``image`` (y, x), ``fill`` beyond its edges."""
        out = np.full((self.row_stop - self.row_start, self.column_stop - self.column_start), fill, dtype=image.dtype)
        rows = slice(max(self.row_start, 0), min(self.row_stop, image.shape[0]))
        columns = slice(max(self.column_start, 0), min(self.column_stop, image.shape[1]))
        out[
            rows.start - self.row_start : rows.stop - self.row_start,
            columns.start - self.column_start : columns.stop - self.column_start,
        ] = image[rows, columns]
        return out


@dataclass(frozen=True)
class ColourScale:
    """How a map is coloured: ``colours`` spread evenly over ``limits``, values beyond them in the end colours.

    A value whose magnitude is below the first of ``fade`` is clear; from the second on it covers the slice by
    ``opacity``. ``marks`` stand at the left, in the middle and at the right of the scale that is drawn.
    """

    colours: tuple[str, ...]
    limits: tuple[float, float]
    fade: tuple[float, float]
    opacity: float
    marks: tuple[str, str, str]

    def rgba(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the colours of ``values`` (any shape) with their opacity, 0 to 1, (..., 4)."""
        low, high = self.limits
        start, full = self.fade
        colour = LinearSegmentedColormap.from_list("scale", self.colours)((values - low) / (high - low))
        colour[..., 3] = self.opacity * np.clip((np.abs(values) - start) / (full - start), 0, 1)
        return np.asarray(colour)


DIFFERENCE_SCALE: Final = ColourScale(
    # Orange, not red, against violet: apart for every kind of colour vision, and both visible on grey.
    colours=("#ff8c1a", "#d8d8d8", "#9f86ff"),
    limits=(-8.0, 8.0),
    fade=(1.5, 5.0),
    opacity=0.6,
    marks=("−8", "HU", "+8"),
)
"""Side differences in HU: darker than the other side, equal, brighter. Early ischemia darkens tissue by about 2 to 8
HU; what is less is mostly noise and stays clear.
"""
ATTENTION_SCALE: Final = ColourScale(
    # Blue gets brighter for every kind of colour vision, and stays apart from the orange of the outlines.
    colours=("#2438b0", "#1f8fe0", "#7df3ff"),
    limits=(0.0, 1.0),
    fade=(0.2, 0.6),
    opacity=0.5,
    marks=("0", "attention", "1"),
)
"""Attention, 0 to 1: the brightest place weighed most; what weighed little stays clear."""
PROBABILITY_SCALE: Final = ColourScale(
    colours=ATTENTION_SCALE.colours, limits=(0.0, 1.0), fade=(0.1, 0.5), opacity=0.5, marks=("0", "prob.", "1")
)
"""Probabilities, 0 to 1: what is unlikely stays clear."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A map (float32, (y, x)) that is laid over a slice in the colours of ``scale``."""

    values: Float32Array
    scale: ColourScale


@dataclass(frozen=True, eq=False)
class Panel:
    """What one picture shows.

    ``hu`` is a slice (float32, (y, x)); ``pixel_spacing_mm_yx`` gives the picture its true proportions;
    ``overlay`` is laid over it in colour; ``text`` stands in the top left corner.
    """

    hu: Float32Array
    pixel_spacing_mm_yx: tuple[float, float]
    field: Field
    window: Window = BRAIN_WINDOW
    outlines: Sequence[Outline] = ()
    overlay: Overlay | None = None
    text: str = ""


def head_field(mask: BoolArray, pixel_spacing_mm_yx: tuple[float, float]) -> Field:
    """Return the field around ``mask`` (bool, (z, y, x), the brain) that also holds skull, scalp and side marks.

    An empty mask gives the whole slice.
    """
    seen = mask.any(axis=0)
    if not seen.any():
        return Field(0, mask.shape[1], 0, mask.shape[2])
    margin_mm_yx = (17.0, 26.0)  # skull and scalp take about 15 mm, the letters at the sides the rest
    (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in np.nonzero(seen))
    rows, columns = (int(np.ceil(m / s)) for m, s in zip(margin_mm_yx, pixel_spacing_mm_yx, strict=True))
    return Field(top - rows, bottom + rows, left - columns, right + columns)


def draw_panel(panel: Panel, *, width_px: int = 560) -> RgbArray:
    """Return the picture of ``panel``, ``width_px`` wide and as high as the proportions in mm ask for.

    The same panel gives the same pixels: no clock, no user's matplotlib style for anything that is set here.
    """
    sy, sx = panel.pixel_spacing_mm_yx
    hu = panel.field.cut(panel.hu, AIR_HU)
    height_mm, width_mm = hu.shape[0] * sy, hu.shape[1] * sx
    size = width_px / DOTS_PER_INCH, round(width_px * height_mm / width_mm) / DOTS_PER_INCH
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="black")
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    # Everything that a user's matplotlib settings could turn, such as the origin, is named.
    placed: dict[str, Any] = {"extent": (0.0, width_mm, height_mm, 0.0), "origin": "upper", "aspect": "auto"}
    low, high = panel.window.limits_hu
    axes.imshow(hu, cmap=_GREYS, vmin=low, vmax=high, interpolation="bicubic", **placed)
    if panel.overlay is not None:
        colours = panel.overlay.scale.rgba(panel.field.cut(panel.overlay.values, 0.0))
        axes.imshow(colours, interpolation="bilinear", **placed)
    points_per_mm = width_px / DOTS_PER_INCH * 72 / width_mm
    for outline in panel.outlines:
        _draw_outline(axes, panel.field.cut(outline.mask, False), outline, (sy, sx))
    axes.set_xlim(0, width_mm)
    axes.set_ylim(height_mm, 0)
    _draw_marks(axes, panel)
    _draw_scale(axes, width_mm, height_mm, points_per_mm, scale=panel.overlay.scale if panel.overlay else None)
    canvas.draw()
    return np.array(np.asarray(canvas.buffer_rgba())[..., :3])


def _draw_outline(axes: Axes, mask: BoolArray, outline: Outline, spacing_mm_yx: tuple[float, float]) -> None:
    if not mask.any():
        return
    sy, sx = spacing_mm_yx
    rows, columns = ((np.arange(n) + 0.5) * s for n, s in zip(mask.shape, (sy, sx), strict=True))
    style = outline.style
    part = ndimage.gaussian_filter(mask.astype(np.float32), [OUTLINE_SMOOTHING_MM / s for s in spacing_mm_yx])
    if part.max() <= 0.5:
        part = mask.astype(np.float32)
    if outline.fill:
        colour = np.zeros((*mask.shape, 4))
        colour[mask] = to_rgba(style.colour, outline.fill)
        extent = (0.0, mask.shape[1] * sx, mask.shape[0] * sy, 0.0)
        axes.imshow(colour, extent=extent, origin="upper", aspect="auto", interpolation="nearest")
    lines = axes.contour(columns, rows, part, levels=[0.5], colors=[style.colour], linewidths=style.width_pt)
    if style.dashes:
        lines.set_linestyle([(0.0, style.dashes)])
    if outline.text:
        row, column, depth_mm = _innermost(mask, spacing_mm_yx)
        if depth_mm > NAMED_DEPTH_MM:
            place = columns[column], rows[row]
            _write(axes, *place, outline.text, colour=style.colour, size_pt=outline.text_pt, data=True)


def _innermost(mask: BoolArray, spacing_mm_yx: tuple[float, float]) -> tuple[int, int, float]:
    """Return the row and column farthest from the outline, where a name stays inside, and how far that is in mm."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm_yx)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(row), int(column), float(depth.max())


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size_pt: float = 14.0,
    colour: str = "white",
    anchor: tuple[Literal["left", "center", "right"], Literal["top", "center", "bottom"]] = ("center", "center"),
    data: bool = False,
) -> None:
    """Write ``text`` with a black rim, at data coordinates or at fractions of the picture."""
    axes.text(
        x,
        y,
        text,
        color=colour,
        fontsize=size_pt,
        fontweight="bold",
        family=_FONT,
        ha=anchor[0],
        va=anchor[1],
        transform=axes.transData if data else axes.transAxes,
        path_effects=[withStroke(linewidth=2.8, foreground="black")],
        parse_math=False,
    )


def _draw_marks(axes: Axes, panel: Panel) -> None:
    _write(axes, 0.02, 0.5, "R", size_pt=25, anchor=("left", "center"))
    _write(axes, 0.98, 0.5, "L", size_pt=25, anchor=("right", "center"))
    _write(axes, 0.02, 0.985, panel.text, anchor=("left", "top"))
    _write(axes, 0.02, 0.015, panel.window.label, anchor=("left", "bottom"))


def _draw_scale(
    axes: Axes, width_mm: float, height_mm: float, points_per_mm: float, *, scale: ColourScale | None
) -> None:
    """Draw a 5 cm bar, or the colours of a map's ``scale``, in the bottom right corner."""
    length_mm, right = 50.0, width_mm * (0.95 if scale else 0.98)
    left, bar = right - length_mm, height_mm - 8 / points_per_mm
    if scale is None:
        axes.plot([left, right], [bar, bar], color="white", linewidth=2.5, solid_capstyle="butt")
        _write(
            axes,
            (left + right) / 2,
            bar - 2 / points_per_mm,
            "5 cm",
            size_pt=12,
            anchor=("center", "bottom"),
            data=True,
        )
        return
    colour = scale.rgba(np.linspace(*scale.limits, 64)[None])[..., :3]
    top = bar - 3 / points_per_mm
    axes.imshow(colour, extent=(left, right, bar + 3 / points_per_mm, top), origin="upper", aspect="auto")
    for x, text in zip((left, (left + right) / 2, right), scale.marks, strict=True):
        _write(axes, x, top - 1 / points_per_mm, text, size_pt=11, anchor=("center", "bottom"), data=True)


def png(picture: RgbArray) -> bytes:
    """Return ``picture`` (uint8, (rows, columns, 3)) as PNG: pixels only, no text or time, so always the same bytes."""
    stream = io.BytesIO()
    # A palette of 256 colours holds all greys and outline colours, and is a quarter smaller than RGB.
    Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()

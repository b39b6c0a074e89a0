"""Pictures of follow-up scans after figure 3 of the volumetry paper: the scan, what was marked, and the truth.

Blood covers subtle infarct, that intermediate, and that severe.
"""

from typing import Final

import numpy as np

from infarct.evaluation.page import PANEL_PX, slab
from infarct.types import BoolArray, LabelArray
from infarct.volume import Scan
from infarct.writers.panels import Field, LineStyle, Outline, Panel, RgbArray, draw_panel, head_field, png

STYLES: Final = (
    LineStyle("#e0262b", 1.6),
    LineStyle("#f08a1d", 1.6),
    LineStyle("#f5dd2e", 1.6),
    LineStyle("#2f7de0", 1.6),
)
"""Severe red, intermediate orange, subtle yellow, hemorrhage blue: labels 1 to 4, in the paper's colours."""
TRUTH_STYLE: Final = LineStyle("#2fd6a6", 2.0)
FILL: Final = 0.45
LEGEND: Final = (
    "Middle: marked as severe (red), intermediate (orange), subtle (yellow), hemorrhage (blue), the last on top. "
    "Right: truth (green)."
)


def followup_picture(scan: Scan, labels: LabelArray, truth: BoolArray, brain: BoolArray | None) -> bytes:
    """Return a PNG of the slice with most infarct: plain, with what is marked, and with the truth.

    ``labels`` (uint8, as of `systems.volumetry.label_map`), ``truth`` and ``brain`` (bool) are (z, y, x) on the scan.
    Without an infarct it is the slice with most marked, and without that the middle one.
    """
    key = key_slice(truth if truth.any() else labels > 0)
    field = head_field(brain if brain is not None else scan.hu > 0, scan.geometry.pixel_spacing_mm_yx)
    marked = [Outline(labels[key] == label, style, fill=FILL) for label, style in enumerate(STYLES, start=1)]
    panels = [
        _panel(scan, field, key),
        _panel(scan, field, key, marked),
        _panel(scan, field, key, [Outline(truth[key], TRUTH_STYLE, fill=FILL)]),
    ]
    return png(np.concatenate(panels, axis=1))


def key_slice(mask: BoolArray) -> int:
    """Return the slice with most of ``mask`` (bool, (z, y, x)), the middle one where it is empty."""
    return int(mask.sum(axis=(1, 2)).argmax()) if mask.any() else len(mask) // 2


def _panel(scan: Scan, field: Field, k: int, outlines: list[Outline] | None = None) -> RgbArray:
    panel = Panel(
        hu=slab(scan, k),
        pixel_spacing_mm_yx=scan.geometry.pixel_spacing_mm_yx,
        field=field,
        outlines=outlines or (),
        text=f"slice {k}",
    )
    return draw_panel(panel, width_px=PANEL_PX)

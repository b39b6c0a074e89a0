"""Where the follow-up infarct is: slices through it, plain, and with degrees of darkness and blood in colour."""

from typing import Final

import numpy as np

from infarct.findings import Analysis
from infarct.prose import listed, sentence
from infarct.types import LabelArray
from infarct.volume import Scan
from infarct.writers.key_slices import Picture, slab_hu, slab_note, slice_text
from infarct.writers.panels import STROKE_WINDOW, Field, LineStyle, Outline, Panel, head_field

PICTURED: Final = 4
"""Slices that are shown."""
FILL: Final = 0.3
FOLLOWUP_STYLES: Final[dict[str, LineStyle]] = {
    "severe": LineStyle("#ff5252", 1.8),
    "intermediate": LineStyle("#ff9f40", 1.4, (4.0, 1.6)),
    "subtle": LineStyle("#ffe14d", 1.4, (2.0, 1.6)),
    "hemorrhage": LineStyle("#5aa9ff", 2.0, (1.2, 1.2)),
}
"""In the order of the labels 1 to 4, and in the colours of the volumetry paper (figure 3), lightened for black."""


def followup_slices(scan: Scan, analysis: Analysis) -> tuple[Picture, ...]:
    """Return two pictures for each slice that is shown, from below upwards: plain, and with the infarct.

    Nothing is returned where no infarct is marked.
    """
    labels = analysis.maps.followup_infarct
    if labels is None or not labels.any():
        return ()
    field = head_field(analysis.maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    return tuple(picture for k in shown_slices(labels) for picture in _pictures(scan, k, labels[k], field))


def shown_slices(labels: LabelArray) -> tuple[int, ...]:
    """Return up to four slices of a label map (uint8, (z, y, x)), from below upwards.

    First the fullest one and that with the most blood, then slices evenly spread through the infarct.
    """
    area, blood = (mask.sum(axis=(1, 2)) for mask in (labels > 0, labels == len(FOLLOWUP_STYLES)))
    present = np.flatnonzero(area)
    spread = present[np.rint((np.arange(PICTURED) + 0.5) / PICTURED * (len(present) - 1)).astype(int)]
    wishes = [int(area.argmax()), *([int(blood.argmax())] if blood.any() else []), *(int(k) for k in spread)]
    return tuple(sorted(list(dict.fromkeys(wishes))[:PICTURED]))


def _pictures(scan: Scan, k: int, labels: LabelArray, field: Field) -> tuple[Picture, Picture]:
    hu, averaged = slab_hu(scan, k)
    spacing_mm_yx, where = scan.geometry.pixel_spacing_mm_yx, slice_text(scan, k)
    marks = [
        (name, Outline(labels == label, style, fill=FILL))
        for label, (name, style) in enumerate(FOLLOWUP_STYLES.items(), start=1)
        if (labels == label).any()
    ]
    names = listed([name for name, _ in marks])
    outlines = tuple(outline for _, outline in marks)
    note = f" {sentence(slab_note(averaged))}." if averaged > 1 else ""
    return (
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, text=where),
            f"{sentence(where)}, plain",
            f"{sentence(where)}, plain, stroke window.{note}",
        ),
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, outlines, text=where),
            sentence(names),
            f"{sentence(where)}, with the follow-up infarct in colour: {names}.{note}",
        ),
    )

"""Where early infarction is seen tile by tile: the key slices, plain, and with probabilities and marked tiles."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from infarct.findings import Analysis, Patch
from infarct.prose import sentence
from infarct.types import BoolArray, Float32Array
from infarct.volume import Scan
from infarct.writers.key_slices import Picture, slab_hu, slab_note, slice_text
from infarct.writers.panels import (
    PROBABILITY_SCALE,
    STROKE_WINDOW,
    Field,
    LineStyle,
    Outline,
    Overlay,
    Panel,
    head_field,
)

TILE_STYLE: Final = LineStyle("#ff7a2e", 1.4)
"""Vermillion as of lesions: apart from the blue of probabilities for every kind of colour vision."""


def tile_slices(scan: Scan, analysis: Analysis) -> tuple[Picture, ...]:
    """Return two pictures for each key slice, from below upwards: plain, and with probabilities and marked tiles.

    Nothing is returned where no tile is marked.
    """
    found, maps = analysis.findings.localization, analysis.maps
    if found is None or maps.patch_probability is None:
        return ()
    field = head_field(maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    return tuple(
        picture
        for k in sorted(found.key_slices)
        for picture in _pictures(scan, k, maps.patch_probability[k], found.patches, field)
    )


def _pictures(
    scan: Scan, k: int, probability: Float32Array, patches: Sequence[Patch], field: Field
) -> tuple[Picture, Picture]:
    hu, averaged = slab_hu(scan, k)
    spacing_mm_yx, where = scan.geometry.pixel_spacing_mm_yx, slice_text(scan, k)
    here = [patch for patch in patches if patch.slice_index == k]
    outlines = tuple(Outline(tile_mask(patch, scan.geometry.size_yx), TILE_STYLE) for patch in here)
    title = f"{len(here)} tile{'s' if len(here) > 1 else ''} marked"
    note = f" {sentence(slab_note(averaged))}." if averaged > 1 else ""
    return (
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, text=where),
            f"{sentence(where)}, plain",
            f"{sentence(where)}, plain, stroke window.{note}",
        ),
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, outlines, Overlay(probability, PROBABILITY_SCALE), where),
            title,
            f"{sentence(where)}, with a colour map of the probability of early infarction; {title}.{note}",
        ),
    )


def tile_mask(patch: Patch, size_yx: tuple[int, int]) -> BoolArray:
    """Return the pixels of a tile in its slice, bool (y, x)."""
    mask = np.zeros(size_yx, dtype=bool)
    mask[patch.row : patch.row + patch.size_px, patch.column : patch.column + patch.size_px] = True
    return mask

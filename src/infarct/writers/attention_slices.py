"""Where a method looked: slices through the regions that it found affected, plain and with its attention in colour."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np

from infarct.anatomy import region_label
from infarct.findings import Analysis, RegionFinding, as_counted
from infarct.prose import sentence
from infarct.types import Float32Array, Float64Array, LabelArray
from infarct.volume import Scan
from infarct.writers.key_slices import (
    REGION_STYLES,
    Picture,
    finding_of,
    region_outlines,
    slab_hu,
    slab_note,
    slice_text,
)
from infarct.writers.panels import ATTENTION_SCALE, STROKE_WINDOW, Field, LineStyle, Overlay, Panel, head_field
from infarct.writers.wording import regions_named

MOST_SLICES: Final = 4
WELL_SHOWN: Final = 0.6
"""A slice shows a region well if its attention there is at least this share of that on the region's best slice."""
OVERRULED_STYLE: Final = LineStyle("#ffffff", 1.6, (3.0, 2.0))
"""Of a region that a reader says is not affected: the blue of the other pictures would not show on attention."""


def attention_slices(scan: Scan, analysis: Analysis) -> tuple[Picture, ...]:
    """Return two pictures for each slice, from below upwards: plain, and with attention and outlines.

    They show every region that the method found affected, up to `MOST_SLICES`. Nothing is returned where no region is
    affected or the method does not tell where it looked.
    """
    aspects, maps = analysis.findings.aspects, analysis.maps
    if aspects is None or maps.aspects_attention is None or maps.aspects_regions is None:
        return ()
    found = {(region.region, region.side) for region in aspects.regions if finding_of(region) == "affected"}
    counted = as_counted(aspects.regions, aspects.overrides)
    shown = tuple(region for region in counted if (region.region, region.side) in found)
    weights = attention_by_slice(maps.aspects_attention, maps.aspects_regions)
    chosen = best_slices(weights, [region_label(region.region, region.side) for region in shown])
    field = head_field(maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    return tuple(
        picture
        for k in chosen
        for picture in _pictures(scan, maps.aspects_attention, maps.aspects_regions, k, shown=shown, field=field)
    )


def attention_by_slice(attention: Float32Array, labels: LabelArray) -> Float64Array:
    """Return the sum of ``attention`` (0 to 1) in each region of ``labels`` (uint8), both (z, y, x), as (z, 21)."""
    slices = zip(labels, attention, strict=True)
    return np.stack([np.bincount(one.ravel(), weights.ravel(), minlength=21)[:21] for one, weights in slices])


def best_slices(weights: Float64Array, regions: Collection[int]) -> tuple[int, ...]:
    """Return few slices, from below upwards, that show each of ``regions`` well, up to `MOST_SLICES`.

    ``weights`` is what `attention_by_slice` returns. A region without any attention is left out.
    """
    shares = {label: weights[:, label] / weights[:, label].max() for label in regions if weights[:, label].max() > 0}
    chosen: list[int] = []
    while shares and len(chosen) < MOST_SLICES:
        here = np.stack(list(shares.values()))
        good = here >= WELL_SHOWN
        k = int((good.sum(axis=0) + (here * good).mean(axis=0)).argmax())  # of equals, the one that shows them better
        chosen.append(k)
        shares = {label: share for label, share in shares.items() if share[k] < WELL_SHOWN}
    return tuple(sorted(chosen))


def _pictures(
    scan: Scan,
    attention: Float32Array,
    labels: LabelArray,
    k: int,
    *,
    shown: tuple[RegionFinding, ...],
    field: Field,
) -> tuple[Picture, Picture]:
    hu, averaged = slab_hu(scan, k)
    spacing_mm_yx, where = scan.geometry.pixel_spacing_mm_yx, slice_text(scan, k)
    present = set(np.unique(labels[k]).tolist())
    here = [region for region in shown if region_label(region.region, region.side) in present]
    names = regions_named(here)
    overlay = Overlay(attention[k], ATTENTION_SCALE)
    outlines = tuple(
        outline if outline.style == REGION_STYLES["affected"] else replace(outline, style=OVERRULED_STYLE)
        for outline in region_outlines(here, labels[k])
    )
    note = f" {sentence(slab_note(averaged))}." if averaged > 1 else ""
    return (
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, text=where),
            f"{sentence(where)}, plain",
            f"{sentence(where)}, plain, stroke window.{note}",
        ),
        Picture(
            Panel(hu, spacing_mm_yx, field, STROKE_WINDOW, outlines, overlay, where),
            f"Attention: {names}",
            f"{sentence(where)}, with outlines of {names} and a colour map of the attention there.{note}",
        ),
    )

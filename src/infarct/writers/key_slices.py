"""Which slices a report shows, and what is drawn on each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.anatomy import REGIONS, region_label
from infarct.findings import Analysis, Findings, Lesion, RegionFinding, as_counted
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, Scan
from infarct.writers.panels import (
    BRAIN_WINDOW,
    DIFFERENCE_SCALE,
    STROKE_WINDOW,
    Field,
    LineStyle,
    Outline,
    Overlay,
    Panel,
    Window,
    head_field,
)

Finding: TypeAlias = Literal["affected", "not affected", "not evaluable"]

REGION_STYLES: Final[dict[Finding, LineStyle]] = {
    "affected": LineStyle("#ff7a2e", 2.6),
    "not affected": LineStyle("#6cc0f5", 1.0),
    "not evaluable": LineStyle("#c4c4c4", 1.3, (3.0, 2.0)),
}
"""Colours of Okabe and Ito (vermillion, sky blue, grey), lightened for a black background."""
LESION_STYLE: Final = LineStyle("#ff7a2e", 2.0)
OLD_LESION_STYLE: Final = LineStyle("#2fd6a6", 1.6, (4.0, 2.0))
HEMORRHAGE_STYLE: Final = LineStyle("#f0e442", 2.0, (1.2, 1.2))

SLAB_MM: Final = 5.0
"""Thin slices are averaged to about the thickness that heads are read at: one thin slice is mostly noise."""
STRIP_LENGTH: Final = 6
LESION_NUMBER_PT: Final = 16.0
CENTROID_TOLERANCE_MM: Final = 3.0
"""A lesion of the findings and one of the mask are the same if their centres lie this close."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A panel with its heading and the sentence that says what is on it (its alternative text)."""

    panel: Panel
    title: str
    alt: str


@dataclass(frozen=True, eq=False)
class Level:
    """The pictures of one slice, side by side."""

    name: str
    slice_text: str
    slab_text: str
    pictures: tuple[Picture, ...]


def finding_of(region: RegionFinding) -> Finding:
    """Return in words what was found in a region."""
    if not region.evaluable or region.affected is None:
        return "not evaluable"
    return "affected" if region.affected else "not affected"


def key_levels(scan: Scan, analysis: Analysis) -> tuple[Level, ...]:
    """Return the ganglionic and the supraganglionic level, each outlined, plain, narrow-windowed and as side map.

    A level without a known slice is left out.
    """
    maps = analysis.maps
    levels = (("Ganglionic level", maps.ganglionic_slice), ("Supraganglionic level", maps.supraganglionic_slice))
    field = head_field(maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    return tuple(_key_level(scan, analysis, name, k, field) for name, k in levels if k is not None)


def _key_level(scan: Scan, analysis: Analysis, name: str, k: int, field: Field) -> Level:
    where = slice_text(scan, k)
    hu, averaged = slab_hu(scan, k)

    def panel(
        window: Window, outlines: Sequence[Outline] = (), overlay: Overlay | None = None, note: str = ""
    ) -> Panel:
        text = f"{where}{note}"
        return Panel(hu, scan.geometry.pixel_spacing_mm_yx, field, window, outlines, overlay, text)

    pictures: list[Picture] = []
    aspects, labels = analysis.findings.aspects, analysis.maps.aspects_regions
    outlines: tuple[Outline, ...] = ()
    if aspects is not None and labels is not None:
        outlines = region_outlines(as_counted(aspects.regions, aspects.overrides), labels[k])
    if outlines:
        alt = f"{name}, {where}, with region outlines. {_found_on(analysis.findings, analysis.maps.aspects_regions, k)}"
        pictures.append(Picture(panel(BRAIN_WINDOW, outlines), "Regions by finding", alt))
    for title, window in (("Brain window", BRAIN_WINDOW), ("Stroke window", STROKE_WINDOW)):
        pictures.append(Picture(panel(window), f"{title}, {window.label}", f"{name}, {where}, plain, {title.lower()}."))
    if analysis.maps.side_difference_hu is not None:
        difference = Overlay(analysis.maps.side_difference_hu[k], DIFFERENCE_SCALE)
        alt = f"{name}, {where}, colour map of the difference between the two sides."
        pictures.append(
            Picture(panel(BRAIN_WINDOW, overlay=difference, note="\nside difference"), "Side difference", alt)
        )
    return Level(name, where, slab_note(averaged), tuple(pictures))


def region_outlines(regions: Iterable[RegionFinding], labels: LabelArray) -> tuple[Outline, ...]:
    """Return the outlines of ``regions`` on a slice of ``labels`` (uint8, (y, x)), in the style of their finding."""
    # Affected regions are drawn last, so that a neighbour's thin line never covers theirs.
    order: list[Finding] = ["not affected", "not evaluable", "affected"]
    ranked = sorted(regions, key=lambda region: order.index(finding_of(region)))
    masks = ((region, labels == region_label(region.region, region.side)) for region in ranked)
    return tuple(
        Outline(mask, REGION_STYLES[finding_of(region)], region.region) for region, mask in masks if mask.any()
    )


def _found_on(findings: Findings, labels: npt.NDArray[np.uint8] | None, k: int) -> str:
    """Return the affected regions of slice ``k`` as a sentence."""
    if findings.aspects is None or labels is None:
        return ""
    present = set(np.unique(labels[k]).tolist())
    counted = as_counted(findings.aspects.regions, findings.aspects.overrides)
    names = [
        f"{region.side} {region.region}"
        for region in sorted(counted, key=lambda region: REGIONS.index(region.region))
        if finding_of(region) == "affected" and region_label(region.region, region.side) in present
    ]
    return f"Affected here: {', '.join(names)}." if names else "No region here is affected."


def lesion_strip(scan: Scan, analysis: Analysis) -> tuple[Picture, ...]:
    """Return up to `STRIP_LENGTH` slices through the lesions, or evenly through the brain where there is none."""
    maps, findings = analysis.maps, analysis.findings
    field = head_field(maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    found = findings.infarct.lesions if findings.infarct else ()
    numbers = lesion_numbers(maps.infarct, found, scan.geometry)
    masks = [mask for mask in (maps.infarct, maps.hemorrhage, maps.old_infarct) if mask is not None and mask.any()]
    chosen = _slices_through(numbers, masks) if masks else _evenly(_present(maps.brain_mask), STRIP_LENGTH)
    return tuple(_strip_picture(scan, analysis, k, field, numbers) for k in chosen)


def key_lesion(scan: Scan, analysis: Analysis) -> tuple[int, Picture] | None:
    """Return the slice that holds most of the largest acute lesion, or of the acute ones, and its picture.

    None where no acute lesion is marked.
    """
    mask = analysis.maps.infarct
    if mask is None or not mask.any():
        return None
    found = analysis.findings.infarct.lesions if analysis.findings.infarct else ()
    numbers = lesion_numbers(mask, found, scan.geometry)
    largest = mask if numbers is None or not (numbers == 1).any() else numbers == 1
    k = int(largest.sum(axis=(1, 2)).argmax())
    field = head_field(analysis.maps.brain_mask, scan.geometry.pixel_spacing_mm_yx)
    return k, _strip_picture(scan, analysis, k, field, numbers)


def _strip_picture(
    scan: Scan, analysis: Analysis, k: int, field: Field, numbers: npt.NDArray[np.int32] | None
) -> Picture:
    hu, averaged = slab_hu(scan, k)
    maps, outlines, names = analysis.maps, [], []
    if maps.infarct is not None and numbers is not None:
        for number in (int(n) for n in np.unique(numbers[k]) if n):
            outlines.append(Outline(numbers[k] == number, LESION_STYLE, str(number), LESION_NUMBER_PT))
        names.extend(_lesion_names(numbers[k]))
        rest = maps.infarct[k] & (numbers[k] == 0)
        if rest.any():
            outlines.append(Outline(rest, LESION_STYLE))
            names.append("a lesion" if not names else "another lesion")
    for mask, style, name in (
        (maps.old_infarct, OLD_LESION_STYLE, "old infarct"),
        (maps.hemorrhage, HEMORRHAGE_STYLE, "suspected bleeding"),
    ):
        if mask is not None and mask[k].any():
            outlines.append(Outline(mask[k], style))
            names.append(name)
    where = slice_text(scan, k)
    title = ", ".join(names).capitalize() or where.capitalize()
    alt = f"{where.capitalize()}: {', '.join(names) or 'nothing is marked'}."
    if averaged > 1:
        alt = f"{alt} {slab_note(averaged).capitalize()}."
    panel = Panel(hu, scan.geometry.pixel_spacing_mm_yx, field, BRAIN_WINDOW, outlines, None, where)
    return Picture(panel, title, alt)


def _lesion_names(numbers: npt.NDArray[np.int32]) -> list[str]:
    """Return the lesions of a slice as words: none, lesion 1, or lesions 1, 3, 4."""
    found = [str(n) for n in np.unique(numbers) if n]
    return [f"lesion{'s' if len(found) > 1 else ''} {', '.join(found)}"] if found else []


def lesion_numbers(
    mask: BoolArray | None, lesions: Sequence[Lesion], geometry: Geometry
) -> npt.NDArray[np.int32] | None:
    """Return which lesion of ``lesions`` (numbered from 1) each voxel of ``mask`` belongs to, 0 for none; (z, y, x).

    A connected part of the mask takes the number of the lesion whose centroid it shares; a part that matches none
    keeps 0. None where there is no mask.
    """
    if mask is None:
        return None
    numbers = np.zeros(mask.shape, dtype=np.int32)
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(parts)
    largest = sorted(range(len(boxes)), key=lambda i: -int((parts[boxes[i]] == i + 1).sum()))
    free = dict(enumerate(lesions, start=1))
    for i in largest[: 2 * len(lesions) + 10]:
        centre = _centroid_in(parts[boxes[i]] == i + 1, boxes[i], geometry)
        distances = {n: float(np.linalg.norm(centre - lesion.centroid_lps_mm)) for n, lesion in free.items()}
        nearest = min(distances, key=lambda n: distances[n], default=None)
        if nearest is not None and distances[nearest] <= CENTROID_TOLERANCE_MM:
            numbers[boxes[i]][parts[boxes[i]] == i + 1] = nearest
            del free[nearest]
    return numbers


def _centroid_in(part: BoolArray, box: tuple[slice, ...], geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return the LPS centre in mm of ``part``, which stands at ``box`` of the whole volume."""
    index = np.argwhere(part) + [edge.start for edge in box]
    weights = geometry.slice_voxel_ml[index[:, 0]]
    return np.asarray(np.average(geometry.index_to_world(index), axis=0, weights=weights))


def _slices_through(numbers: npt.NDArray[np.int32] | None, masks: Sequence[BoolArray]) -> tuple[int, ...]:
    """Return the slices worth showing, from below upwards.

    First the fullest slice of each kind and of the three largest lesions, then slices spread through the largest.
    """
    wishes = [int(mask.sum(axis=(1, 2)).argmax()) for mask in masks]
    if numbers is not None:
        for number in (1, 2, 3):
            area = (numbers == number).sum(axis=(1, 2))
            if area.any():
                wishes.append(int(area.argmax()))
    largest = (numbers == 1) if numbers is not None and (numbers == 1).any() else masks[0]
    wishes.extend(_evenly(_present(largest), STRIP_LENGTH))
    return tuple(sorted(list(dict.fromkeys(wishes))[:STRIP_LENGTH]))


def _present(mask: BoolArray) -> BoolArray:
    """Return which slices hold any of ``mask``, (z,)."""
    return np.asarray(mask.any(axis=(1, 2)))


def _evenly(present: BoolArray, count: int) -> tuple[int, ...]:
    """Return up to ``count`` of the slices that are ``present`` (bool, (z,)), evenly spread, without the outermost."""
    slices = np.flatnonzero(present)
    if len(slices) == 0:
        slices = np.arange(len(present))
    places = (np.arange(count) + 0.5) / count * (len(slices) - 1)
    return tuple(dict.fromkeys(int(slices[round(float(place))]) for place in places))


def slab_hu(scan: Scan, k: int) -> tuple[Float32Array, int]:
    """Return what is shown for slice ``k`` (float32, (y, x)) and how many slices were averaged for it.

    Slices thinner than half of `SLAB_MM` are averaged over about that thickness; others are shown as they are.
    """
    positions = scan.geometry.slice_positions_mm
    near = np.abs(positions - positions[k]) <= SLAB_MM / 2 + 1e-6
    if scan.geometry.slice_intervals_mm[k] > SLAB_MM / 2 or near.sum() < 2:
        return scan.hu[k], 1
    return scan.hu[near].mean(axis=0, dtype=np.float32), int(near.sum())


def slice_text(scan: Scan, k: int) -> str:
    """Return which slice it is, counted from 1 at the bottom."""
    return f"slice {k + 1} of {len(scan.hu)}"


def slab_note(averaged: int) -> str:
    """Return the words that say that thin slices were averaged; empty where none were."""
    return f"mean of {averaged} slices, about {SLAB_MM:g} mm" if averaged > 1 else ""

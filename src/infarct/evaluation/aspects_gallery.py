"""Pictures of scored scans: the two levels of ASPECTS, plain and with the regions called and those affected.

Panels are those of the reports: radiological view, the letters R and L burned in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.anatomy import region_label
from infarct.evaluation.aspects import CORE, SYSTEM, AspectsResult, RegionResult
from infarct.evaluation.page import PANEL_PX, slab
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import number
from infarct.preprocess.key_levels import key_slices
from infarct.types import LabelArray
from infarct.volume import Scan
from infarct.writers.panels import Field, LineStyle, Outline, Panel, RgbArray, draw_panel, head_field, png

TRUE_STYLE: Final = LineStyle("#2fd6a6", 2.4)
CALLED_STYLE: Final = LineStyle("#ff7a2e", 2.0, (3.0, 2.0))
PLAIN_STYLE: Final = LineStyle("#8fa3b8", 0.7)
NAME_PT: Final = 8.0
LEGEND: Final = (
    "Grey: regions as the system drew them. Orange, dashed: called. Green: affected by core, where the truth draws it."
)
SHOWN_A_GROUP: Final = 3
"""Scans shown of those that differ most, and of those that differ least."""


@dataclass(frozen=True)
class AspectsChoice:
    """A scan chosen for the page, and what it stands for."""

    result: AspectsResult
    rank: str


def aspects_picture(scan: Scan, found: LabelArray, truth: LabelArray | None, result: AspectsResult) -> bytes:
    """Return a PNG of the ganglionic and the supraganglionic level, each plain and with outlines.

    ``found`` and ``truth`` hold the system's and the true regions (uint8, (z, y, x)) of the scan. The levels are those
    of the true regions, of the system's without them, and the middle slice where there is no such level.
    """
    levels = key_slices(found if truth is None else truth, scan.geometry)
    field = head_field(scan.hu > 0, scan.geometry.pixel_spacing_mm_yx)
    panels = []
    for level, name in zip(levels, ("ganglionic", "supraganglionic"), strict=True):
        k = len(scan.hu) // 2 if level is None else level
        text = f"slice {k}, {name}" if level is not None else f"slice {k}"
        outlines = tuple(_outlines(found[k], None if truth is None else truth[k], result))
        panels += [_panel(scan, field, k, text), _panel(scan, field, k, text, outlines)]
    return png(np.concatenate(panels, axis=1))


def choose(results: Sequence[AspectsResult], *, each: int = SHOWN_A_GROUP) -> tuple[AspectsChoice, ...]:
    """Return the scans of each group whose score of the stroke's side differs most and least from that by core.

    Those without a stroke that lost most points follow. With few scans none is shown twice.
    """
    chosen: list[AspectsChoice] = []
    for group in grouped(results).values():
        ranked = sorted(
            (case for case in group if _difference(case) is not None), key=lambda case: -abs(_difference(case) or 0)
        )
        free = sorted(
            (case for case in group if case.about.side is None and case.score is not None),
            key=lambda case: case.score or 0,
        )
        chosen += [AspectsChoice(case, "most different") for case in ranked[:each]]
        chosen += [AspectsChoice(case, "most alike") for case in ranked[each:][-each:]]
        chosen += [AspectsChoice(case, "no stroke, most called") for case in free[:each]]
    return tuple(chosen)


def caption(choice: AspectsChoice) -> str:
    """Return the line above a picture."""
    case = choice.result
    parts = [f"{case.about.group}, {choice.rank}: {case.about.id}"]
    if case.about.side is not None:
        parts.append(f"stroke {case.about.side}")
        judges = (SYSTEM, CORE, *case.readers)
        parts.append(", ".join(f"{judge}: {_points(case.score_by(judge))}" for judge in judges))
    parts.append(f"final: {_points(case.score)} ({case.side})")
    if case.not_judged:
        parts.append(f"{case.not_judged} regions not judged")
    if case.about.onset_h is not None:
        parts.append(f"{number(case.about.onset_h, 1)} h")
    return ", ".join(parts)


def _difference(case: AspectsResult) -> int | None:
    found, truth = case.score_by(SYSTEM), case.score_by(CORE)
    return None if found is None or truth is None else found - truth


def _points(score: int | None) -> str:
    return "no score" if score is None else str(score)


def _outlines(found: LabelArray, truth: LabelArray | None, result: AspectsResult) -> Iterator[Outline]:
    """Yield the outlines of a slice, those that matter on top; a name stands in every region."""
    for one in result.regions:
        mask = found == region_label(one.region, one.side)
        if mask.any():
            yield Outline(mask, PLAIN_STYLE, text=_name(one), text_pt=NAME_PT)
    for one in result.regions:
        label = region_label(one.region, one.side)
        if truth is not None and one.core and (truth == label).any():
            yield Outline(truth == label, TRUE_STYLE)
        if one.affected and (found == label).any():
            yield Outline(found == label, CALLED_STYLE)


def _name(one: RegionResult) -> str:
    return f"{one.region}?" if one.affected is None else one.region


def _panel(scan: Scan, field: Field, k: int, text: str, outlines: tuple[Outline, ...] = ()) -> RgbArray:
    panel = Panel(
        hu=slab(scan, k),
        pixel_spacing_mm_yx=scan.geometry.pixel_spacing_mm_yx,
        field=field,
        outlines=outlines,
        text=text,
    )
    return draw_panel(panel, width_px=PANEL_PX)

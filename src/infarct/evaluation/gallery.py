"""Pictures of what a system marked, and a page of the worst, the middle and the best of them.

A scan's picture is made while the scan is in memory; the page is put together from these pictures afterwards. Panels
are those of the reports: radiological view, the letters R and L burned in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.evaluation.page import PANEL_PX, page_of, slab
from infarct.evaluation.segment import CaseResult, Prediction, Truth
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import number
from infarct.types import BoolArray
from infarct.volume import Scan
from infarct.writers.panels import Field, LineStyle, Outline, Panel, RgbArray, draw_panel, head_field, png

TRUTH_STYLE: Final = LineStyle("#2fd6a6", 2.2)
FOUND_STYLE: Final = LineStyle("#ff7a2e", 2.0, (3.0, 2.0))
LEGEND: Final = "Green: truth. Orange, dashed: predicted. Right: where most is wrongly marked, or else most is missed."
SHOWN_A_GROUP: Final = 3
"""Scans shown of the worst, of the middle, and of the best."""


@dataclass(frozen=True)
class Choice:
    """A scan chosen for the page, and what it stands for."""

    result: CaseResult
    rank: str


def case_picture(scan: Scan, prediction: Prediction, truth: Truth) -> bytes:
    """Return a PNG of a scan: the slice with most lesion plain and outlined, and the slice with most wrongly marked.

    Where there is no lesion, the slice with most marked stands for it, and where nothing is marked the middle one;
    where nothing is wrongly marked, the last is the slice with most missed.
    """
    wrong, missed = prediction.acute & ~truth.acute, truth.acute & ~prediction.acute
    key = _fullest(truth.acute if truth.acute.any() else prediction.acute)
    worst = _fullest(wrong if wrong.any() else missed) if wrong.any() or missed.any() else key
    field = head_field(truth.brain if truth.brain is not None else scan.hu > 0, scan.geometry.pixel_spacing_mm_yx)
    panels = [
        _panel(scan, field, key),
        _panel(scan, field, key, (truth.acute[key], prediction.acute[key])),
        _panel(scan, field, worst, (truth.acute[worst], prediction.acute[worst])),
    ]
    return png(np.concatenate(panels, axis=1))


def choose(results: Sequence[CaseResult], *, each: int = SHOWN_A_GROUP) -> tuple[Choice, ...]:
    """Return the worst, middle and best scans with a lesion of each group, and those without where most was marked.

    With few scans none is shown twice.
    """
    chosen: list[Choice] = []
    for group in grouped(results).values():
        ranked = sorted((case for case in group if case.has_lesion), key=lambda case: case.counts.dice)
        free = sorted((case for case in group if not case.has_lesion), key=lambda case: -case.false_positive_ml)
        middle = max(len(ranked) // 2 - each // 2, 0)
        wanted = {"worst": range(each), "middle": range(middle, middle + each)}
        wanted["best"] = range(len(ranked) - each, len(ranked))
        ranks: dict[int, str] = {}
        for rank, places in wanted.items():
            for place in places:
                if 0 <= place < len(ranked):
                    ranks.setdefault(place, rank)
        chosen += [Choice(ranked[place], rank) for place, rank in sorted(ranks.items())]
        chosen += [Choice(case, "no lesion, most marked") for case in free[:each]]
    return tuple(chosen)


def gallery(choices: Sequence[Choice], picture_of: Callable[[CaseResult], bytes | None]) -> bytes:
    """Return a PNG page of the chosen scans, a line of text above each; scans without a picture are left out."""
    shown = [(caption(choice), found) for choice in choices if (found := picture_of(choice.result)) is not None]
    return page_of(shown, legend=LEGEND)


def caption(choice: Choice) -> str:
    """Return the line above a picture."""
    case = choice.result
    parts = [f"{case.about.group}, {choice.rank}: {case.about.id}"]
    if case.has_lesion:
        parts += [f"Dice {number(case.counts.dice, 2)}", f"lesion {number(case.truth_ml, 1)} ml"]
        parts.append(f"predicted {number(case.predicted_ml, 1)} ml")
    else:
        parts.append(f"{number(case.false_positive_ml, 1)} ml wrongly marked")
    if case.about.onset_h >= 0:
        parts.append(f"{number(case.about.onset_h, 1)} h")
    if case.about.detectability >= 0:
        parts.append(f"d' {number(case.about.detectability, 1)}")
    return ", ".join(parts)


def _fullest(mask: BoolArray) -> int:
    """Return the slice with most of ``mask``, the middle one where it is empty."""
    return int(mask.sum(axis=(1, 2)).argmax()) if mask.any() else len(mask) // 2


def _panel(scan: Scan, field: Field, k: int, masks: tuple[BoolArray, BoolArray] | None = None) -> RgbArray:
    outlines: tuple[Outline, ...] = ()
    if masks is not None:
        outlines = (Outline(masks[0], TRUTH_STYLE), Outline(masks[1], FOUND_STYLE))
    panel = Panel(
        hu=slab(scan, k),
        pixel_spacing_mm_yx=scan.geometry.pixel_spacing_mm_yx,
        field=field,
        outlines=outlines,
        text=f"slice {k}",
    )
    return draw_panel(panel, width_px=PANEL_PX)

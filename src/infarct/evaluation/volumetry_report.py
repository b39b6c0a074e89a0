"""What an evaluation of volumetry leaves behind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infarct.evaluation.figures import png
from infarct.evaluation.page import page_of
from infarct.evaluation.report import Content, about_run, pictures_of, slug, write_report
from infarct.evaluation.result import Failure, Outcome, without_nan
from infarct.evaluation.run import PICTURES, Task
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import number
from infarct.evaluation.volumetry import FollowupResults
from infarct.evaluation.volumetry_figures import volumetry_figures
from infarct.evaluation.volumetry_pictures import LEGEND
from infarct.evaluation.volumetry_summary import summarise_volumetry, with_infarct
from infarct.evaluation.volumetry_tables import error_ml, ranked_worst, volumetry_tables

GALLERY: Final = "gallery"
SHOWN: Final = 4
"""Scans a cohort that are shown of the worst, and of the typical ones."""


def write_volumetry_report(
    outcomes: Sequence[Outcome[FollowupResults]], tasks: Sequence[Task], folder: Path, settings: Mapping[str, Any]
) -> Path:
    """Write everything about the ``outcomes`` of ``tasks`` into ``folder`` and return the path of the tables."""
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    summary = summarise_volumetry(results, failures)
    content = Content(
        title="Evaluation of volumetry",
        tables=volumetry_tables(summary, results, failures),
        figures=_figures(results, tasks, folder),
        metrics=about_run(settings, failures) | without_nan(asdict(summary)),
    )
    return write_report(content, folder)


def chosen(cases: Sequence[FollowupResults]) -> list[tuple[str, FollowupResults]]:
    """Return the scans of a cohort that are shown, with what each stands for: the worst, and those of middling Dice.

    With few scans none is shown twice.
    """
    worst = [case for case in ranked_worst(cases) if error_ml(case)][:SHOWN]
    ranked = sorted(with_infarct(cases), key=lambda case: next(iter(case.by_method.values())).dice)
    middle = max(len(ranked) // 2 - SHOWN // 2, 0)
    typical = [case for case in ranked[middle : middle + SHOWN] if case not in worst]
    return [*(("worst", case) for case in worst), *(("typical", case) for case in typical)]


def caption(rank: str, case: FollowupResults) -> str:
    """Return the line above a picture."""
    about, told = case.about, next(iter(case.by_method.values()))
    parts = [f"{rank}: {about.id}"]
    if about.ill:
        parts += [about.severity or "class unknown", f"Dice {number(told.dice, 2)}"]
    else:
        parts.append("no infarct")
    parts += [f"true {number(about.truth_ml, 1)} ml", f"told {number(told.found_ml, 1)} ml"]
    if about.blood_ml:
        parts.append(f"blood {number(about.blood_ml, 1)} ml")
    return ", ".join(parts)


def _figures(results: Sequence[FollowupResults], tasks: Sequence[Task], folder: Path) -> Iterator[tuple[str, bytes]]:
    picture_of = pictures_of(tasks, folder / PICTURES)
    for place, (group, cases) in enumerate(grouped(results).items()):
        name = f"{place}-{slug(group)}"
        for drawing in volumetry_figures(cases):
            yield f"{name}-{drawing.name}", png(drawing.figure)
        shown = [
            (caption(rank, case), picture) for rank, case in chosen(cases) if (picture := picture_of(case)) is not None
        ]
        if shown:
            yield f"{name}-{GALLERY}", page_of(shown, legend=LEGEND)

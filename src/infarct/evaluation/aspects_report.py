"""What an evaluation of ASPECTS leaves behind: a report for each method, and a comparison of several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from infarct.evaluation.aspects import CORE, SYSTEM, AspectsResult, ScanResults
from infarct.evaluation.aspects_comparison import write_comparison
from infarct.evaluation.aspects_figures import RocCurve, RocPoint, ScorePair, aspects_figures, roc
from infarct.evaluation.aspects_gallery import LEGEND, caption, choose
from infarct.evaluation.aspects_summary import (
    ALL,
    AspectsSummary,
    Counted,
    paired_scores,
    readers_of,
    regions_of,
    summarise_aspects,
)
from infarct.evaluation.aspects_tables import aspects_tables
from infarct.evaluation.figures import Drawing, png
from infarct.evaluation.page import page_of
from infarct.evaluation.report import Content, about_run, pictures_of, report_folders, slug, write_report
from infarct.evaluation.result import Failure, Outcome, without_nan
from infarct.evaluation.run import PICTURES, Task
from infarct.evaluation.summary import grouped

GALLERY: Final = "gallery"


def write_aspects_reports(
    outcomes: Sequence[Outcome[ScanResults]],
    tasks: Sequence[Task],
    folder: Path,
    settings: Mapping[str, Any],
    *,
    methods: Sequence[str],
) -> Path:
    """Write a report for each of the ``methods`` into ``folder``, and a comparison of several with the first.

    Returns the path of the tables: of the comparison, where there are several methods.
    """
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    common = {name: value for name, value in settings.items() if name != "methods"}
    tables = folder
    for name, place in report_folders(methods).items():
        own = {**common, "method": name, "config": settings["methods"][name]}
        (folder / place).mkdir(exist_ok=True)
        tables = _write_report([one.by_method[name] for one in results], failures, tasks, folder / place, own)
    return tables if len(methods) == 1 else write_comparison(results, failures, methods, folder, settings)


def _write_report(
    results: Sequence[AspectsResult],
    failures: Sequence[Failure],
    tasks: Sequence[Task],
    folder: Path,
    settings: Mapping[str, Any],
) -> Path:
    """Write everything about one method into ``folder`` and return the path of the tables."""
    summary = summarise_aspects(results)
    content = Content(
        title="Evaluation of ASPECTS",
        tables=aspects_tables(summary, results, failures),
        figures=_figures(results, summary, tasks, folder),
        metrics=about_run(settings, failures) | without_nan(asdict(summary)),
    )
    return write_report(content, folder)


def aspects_drawings(results: Sequence[AspectsResult], summary: AspectsSummary) -> Iterator[Drawing]:
    """Yield the figures of each cohort: scores of the system against each reference, and the ROC of its regions."""
    for number, (group, cases) in enumerate(grouped(results).items()):
        name = f"{number}-{slug(group)}"
        for reference in (CORE, *readers_of(cases)):
            _, first, second = paired_scores(cases, (SYSTEM, reference))
            if len(first):
                pair = ScorePair(first, second, reference.capitalize(), SYSTEM.capitalize())
                for drawing in aspects_figures(pair):
                    yield Drawing(f"{name}-{slug(reference)}-{drawing.name}", drawing.figure)
        for counted in get_args(Counted):
            curves = list(_curves(cases, counted))
            if curves:
                points = list(_points(summary, group, counted))
                title = f"Regions, {counted}"
                yield Drawing(f"{name}-roc_{slug(counted)}", roc(curves, points, title=title))


def _curves(cases: Sequence[AspectsResult], counted: Counted) -> Iterator[RocCurve]:
    """Yield the curve of the system's probabilities for each reference that has both kinds of regions."""
    rows = [one for _, one in regions_of(cases, counted) if one.probability is not None and one.affected is not None]
    for reference in (CORE, *readers_of(cases)):
        known = [(call, one.probability) for one in rows if (call := one.call(reference)) is not None]
        truth = np.array([call for call, _ in known], dtype=bool)
        if truth.any() and not truth.all():
            yield RocCurve(f"against {reference}", truth, np.array([value for _, value in known], dtype=np.float64))


def _points(summary: AspectsSummary, group: str, counted: Counted) -> Iterator[RocPoint]:
    """Yield where the system's decisions and the readers stand against core."""
    for one in summary.regions:
        if (one.group, one.counted, one.area, one.reference) == (group, counted, ALL, CORE):
            found = one.decisions
            yield RocPoint(f"{one.judge} against core", found.sensitivity.estimate, found.specificity.estimate)


def _figures(
    results: Sequence[AspectsResult], summary: AspectsSummary, tasks: Sequence[Task], folder: Path
) -> Iterator[tuple[str, bytes]]:
    for drawing in aspects_drawings(results, summary):
        yield drawing.name, png(drawing.figure)
    picture_of = pictures_of(tasks, folder / PICTURES)
    shown = [(caption(one), picture) for one in choose(results) if (picture := picture_of(one.result)) is not None]
    if shown:
        yield GALLERY, page_of(shown, legend=LEGEND)

"""What an evaluation of tiles leaves behind: a report for each method, and several of them side by side."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infarct.evaluation.figures import png
from infarct.evaluation.gallery import LEGEND
from infarct.evaluation.localize import LocalizeResult, LocalizeResults
from infarct.evaluation.localize_figures import localize_figures
from infarct.evaluation.localize_summary import ALL, LocalizeSummary, summarise_localize
from infarct.evaluation.localize_tables import localize_tables, ranked_worst
from infarct.evaluation.page import page_of
from infarct.evaluation.report import (
    METRICS_FILE,
    Content,
    about_run,
    pictures_of,
    report_folders,
    slug,
    write_report,
)
from infarct.evaluation.result import Failure, Outcome, without_nan
from infarct.evaluation.run import PICTURES, Task
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import GROUP, Cell, Column, Table, as_csv, as_markdown, number
from infarct.files import write_whole
from infarct.findings import INTENDED_USE

GALLERY: Final = "failures"
COMPARISON: Final = "comparison"
NOTE: Final = (
    "All patients with an infarct, and healthy brains where the cohort has any: the same tiles for every method, each "
    "at its own thresholds. 95 % intervals from drawing patients."
)


def write_localize_reports(
    outcomes: Sequence[Outcome[LocalizeResults]],
    tasks: Sequence[Task],
    folder: Path,
    settings: Mapping[str, Any],
    *,
    methods: Sequence[str],
) -> Path:
    """Write a report for each of the ``methods`` into ``folder``, and several of them side by side.

    Returns the path of the tables: of the comparison, where there are several methods.
    """
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    common = {name: value for name, value in settings.items() if name != "methods"}
    summaries, tables = {}, folder
    for name, place in report_folders(methods).items():
        (folder / place).mkdir(exist_ok=True)
        own = [one.by_method[name] for one in results]
        summaries[name] = summarise_localize(own)
        content = Content(
            title="Evaluation of localize",
            tables=localize_tables(summaries[name], own, failures),
            figures=_figures(own, summaries[name], tasks, folder / place),
            metrics=about_run({**common, "method": name, "config": settings["methods"][name]}, failures)
            | without_nan(asdict(summaries[name])),
        )
        tables = write_report(content, folder / place)
    return tables if len(methods) == 1 else _write_comparison(summaries, failures, folder, settings)


def comparison_table(summaries: Mapping[str, LocalizeSummary]) -> Table:
    """Return the main figures of every method, by its name."""
    columns = (
        *(GROUP, Column("method", "Method"), Column("patients", "n"), Column("accuracy", "Accuracy")),
        *(Column("sensitivity", "Sensitivity"), Column("specificity", "Specificity"), Column("auc", "AUC")),
        *(Column("ap", "AP"), Column("recognised", "Patient-level accuracy"), Column("whole_auc", "Whole slices: AUC")),
        *(Column("whole_ap", "AP"), Column("found", "Patients found"), Column("false_ill", "False clusters, ill", 2)),
        Column("false_healthy", "False clusters, healthy", 2),
    )
    groups = dict.fromkeys(one.group for summary in summaries.values() for one in summary.overview)
    rows = tuple(
        (group, name, *_main_figures(summary, group)) for group in groups for name, summary in summaries.items()
    )
    return Table(COMPARISON, "Methods side by side", columns, rows, NOTE)


def _main_figures(summary: LocalizeSummary, group: str) -> tuple[Cell, ...]:
    ill = [one for one in summary.groups if (one.group, one.label, one.onset) == (group, ALL, ALL)]
    healthy = [one.clusters for one in summary.false_marks if (one.group, one.brains) == (group, "healthy")]
    found: tuple[Cell, ...] = (None,) * 11
    for one in ill:
        called, ranked = one.balanced.decisions, one.balanced.ranking
        found = (
            *(one.patients, called.accuracy, called.sensitivity, called.specificity, ranked.auc),
            *(ranked.average_precision, one.recognised, one.whole.ranking.auc, one.whole.ranking.average_precision),
            *(one.found, one.false_clusters),
        )
    return (*found, healthy[0] if healthy else None)


def _write_comparison(
    summaries: Mapping[str, LocalizeSummary], failures: Sequence[Failure], folder: Path, settings: Mapping[str, Any]
) -> Path:
    """Write the comparison as CSV, ``metrics.json`` and Markdown into ``folder``; return the path of the last."""
    table = comparison_table(summaries)
    metrics = about_run(settings, failures) | {
        name: without_nan(asdict(summary)) for name, summary in summaries.items()
    }
    write_whole(folder / f"{COMPARISON}.csv", as_csv(table).encode())
    write_whole(folder / METRICS_FILE, (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode())
    text = f"# Methods of localize side by side\n\n{INTENDED_USE}\n\n{as_markdown(table)}"
    return write_whole(folder / f"{COMPARISON}.md", text.encode())


def _figures(
    results: Sequence[LocalizeResult], summary: LocalizeSummary, tasks: Sequence[Task], folder: Path
) -> Iterator[tuple[str, bytes]]:
    picture_of = pictures_of(tasks, folder / PICTURES)
    for place, (group, cases) in enumerate(grouped(results).items()):
        name = f"{place}-{slug(group)}"
        for drawing in localize_figures(cases, summary):
            yield f"{name}-{drawing.name}", png(drawing.figure)
        worst = [(caption(case), shown) for case in ranked_worst(cases) if (shown := picture_of(case)) is not None]
        if worst:
            yield f"{name}-{GALLERY}", page_of(worst, legend=LEGEND)


def caption(case: LocalizeResult) -> str:
    """Return the line above a picture."""
    about = case.about
    parts = [about.id]
    if about.ill:
        parts += ["found" if case.found else "missed", f"infarct {number(about.lesion_ml, 1)} ml"]
        parts += [word for word in (about.region, about.area) if word]
        called = sum(score >= case.threshold for score in case.infarct)
        parts.append(f"{called} of {len(case.infarct)} infarct tiles called")
    else:
        parts.append("healthy")
    parts.append(f"{case.clusters.false} false clusters")
    if about.onset_h is not None:
        parts.append(f"{number(about.onset_h, 1)} h")
    if about.detectability is not None:
        parts.append(f"d' {number(about.detectability, 1)}")
    return ", ".join(parts)

"""The segment paper's tables and figures from the results of its rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from infarct.evaluation.ablation import NamedRun, ablation_table, difference, order_sentence, overlap_table, steps
from infarct.evaluation.crossval import fold_table
from infarct.evaluation.drawing import panels, points
from infarct.evaluation.figures import COLOURS, png
from infarct.evaluation.summary import Spread
from infarct.evaluation.tables import Table, as_csv, as_markdown, number
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.reproduce.segment_rows import FULL_MODEL, Study
from infarct.reproduce.segment_run import RowResult
from infarct.training.processor import processor_name

FIGURES: Final = "figures"
HOW: Final = "Mean ± SD over scans; intervals, and changes scan by scan, from drawing patients."
PAPER_STEP: Final = ("+ squeeze and excitation", FULL_MODEL)
"""The step that the paper makes at once, and that takes two rows here."""


def write_report(study: Study, results: Sequence[RowResult], folder: Path) -> Path:
    """Write tables and figures of finished rows into ``folder`` and return the path of the ablation.

    Each file is written whole or not at all.
    """
    tables = report_tables(study, results)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", as_csv(table).encode())
        text = f"# Reproduction of the segment paper ({study.name})\n\n{INTENDED_USE}\n\n{as_markdown(table)}"
        write_whole(folder / f"{name}.md", text.encode())
    (folder / FIGURES).mkdir(exist_ok=True)
    write_whole(folder / FIGURES / "ablation.png", png(ablation_figure(tables["ablation"])))
    write_whole(folder / FIGURES / "overlap.png", png(overlap_figure(tables["overlap"])))
    return folder / "ablation.md"


def report_tables(study: Study, results: Sequence[RowResult]) -> dict[str, Table]:
    """Return the tables by the names of their files; cross-validation only where there are folds."""
    runs = [NamedRun(one.row.name, one.all(), one.row.published) for one in results]
    full = next(one for one in results if one.row.name == FULL_MODEL)
    by_overlap = [(pct, NamedRun(f"{pct} %", full.all(pct))) for pct in full.folds]
    overlap = overlap_table(by_overlap)
    timing = f"Seconds: the network over all tiles of a prepared scan and their blending, on {processor_name()}."
    tables = {
        "ablation": replace(ablation_table(runs), note=f"{order_note(runs)} {HOW} {study.note}"),
        "overlap": replace(overlap, note=f"{overlap.note} {timing} {HOW} {study.note}"),
    }
    done = full.folds[min(full.folds)]
    if len(done) > 1:
        table = fold_table(done)
        tables["cross_validation"] = replace(table, note=f"The row {FULL_MODEL!r}. {table.note} {study.note}")
    return tables


def order_note(runs: Sequence[NamedRun]) -> str:
    """Return whether the paper's order holds, and what of ours follows it."""
    named = {run.name: run for run in runs}
    last = [run.name for run in runs].index(FULL_MODEL)
    together = difference(*(named[name] for name in PAPER_STEP))
    return (
        f"The paper's rows: {order_sentence(steps(runs[: last + 1]))} Its last step (standardisation and weighted loss "
        f"at once) changes the Dice by {number(together.estimate, 3)} "
        f"({number(together.low, 3)} to {number(together.high, 3)}). Ours: {order_sentence(steps(runs[last:]))}"
    )


def ablation_figure(table: Table) -> Figure:
    """Return the Dice of each row with its interval, and the paper's."""
    names = [str(name) for name in _column(table, "run")]
    means = [cell.mean for cell in _column(table, "dice") if isinstance(cell, Spread)]
    figure, (axes,) = panels(height=0.36 * len(names) + 1.8)
    places = list(range(len(names)))[::-1]
    points(axes, means, places, horizontal=True)
    published = [
        (cell, place)
        for cell, place in zip(_column(table, "published_dice"), places, strict=True)
        if isinstance(cell, float)
    ]
    if published:
        x, y = zip(*published, strict=True)
        axes.scatter(x, y, marker="D", facecolors="none", edgecolors=COLOURS[1], label="paper", zorder=3)
    axes.set_yticks(places, names)
    axes.set(xlabel="Dice", title="Ablation: mean, 95 % interval")
    axes.legend(fontsize=8, loc="best")
    return figure


def overlap_figure(table: Table) -> Figure:
    """Return the Dice against the time that it takes, for each overlap."""
    seconds = [cell.mean.estimate for cell in _column(table, "seconds") if isinstance(cell, Spread)]
    means = [cell.mean for cell in _column(table, "dice") if isinstance(cell, Spread)]
    figure, (axes,) = panels(height=4.2)
    points(axes, means, seconds, horizontal=False)
    for name, time_s, mean in zip(_column(table, "overlap_pct"), seconds, means, strict=True):
        axes.annotate(f"{name} %", (time_s, mean.estimate), textcoords="offset points", xytext=(8, 4), fontsize=9)
    axes.set(xlabel="Seconds a scan", ylabel="Dice", xlim=(0, 1.15 * max(seconds)))
    axes.set_title("Overlap of tiles: mean, 95 % interval")
    return figure


def _column(table: Table, name: str) -> list[object]:
    place = [column.name for column in table.columns].index(name)
    return [row[place] for row in table.rows]

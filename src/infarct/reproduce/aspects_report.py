"""Tables and figures of the experiments on DA-Net from the calls of its rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infarct.evaluation.aspects_ablation import (
    ABLATION_NOTE,
    TITLES,
    Measured,
    RegionRun,
    measured,
    readable_tables,
    whole_table,
)
from infarct.evaluation.aspects_summary import Counted
from infarct.evaluation.drawing import panels, points
from infarct.evaluation.figures import GREY, png
from infarct.evaluation.result import without_nan
from infarct.evaluation.tables import Table, as_csv, as_markdown
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import RESAMPLES
from infarct.reproduce.aspects_rows import FULL_MODEL, AspectsRow, AspectsStudy

FIGURES: Final = "figures"
DRAWN: Final = ("roc_auc", "balanced_accuracy")
ABLATION, CURVE = "ablation", "learning_curve"


def write_aspects_study(
    study: AspectsStudy, runs: Mapping[str, RegionRun], folder: Path, *, resamples: int = RESAMPLES
) -> Path:
    """Write tables and figures of finished rows, by their names, into ``folder`` and return the path of the ablation.

    Each file is written whole or not at all.
    """
    found = measured([runs[row.name] for row in study.rows], runs[FULL_MODEL], resamples=resamples)
    note = f"{study.note} {ABLATION_NOTE}"
    parts = {
        ABLATION: (_of(study.ablation, found), "Ablation"),
        CURVE: (_of(study.curve, found), "Learning curve"),
    }
    for name, (rows, title) in parts.items():
        _write_table(folder, whole_table(name, title, rows, note), study)
    write_whole(folder / f"{ABLATION}.json", (json.dumps(_as_json(study, found, note), indent=2) + "\n").encode())
    (folder / FIGURES).mkdir(exist_ok=True)
    write_whole(folder / FIGURES / f"{ABLATION}.png", png(ablation_figure(parts[ABLATION][0])))
    write_whole(folder / FIGURES / f"{CURVE}.png", png(curve_figure(parts[CURVE][0])))
    return folder / f"{ABLATION}.md"


def ablation_figure(found: Sequence[Measured]) -> Figure:
    """Return what each row changes against the full model, with its interval, for either way to count."""
    names = list(dict.fromkeys(one.run.name for one in found if one.changes))
    figure, panes = panels(len(DRAWN), height=0.5 * len(names) + 1.8)
    for axes, measure in zip(panes, DRAWN, strict=True):
        axes.axvline(0, color=GREY, linewidth=1.0)
        for look, counted in enumerate(get_args(Counted)):
            chosen = [(one, one.changes) for one in found if one.counted == counted and one.changes]
            places = [-names.index(one.run.name) - _beside(look) for one, _ in chosen]
            points(axes, [part[measure] for _, part in chosen], places, horizontal=True, label=counted, look=look)
        axes.set(xlabel=f"{TITLES[measure]} less that of the full model", ylim=(-len(names) + 0.4, 0.6))
        axes.set_yticks([-place for place in range(len(names))], names)
        axes.locator_params(axis="x", nbins=5)
    panes[0].set_title("What a part is worth: 95 % intervals", fontsize=11)
    panes[1].tick_params(labelleft=False)
    panes[1].legend(fontsize=8, loc="best")
    return figure


def curve_figure(found: Sequence[Measured]) -> Figure:
    """Return the measures against the number of patients that were trained on, with their intervals."""
    figure, panes = panels(len(DRAWN), height=4.2)
    counts = sorted({one.run.training_patients for one in found})
    for axes, measure in zip(panes, DRAWN, strict=True):
        for look, counted in enumerate(get_args(Counted)):
            chosen = sorted((one for one in found if one.counted == counted), key=_patients)
            places = [_patients(one) * (1 + 0.1 * _beside(look)) for one in chosen]
            values = [one.values[measure] for one in chosen]
            points(axes, values, places, horizontal=False, label=counted, look=look, joined=True)
        _over_patients(axes, counts)
        axes.set(ylabel=TITLES[measure])
    panes[0].set_title("Learning curve: 95 % intervals", fontsize=11)
    panes[1].legend(fontsize=8, loc="best")
    return figure


def _over_patients(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Patients trained on, the same number of steps")


def _beside(look: int) -> float:
    """Return how far a way to count stands from the middle, in rows."""
    return (look - 0.5) * 0.28


def _patients(one: Measured) -> int:
    return one.run.training_patients


def _of(rows: Sequence[AspectsRow], found: Sequence[Measured]) -> list[Measured]:
    """Return the measures of some rows, in their order, for one way to count after the other."""
    known = {(one.counted, one.run.name): one for one in found}
    return [known[counted, row.name] for counted in get_args(Counted) for row in rows]


def _write_table(folder: Path, table: Table, study: AspectsStudy) -> None:
    """Write a table as CSV and, in parts, as Markdown."""
    write_whole(folder / f"{table.name}.csv", as_csv(table).encode())
    parts = "\n".join(as_markdown(part) for part in readable_tables(table))
    text = f"# Reproduction of the aspects paper ({study.name}): {table.title.lower()}\n\n{INTENDED_USE}\n\n{parts}"
    write_whole(folder / f"{table.name}.md", text.encode())


def _as_json(study: AspectsStudy, found: Sequence[Measured], note: str) -> Any:
    """Return all rows with their recipes and measures, those of the learning curve too."""
    rows = [
        {
            "name": row.name,
            "training_patients": row.training_patients,
            "recipe": row.recipe.as_data(),
            "measures": {
                one.counted: {
                    "values": {name: asdict(value) for name, value in one.values.items()},
                    "changes": {name: asdict(value) for name, value in one.changes.items()} if one.changes else None,
                }
                for one in found
                if one.run.name == row.name
            },
            "published": dict(next(one.run.published for one in found if one.run.name == row.name)),
        }
        for row in study.rows
    ]
    about = {"intended_use": INTENDED_USE, "size": study.name, "test_patients": study.test_patients, "note": note}
    return without_nan({**about, "rows": rows})

"""Tables and figures of the experiments of the localize paper from what the networks of its rows say."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from infarct.evaluation.crossval import over_folds
from infarct.evaluation.drawing import panels, points
from infarct.evaluation.figures import COLOURS, GREY, png
from infarct.evaluation.localize_study import TileMeasures, joined, measured
from infarct.evaluation.result import without_nan
from infarct.evaluation.tables import Cell, Column, Table, as_csv, as_markdown, number
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import RESAMPLES, Interval
from infarct.reproduce.localize_rows import FOLDS, INPUT_ROWS, MODELS, TRIALS, Part, TileStudy
from infarct.reproduce.localize_run import TileRun
from infarct.training.processor import processor_name

FIGURES: Final = "figures"
TITLES: Final = {
    "average_precision": "AP",
    "auc": "AUC",
    "accuracy": "Acc",
    "sensitivity": "Sens",
    "specificity": "Spec",
    "precision": "Prec",
    "f_score": "F",
    "patch_accuracy": "Patch-level accuracy",
    "recognised": "Patient-level accuracy",
    "healthy_auc": "AUC against healthy tiles",
}
SHORT: Final = ("average_precision", "auc", "accuracy", "healthy_auc")
HOW: Final = (
    "Tiles of the infarct and at the mirrored places of held-out patients; 95 % intervals from drawing patients, which "
    "do not hold what chance did in training. AP: average precision, the criterion. AUC against healthy tiles: tiles "
    "of the infarct against such as are free of lesions on both sides."
)
TIMES: Final = "Training: time of all steps, beside other rows where several were at work; a tile: the network alone"
MODELS_NOTE: Final = (
    "All networks end as tuned VGG16 does and see the same tiles, resized to either size as they are prepared. "
    "The paper's AP is that of its own patients, at 140 and 224 pixels."
)
TRIALS_NOTE: Final = (
    "Each trial sees as many tiles as the first; rates are drawn evenly on a logarithmic scale. Chosen is the highest "
    "AP on a fifth of the patients; the other columns are of another fifth, which nothing was chosen on. The rest is "
    "trained on. The paper tells neither the ranges nor the number of its trials."
)
INPUTS_NOTE: Final = (
    "All rows are of the same tiles of 8 mm, and half of the normal tiles that they train on are healthy on both "
    "sides. Inputs with fewer channels are those with more, without these; tiles alone are cut and resized on their "
    "own."
)
FOLDS_NOTE: Final = (
    "Each patient is tested once; areas over all folds mix the answers of as many networks. Both inputs have tiles of "
    "their own: 15 to 22 pixels, and 8 mm. Patch-level accuracy is the share of a patient's tiles that are called "
    "rightly, patient-level accuracy the share of patients with a tile of the infarct called. The paper: AUC .73, "
    "accuracy .73, specificity .78, precision .77, patient level .95."
)
_COUNTS: Final = (Column("patients", "n"), Column("tiles", "Tiles"), Column("infarct_tiles", "Infarct tiles"))
_TIMES: Final = (Column("training_s", "Training, s", 0), Column("tile_ms", "A tile, ms", 2))


@dataclass(frozen=True)
class Told:
    """A row, what is measured of it on held-out patients, and on those to choose by, if there are any."""

    run: TileRun
    test: TileMeasures
    choice: TileMeasures | None

    @property
    def about(self) -> Mapping[str, str | int | float]:
        """The cells of the row that say what it is."""
        return self.run.row.about


def write_tile_part(
    study: TileStudy, part: Part, runs: Sequence[TileRun], folder: Path, *, resamples: int = RESAMPLES
) -> Path:
    """Write tables and figures of the finished rows of a part into ``folder`` and return the path of its page.

    Each file is written whole or not at all.
    """
    found = [_told(run, resamples) for run in runs]
    tables, figures = _PARTS[part](study, found, resamples)
    text = "\n".join(as_markdown(table) for table in tables)
    title = f"# Reproduction of the localize paper ({study.name}): {_HEADS[part]}\n\n{INTENDED_USE}\n\n"
    for table in tables:
        write_whole(folder / f"{table.name}.csv", as_csv(table).encode())
    content = json.dumps(_as_json(study, found, tables), indent=2)
    write_whole(folder / f"{part}.json", (content + "\n").encode())
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, figure in figures.items():
        write_whole(folder / FIGURES / f"{name}.png", png(figure))
    return write_whole(folder / f"{part}.md", (title + text).encode())


Drawn = tuple[tuple[Table, ...], dict[str, Figure]]


def models_part(study: TileStudy, found: Sequence[Told], _: int) -> Drawn:
    """Return the paper's table 2 and its figure."""
    columns = (
        *(Column("network", "Network"), Column("size_px", "Size, px"), *_COUNTS, *_columns(SHORT), *_TIMES),
        Column("published_ap", "AP in the paper", 2),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (*one.about.values(), *_counts(one), *_values(one, SHORT), *_times(one), one.run.row.published) for one in found
    )
    note = f"{_best(found)} {MODELS_NOTE} {HOW} {_timing()} {study.note}"
    return (Table(MODELS, "Networks and sizes", columns, rows, note),), {MODELS: models_figure(found)}


def search_part(study: TileStudy, found: Sequence[Told], _: int) -> Drawn:
    """Return the trials and their figure, and what inputs give and theirs."""
    trials, inputs = (_of(found, table) for table in (TRIALS, INPUT_ROWS))
    tables = (_trial_table(study, trials), _input_table(study, inputs))
    return tables, {TRIALS: trials_figure(trials), INPUT_ROWS: inputs_figure(inputs)}


def folds_part(study: TileStudy, found: Sequence[Told], resamples: int) -> Drawn:
    """Return what each fold gives, mean and SD over folds, all patients together, and their figure."""
    names = tuple(TITLES)
    by_input: dict[str, list[Told]] = {}
    for one in found:
        by_input.setdefault(str(one.about["input"]), []).append(one)
    columns = (Column("input", "Input"), Column("fold", "Fold"), *_COUNTS, *_columns(names))
    rows = [row for name, ones in by_input.items() for row in _fold_rows(name, ones, names)]
    together = [_together(ones, resamples) for ones in by_input.values()]
    whole = tuple(
        _together_row(name, len(ones), one) for (name, ones), one in zip(by_input.items(), together, strict=True)
    )
    apart = (Column("input", "Input"), Column("folds", "Folds"), *_COUNTS, *_columns(names))
    tables = (
        Table(FOLDS, "Cross-validation by patient", columns, tuple(rows), "Mean ± SD over folds."),
        Table(f"{FOLDS}_together", "All folds together", apart, whole, f"{FOLDS_NOTE} {HOW} {study.note}"),
    )
    return tables, {FOLDS: folds_figure(dict(zip(by_input, together, strict=True)), by_input)}


_PARTS: Final[dict[Part, Callable[[TileStudy, Sequence[Told], int], Drawn]]] = {
    "models": models_part,
    "search": search_part,
    "crossval": folds_part,
}
_HEADS: Final[dict[Part, str]] = {
    "models": "networks and sizes",
    "search": "random search, and inputs",
    "crossval": "cross-validation",
}


def models_figure(found: Sequence[Told]) -> Figure:
    """Return AP and AUC of each network at each size, and the paper's AP."""
    networks = list(dict.fromkeys(str(one.about["network"]) for one in found))
    sizes_px = list(dict.fromkeys(one.about["size_px"] for one in found))
    figure, panes = panels(2, height=0.55 * len(networks) + 1.8)
    for axes, measure in zip(panes, ("average_precision", "auc"), strict=True):
        for look, size_px in enumerate(sizes_px):
            ones = [one for one in found if one.about["size_px"] == size_px]
            places = [-networks.index(str(one.about["network"])) - _beside(look) for one in ones]
            values = [one.test.values[measure] for one in ones]
            points(axes, values, places, horizontal=True, label=f"{size_px} px", look=look)
            printed = [(one.run.row.published, place) for one, place in zip(ones, places, strict=True)]
            known = [(value, place) for value, place in printed if value is not None]
            if known and measure == "average_precision":
                x, y = zip(*known, strict=True)
                axes.scatter(x, y, marker="D", facecolors="none", edgecolors=COLOURS[look], zorder=3)
        axes.axvline(_chance(found[0].test) if measure == "average_precision" else 0.5, color=GREY, linestyle=":")
        axes.set(xlabel=TITLES[measure], ylim=(-len(networks) + 0.4, 0.6))
        axes.set_yticks([-place for place in range(len(networks))], networks)
    panes[0].set_title("Held-out patients, 95 % intervals; diamonds: the paper's", fontsize=10)
    panes[1].tick_params(labelleft=False)
    panes[1].legend(fontsize=8, loc="best")
    return figure


def trials_figure(found: Sequence[Told]) -> Figure:
    """Return the AP of each trial on the patients to choose by, and on others."""
    figure, (axes,) = panels(height=0.36 * len(found) + 1.8)
    chosen = _chosen(found)
    for look, (label, choice) in enumerate((("to choose by", True), ("held out", False))):
        places = [-place - _beside(look) for place in range(len(found))]
        values = [_ap(one, choice=choice) for one in found]
        points(axes, values, places, horizontal=True, label=label, look=look)
    names = [f"{one.run.row.name}{' (chosen)' if one is chosen else ''}" for one in found]
    axes.set_yticks([-place for place in range(len(found))], names)
    axes.set(xlabel=TITLES["average_precision"], title="Random search: 95 % intervals")
    axes.legend(fontsize=8, loc="best")
    return figure


def inputs_figure(found: Sequence[Told]) -> Figure:
    """Return AP and both AUC of each input."""
    figure, (axes,) = panels(height=0.55 * len(found) + 1.8)
    for look, measure in enumerate(("average_precision", "auc", "healthy_auc")):
        places = [-place - 0.2 * (look - 1) for place in range(len(found))]
        values = [one.test.values[measure] for one in found]
        points(axes, values, places, horizontal=True, label=TITLES[measure], look=look)
    axes.axvline(0.5, color=GREY, linestyle=":")
    axes.set_yticks([-place for place in range(len(found))], [one.run.row.name for one in found])
    axes.set(title="What the network is shown: 95 % intervals", ylim=(-len(found) + 0.4, 0.6))
    axes.legend(fontsize=8, loc="best")
    return figure


def folds_figure(together: Mapping[str, TileMeasures], by_input: Mapping[str, Sequence[Told]]) -> Figure:
    """Return each measure of all folds together with its interval, and each fold as a dot."""
    names = [name for name in TITLES if name != "healthy_auc"]
    figure, (axes,) = panels(height=0.42 * len(names) + 1.8)
    for look, (name, one) in enumerate(together.items()):
        places = [-place - _beside(look) for place in range(len(names))]
        points(axes, [one.values[value] for value in names], places, horizontal=True, label=name, look=look)
        for fold in by_input[name]:
            dots = [fold.test.values[value].estimate for value in names]
            axes.scatter(dots, places, s=9, color=COLOURS[look], alpha=0.35, linewidths=0)
    axes.set_yticks([-place for place in range(len(names))], [TITLES[name] for name in names])
    axes.set(title="All folds together, 95 % intervals; dots are folds", ylim=(-len(names) + 0.4, 0.6))
    axes.legend(fontsize=8, loc="best")
    return figure


def _trial_table(study: TileStudy, trials: Sequence[Told]) -> Table:
    values = {
        "learning_rate": "Rate",
        "dropout": "Dropout",
        "dense": "Dense",
        "batch": "Batch",
        "optimiser": "Optimiser",
    }
    columns = (
        *(Column("trial", "Trial"), *(Column(name, title) for name, title in values.items())),
        *(Column("choice_ap", "AP to choose by"), Column("chosen", "Chosen"), *_COUNTS, *_columns(SHORT), *_TIMES),
    )
    best = _chosen(trials)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *(one.run.row.name, *(one.about[name] for name in values), _ap(one, choice=True)),
            *("yes" if one is best else "no", *_counts(one), *_values(one, SHORT), *_times(one)),
        )
        for one in trials
    )
    tiles = trials[0].run.row.recipe
    budget = f"{tiles.steps * tiles.batch} tiles a trial, {tiles.phantoms.setting.size_px} px."
    note = f"{budget} {TRIALS_NOTE} {HOW} {_timing()} {study.note}"
    return Table(TRIALS, "Random search over the training of tuned VGG16", columns, rows, note)


def _input_table(study: TileStudy, inputs: Sequence[Told]) -> Table:
    columns = (Column("input", "Input"), Column("channels", "Channels"), *_COUNTS, *_columns(SHORT), *_TIMES)
    rows = tuple(_input_row(one) for one in inputs)
    size_px = inputs[0].run.row.recipe.phantoms.setting.size_px
    note = f"Tuned VGG16 at {size_px} px. {INPUTS_NOTE} {HOW} {_timing()} {study.note}"
    return Table(INPUT_ROWS, "What the network is shown", columns, rows, note)


def _input_row(one: Told) -> tuple[Cell, ...]:
    row = one.run.row
    return (row.name, row.recipe.phantoms.setting.channels, *_counts(one), *_values(one, SHORT), *_times(one))


def _together_row(name: str, folds: int, one: TileMeasures) -> tuple[Cell, ...]:
    return (name, folds, one.patients, one.tiles, one.infarct_tiles, *(one.values[value] for value in TITLES))


def _fold_rows(name: str, ones: Sequence[Told], names: Sequence[str]) -> list[tuple[Cell, ...]]:
    """Return a row a fold, and one with mean and SD of them; every number is a spread, of one number or of all."""
    each: list[tuple[Cell, ...]] = [
        (
            *(name, str(one.about["fold"]), *_counts(one)),
            *(over_folds([one.test.values[value].estimate]) for value in names),
        )
        for one in ones
    ]
    means = (over_folds([one.test.values[value].estimate for one in ones]) for value in names)
    return [*each, (name, "mean ± SD", None, None, None, *means)]


def _together(ones: Sequence[Told], resamples: int) -> TileMeasures:
    """Return the measures over the tiles of all folds: each patient is tested by the network that did not see it."""
    return measured(joined([one.run.test for one in ones]), resamples=resamples)


def _told(run: TileRun, resamples: int) -> Told:
    choice = measured(run.choice, resamples=resamples) if run.choice.patients else None
    return Told(run, measured(run.test, resamples=resamples), choice)


def _of(found: Sequence[Told], table: str) -> list[Told]:
    return [one for one in found if one.run.row.table == table]


def _ap(one: Told, *, choice: bool) -> Interval:
    measures = one.choice if choice and one.choice else one.test
    return measures.ranking.average_precision


def _chosen(trials: Sequence[Told]) -> Told:
    """Return the trial with the highest AP on the patients to choose by."""
    return max(trials, key=lambda one: _rank(_ap(one, choice=True)))


def _rank(value: Interval) -> float:
    return -math.inf if math.isnan(value.estimate) else value.estimate


def _best(found: Sequence[Told]) -> str:
    best = max(found, key=lambda one: _rank(one.test.ranking.average_precision))
    value = best.test.ranking.average_precision
    chance = number(_chance(best.test), 2)
    words = f"Highest AP: {best.run.row.name}, {number(value.estimate, 3)}; chance is {chance}."
    return f"{words} It is the highest of {len(found)} on the same patients, so it looks a little better than it is."


def _chance(measures: TileMeasures) -> float:
    """Return the AP of one who guesses."""
    return measures.infarct_tiles / measures.tiles if measures.tiles else math.nan


def _beside(look: int) -> float:
    """Return how far one of two looks stands from the middle, in rows."""
    return (look - 0.5) * 0.28


def _columns(names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(name, TITLES[name]) for name in names)


def _counts(one: Told) -> tuple[int, int, int]:
    return one.test.patients, one.test.tiles, one.test.infarct_tiles


def _values(one: Told, names: Sequence[str]) -> tuple[Interval, ...]:
    return tuple(one.test.values[name] for name in names)


def _times(one: Told) -> tuple[float, float]:
    return one.run.training_s, one.run.tile_ms


def _timing() -> str:
    return f"{TIMES}, on {processor_name()}."


def _as_json(study: TileStudy, found: Sequence[Told], tables: Sequence[Table]) -> Any:
    """Return all rows with their recipes and measures."""
    rows = [
        {
            "table": one.run.row.table,
            "name": one.run.row.name,
            **({"chosen": one is _chosen(_of(found, TRIALS))} if one.run.row.table == TRIALS else {}),
            "recipe": one.run.row.recipe.as_data(),
            "split": asdict(one.run.row.split),
            "patients": one.test.patients,
            "tiles": one.test.tiles,
            "infarct_tiles": one.test.infarct_tiles,
            "measures": {name: asdict(value) for name, value in one.test.values.items()},
            "to_choose_by": {name: asdict(value) for name, value in one.choice.values.items()} if one.choice else None,
            "published_ap": one.run.row.published,
            "training_s": one.run.training_s,
            "tile_ms": one.run.tile_ms,
        }
        for one in found
    ]
    notes = {table.name: table.note for table in tables}
    about = {"intended_use": INTENDED_USE, "size": study.name, "patients": study.patient_count, "notes": notes}
    return without_nan({**about, "rows": rows})

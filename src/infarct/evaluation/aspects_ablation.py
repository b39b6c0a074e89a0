"""Several models over the same regions of the same patients: an ablation of DA-Net, and its learning curve.

Models are held against a full one. The interval of a difference comes from drawing patients, the same for both models,
so that what is hard in a patient cancels out. It does not know what chance did in training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeAlias, get_args

import numpy as np

from infarct.anatomy import Region, Side
from infarct.evaluation.aspects_summary import Counted
from infarct.evaluation.aspects_tables import AUC, DECISIONS_A_PATIENT, RIGHT_OR_WRONG
from infarct.evaluation.tables import Cell, Column, Table
from infarct.measure.agreement import Rows, balanced_accuracy, resampled, roc_auc
from infarct.measure.bootstrap import RESAMPLES, Interval
from infarct.measure.overlap import count
from infarct.types import BoolArray, Float64Array


@dataclass(frozen=True)
class RegionCall:
    """What a model says of a region: its calibrated ``probability``, and whether it was ``found`` to be affected.

    ``of_stroke``: the region lies in the hemisphere of the stroke; ``affected``: it truly is, by core.
    """

    patient: str
    region: Region
    side: Side
    of_stroke: bool
    affected: bool
    probability: float
    found: bool


@dataclass(frozen=True)
class RegionRun:
    """A model's calls; ``published`` are the measures that the paper prints for it, by their names."""

    name: str
    calls: tuple[RegionCall, ...]
    training_patients: int
    published: tuple[tuple[str, float], ...] = ()

    def of(self, counted: Counted) -> "CallArrays":
        """Return the calls that are counted."""
        return self._arrays[counted]

    @cached_property
    def _arrays(self) -> dict[Counted, "CallArrays"]:
        return {counted: CallArrays.of(self.calls, counted) for counted in get_args(Counted)}


@dataclass(frozen=True, eq=False)
class CallArrays:
    """Calls as arrays (n,), and whose and which regions they are."""

    affected: BoolArray
    found: BoolArray
    probability: Float64Array
    keys: tuple[tuple[str, Side, Region], ...]

    @classmethod
    def of(cls, calls: Sequence[RegionCall], counted: Counted) -> "CallArrays":
        """Return the calls of all regions, or of those in the hemisphere of the stroke."""
        chosen = [call for call in calls if call.of_stroke or counted == "both hemispheres"]
        return cls(
            np.array([call.affected for call in chosen], dtype=bool),
            np.array([call.found for call in chosen], dtype=bool),
            np.array([call.probability for call in chosen], dtype=np.float64),
            tuple((call.patient, call.side, call.region) for call in chosen),
        )

    @property
    def patients(self) -> list[str]:
        """Whose each region is."""
        return [patient for patient, _, _ in self.keys]


Measure: TypeAlias = Callable[[CallArrays, Rows], float]
MEASURES: Final[dict[str, Measure]] = {
    "roc_auc": lambda calls, rows: roc_auc(calls.affected[rows], calls.probability[rows]),
    "balanced_accuracy": lambda calls, rows: balanced_accuracy(count(calls.found[rows], calls.affected[rows])),
    "sensitivity": lambda calls, rows: count(calls.found[rows], calls.affected[rows]).sensitivity,
    "specificity": lambda calls, rows: count(calls.found[rows], calls.affected[rows]).specificity,
}
TITLES: Final = {column.name: column.title for column in (AUC, *RIGHT_OR_WRONG)}
PUBLISHED_FULL: Final = (("balanced_accuracy", 0.864), ("sensitivity", 0.807), ("specificity", 0.922))
"""Aspects paper, table 1, main dataset, all regions; what it prints as AUC is the balanced accuracy (see
`aspects_tables.REGION_NOTE`). It prints no ablation and no learning curve."""
ABLATION_NOTE: Final = (
    "95 % intervals from drawing patients, for differences the same patients for both models: they do not hold what "
    "chance did in training, for which the row with another seed is a measure. The aspects paper prints no ablation; "
    "its numbers are those of its full model on its own 176 patients, of the affected hemisphere."
)
_COUNTED: Final = Column("counted", "Counted")
_RUN: Final = Column("run", "Model")
_PATIENTS: Final = Column("training_patients", "Training patients")


@dataclass(frozen=True)
class Measured:
    """A model's measures over what is ``counted``, and each less that of the full model (None for that itself)."""

    run: RegionRun
    counted: Counted
    values: dict[str, Interval]
    changes: dict[str, Interval] | None


def measured(runs: Sequence[RegionRun], full: RegionRun, *, resamples: int = RESAMPLES) -> tuple[Measured, ...]:
    """Return the measures of all runs: those of the affected hemisphere, then those of both.

    Raises `ValueError` where a run judged other regions than the full one.
    """
    return tuple(
        Measured(
            run,
            counted,
            {name: value(run.of(counted), measure, resamples=resamples) for name, measure in MEASURES.items()},
            None
            if run is full
            else {
                name: change(full.of(counted), run.of(counted), measure, resamples=resamples)
                for name, measure in MEASURES.items()
            },
        )
        for counted in get_args(Counted)
        for run in runs
    )


def value(calls: CallArrays, measure: Measure, *, resamples: int = RESAMPLES) -> Interval:
    """Return a measure of calls with its interval."""
    return resampled(lambda rows: measure(calls, rows), calls.patients, resamples=resamples)


def change(full: CallArrays, other: CallArrays, measure: Measure, *, resamples: int = RESAMPLES) -> Interval:
    """Return a measure of ``other`` less that of ``full``, over the same regions, with its interval.

    Raises `ValueError` where the regions are not the same.
    """
    if full.keys != other.keys:
        raise ValueError("two models have judged different regions")
    return resampled(lambda rows: measure(other, rows) - measure(full, rows), full.patients, resamples=resamples)


def whole_table(name: str, title: str, found: Sequence[Measured], note: str) -> Table:
    """Return everything in one table: measures, differences and what is published, for either way to count."""
    columns = (
        *(_COUNTED, _RUN, _PATIENTS, Column("decisions", "Decisions"), Column("affected", "Affected")),
        *(Column(measure, TITLES[measure]) for measure in MEASURES),
        *(Column(f"{measure}_change", f"{TITLES[measure]}, change") for measure in MEASURES),
        *(Column(f"published_{measure}", f"{TITLES[measure]} in the paper") for measure, _ in PUBLISHED_FULL),
    )
    return Table(name, title, columns, tuple(_row(one) for one in found), note)


def readable_tables(table: Table) -> tuple[Table, ...]:
    """Return a table of `whole_table` in parts that a page can hold: measures and differences, by way to count.

    The paper's numbers stand by the affected hemisphere only, which is what it counts.
    """
    names = [column.name for column in table.columns]
    values = [names.index(name) for name in ("run", "training_patients", "decisions", "affected", *MEASURES)]
    changes = [names.index(name) for name in ("run", *(f"{measure}_change" for measure in MEASURES))]
    published = [place for place, name in enumerate(names) if name.startswith("published_")]
    parts = []
    for counted in get_args(Counted):
        rows = [row for row in table.rows if row[0] == counted]
        shown = [*values, *(place for place in published if any(row[place] is not None for row in rows))]
        told = f"{counted} ({DECISIONS_A_PATIENT[counted]} decisions a patient)"
        parts.append(_part(table, rows, shown, f"{table.title}, {told}"))
        others = [row for row in rows if row[changes[1]] is not None]
        parts.append(_part(table, others, changes, f"Difference to the full model, {told}"))
    return (*parts[:-1], replace(parts[-1], note=table.note))


def _part(table: Table, rows: Sequence[tuple[Cell, ...]], places: Sequence[int], title: str) -> Table:
    columns = tuple(table.columns[place] for place in places)
    return Table(table.name, title, columns, tuple(tuple(row[place] for place in places) for row in rows))


def _row(one: Measured) -> tuple[Cell, ...]:
    calls = one.run.of(one.counted)
    published = dict(one.run.published) if one.counted == "affected hemisphere" else {}
    return (
        *(one.counted, one.run.name, one.run.training_patients, len(calls.affected), int(calls.affected.sum())),
        *one.values.values(),
        *(one.changes[name] if one.changes else None for name in MEASURES),
        *(published.get(name) for name, _ in PUBLISHED_FULL),
    )

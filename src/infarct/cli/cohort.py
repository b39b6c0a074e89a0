"""``infarct cohort``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import step_bar

if TYPE_CHECKING:
    from rich.table import Table

    from infarct.cohorts import Cohort
    from infarct.cohorts.examine import CaseFacts

cohort = typer.Typer(name="cohort", help="Data sets with a reference.", no_args_is_help=True)
WIDEST_ID = 36
"""Ids are broken over lines only beyond this many letters."""
CLINICAL = ("onset_h", "age", "sex", "side", "nihss", "mrs90", "aspects")


@cohort.callback()
def _root() -> None:
    """Data sets with a reference."""


@cohort.command()
def check(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a data set, or a manifest CSV.")],
    fast: Annotated[bool, typer.Option("--fast", help="List files only; read no images.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Say what a data set holds, what is missing, and what is left out and why.

    Prints the ids of the cases, and beside each the key that results have for it.
    """
    from infarct.cohorts.detect import open_cohort
    from infarct.cohorts.examine import examine

    found = open_cohort(source)
    keys = {case.id: case.key for case in found.cases}
    facts: tuple[CaseFacts, ...] = ()
    if not fast:
        total = len(found.cases)
        with step_bar(total, quiet=quiet) as steps:
            examined = examine(found, on_done=lambda done: steps.reach(done, f"{done} of {total}"))
        found, facts = examined.cohort, examined.facts
    by_id = {fact.id: fact for fact in facts}
    if as_json:
        typer.echo(json.dumps(_as_json(found, by_id, keys), indent=2))
    else:
        _print(found, by_id, keys)


def _as_json(found: "Cohort", facts: "dict[str, CaseFacts]", keys: dict[str, str]) -> dict[str, Any]:
    """Return what was found; what the images would say is null with ``--fast``, and keys where there is no case."""
    cases = []
    for case in found.cases:
        fact = facts.get(case.id)
        cases.append(
            {
                "id": case.id,
                "key": case.key,
                "patient": case.patient,
                "patient_key": case.patient_key,
                "target": case.target,
                **{name: getattr(case.clinical, name) for name in CLINICAL},
                "paired": sorted(case.paired),
                "lesion_free": case.lesion_free,
                "slices": fact.slices if fact else None,
                "spacing_mm_zyx": list(fact.spacing_mm_zyx) if fact else None,
                "lesion_ml": fact.lesion_ml if fact else None,
                "old_ml": fact.old_ml if fact else None,
                "flags": list(fact.flags) if fact else None,
            }
        )
    return {
        "kind": found.kind,
        "notes": list(found.notes),
        "cases": cases,
        "missing": _missing(found, facts),
        "left_out": [{"id": left.id, "key": keys.get(left.id), "reason": left.reason} for left in found.left_out],
    }


def _missing(found: "Cohort", facts: "dict[str, CaseFacts]") -> dict[str, int]:
    """Return how many cases lack each value; that of the lesion mask is known once the images were read."""
    unlabelled = sum(fact.lesion_ml is None for fact in facts.values())
    return ({"lesion mask": unlabelled} if unlabelled else {}) | found.missing


def _print(found: "Cohort", facts: "dict[str, CaseFacts]", keys: dict[str, str]) -> None:
    """Print the cases, what is missing and what is left out."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    patients = len({case.patient for case in found.cases})
    head = f"{found.kind}: {len(found.cases)} cases of {patients} patients, {len(found.left_out)} left out"
    console.print(Text(head, style="bold"))
    for note in found.notes:
        console.print(Text(note))
    if found.cases:
        console.print(_cases_table(found, facts))
        parts = [f"{name} in {count}" for name, count in _missing(found, facts).items()]
        console.print(
            Text(f"Missing: {', '.join(parts)} of {len(found.cases)} cases." if parts else "Nothing is missing.")
        )
    if found.left_out:
        rows = [(left.id, keys.get(left.id, ""), left.reason) for left in found.left_out]
        console.print(_table("Left out", ("case", "key", "why"), rows))


def _cases_table(found: "Cohort", facts: "dict[str, CaseFacts]") -> "Table":
    rows = []
    for case in found.cases:
        fact = facts.get(case.id)
        seen = ("", "", "", "")
        if fact:
            spacing = " x ".join(f"{mm:.3g}" for mm in fact.spacing_mm_zyx)
            grid = f"{fact.slices} of {spacing}"
            seen = (grid, _volume(fact.lesion_ml), _volume(fact.old_ml), ", ".join(fact.flags))
        rows.append((case.id, case.key, case.target, *seen))
    columns = ("case", "key", "target", "slices, mm", "lesion ml", "old ml", "doubts")
    return _table("Cases", columns, rows)


def _volume(volume_ml: float | None) -> str:
    """Return a volume: a dash where nobody labelled, 0 where nothing is there."""
    if volume_ml is None:
        return "-"
    return f"{volume_ml:.1f}" if volume_ml else "0"


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> "Table":
    """Return a table of plain text: names of folders are shown as they are, but nothing in them steers the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE, title_justify="left", collapse_padding=True)
    widest = [min(max(len(row[place]) for row in rows), WIDEST_ID) for place in range(2)]  # of ids and keys
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", min_width=widest[place] if place < len(widest) else None)
    for row in rows:
        table.add_row(*(Text("".join(c if c.isprintable() else "?" for c in cell)) for cell in row))
    return table

"""``infarct models``."""

from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.weights import ShippedWeights


def models(
    name: Annotated[
        str | None, typer.Argument(help="Weights whose model card to print; lists all if not given.")
    ] = None,
) -> None:
    """List the shipped weights: system, what they were calibrated on, hash; or print a model card."""
    from infarct.weights import shipped

    entries = shipped()
    if name is None:
        typer.echo(_table(entries))
        return
    chosen = next((entry for entry in entries if entry.name == name), None)
    if chosen is None:
        known = ", ".join(entry.name for entry in entries) or "none"
        raise BadRequest(f"there are no shipped weights {name[:40]!r}; there are: {known}")
    typer.echo(_card(chosen))


def _table(entries: "tuple[ShippedWeights, ...]") -> str:
    """Return a line for each of ``entries``, in columns as wide as they need; an asterisk marks what is the default."""
    from infarct.weights import load_weights

    rows = [("", "name", "system", "network", "calibrated on", "sha256")]
    for entry in entries:
        weights = load_weights(entry.name)
        calibrated_on = str(weights.settings.get("calibrated_on", "nothing"))
        mark = "*" if entry.default else ""
        rows.append((mark, entry.name, entry.system, weights.network, calibrated_on, entry.sha256))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) if entries else "no weights are shipped"


def _card(entry: "ShippedWeights") -> str:
    from infarct.weights import card_of, load_weights

    return card_of(load_weights(entry.name)).markdown()

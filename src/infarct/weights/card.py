"""The model card of a weight file as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infarct.weights.weight_set import WeightSet

FIRST_SECTIONS: Final = ("summary", "data", "recipe", "training", "metrics", "known_failures")
"""Sections that come first, in this order; the others of a card follow as they stand in it."""
NOTICE: Final = "Research use only; not a medical device."


def card_markdown(weights: WeightSet, *, size_bytes: int | None = None) -> str:
    """Return the model card of ``weights``: what identifies them, then a section for each entry of their ``card``."""
    lines = [f"# {weights.name}", "", NOTICE, "", *_table(_identity(weights, size_bytes)), ""]
    order = [key for key in FIRST_SECTIONS if key in weights.card]
    order += [key for key in weights.card if key not in order]
    for key in order:
        lines += [f"## {_words(key).capitalize()}", "", *_section(weights.card[key]), ""]
    lines += ["## Settings", "", *_bullets(weights.settings, 0), ""]
    return "\n".join(lines)


def _identity(weights: WeightSet, size_bytes: int | None) -> dict[str, Any]:
    identity = {
        "system": weights.system,
        "network": weights.network,
        "network configuration": ", ".join(f"{key} {_value(value)}" for key, value in weights.network_config.items()),
        "parameters": f"{sum(values.size for values in weights.tensors.values()):,}",
        "SHA-256": weights.sha256,
    }
    return identity if size_bytes is None else {**identity, "size": f"{size_bytes / 2**20:.1f} MiB"}


def _section(entry: Any) -> list[str]:
    """Return an entry of a card as lines: a list of alike objects as a table, other data as bullets, text as it is."""
    if isinstance(entry, Mapping):
        return list(_bullets(entry, 0))
    if isinstance(entry, list | tuple):
        if entry and all(isinstance(row, Mapping) and row.keys() == entry[0].keys() for row in entry):
            return _rows([_words(key) for key in entry[0]], [list(row.values()) for row in entry])
        return [f"- {_value(item)}" for item in entry]
    return [_value(entry)]


def _bullets(entries: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield f"{'  ' * depth}- {_words(key)}:"
            yield from _bullets(value, depth + 1)
        else:
            yield f"{'  ' * depth}- {_words(key)}: {_value(value)}"


def _table(entries: Mapping[str, Any]) -> list[str]:
    return _rows(["", ""], [[key, value] for key, value in entries.items()])


def _rows(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    cells = [[_value(value).replace("|", "\\|") for value in row] for row in [head, ["---"] * len(head), *rows]]
    return [f"| {' | '.join(row)} |" for row in cells]


def _value(value: Any) -> str:
    """Return a value on one line; numbers with thousands separated, no more than four digits after the point."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(key)} {_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(f"({_value(item)})" if isinstance(item, list | tuple) else _value(item) for item in value)
    return " ".join(str(value).split())


def _words(key: str) -> str:
    return key.replace("_", " ")

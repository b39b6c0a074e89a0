"""The model card of a set of weights."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infarct.model_card import IDENTITY, Block, ModelCard, Section
from infarct.weights.weight_set import WeightSet

FIRST_SECTIONS: Final = ("summary", "data", "recipe", "training", "metrics", "known_failures")
"""Sections that come first, in this order; the others of a card follow as they stand in it."""
NOTICE: Final = "Research use only; not a medical device."


def card_of(weights: WeightSet, *, size_bytes: int | None = None) -> ModelCard:
    """Return the model card of ``weights``: what identifies them, a section for each entry of their ``card``, and the
    settings.
    """
    order = [key for key in FIRST_SECTIONS if key in weights.card]
    order += [key for key in weights.card if key not in order]
    identity = (_text(NOTICE), _table(("", ""), _identity(weights, size_bytes).items()))
    return ModelCard(
        weights.name,
        (
            Section(IDENTITY, identity),
            *(Section(_words(key).capitalize(), (_block(weights.card[key]),)) for key in order),
            Section("Settings", (_bullets(weights.settings),)),
        ),
    )


def _identity(weights: WeightSet, size_bytes: int | None) -> dict[str, Any]:
    identity = {
        "system": weights.system,
        "network": weights.network,
        "network configuration": ", ".join(f"{key} {_value(value)}" for key, value in weights.network_config.items()),
        "parameters": f"{sum(values.size for values in weights.tensors.values()):,}",
        "SHA-256": weights.sha256,
    }
    return identity if size_bytes is None else {**identity, "size": f"{size_bytes / 2**20:.1f} MiB"}


def _block(entry: Any) -> Block:
    """Return an entry of a card: a list of alike objects as a table, other data as a list, text as it is."""
    if isinstance(entry, Mapping):
        return _bullets(entry)
    if isinstance(entry, list | tuple):
        if entry and all(isinstance(row, Mapping) and row.keys() == entry[0].keys() for row in entry):
            return _table(map(_words, entry[0]), (row.values() for row in entry))
        return Block("list", tuple((_value(item),) for item in entry), (0,) * len(entry))
    return _text(_value(entry))


def _text(text: str) -> Block:
    return Block("text", ((text,),))


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Block:
    return Block("table", (tuple(head), *(tuple(map(_value, row)) for row in rows)))


def _bullets(entries: Mapping[str, Any]) -> Block:
    items = list(_items(entries, 0))
    return Block("list", tuple((text,) for _, text in items), tuple(depth for depth, _ in items))


def _items(entries: Mapping[str, Any], depth: int) -> Iterator[tuple[int, str]]:
    """Yield how deep each entry lies in others, and its text."""
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield depth, f"{_words(key)}:"
            yield from _items(value, depth + 1)
        else:
            yield depth, f"{_words(key)}: {_value(value)}"


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

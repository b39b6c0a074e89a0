"""Model cards in the report: their Markdown, as `infarct.weights` makes it, taken apart for a page.

The Markdown is read line by line: headings, tables, nested lists and plain lines; nothing else has a meaning in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, TypeAlias

from infarct.findings import Analysis

IDENTITY: Final = "Identity"
"""How what stands before the first heading of a card is called."""
FOLDED: Final = (IDENTITY, "Recipe", "Training", "Metrics", "Settings")
"""Sections for whoever trains: they are folded away once more."""
LIST_ITEM: Final = re.compile(r"( *)- (.*)")
INDENT: Final = 2
"""Spaces that set a list in another one."""
DEEPEST: Final = 4
"""Lists are set in no further than this."""
CELL_EDGE: Final = re.compile(r"(?<!\\)\|")
RULE: Final = re.compile(r"\|( --- \|)+")
Kind: TypeAlias = Literal["text", "list", "table"]


@dataclass(frozen=True)
class Block:
    """Lines of one kind: ``rows`` hold the cells of a table's rows, the first its heads, or one text each.

    ``depths`` say how deep each item of a list lies in others.
    """

    kind: Kind
    rows: tuple[tuple[str, ...], ...]
    depths: tuple[int, ...]


@dataclass(frozen=True)
class Section:
    """A part of a card under its heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Card:
    """The card of weights that took part; ``id`` is that of its place in the page."""

    id: str
    system: str
    name: str
    shown: tuple[Section, ...]
    folded: tuple[Section, ...]


def cards_by_weights(analysis: Analysis) -> dict[str, Card]:
    """Return the cards of the weights that took part, by their SHA-256, in the order of the provenance.

    Weights without a card are left out.
    """
    found: dict[str, Card] = {}
    for number, weights in enumerate(analysis.findings.provenance.weights, start=1):
        text = analysis.cards.get(weights.sha256)
        if text is not None:
            sections = sections_of(text)
            found[weights.sha256] = Card(
                id=f"card-{number}",
                system=weights.system,
                name=weights.name,
                shown=tuple(one for one in sections if one.title not in FOLDED),
                folded=tuple(one for one in sections if one.title in FOLDED),
            )
    return found


def sections_of(markdown: str) -> tuple[Section, ...]:
    """Return the sections of a card; its title is left out."""
    titles, lines = [IDENTITY], [list[str]()]
    for line in markdown.splitlines():
        if line.startswith("## "):
            titles.append(line.removeprefix("## "))
            lines.append([])
        elif not line.startswith("# "):
            lines[-1].append(line)
    return tuple(Section(title, tuple(_blocks(part))) for title, part in zip(titles, lines, strict=True))


def _blocks(lines: list[str]) -> Iterator[Block]:
    telling = (line for line in lines if line.strip() and not RULE.fullmatch(line))
    for kind, group in groupby(telling, key=_kind):
        part = list(group)
        if kind == "table":
            yield Block(kind, tuple(_cells(line) for line in part), ())
        elif kind == "list":
            items = [LIST_ITEM.fullmatch(line) for line in part]
            texts = tuple((item[2],) for item in items if item)
            yield Block(kind, texts, tuple(min(len(item[1]) // INDENT, DEEPEST) for item in items if item))
        else:
            yield Block(kind, tuple((line,) for line in part), ())


def _kind(line: str) -> Kind:
    if line.startswith("|"):
        return "table"
    return "list" if LIST_ITEM.fullmatch(line) else "text"


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in CELL_EDGE.split(line)[1:-1])

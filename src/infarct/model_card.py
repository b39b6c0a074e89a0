"""What a model card says, in the form that every page of it shares, and that form as Markdown."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "list", "table"]
Rows: TypeAlias = tuple[tuple[str, ...], ...]
IDENTITY: Final = "Identity"
"""Title of the first section, which in Markdown goes without one."""


@dataclass(frozen=True)
class Block:
    """Lines of one kind: ``rows`` hold the cells of a table's rows, the first its heads, or one text each.

    ``depths`` say how deep each item of a list lies in others; of other kinds they are empty.
    """

    kind: Kind
    rows: Rows
    depths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of a card under its heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class ModelCard:
    """The card of the weights called ``name``; the first section tells what identifies them. All is plain text."""

    name: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """Return the card as Markdown."""
        lines = [f"# {self.name}", ""]
        for place, section in enumerate(self.sections):
            lines += [f"## {section.title}", ""] if place else []
            for block in section.blocks:
                lines += [*_lines(block), ""]
        return "\n".join(lines)


def _lines(block: Block) -> list[str]:
    if block.kind == "table":
        head, *rows = block.rows
        cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ("---",) * len(head), *rows)]
        return [f"| {' | '.join(row)} |" for row in cells]
    texts = [text for (text,) in block.rows]
    if block.kind == "list":
        return [f"{'  ' * depth}- {text}" for depth, text in zip(block.depths, texts, strict=True)]
    return texts

"""Model cards in the report: what is shown of them, and what is folded away once more."""

from dataclasses import dataclass
from typing import Final

from infarct.findings import Analysis
from infarct.model_card import IDENTITY, Section

FOLDED: Final = (IDENTITY, "Recipe", "Training", "Metrics", "Settings")
"""Sections for whoever trains: they are folded away once more."""


@dataclass(frozen=True)
class PageCard:
    """The card of weights that took part; ``id`` is that of its place in the page."""

    id: str
    system: str
    name: str
    shown: tuple[Section, ...]
    folded: tuple[Section, ...]


def cards_by_weights(analysis: Analysis) -> dict[str, PageCard]:
    """Return the cards of the weights that took part, by their SHA-256, in the order of the provenance.

    Weights without a card are left out.
    """
    found: dict[str, PageCard] = {}
    for number, weights in enumerate(analysis.findings.provenance.weights, start=1):
        card = analysis.cards.get(weights.sha256)
        if card is not None:
            found[weights.sha256] = PageCard(
                id=f"card-{number}",
                system=weights.system,
                name=weights.name,
                shown=tuple(one for one in card.sections if one.title not in FOLDED),
                folded=tuple(one for one in card.sections if one.title in FOLDED),
            )
    return found

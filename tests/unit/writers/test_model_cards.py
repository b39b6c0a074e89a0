"""Model cards in the report: shown as text, and reached by the names of the weights."""

import re
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from rich_case import WEIGHTS, rich_case
from synthetic_head import Case
from test_html import HOSTILE, Outline

from infarct.model_card import Block, Kind, ModelCard, Section
from infarct.weights import WeightSet, card_of
from infarct.writers import render_html
from infarct.writers.model_cards import cards_by_weights

FIRST, WITHOUT, LAST = WEIGHTS


@pytest.fixture(scope="module")
def rich() -> Case:
    return rich_case()


@pytest.fixture(scope="module")
def page(rich: Case) -> str:
    return render_html(*rich)


def shown_card(page: str, name: str) -> str:
    """Return the markup of the card that the weights of a name link to."""
    (identity,) = re.findall(rf'<a href="#(card-\d+)">{re.escape(name)}</a>', page)
    inside = page.split(f'<details id="{identity}">')[1]
    return inside.split('<details id="card-')[0].split("</section>")[0]


def test_everything_of_a_card_is_in_the_page(rich: Case) -> None:
    """Whatever kind of entry it is of: heads of tables, cells, lists in lists."""
    scan, analysis = rich
    card = {
        "summary": "Trained on\nphantoms.",
        "metrics": [{"cohort": "acute|thin", "dice": 0.63}, {"cohort": "none", "dice": None}],
        "training": {"optimiser": {"name": "Adam", "rates": {"first": 1, "then": {"slow": {"slower": {"last": 2}}}}}},
        "known_failures": ["old infarcts", "- with a dash", "| with a bar |", "# with a hash"],
    }
    weights = WeightSet("segment", "x-1", "net", {"base": 16}, {"threshold": [0.5]}, {"a": np.zeros(3)}, card)
    told = card_of(weights)
    page = render_html(scan, replace(analysis, cards={FIRST.sha256: told}))
    shown = Outline(f"<details>{shown_card(page, FIRST.name)}").text
    cells = [cell for section in told.sections for block in section.blocks for row in block.rows for cell in row]
    assert {"acute|thin", "0.63", "none", "Trained on phantoms.", "last: 2", "# with a hash"} <= set(cells)
    for text in [*(section.title for section in told.sections), *cells]:
        assert text in shown
    assert '<li class="in-4">slower:</li>' in page
    assert '<li class="in-4">last: 2</li>' in page, "lists are set in no further"


def test_each_name_of_weights_leads_to_its_own_card(page: str) -> None:
    assert "Trained on phantoms alone." in shown_card(page, FIRST.name)
    assert "Acute infarcts." in shown_card(page, LAST.name)
    assert "Acute infarcts." not in shown_card(page, FIRST.name)
    assert page.count('<details id="card-') == 2


def test_weights_without_a_card_are_named_without_a_link(page: str) -> None:
    assert f"<dd>{WITHOUT.name}, calibrated on phantoms, SHA-256 {WITHOUT.sha256}</dd>" in page


def test_links_lead_to_parts_that_are_there_and_ids_are_unique(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for _, attributes in outline.tags if "href" in attributes]
    assert {"#card-1", "#card-3"} <= set(links)
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_recipe_and_settings_are_folded_away_once_more(page: str) -> None:
    shown, folded = shown_card(page, FIRST.name).split("<details>")
    assert "Wide sulci." in shown
    assert "roc auc" in shown
    assert "<summary>Identity, recipe and settings</summary>" in folded
    assert '<li class="in-1">warm up: 50</li>' in folded
    assert "Research use only" in folded


def test_without_cards_there_is_no_section_of_them(rich: Case) -> None:
    scan, analysis = rich
    page = render_html(scan, replace(analysis, cards={}))
    assert "Model cards" not in page
    assert "#card-" not in page
    assert all(f"{weights.name}, calibrated on" in page for weights in WEIGHTS)


def test_hostile_cards_are_text(rich: Case) -> None:
    scan, analysis = rich
    card = {
        HOSTILE: HOSTILE,
        "known_failures": [HOSTILE],
        "metrics": [{HOSTILE: HOSTILE}],
        "recipe": {HOSTILE: HOSTILE},
    }
    weights = WeightSet("aspects", "own", "da_net", {}, {HOSTILE: 1}, {"a": np.zeros(3)}, card)
    blocks = tuple(Block(kind, ((HOSTILE,),), (0,)) for kind in get_args(Kind))
    cards = {FIRST.sha256: card_of(weights), LAST.sha256: ModelCard(HOSTILE, (Section(HOSTILE, blocks),))}
    outline = Outline(render_html(scan, replace(analysis, cards=cards)))
    assert outline.open == []
    assert len(outline.all("script")) == 3
    assert all((image["src"] or "").startswith("data:") for image in outline.all("img"))
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in outline.tags)
    assert outline.text.count("alert('x')") >= 10
    assert "{{ 7 * 7 }}" in outline.text


def test_an_empty_card_is_a_card(rich: Case) -> None:
    scan, analysis = rich
    cards = {FIRST.sha256: ModelCard("", (Section("", (Block("list", ()),)),)), LAST.sha256: ModelCard("", ())}
    assert list(cards_by_weights(replace(analysis, cards=cards))) == [FIRST.sha256, LAST.sha256]
    assert Outline(render_html(scan, replace(analysis, cards=cards))).open == []

"""Model cards in the report: taken apart, shown as text, and reached by the names of the weights."""

import re
from dataclasses import replace

import numpy as np
import pytest
from rich_case import CARDS, WEIGHTS, rich_case
from synthetic_head import Case
from test_html import HOSTILE, Outline

from infarct.weights import WeightSet, card_markdown
from infarct.writers import render_html
from infarct.writers.model_cards import FOLDED, Block, cards_by_weights, sections_of

FIRST, WITHOUT, LAST = WEIGHTS


@pytest.fixture(scope="module")
def rich() -> Case:
    return rich_case()


@pytest.fixture(scope="module")
def page(rich: Case) -> str:
    return render_html(*rich)


def card_of(page: str, name: str) -> str:
    """Return the markup of the card that the weights of a name link to."""
    (identity,) = re.findall(rf'<a href="#(card-\d+)">{re.escape(name)}</a>', page)
    inside = page.split(f'<details id="{identity}">')[1]
    return inside.split('<details id="card-')[0].split("</section>")[0]


def test_a_card_is_taken_apart_line_by_line() -> None:
    first, summary, recipe, failures, results, settings = sections_of(CARDS[FIRST.sha256])
    assert first.title == "Identity"
    assert first.blocks == (
        Block("text", (("Research use only; not a medical device.",),), ()),
        Block("table", (("", ""), ("system", "aspects"), ("parameters", "402,424")), ()),
    )
    assert (summary.title, summary.blocks) == ("Summary", (Block("text", (("Trained on phantoms alone.",),), ()),))
    assert recipe.blocks == (Block("list", (("steps: 2,600",), ("schedule:",), ("warm up: 50",)), (0, 0, 1)),)
    assert [block.kind for block in failures.blocks] == ["list"]
    assert results.blocks[0].rows == (("cohort", "roc auc"), ("test|150 scans", "0.738 (0.707 to 0.771)"))
    assert settings.title in FOLDED


def test_nothing_of_a_card_is_lost() -> None:
    """What `infarct.weights` writes comes back whole, word by word, whatever kind of entry it is of."""
    card = {
        "summary": "Trained on\nphantoms.",
        "metrics": [{"cohort": "acute|thin", "dice": 0.63}, {"cohort": "none", "dice": None}],
        "training": {"optimiser": {"name": "Adam", "rates": {"first": 1, "then": {"slow": {"slower": {"last": 2}}}}}},
        "known_failures": ["old infarcts", "- with a dash", "| with a bar |", "# with a hash"],
    }
    weights = WeightSet("segment", "x-1", "net", {"base": 16}, {"threshold": [0.5]}, {"a": np.zeros(3)}, card)
    text = card_markdown(weights)
    cells = [cell for section in sections_of(text) for block in section.blocks for row in block.rows for cell in row]
    words = " ".join([*(section.title for section in sections_of(text)), *cells]).split()
    marks = {"#", "##", "|", "---", "-"}
    words.remove("Identity")
    expected = [word for word in text.removeprefix("# x-1").replace("\\|", "|").split() if word not in marks]
    assert sorted(word for word in words if word not in marks) == sorted(expected)


def test_each_name_of_weights_leads_to_its_own_card(page: str) -> None:
    assert "Trained on phantoms alone." in card_of(page, FIRST.name)
    assert "Acute infarcts." in card_of(page, LAST.name)
    assert "Acute infarcts." not in card_of(page, FIRST.name)
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
    shown, folded = card_of(page, FIRST.name).split("<details>")
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
    cards = {FIRST.sha256: card_markdown(weights), LAST.sha256: f"## {HOSTILE}\n| {HOSTILE} |\n  - {HOSTILE}\n"}
    outline = Outline(render_html(scan, replace(analysis, cards=cards)))
    assert outline.open == []
    assert len(outline.all("script")) == 3
    assert all((image["src"] or "").startswith("data:") for image in outline.all("img"))
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in outline.tags)
    assert outline.text.count("alert('x')") >= 10
    assert "{{ 7 * 7 }}" in outline.text


def test_any_text_is_a_card(rich: Case) -> None:
    scan, analysis = rich
    odd = "no heading\n## \n|\n\n| |\ntext\n| --- |\n-\n- \n          - deep\n|\\||\n"
    cards = {FIRST.sha256: odd, LAST.sha256: ""}
    assert list(cards_by_weights(replace(analysis, cards=cards))) == [FIRST.sha256, LAST.sha256]
    page = render_html(scan, replace(analysis, cards=cards))
    assert Outline(page).open == []
    assert '<li class="in-4">deep</li>' in page

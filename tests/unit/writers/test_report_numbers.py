"""Every number that the report shows comes from findings.json."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from rich_case import CARDS, rich_case
from synthetic_head import Case, CaseMaker
from test_html import Outline

from infarct.findings import MIDLINE_ERROR_MM, Findings, Override, to_json
from infarct.writers import render_html, wording
from infarct.writers.viewer import viewed, viewer_json

CARD_SECTION: Final = re.compile(r'<section class="cards".*?</section>', re.DOTALL)
NUMBER: Final = re.compile(r"(?<![\w.])[−+-]?\d+(?:\.\d+)?(?![\w])")
WORDS: Final = (
    *(f"{term} {meaning}" for term, meaning in wording.GLOSSARY),
    "of 10",
    "95 %",
    "5 cm",
    "WebGL 2",
    "SHA-256",
    f"{MIDLINE_ERROR_MM} mm",
    "5 mm",  # how far blood may lie from an infarct, and how thick a mean of slices is
)
"""What the report says of every scan."""
CASES: Final = ("lesion", "normal", "unscored", "bleeding", "flagged", "nothing_run", "rich", "read")


@pytest.fixture(scope="module")
def made(case: CaseMaker) -> dict[str, Case]:
    cases = {name: case(name) for name in CASES if name not in ("rich", "read")}
    cases["rich"] = scan, analysis = rich_case()
    aspects = analysis.findings.aspects
    assert aspects is not None
    changes = (Override(region="M2", side="left", affected=False, reader="A. Reader", at="2026-03-01T12:30:00Z"),)
    findings = analysis.findings.model_copy(update={"aspects": aspects.model_copy(update={"overrides": changes})})
    cases["read"] = scan, replace(analysis, findings=findings)
    return cases


def values(node: Any) -> Iterator[Any]:
    """Yield every number and text in what a JSON file holds."""
    if isinstance(node, dict):
        yield from node  # names of settings and steps
        node = list(node.values())
    if isinstance(node, list):
        yield len(node)
        for one in node:
            yield from values(one)
    elif node is not None and not isinstance(node, bool):
        yield node


def numbers_in(text: str) -> set[str]:
    return {found.replace("-", "−") for found in NUMBER.findall(text)}


def printed(value: float) -> set[str]:
    """Return every way in which the report may print a number of the findings."""
    ways = {wording.number(value, decimals) for decimals in range(4)}
    ways |= {wording.signed(value, decimals) for decimals in range(4)}
    ways |= numbers_in(wording.millilitres(abs(value)))
    ways |= {str(value).replace("-", "−"), repr(value).replace("-", "−")}
    if 0 <= value <= 1:
        ways |= numbers_in(wording.percent(value))
    return ways


def known(findings: Findings) -> set[str]:
    """Return every number that the findings justify: theirs, rounded, and the few that are counted from them."""
    content = json.loads(to_json(findings))
    ways: set[str] = set()
    for value in values(content):
        ways |= numbers_in(value.replace("T", " ").replace("Z", " ")) if isinstance(value, str) else printed(value)
    ways |= {str(number) for number in range(1, findings.scan.shape_zyx[0] + 1)}  # slices, counted from below
    positions = findings.scan.slice_positions_mm
    ways |= printed(positions[-1] - positions[0])
    if findings.aspects is not None:
        for cells in wording.region_rows(findings.aspects):
            ways |= {cell.difference_hu for cell in (cells.right, cells.left) if cell is not None}
    for words in WORDS:
        ways |= numbers_in(words)
    return ways


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_the_page_is_in_the_findings(made: dict[str, Case], name: str) -> None:
    scan, analysis = made[name]
    outline = Outline(CARD_SECTION.sub("", render_html(scan, analysis)))
    pictures = " ".join(image["alt"] or "" for image in outline.all("img"))
    assert numbers_in(f"{outline.text} {pictures}") <= known(analysis.findings)


def test_every_number_of_the_model_cards_is_in_a_card(made: dict[str, Case]) -> None:
    (section,) = CARD_SECTION.findall(render_html(*made["rich"]))
    numbers = numbers_in(Outline(section).text)
    assert len(numbers) > 6
    assert numbers <= numbers_in(" ".join(card.markdown() for card in CARDS.values()).replace("\\|", "|"))


@pytest.mark.parametrize("name", CASES)
def test_every_number_that_the_viewer_shows_of_the_patient_is_in_the_findings(made: dict[str, Case], name: str) -> None:
    scan, analysis = made[name]
    data = json.loads(viewer_json(viewed(scan, analysis), analysis))
    titles = " ".join(place["title"] for place in data["places"])
    assert numbers_in(titles) <= known(analysis.findings)
    if data["aspects"] is None:
        return
    stored = json.loads(to_json(analysis.findings))["aspects"]
    for shown, region in zip(data["aspects"]["regions"], stored["regions"], strict=True):
        own = {key: value for key, value in shown.items() if key in region}
        assert own == {key: region[key] for key in own}
        told = numbers_in(" ".join(value for _, value in shown["evidence"]))
        assert told <= known(analysis.findings)
    for key in ("score", "score_min", "score_max", "left_score", "right_score", "overrides"):
        assert data["aspects"][key] == stored[key]


def test_a_number_that_is_not_in_the_findings_would_be_seen(made: dict[str, Case]) -> None:
    scan, analysis = made["rich"]
    text = Outline(CARD_SECTION.sub("", render_html(scan, analysis))).text
    seen = numbers_in(text)
    assert len(seen) > 60
    for old, new in (("61.3", "61.4"), ("28.1", "28.7"), ("± 0.37", "± 0.38"), ("12", "12 12.34")):
        changed = text.replace(old, new)
        assert changed != text
        assert not numbers_in(changed) <= known(analysis.findings)

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_head import CASES, FLAGS, CaseMaker, make_aspects, make_lesion

from infarct.findings import INTENDED_USE, HyperdenseArtery, Override, Quality
from infarct.types import Flag
from infarct.writers import render_html, write_html

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/a.png>{{ 7 * 7 }}"
VOID = {"meta", "img", "br", "path", "circle", "rect", "hr", "link", "input"}


class Outline(HTMLParser):
    """The tags of a page: their attributes, the headings' texts, and whether they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.words.append(data)
            if any(tag in ("h1", "h2", "h3") for tag in self.open):
                self.headings[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def page(case: CaseMaker) -> "dict[str, str]":
    return {name: render_html(*case(name)) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_page_is_well_formed_and_needs_nothing_else(page: dict[str, str], name: str) -> None:
    outline = Outline(page[name])
    assert outline.open == []
    tags = {tag for tag, _ in outline.tags}
    assert not tags & {"link", "iframe", "object", "embed", "form", "base"}
    for _, attributes in outline.tags:
        assert not any(key.startswith("on") for key in attributes)
        assert (attributes.get("href") or "#").startswith("#")  # to a part of the page alone
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
    markup = re.sub(r"<script.*?</script>|base64,[A-Za-z0-9+/=]+", "", page[name], flags=re.DOTALL)
    assert "http" not in markup.replace("http-equiv", "")
    assert "url(" not in markup
    assert "@import" not in markup


@pytest.mark.parametrize("name", CASES)
def test_only_the_scripts_of_the_report_run(page: dict[str, str], name: str) -> None:
    """The policy names them by their hashes; the data of the viewer is no script."""
    outline = Outline(page[name])
    data, *scripts = outline.all("script")
    assert data == {"type": "application/json", "id": "viewer-data"}
    assert scripts == [{}, {}]
    policy = next(meta["content"] for meta in outline.all("meta") if "http-equiv" in meta) or ""
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    digests = [hashlib.sha256(script.encode()).digest() for script in outline.scripts[1:]]
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)
    assert parts["img-src"] == "data:"
    assert set(parts) == {"default-src", "script-src", "style-src", "img-src"}
    assert json.loads(outline.scripts[0])["intended_use"] == INTENDED_USE


@pytest.mark.parametrize("name", CASES)
def test_the_research_use_line_opens_and_closes_the_page(page: dict[str, str], name: str) -> None:
    text = Outline(page[name]).text
    assert text.count(INTENDED_USE) == 2
    assert text.index(INTENDED_USE) < text.index("Slices")
    assert text.rstrip().endswith(INTENDED_USE)


@pytest.mark.parametrize("name", CASES)
def test_the_page_is_accessible(page: dict[str, str], name: str) -> None:
    outline = Outline(page[name])
    assert outline.all("html")[0]["lang"] == "en"
    assert all(image["alt"] and image["width"] and image["height"] for image in outline.all("img"))
    assert all(header.get("scope") in ("row", "col", "colgroup") for header in outline.all("th"))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in outline.tags if "aria-labelledby" in a} <= set(ids)
    assert {(a["href"] or "")[1:] for _, a in outline.tags if "href" in a} <= set(ids)


def test_sections_stand_in_their_order(page: dict[str, str]) -> None:
    headings = [heading.strip() for heading in Outline(page["bleeding"]).headings]
    assert headings == [
        "Head CT: ischemic change",
        "Bleeding suspected",
        "Bleeding",
        "ASPECTS",
        "Largest lesion",
        "Look and check",
        "The two levels of ASPECTS",
        "Ganglionic level, slice 11 of 24",
        "Supraganglionic level, slice 15 of 24",
        "Slices through the lesions",
        "Regions",
        "Lesions",
        "Old infarct",
        "Volumes",
        "What was done and with what",
        "Program",
    ]


def test_flags_come_first_with_words_and_icons(page: dict[str, str]) -> None:
    text = Outline(page["flagged"]).text
    places = [text.index(flag.message) for flag in FLAGS]
    assert max(places) < text.index("Largest lesion")
    assert text.index("Critical:") < text.index("Warning:") < text.index("Note:")
    assert page["flagged"].count('<svg class="icon"') == 5  # four flags and the verdict
    assert "Not reliable: see the critical flag." in text


def test_no_flags_is_said_in_words(page: dict[str, str]) -> None:
    assert "No quality flags" in Outline(page["normal"]).text


def test_the_answer_at_a_glance(page: dict[str, str]) -> None:
    text = Outline(page["lesion"]).text
    for words in (
        "6 of 10",
        "Scored side: left (the side with the greater evidence of acute change).",
        "Affected: left I, L, M2 and M5 .",
        "Right side 10 Left side 6",
        "Left, MCA and PCA ; age undetermined; probability 97 %.",
        "2 lesions",
        "not suspected",
        "not a trained model",
    ):
        assert words in text


def test_no_score_shows_the_range_and_why(page: dict[str, str]) -> None:
    text = Outline(page["unscored"]).text
    assert "not scored (4 to 6 possible)" in text
    assert "Cannot be judged: left M4 and M6." in text
    assert "? not evaluable" in text


def test_suspected_bleeding_makes_the_numbers_invalid(page: dict[str, str]) -> None:
    text = Outline(page["bleeding"]).text
    assert "ASPECTS and acute infarct volumes are not valid for reperfusion questions." in text
    assert text.count("Not valid for reperfusion questions: bleeding is suspected.") == 3


def test_what_did_not_run_leaves_one_line_and_no_empty_box(page: dict[str, str]) -> None:
    outline = Outline(page["nothing_run"])
    assert "Not run on this scan: bleeding detection, ASPECTS and infarct search." in outline.text
    assert "table" not in {tag for tag, _ in outline.tags}
    assert not any("card" in (attributes.get("class") or "") for _, attributes in outline.tags)
    assert len(outline.all("img")) == 6


def test_the_region_table_has_ten_rows_and_both_sides(page: dict[str, str]) -> None:
    table = page["lesion"].split("<table>")[1].split("</table>")[0]
    rows = table.split("<tbody>")[1].split("<tr")[1:]
    assert len(rows) == 10
    assert all(row.count("<td") == 12 for row in rows)
    assert table.count("● affected") == 4
    assert table.count("○ not affected") == 16


def test_where_no_method_tells_its_attention_there_is_no_section_of_it(page: dict[str, str]) -> None:
    assert not any("Where the network looked" in text for text in page.values())


def test_many_lesions_are_cut_with_a_word(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    infarct = analysis.findings.infarct
    assert infarct is not None
    many = infarct.model_copy(update={"lesions": infarct.lesions[:1] + infarct.lesions[1:] * 19})
    findings = analysis.findings.model_copy(update={"infarct": many})
    text = Outline(render_html(scan, type(analysis)(findings, analysis.maps))).text
    assert "5 smaller lesions are not listed here; findings.json has them all." in text


def test_hostile_text_is_shown_not_run(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    found = analysis.findings
    lesions = (make_lesion(analysis.maps.brain_mask, scan.geometry),)
    assert found.infarct is not None
    change = Override(region="C", side="left", affected=True, reader=HOSTILE[:64], at=HOSTILE)
    findings = found.model_copy(
        update={
            "scan": found.scan.model_copy(update={"manufacturer": HOSTILE, "series_choice": HOSTILE}),
            "quality": Quality(verdict="flagged", flags=(Flag(HOSTILE, "warning", HOSTILE),)),
            "aspects": make_aspects(method=HOSTILE, overrides=(change,)),
            "infarct": found.infarct.model_copy(update={"method": HOSTILE, "lesions": lesions}),
            "software": found.software.model_copy(update={"name": HOSTILE, "version": HOSTILE}),
            "provenance": found.provenance.model_copy(update={"config": {HOSTILE: HOSTILE}, "device": HOSTILE}),
            "timings_s": {HOSTILE: 1.0},
        }
    )
    page = render_html(scan, type(analysis)(findings, analysis.maps))
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.all("script")) == 3
    assert all((image["src"] or "").startswith("data:") for image in outline.all("img"))
    assert "&lt;script&gt;" in page
    assert outline.text.count("alert('x')") >= 14
    assert "{{ 7 * 7 }}" in outline.text


def test_what_a_reader_set_is_shown_beside_what_the_system_found(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    changes = (
        Override(region="M2", side="left", affected=False, reader="A. Reader", at="2026-03-01T12:30:00Z"),
        Override(region="I", side="right", affected=True, reader="A. Reader", at="2026-03-01T12:30:00Z"),
    )
    findings = analysis.findings.model_copy(update={"aspects": make_aspects(overrides=changes)})
    outline = Outline(render_html(scan, type(analysis)(findings, analysis.maps)))
    assert "2 regions set by A. Reader, see Regions." in outline.text
    assert "Affected: right I; left I, L and M5" in outline.text
    assert "by reader (system: affected)" in outline.text
    assert "by reader (system: not affected)" in outline.text
    assert "Left M2: not affected; the system found: affected. A. Reader, 2026-03-01 12:30:00 UTC" in outline.text
    (regions,) = {
        image["alt"]
        for image in outline.all("img")
        if "Ganglionic level" in image["alt"] and "Affected" in image["alt"]
    }
    assert regions.endswith("Affected here: right I, left I, left L.")


def test_the_artery_stands_beside_the_score_where_it_was_judged(case: CaseMaker, page: dict[str, str]) -> None:
    scan, analysis = case("lesion")
    assert "yperdense" not in Outline(page["lesion"]).text
    found = HyperdenseArtery(suspected=True, side="left", mean_hu=58.4, contralateral_mean_hu=41.6, ratio=1.4)
    findings = analysis.findings.model_copy(update={"hyperdense_artery": found})
    text = Outline(render_html(scan, type(analysis)(findings, analysis.maps))).text
    assert "Hyperdense left middle cerebral artery suspected: 58 HU against 42 HU." in text


def test_the_file_is_small_quick_and_always_the_same(case: CaseMaker, tmp_path: Path) -> None:
    scan, analysis = case("bleeding")
    start = time.process_time()
    path = write_html(scan, analysis, tmp_path)
    assert time.process_time() - start < 6  # about 2 s
    assert path == tmp_path / "report.html"
    assert path.stat().st_size < 5_000_000
    assert path.read_text(encoding="utf-8") == render_html(scan, analysis)


def test_paper_gets_its_own_rules(page: dict[str, str]) -> None:
    assert "@media print" in page["lesion"]
    assert "size: A4" in page["lesion"]
    assert "print-color-adjust: exact" in page["lesion"]


def test_colours_of_text_stand_out_from_their_ground(page: dict[str, str]) -> None:
    pairs = [
        ("#16202b", "#ffffff"), ("#51606f", "#ffffff"), ("#51606f", "#f3f6f8"), ("#a11616", "#fdeeee"),
        ("#7a4b00", "#fff5e2"), ("#14507a", "#ecf4fb"), ("#1c6334", "#ebf6ee"), ("#a83a00", "#fff0e8"),
        ("#51606f", "#fdeeee"), ("#51606f", "#fff5e2"),
    ]  # fmt: skip
    style = page["lesion"].split("<style>")[1].split("</style>")[0]
    for ink, ground in pairs:
        assert ink in style
        assert ground in style
        assert contrast(ink, ground) >= 4.5


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours by the formula of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)

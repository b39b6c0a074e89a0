"""The report in a real browser: what it shows, what its buttons do, and on which side."""

import json
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser
from rich_case import WEIGHTS, marked_case, rich_case
from synthetic_head import CaseMaker

from browser import Visit, check_it_renders, check_quiet_and_offline, chromium, visit
from infarct.anatomy import REGIONS, SIDES
from infarct.cli.reader import read_overrides
from infarct.findings import INTENDED_USE, LEAST_EVIDENCE_HU, Aspects, Override, RegionFinding
from infarct.systems.regions import overridden, score
from infarct.writers import write_html

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_html(*rich_case(), tmp_path_factory.mktemp("rich"))


@pytest.fixture
def seen(browser: Browser, report: Path) -> Iterator[Visit]:
    with visit(browser, report) as opened:
        yield opened
        check_quiet_and_offline(opened)


@pytest.fixture(scope="module")
def marks(browser: Browser, tmp_path_factory: pytest.TempPathFactory, case: CaseMaker) -> dict[str, "Marked"]:
    """The same head without a mark and with one on either side of the patient: what differs is the mark."""
    folder = tmp_path_factory.mktemp("marks")
    cases = {"none": case("normal"), "left": marked_case("left"), "right": marked_case("right")}
    found, pictures = {}, {}
    for name, one in cases.items():
        (folder / name).mkdir()
        path = write_html(*one, folder / name)
        with visit(browser, path) as opened:
            pictures[name] = opened.picture("#screen-own").astype(int)
            letters = opened.text("#screen-own .at-left"), opened.text("#screen-own .at-right")
        if name != "none":
            found[name] = Marked(path, np.abs(pictures[name] - pictures["none"]).max(axis=2) > 100, letters)
    return found


class Marked:
    """A report, the pixels of its mark (bool, (rows, columns)), and the letters at the left and at the right."""

    def __init__(self, path: Path, pixels: npt.NDArray[np.bool_], letters: tuple[str, str]) -> None:
        self.path = path
        self.letters = letters
        self.width = pixels.shape[1]
        self.y, self.x = np.argwhere(pixels).mean(axis=0)


def test_the_viewer_shows_a_head(seen: Visit) -> None:
    check_it_renders(seen)
    assert seen.page.is_hidden("#viewer-off")
    assert "Research use only" in seen.text("#screen-own .told")
    assert seen.text("#screen-own .where") == "slice 11 of 24 W80 C40"


@pytest.mark.parametrize("side", SIDES)
def test_the_patients_left_is_on_the_right_and_the_letters_say_so(marks: dict[str, Marked], side: str) -> None:
    assert marks[side].letters == ("R", "L")
    assert (marks[side].x > marks[side].width / 2) == (side == "left")
    assert abs(marks[side].x - marks[side].width / 2) > 50


@pytest.mark.parametrize("side", SIDES)
def test_a_click_tells_of_the_place_that_is_seen(browser: Browser, marks: dict[str, Marked], side: str) -> None:
    with visit(browser, marks[side].path) as opened:
        opened.page.click("#screen-own", position={"x": float(marks[side].x), "y": float(marks[side].y)})
        told = opened.text("#viewer-readout")
        assert told.startswith("Slice 11 of 24 · ")
        assert f"{side[0].upper()} 37" in told
        assert told.split("·")[2].strip() in ("200 HU",)
        assert told.endswith(f"{side} I")
        assert opened.text("#viewer-evidence h3") == f"{side.capitalize()} I, insula"
        check_quiet_and_offline(opened)


@pytest.mark.parametrize("side", SIDES)
def test_the_mirrored_scan_has_the_mark_on_the_other_side(
    browser: Browser, marks: dict[str, Marked], side: str
) -> None:
    with visit(browser, marks[side].path) as opened:
        opened.page.click("[data-mirror]")
        opened.page.wait_for_function("document.querySelector('#screen-mirror .at-left').textContent !== ''")
        own, mirror = (opened.picture(f"#screen-{name}").astype(int) for name in ("own", "mirror"))
        inside = slice(150, -150), slice(60, -60)  # of the head, without letters and words
        difference = own[inside] - mirror[inside]
        columns = [np.argwhere((sign * difference).min(axis=2) > 100)[:, 1].mean() for sign in (1, -1)]
        at_left = columns if side == "right" else columns[::-1]
        assert at_left[0] < difference.shape[1] / 2 < at_left[1]  # in the scan, and mirrored
        assert opened.text("#screen-mirror .at-left") == "L"
        assert opened.text("#screen-mirror .at-right") == "R"
        assert "Mirrored" in opened.text("#screen-mirror .told")
        assert "mirrored place" in opened.text("#viewer-readout")
        check_quiet_and_offline(opened)


def test_every_switch_changes_the_picture_and_back(seen: Visit) -> None:
    page = seen.page
    names = [button.get_attribute("data-layer") for button in page.locator("[data-layer]").all()]
    assert len(names) == 6
    for selector in ("[data-outlines]", *(f'[data-layer="{name}"]' for name in names)):
        if "old_infarct" in selector:
            page.click("text=Old infarct 1: right")
        else:
            page.click("text=Ganglionic level")
        page.mouse.move(0, 0)
        before, was = seen.picture(), page.get_attribute(selector, "aria-pressed")
        page.click(selector)
        page.mouse.move(0, 0)
        assert page.get_attribute(selector, "aria-pressed") != was
        assert (seen.picture() != before).any(axis=2).sum() > 200, selector
        page.click(selector)
        np.testing.assert_array_equal(seen.picture(), before, selector)


def test_windows_change_the_picture_and_say_which_it_is(seen: Visit) -> None:
    brain = seen.picture("#screen-own")
    seen.page.click("text=Stroke W30 C35")
    assert seen.text("#screen-own .where").endswith("W30 C35")
    assert (seen.picture("#screen-own") != brain).any(axis=2).mean() > 0.1
    seen.page.click("text=Brain W80 C40")
    np.testing.assert_array_equal(seen.picture("#screen-own"), brain)


def test_zoom_and_pan_move_the_scan_with_its_marks_and_go_back(seen: Visit) -> None:
    page, whole = seen.page, seen.picture("#screen-own")
    page.click('[data-zoom="in"]')
    page.click('[data-zoom="in"]')
    large = seen.picture("#screen-own")
    assert (large != whole).any(axis=2).mean() > 0.1
    box = page.locator("#screen-own").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    moved = seen.picture("#screen-own").astype(int)
    inside = moved[130:-130, 130:-130], large.astype(int)[100:-160, 70:-190]
    assert np.abs(inside[0] - inside[1]).mean() < 0.4 * np.abs(inside[0] - large[130:-130, 130:-130]).mean()
    page.keyboard.press("r")
    np.testing.assert_array_equal(seen.picture("#screen-own"), whole)


def test_buttons_go_to_slices(seen: Visit) -> None:
    for title, number in (("Supraganglionic level", 15), ("Lesion 2: right", 6), ("Tiles: slice 13", 13)):
        seen.page.click(f"text={title}")
        assert seen.text("#screen-own .where").startswith(f"slice {number} of 24"), title
    seen.page.click('[data-region="left.M5"]')
    assert seen.text("#screen-own .where").startswith("slice 15 of 24")
    assert seen.text("#viewer-readout").endswith("left M5")


def test_the_evidence_of_a_region_is_that_of_the_findings(seen: Visit) -> None:
    seen.page.click('[data-region="left.M2"]')
    told = seen.text("#viewer-evidence")
    for words in ("Left M2, MCA cortex lateral to the insula", "found: affected", "28.1 HU", "34.2 HU", "−6.1 HU"):
        assert words in told
    assert "97 %" in told
    assert "± 0.37 HU" in told
    seen.page.click('[data-region="right.M2"]')
    assert "found: not affected" in seen.text("#viewer-evidence")


def test_the_name_of_weights_opens_their_card(seen: Visit) -> None:
    page = seen.page
    for weights in (WEIGHTS[0], WEIGHTS[2]):
        link = page.locator(".facts a", has_text=weights.name)
        card = page.locator(link.get_attribute("href") or "")
        assert not card.locator("h3").first.is_visible()
        link.click()
        assert card.locator("h3").first.inner_text() == "Summary"
        assert card.locator("summary").first.bounding_box()["y"] < 768  # type: ignore[index]
    assert page.locator(".facts a").count() == 2


def test_a_readers_word_changes_the_score_and_can_be_taken_back(seen: Visit) -> None:
    page = seen.page
    assert (seen.text("#score-system"), seen.text("#score-reader")) == ("6 of 10", "–")
    page.click('[data-region="left.M2"]')
    page.keyboard.press("n")
    assert (seen.text("#score-system"), seen.text("#score-reader")) == ("6 of 10", "7 of 10")
    assert seen.text('[data-region="left.M2"]') == "○ not affected *"
    page.click('[data-region="left.M1"]')
    page.click("#viewer-evidence [data-set='true']")
    assert seen.text("#score-reader") == "6 of 10"
    assert "left 6" in seen.text("#score-sides")
    page.keyboard.press("c")
    assert seen.text("#score-reader") == "7 of 10"
    page.click("text=As the system")
    assert seen.text("#score-reader") == "–"
    assert seen.text('[data-region="left.M2"]') == "● affected"


def test_a_reading_is_saved_in_the_shape_of_the_findings(seen: Visit, tmp_path: Path) -> None:
    page = seen.page
    assert page.is_disabled("#viewer-export")
    page.click('[data-region="left.M2"]')
    page.keyboard.press("n")
    page.click('[data-region="right.C"]')
    page.keyboard.press("a")
    assert page.is_disabled("#viewer-export")  # nobody has said who reads
    page.fill("#viewer-name", " A. O'Reader ")
    with page.expect_download() as waiting:
        page.click("#viewer-export")
    path = tmp_path / "reading.json"
    waiting.value.save_as(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    _, analysis = rich_case()
    aspects = analysis.findings.aspects
    assert aspects is not None
    changes = tuple(Override.model_validate(one) for one in saved["overrides"])
    assert [(one.side, one.region, one.affected) for one in changes] == [("left", "M2", False), ("right", "C", True)]
    assert {one.reader for one in changes} == {"A. O'Reader"}
    assert all(len(one.at) == 20 and one.at.endswith("Z") for one in changes)
    counted = overridden(aspects, changes).model_dump()
    assert saved["aspects"] == {name: counted[name] for name in saved["aspects"]}
    assert saved["system"]["score"] == 6
    assert saved["intended_use"] == INTENDED_USE
    assert saved["series_uid_hash"] == analysis.findings.scan.series_uid_hash
    assert set(saved) == {
        "kind", "schema_version", "software", "intended_use", "series_uid_hash", "overrides", "aspects", "system",
    }  # fmt: skip
    words = shlex.split(seen.text("#viewer-command code"))
    sets = [word for before, word in pairwise(words) if before == "--set"]
    typed = read_overrides(sets, words[words.index("--reader") + 1])
    assert [one.model_copy(update={"at": ""}) for one in typed] == [
        one.model_copy(update={"at": ""}) for one in changes
    ]


def test_the_page_counts_the_score_as_the_program_does(seen: Visit) -> None:
    random = np.random.Generator(np.random.Philox(5))
    cases, expected = [], []
    for _ in range(400):
        aspects, changes = random_aspects(random), random_overrides(random)
        cases.append(
            [
                {**aspects.model_dump(), "least_evidence_hu": LEAST_EVIDENCE_HU},
                [change.model_dump() for change in changes],
            ]
        )
        expected.append(overridden(aspects, changes).model_dump())
    counted = seen.page.evaluate("(cases) => cases.map((one) => infarctViewer.score(...one))", cases)
    assert counted == [{name: one[name] for name in counted[0]} for one in expected]
    assert len({(one["score"], one["side"], one["side_rule"]) for one in counted}) > 40


def random_aspects(random: np.random.Generator) -> Aspects:
    affected_share, unknown_share = random.choice([0.0, 0.1, 0.4]), random.choice([0.0, 0.05])
    regions = tuple(
        random_region(random, region, side, affected_share, unknown_share) for side in SIDES for region in REGIONS
    )
    given = random.choice(["left", "right", ""])
    rule = random.choice(["evidence", "min"])
    return score(regions, method="test", symptomatic_side=given or None, side_rule=rule)


def random_region(
    random: np.random.Generator, region: Any, side: Any, affected_share: float, unknown_share: float
) -> RegionFinding:
    unknown, measured = random.random() < unknown_share, random.random() < 0.9
    return RegionFinding(
        region=region,
        side=side,
        affected=None if unknown else bool(random.random() < affected_share),
        probability=None,
        volume_ml=round(float(random.uniform(2, 30)), 1),
        mean_hu=round(float(random.uniform(20, 34)), 1) if measured else None,
        contralateral_mean_hu=round(float(random.uniform(26, 34)), 1) if measured else None,
        net_water_uptake_pct=None,
        evaluable=not unknown,
    )


def random_overrides(random: np.random.Generator) -> tuple[Override, ...]:
    return tuple(
        Override(
            region=REGIONS[random.integers(10)], side=SIDES[random.integers(2)], affected=bool(random.integers(2)),
            reader="R", at="2026-03-01T12:30:00Z",
        )
        for _ in range(random.integers(5))
    )  # fmt: skip


def test_keys_do_what_the_buttons_say(seen: Visit) -> None:
    page = seen.page
    page.focus("#screen-own")
    for key, number in (("ArrowUp", 12), ("ArrowDown", 11), ("PageUp", 16), ("PageDown", 11), ("End", 24), ("Home", 1)):
        page.keyboard.press(key)
        assert seen.text("#screen-own .where").startswith(f"slice {number} of 24"), key
        assert page.input_value("#viewer-slice") == str(number)
    for button in page.locator(".bar button[aria-keyshortcuts][aria-pressed]").all():
        key, was = button.get_attribute("aria-keyshortcuts"), button.get_attribute("aria-pressed")
        if key in ("B", "M"):
            continue
        page.keyboard.press(str(key).lower())
        assert button.get_attribute("aria-pressed") != was, key
    page.mouse.move(*middle_of(page.locator("#screen-own").bounding_box()))
    page.mouse.wheel(0, -100)
    assert seen.text("#screen-own .where").startswith("slice 2 of 24")
    page.fill("#viewer-name", "bsom")  # letters in a name are no keys
    assert seen.text("#screen-own .where").startswith("slice 2 of 24")


def middle_of(box: Any) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_focus_is_seen_and_every_control_can_be_reached(seen: Visit) -> None:
    page = seen.page
    page.focus("[data-window='0']")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        outline, name = page.evaluate(
            """() => {
              const here = document.activeElement;
              return [getComputedStyle(here).outlineWidth, here.id || here.textContent];
            }"""
        )
        reached.add(name)
        if name != "":
            assert outline == "3px" or not page.evaluate("document.activeElement.closest('#viewer') !== null"), name
    assert {"screen-own", "viewer-slice", "viewer-name"} <= reached


def test_paper_carries_the_pictures_and_not_the_viewer(seen: Visit) -> None:
    seen.page.emulate_media(media="print")
    assert seen.page.is_hidden("#viewer")
    assert seen.page.is_visible("#levels")


def test_it_fits_a_laptop(seen: Visit) -> None:
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 1366
    box = seen.page.locator("#viewer-on .desk").bounding_box()
    assert box is not None
    assert box["height"] < 680


def test_without_script_or_webgl_a_sentence_says_so_and_the_pictures_stay(browser: Browser, report: Path) -> None:
    with visit(browser, report, ready=False, java_script_enabled=False) as opened:
        assert opened.page.is_visible("#viewer-off")
        assert opened.page.is_hidden("#viewer-on")
        assert opened.page.locator("figure img").count() > 10
    blind = "HTMLCanvasElement.prototype.getContext = () => null;"
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_init_script(blind)
    page.goto(report.absolute().as_uri())
    assert page.is_visible("#viewer-off")
    assert page.is_hidden("#viewer-on")
    assert "WebGL 2" in (page.text_content("#viewer-off") or "")
    context.close()

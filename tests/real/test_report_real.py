"""The report of a real, tilted head CT in a real browser."""

from pathlib import Path

import pytest

from browser import check_it_renders, check_quiet_and_offline, chromium, visit
from infarct.findings import Override
from infarct.pipeline import analyze
from infarct.readers import read_scan
from infarct.systems.regions import overridden
from infarct.writers import write_html

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_report_of_a_tilted_scan_works_in_a_browser(folder: Path, tmp_path: Path) -> None:
    scan = read_scan(folder)
    analysis = analyze(scan)
    path = write_html(scan, analysis, tmp_path)
    assert path.stat().st_size < 20_000_000
    with chromium() as browser, visit(browser, path) as seen:
        check_it_renders(seen)
        assert (seen.text("#screen-own .at-left"), seen.text("#screen-own .at-right")) == ("R", "L")
        assert seen.text("#screen-own .where").startswith("near slice ")
        assert "tilted or uneven" in seen.text("#viewer-help")
        seen.page.click("text=Lesion 1: left")
        assert seen.text("#viewer-readout").split(" · ")[1].startswith("L ")
        with_outlines = seen.picture()
        seen.page.click("[data-outlines]")
        assert (seen.picture() != with_outlines).any()
        aspects = analysis.findings.aspects
        assert aspects is not None
        region = next(one for one in aspects.regions if one.side == "left" and one.affected is not None)
        seen.page.click(f'[data-region="left.{region.region}"]')
        assert seen.text("#viewer-evidence h3").startswith(f"Left {region.region}, ")
        assert f"{region.mean_hu:.1f} HU" in seen.text("#viewer-evidence")
        assert f"± {region.difference_error_hu:.2f} HU" in seen.text("#viewer-evidence")
        seen.page.keyboard.press("n" if region.affected else "a")
        change = Override(
            region=region.region, side="left", affected=not region.affected, reader="R", at="2026-03-01T12:30:00Z"
        )
        counted = overridden(aspects, (change,))
        told = f"{counted.score_min} to {counted.score_max}" if counted.score is None else f"{counted.score} of 10"
        assert seen.text("#score-reader") == told
        seen.page.click("[data-mirror]")
        seen.page.wait_for_function("document.querySelector('#screen-mirror .at-left').textContent === 'L'")
        check_quiet_and_offline(seen)

"""The report of `infarct demo` in a real browser, as a new user opens it."""

import json
from pathlib import Path

import pytest

from acceptance.command import run
from browser import check_it_renders, check_quiet_and_offline, chromium, visit
from infarct.findings import from_json

pytestmark = pytest.mark.slow


def test_the_report_of_the_demo_works_in_a_browser(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["demo", "-o", str(tmp_path / "demo")], capfd, monkeypatch).code == 0
    findings = from_json((tmp_path / "demo" / "findings.json").read_text(encoding="utf-8"))
    aspects = findings.aspects
    assert aspects is not None
    assert aspects.score is not None
    with chromium() as browser, visit(browser, tmp_path / "demo" / "report.html") as seen:
        check_it_renders(seen)
        assert seen.text("#score-system") == f"{aspects.score} of 10"
        region = next(one for one in aspects.regions if one.side == aspects.side and one.affected)
        seen.page.click(f'[data-region="{region.side}.{region.region}"]')
        assert f"{region.mean_hu:.1f} HU" in seen.text("#viewer-evidence")
        assert f"± {region.difference_error_hu:.2f} HU" in seen.text("#viewer-evidence")
        assert seen.text("#viewer-readout").endswith(f"{region.side} {region.region}")
        seen.page.keyboard.press("n")
        assert seen.text("#score-reader") == f"{aspects.score + 1} of 10"
        data = json.loads(seen.page.text_content("#viewer-data") or "")
        packed = [data["scan"], data["regions"], *(layer["data"] for layer in data["layers"])]
        assert sum(map(len, packed)) < 15_000_000
        names = [weights.name for weights in findings.provenance.weights]
        assert [link.inner_text() for link in seen.page.locator(".facts a").all()] == names
        seen.page.click(f".facts a >> text={names[-1]}")
        assert seen.page.locator("details[open] > summary", has_text=names[-1]).count() == 1
        check_quiet_and_offline(seen)

"""A real browser that opens a report as a reader would: from disk, without any network."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

LAPTOP: Final = {"width": 1366, "height": 768}
ARGUMENTS: Final = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
"""WebGL without a graphics card, and nothing that looks for a network."""
PATIENCE_MS: Final = 180_000
SHOTS: Final = 40
BLACK: Final = 12.0
"""Mean of the pixels of a canvas that shows nothing but letters is below this; with a head it is above 30."""


@dataclass
class Visit:
    """A report in a browser, with what it said on the console and what it asked for."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def picture(self, selector: str = ".screens") -> npt.NDArray[np.uint8]:
        """Return what is seen of an element, (rows, columns, 3), once it is drawn: no longer black, and at rest."""
        before = self._shot(selector)
        for _ in range(SHOTS):
            now = self._shot(selector)
            if np.array_equal(now, before) and now.mean() > BLACK:
                return now
            before = now
        raise AssertionError(f"{selector} did not come to rest, or stayed black")

    def _shot(self, selector: str) -> npt.NDArray[np.uint8]:
        self.page.wait_for_timeout(200)
        shot = self.page.locator(selector).first.screenshot(timeout=PATIENCE_MS)
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))

    def text(self, selector: str) -> str:
        return " ".join((self.page.text_content(selector) or "").split())


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; the test fails with a plain word where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("no Chromium found: install Debian's package chromium to test the report in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, report: Path, *, ready: bool = True, **settings: object) -> Iterator[Visit]:
    """Open a report at the size of a laptop, offline; ``ready``: wait until the viewer is."""
    context: BrowserContext = browser.new_context(viewport=LAPTOP, offline=True, **settings)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.messages.append(f"{message.type}: {message.text}"))
    seen.page.on("pageerror", lambda error: seen.messages.append(f"error: {error}"))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(report.absolute().as_uri(), timeout=PATIENCE_MS)
    if ready:
        seen.page.wait_for_selector("#viewer[data-ready=yes]", timeout=PATIENCE_MS)
    yield seen
    context.close()


def check_quiet_and_offline(seen: Visit) -> None:
    """Assert that the page said nothing on the console and asked for nothing but itself."""
    assert seen.messages == []
    assert {url.split(":", 1)[0] for url in seen.requests} <= {"file", "data", "blob"}
    assert sum(url.startswith("file:") for url in seen.requests) == 1


def check_it_renders(seen: Visit) -> None:
    """Assert that the canvas shows a head: bone, brain and air."""
    grey = seen.picture("#screen-own").mean(axis=2)
    assert (grey > 240).mean() > 0.01
    assert (grey < 10).mean() > 0.1
    assert ((grey > 40) & (grey < 220)).mean() > 0.05

"""See that the built documentation loads nothing from elsewhere: no script, style, font or picture.

    python tools/check_site.py build/site

Exit code 1 names each page that does. Links that a reader may follow are left alone.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

LOADED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a page loads by itself, and the attribute that says from where."""
ELSEWHERE: Final = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
STYLE_LOADS: Final = re.compile(r"(?:@import\s+|url\()\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)


class Loads(HTMLParser):
    """Collects from where a page loads; ``found`` are the addresses elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address that an element loads from, where it is elsewhere."""
        given = dict(attrs)
        address = given.get(LOADED.get(tag, ""), "") or ""
        followed = tag == "link" and given.get("rel") == "canonical"
        if ELSEWHERE.match(address) and not followed:
            self.found.append(address)


def loads_of(path: Path) -> list[str]:
    """Return the addresses elsewhere that a page or style sheet loads from."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return STYLE_LOADS.findall(text)
    page = Loads()
    page.feed(text)
    return page.found + STYLE_LOADS.findall(text)


def main(folder: Path) -> int:
    """Print what is loaded from elsewhere; return the exit code."""
    pages = sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".css"))
    loaded = [(path, address) for path in pages for address in loads_of(path)]
    for path, address in loaded:
        print(f"{path.relative_to(folder)} loads {address}")
    if not pages:
        print("no page in that folder")
    return int(bool(loaded) or not pages)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""The documentation and the code name the same things."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def flags_in_code() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for code, severity in re.findall(r'Flag\(\s*"(\w+)",\s*"(info|warning|critical)"', path.read_text()):
            found.setdefault(code, set()).add(severity)
    return found


def flags_in_documentation() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / "flags.md").read_text(), re.MULTILINE)
    return {code: {severity} for code, severity in rows}


def test_every_flag_is_documented_with_its_severity() -> None:
    assert flags_in_documentation() == flags_in_code()


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)

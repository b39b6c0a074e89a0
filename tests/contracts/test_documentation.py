"""The documentation and the code name the same things, and its examples run."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from acceptance.stored_scans import write_nifti
from infarct.cli.app import app
from infarct.findings import from_json
from plain_head import PlainSetup, make_plain_patient

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SITE = ROOT / "mkdocs.yml"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PROGRAM = re.compile(r"^(?:\w+=\S+ )*(?:\.venv/bin/)?infarct ")
"""How a line with a command begins: settings of the environment, perhaps the folder, the program."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def flags_in_code() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for code, severity in re.findall(r'Flag\(\s*"(\w+)",\s*"(info|warning|critical)"', path.read_text()):
            found.setdefault(code, set()).add(severity)
    return found


def flags_in_documentation() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (DOCS / "flags.md").read_text(), re.MULTILINE)
    return {code: {severity} for code, severity in rows}


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page that are in one of the languages; "" is a block that names none."""
    return [block for language, block in FENCE.findall(page.read_text()) if language in languages]


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every infarct command in the fenced blocks of a page."""
    for block in blocks(page, "", "sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if PROGRAM.match(line):
                yield shlex.split(PROGRAM.sub("", line), comments=True)


def parse(words: list[str]) -> str:
    """Parse a command as the command line does, run nothing, and return the verb that takes it, with the program.

    Options that answer at once, such as --version, end at the verb that has them. Bad usage raises what click raises.
    """
    name, command, context = "infarct", typer.main.get_command(app), None
    while True:
        path = f"{context.command_path} {name}" if context else name
        try:
            context = command.make_context(name, list(words), parent=context)
        except typer.Exit:
            return path
        if not hasattr(command, "resolve_command"):
            return path
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        name, command, words = command.resolve_command(context, rest)


def slug(heading: str) -> str:
    """Return the anchor that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_flag_is_documented_with_its_severity() -> None:
    assert flags_in_documentation() == flags_in_code()


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", prose(page)):
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor:
            assert anchor in {slug(heading) for heading in HEADING.findall(prose(place))}, (target, anchor)


@pages
def test_lists_stand_apart(page: Path) -> None:
    """A list that follows text without an empty line is a list on a code host, but not on the site."""
    lines = prose(page).splitlines()
    for before, line in pairwise(lines):
        if re.match(r"([-*]|\d+\.) ", line) and before.strip():
            assert re.match(r"([-*]|\d+\.) |#|\s", before), line
        assert not re.match(r" {1,3}([-*]|\d+\.) ", line), f"indent by four: {line}"


@pages
def test_commands_are_understood(page: Path) -> None:
    for words in commands(page):
        verb = parse(words).split()
        assert verb == ["infarct", *words][: len(verb)]


def test_a_command_that_does_not_exist_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\n.venv/bin/infarct analyze IN \\\n    -o OUT --speed 3  # never\n```\n")
    (words,) = commands(page)
    assert words == ["analyze", "IN", "-o", "OUT", "--speed", "3"]
    assert parse(["reference", "dwi", "DWI", "ADC", "CT", "-o", "OUT", "--help"]) == "infarct reference dwi"
    with pytest.raises(Exception, match="speed"):
        parse(words)
    with pytest.raises(Exception, match="analyse"):
        parse(["analyse", "IN"])


@pages
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = re.findall(r"^make ([\w-]+)", "\n".join(blocks(page, "")), re.MULTILINE)
    asked += re.findall(r"`make\s([\w-]+)", prose(page))
    assert set(asked) <= targets


@pages
def test_python_examples_import_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "infarct":
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_every_page_is_on_the_site() -> None:
    listed = set(re.findall(r": ([\w/]+\.md)$", SITE.read_text(), re.MULTILINE))
    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_fields_of_the_findings_are_described() -> None:
    tool = ROOT / "tools" / "describe_findings.py"
    assert subprocess.run([sys.executable, tool, "--check"], check=False).returncode == 0, "run `make schema`"


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first example of the Python page reads and analyses a scan; that of the tutorial reads what it wrote."""
    setup = PlainSetup(side="left", lesion_hu=(-12.0, -11.0), pixel_spacing_mm=1.8)
    write_nifti(tmp_path / "ct.nii.gz", make_plain_patient(5, setup).scan)
    (tmp_path / "reading").mkdir()
    monkeypatch.chdir(tmp_path)
    for block in blocks(DOCS / "api.md", "python"):
        exec(compile(block, "api.md", "exec"), {})
    assert "registration" in capsys.readouterr().out
    assert (tmp_path / "reading" / "report.html").stat().st_size > 100_000
    exec(compile(blocks(DOCS / "tutorial.md", "python")[0], "tutorial.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "side left" in printed
    assert re.search(r"^left  ?\w+ +probability \d\.\d\d  difference -\d", printed, re.MULTILINE)


def follow(text: str, folder: Path) -> list[str]:
    """Run the commands and the Python of a page in ``folder``, in order; return what each Python block printed."""
    program = Path(sys.executable).with_name("infarct")
    printed = []
    for language, block in FENCE.findall(text):
        if language == "python":
            printed.append(done([sys.executable, "-c", block], folder).stdout)
        if language == "":
            lines = [line for line in block.replace("\\\n", " ").splitlines() if PROGRAM.match(line)]
            for line in lines:
                result = done([program, *shlex.split(line)[1:]], folder)
                assert result.returncode == 0 or result.stderr.splitlines()[-1] in text, (line, result.stderr)
    return printed


def done(words: Sequence[str | Path], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    """Its commands and its Python, in an empty folder, give what the page says."""
    text = (DOCS / "tutorial.md").read_text()
    found, truth = follow(text, tmp_path)
    verdict, score = found.splitlines()[:2]
    assert f"\n{verdict}\n{score}\n" in text
    assert f"prints `{truth.strip()}`" in text
    listed = next(block for _, block in FENCE.findall(text) if "report.pdf" in block).split()
    reading = tmp_path / "reading"
    assert sorted(listed) == sorted(path.relative_to(reading).as_posix() for path in reading.rglob("*.*"))
    corrected = from_json((tmp_path / "corrected" / "findings.json").read_text())
    assert corrected.aspects is not None
    assert [(one.side, one.region, one.reader) for one in corrected.aspects.overrides] == [("left", "M6", "A. Reader")]
    assert f"The ASPECTS is now {corrected.aspects.score}." in text

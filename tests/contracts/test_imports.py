"""What may be imported where; the floors themselves are checked by import-linter."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import infarct
from infarct.cli.phantom import PAIR_CHOICES, FormatChoice, PresetChoice, SplitChoice
from infarct.export.order import Format
from infarct.phantom import PAIRS, PRESETS, SPLITS

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocker())
{code}
"""
READING = {"SimpleITK", "nibabel", "pydicom", "gdcm", "pydantic", "typer", "rich", "jinja2", "matplotlib", "PIL"}
HELP = """
sys.argv = ['infarct', '--help']
from infarct.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
"""


def run_blocked(blocked: set[str], code: str) -> str:
    """Return what ``code`` prints where the ``blocked`` packages cannot be imported; fail where it fails."""
    script = BLOCKER.format(blocked=blocked, code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_phantom_runs_with_torch_numpy_and_scipy_alone() -> None:
    """All of it: it must render on a bare GPU machine."""
    code = (
        "import importlib, pkgutil, infarct.phantom as room\n"
        "names = [module.name for module in pkgutil.iter_modules(room.__path__)]\n"
        "for name in names: importlib.import_module(f'infarct.phantom.{name}')\n"
        "print(len(names), room.draw('aspects', 1, 'test').name)"
    )
    count, name = run_blocked(READING, code).split()
    assert int(count) > 20
    assert name == "aspects-test-0001"


TORCH_ROOMS = {"networks", "runtime", "systems", "phantom", "training"}


def test_torch_stays_in_its_rooms() -> None:
    root = Path(infarct.__file__).parent
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if "torch" in {name.partition(".")[0] for name in names}:
            assert path.relative_to(root).parts[0] in TORCH_ROOMS, path


def test_the_command_line_knows_the_phantoms_names() -> None:
    """It repeats them, so that its help needs no torch."""
    assert tuple(PresetChoice) == PRESETS
    assert tuple(SplitChoice) == SPLITS
    assert tuple(FormatChoice) == get_args(Format)
    assert PAIR_CHOICES == PAIRS


@pytest.mark.parametrize(
    "verb",
    [
        "--help",
        "analyze --help",
        "demo --help",
        "models --help",
        "phantom --help",
        "train --help",
        "reference dwi --help",
        "cohort check --help",
        "evaluate segment --help",
        "evaluate aspects --help",
        "reproduce segment --help",
        "reproduce aspects --help",
    ],
)
def test_help_is_light(verb: str) -> None:
    heavy = {
        "torch",
        "SimpleITK",
        "matplotlib",
        "scipy",
        "pydicom",
        "gdcm",
        "nibabel",
        "jinja2",
        "PIL",
        "lightning",
        "openvino",
    }
    assert "Usage" in run_blocked(heavy, HELP.replace("'--help'", ", ".join(repr(word) for word in verb.split())))


def test_systems_touch_no_files() -> None:
    """The rooms between readers and doors work on arrays alone."""
    code = "import infarct.pipeline\nassert not {'pydicom', 'nibabel', 'matplotlib'} & set(sys.modules)"
    run_blocked({"pydicom", "nibabel", "matplotlib", "jinja2", "typer"}, code)

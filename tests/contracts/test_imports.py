"""What may be imported where; the floors themselves are checked by import-linter."""

import subprocess
import sys

import pytest

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


def test_phantom_runs_with_numpy_and_scipy_alone() -> None:
    code = (
        "from infarct.phantom import make_demo_patient, DemoSetup\n"
        "patient = make_demo_patient(1, DemoSetup(pixel_spacing_mm=3.0, slice_spacing_mm=10.0))\n"
        "print(patient.truth.infarct.any(), patient.scan.hu.max() > 300)"
    )
    assert run_blocked(READING | {"torch"}, code).split() == ["True", "True"]


@pytest.mark.parametrize("verb", ["--help", "analyze --help", "demo --help"])
def test_help_is_light(verb: str) -> None:
    heavy = {"torch", "SimpleITK", "matplotlib", "scipy", "pydicom", "gdcm", "nibabel", "jinja2", "PIL"}
    assert "Usage" in run_blocked(heavy, HELP.replace("'--help'", ", ".join(repr(word) for word in verb.split())))


def test_systems_touch_no_files() -> None:
    """The rooms between readers and doors work on arrays alone."""
    code = "import infarct.pipeline\nassert not {'pydicom', 'nibabel', 'matplotlib'} & set(sys.modules)"
    run_blocked({"pydicom", "nibabel", "matplotlib", "jinja2", "typer"}, code)

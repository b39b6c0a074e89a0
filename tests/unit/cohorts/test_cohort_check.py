import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from infarct.cli.cohort import CLINICAL, cohort
from infarct.cohorts import Clinical
from infarct.cohorts.case import key_of
from infarct.errors import BadRequest
from unit.cohorts.tiny_cohorts import apis, lesion, manifest, nifti

LIGHT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'scipy', 'nibabel', 'pydicom', 'PIL', 'matplotlib'):
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocker())
from typer.testing import CliRunner
from infarct.cli.cohort import cohort
done = CliRunner().invoke(cohort, ['check', '--help'])
assert done.exit_code == 0, done.output
print(done.output)
"""


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.add_typer(cohort, name="cohort")
    return CliRunner().invoke(app, ["cohort", "check", *(str(argument) for argument in arguments)])


def test_tables_say_what_is_found_missing_and_left_out(tmp_path: Path) -> None:
    apis(tmp_path, "train_000")
    apis(tmp_path, "train_001", mask=lesion() * 0)
    apis(tmp_path, "train_002", mask=lesion()[1:])
    done = run(tmp_path, "--quiet")
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert "apis: 2 cases of 2 patients, 1 left out" in text
    keys = {name: key_of(name) for name in ("train_000", "train_001", "train_002")}
    assert f"train_000 {keys['train_000']} core 12 of 5 x 2 x 2 3.6 -" in text
    assert f"train_001 {keys['train_001']} core 12 of 5 x 2 x 2 0 -" in text
    assert "onset_h in 2" in text
    assert f"train_002 {keys['train_002']} lesion mask: it has 11 x 72 x 64 voxels" in text


def test_json_tells_not_labelled_from_nothing_there(tmp_path: Path) -> None:
    header = "id,ct,mask,age"
    manifest(
        tmp_path, "a,ct.nii.gz,mask.nii.gz,70", "b,ct.nii.gz,,", "c,ct.nii.gz,none.nii.gz,", "d,x,,", header=header
    )
    nifti(tmp_path / "none.nii.gz", lesion() * 0)
    done = run(tmp_path, "--json", "--quiet")
    told = json.loads(done.stdout)
    assert told["kind"] == "manifest"
    assert [case["lesion_ml"] for case in told["cases"]] == [pytest.approx(3.6), None, 0.0]
    assert [case["lesion_free"] for case in told["cases"]] == [False, None, True]
    assert told["cases"][0]["age"] == 70.0
    assert told["cases"][0]["key"] == told["cases"][0]["patient_key"] == key_of("a")
    assert told["left_out"] == [{"id": "d", "key": None, "reason": "the file in column ct does not exist"}]
    assert told["missing"]["age"] == 2
    assert told["missing"]["lesion mask"] == 1


def test_fast_reads_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apis(tmp_path, mask=lesion()[1:])
    monkeypatch.setattr("infarct.cohorts.masks.read_scan", lambda _: pytest.fail("an image was read"))
    told = json.loads(run(tmp_path, "--json", "--fast").stdout)
    assert [case["slices"] for case in told["cases"]] == [None]
    assert run(tmp_path, "--fast").exit_code == 0


def test_an_unknown_folder_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert isinstance(done.exception, BadRequest)
    assert done.stdout == ""


def test_names_of_folders_do_not_steer_the_terminal(tmp_path: Path) -> None:
    for name in ("[red]a", "b\x1b[31m"):
        (tmp_path / "mask" / name).mkdir(parents=True)
        (tmp_path / "image" / name).mkdir(parents=True)
        (tmp_path / "image" / name / "0.png").write_bytes(b"")
    text = run(tmp_path).stdout
    assert "[red]a" in text
    assert "\x1b" not in text


def test_help_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "manifest" in done.stdout


def test_the_command_tells_all_clinical_values() -> None:
    """It repeats their names, so that its help needs no numpy."""
    assert tuple(vars(Clinical())) == CLINICAL

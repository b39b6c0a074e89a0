"""``infarct evaluate volumetry`` by weights set by hand: what it writes, how it goes on, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from infarct.cli.evaluate import evaluate
from infarct.cohorts import Case, Clinical, Cohort, LabelledScan
from infarct.errors import BadRequest, NotHeadCT
from infarct.evaluation import figures, named_cohorts, volumetry_cohort
from infarct.findings import INTENDED_USE
from infarct.preprocess.head import Head
from infarct.volume import Scan
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.systems.known_voxels import painted
from unit.systems.made_patch_weights import dark_weights, dense_weights
from unit.systems.tiny_localizer import tiny_weights


@pytest.fixture
def weights(tmp_path: Path) -> list[str]:
    made = {
        "three": dark_weights((20.0, 29.0, 31.0)),
        "single": dark_weights((15.0,)),
        "blood": dense_weights(suspected_ml=500.0),
    }
    paths = [save_weights(one, tmp_path / f"{name}.safetensors") for name, one in made.items()]
    return [text for path in paths for text in ("--weights", str(path))]


@pytest.fixture
def scans(left_patient: PlainPatient, left_head: Head, monkeypatch: pytest.MonkeyPatch) -> list[Scan]:
    """Evaluate a scan with an infarct, and one that is no head; returns the scans that were prepared."""
    prepared: list[Scan] = []
    scan, head = painted(left_patient, left_head, infarct_hu=27.0)
    truth = left_patient.truth
    nothing = np.zeros(scan.hu.shape, dtype=np.uint8)
    labelled = LabelledScan(scan, truth.infarct, None, nothing, truth.intracranial)
    no_head = replace(labelled, scan=replace(scan, hu=np.full_like(scan.hu, -1000)))

    def prepare(one: Scan) -> Head:
        prepared.append(one)
        if one.hu.max() < 0:
            raise NotHeadCT("no brain found in the scan")
        return head

    cases = (
        Case("Doe-1", "Jane-1", "final", lambda: labelled, Clinical(mrs90=3)),
        Case("Doe-2", "Jane-2", "final", lambda: no_head),
    )
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("trial", cases))
    monkeypatch.setattr(volumetry_cohort, "prepare_head", prepare)
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 20)  # quicker
    return prepared


def run(output: Path, *more: str) -> Result:
    command: Any = ["volumetry", "--cohort", "folder", "-o", str(output), "--quiet", "--device", "cpu", *more]
    return CliRunner().invoke(evaluate, command)


def test_it_writes_everything_names_nobody_and_goes_on(tmp_path: Path, scans: list[Scan], weights: list[str]) -> None:
    out = tmp_path / "out"
    assert run(out, *weights, "--first", "1").exit_code == 0
    done = run(out, *weights)
    assert done.exit_code == 3, done.output  # one has no answer
    assert done.stdout.strip() == str(out / "tables.md")
    assert len(scans) == 2  # the first was not done again
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert {"metrics.json", "tables.md", "results.jsonl", "tables/volumes.csv", "tables/cases.csv"} <= set(files)
    assert {f"figures/0-trial-{name}.png" for name in ("densities", "volumes", "bland_altman", "gallery")} <= set(files)
    for name, path in files.items():
        content = path.read_bytes()
        assert b"Doe" not in content, name
        assert b"Jane" not in content, name
        if not name.endswith(".png"):
            assert INTENDED_USE.encode() in content, name
    metrics = json.loads((out / "metrics.json").read_text())
    (failure,) = metrics["without_answer"]
    assert failure["reason"] == "no brain found in the scan"
    assert metrics["overview"][0]["refused"] == 1
    dice = {row["method"]: row["dice"]["estimate"] for row in metrics["volumes"] if row["label"] == "intermediate"}
    assert dice["three"] > 0.8
    assert dice["single"] == 0.0  # it looks for what is darker
    assert metrics["settings"]["hemorrhage"]["config"]["suspected_ml"] == 500.0
    other = run(out, *weights[:2])
    assert isinstance(other.exception, BadRequest)
    assert "another evaluation" in str(other.exception)


@pytest.mark.usefixtures("scans")
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path, weights: list[str]) -> None:
    tiles = str(save_weights(tiny_weights(), tmp_path / "tiles.safetensors"))
    for more, words in (
        (("--weights", tiles), "not for volumetry or hemorrhage"),
        ((*weights[:2], *weights[:2]), "two weights for three"),
        (("--weights", str(tmp_path / "none")), "no such weight file"),
    ):
        refused = run(tmp_path / "out", *more)
        assert isinstance(refused.exception, BadRequest), more
        assert words in str(refused.exception)
        assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert isinstance(run(tmp_path / "full", *weights).exception, BadRequest)


def test_phantoms_are_named_by_preset_and_split(tmp_path: Path, weights: list[str]) -> None:
    refused = run(tmp_path / "out", *weights, "--cohort", "phantom:followup")
    assert isinstance(refused.exception, BadRequest)

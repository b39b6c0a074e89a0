"""The command: what it writes, how it goes on, and its exit codes."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infarct.cli.evaluate import RESULTS_FILE, evaluate
from infarct.cohorts import Cohort
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import gallery, named_cohorts, record, segment_cohort, segment_report
from infarct.evaluation.gallery import caption
from infarct.evaluation.segment import Prediction
from infarct.systems.segment import Segmenter
from infarct.volume import Scan
from unit.evaluation.made_up_case import CASE, SEGMENTER, answer


@pytest.fixture
def three_scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Evaluate three small scans by a made-up system; returns what it was asked for."""
    asked: list[int] = []

    def predict(scan: Scan, _: Segmenter) -> Prediction:
        asked.append(len(scan.hu))
        return answer(scan)

    cases = tuple(replace(CASE, id=f"scan-{number}", patient=f"p{number}") for number in range(3))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", cases))
    monkeypatch.setattr(segment_cohort, "open_segmenter", lambda _: SEGMENTER)
    monkeypatch.setattr(segment_cohort, "predict_scan", predict)
    monkeypatch.setattr(segment_report, "segment_figures", lambda *_: ())
    return asked


def run(output: Path, *more: str) -> Result:
    command: Any = ["segment", "--cohort", "folder", "-o", str(output), "--quiet", *more]
    return CliRunner().invoke(evaluate, command)


def test_it_writes_everything_and_prints_where(tmp_path: Path, three_scans: list[int]) -> None:
    done = run(tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "tables.md")
    assert len(three_scans) == 3
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["strata"][0]["scans"] == 3
    assert metrics["settings"]["weights"]["sha256"] == "abc"


def test_it_goes_on_with_more_scans(tmp_path: Path, three_scans: list[int]) -> None:
    assert run(tmp_path / "out", "--first", "1").exit_code == 0
    assert run(tmp_path / "out").exit_code == 0
    assert len(three_scans) == 3
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["strata"][0]["scans"] == 3


def test_no_identifier_is_written(tmp_path: Path, three_scans: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of scans with an answer nor of the one without."""

    def predict(scan: Scan, _: Segmenter) -> Prediction:
        three_scans.append(0)
        if len(three_scans) == 2:
            raise StepFailed("no brain found")
        return answer(scan)

    cases = tuple(replace(CASE, id=f"Doe-{number}", patient=f"Jane {number}") for number in range(3))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", cases))
    monkeypatch.setattr(segment_cohort, "predict_scan", predict)
    captions: list[str] = []
    monkeypatch.setattr(gallery, "caption", lambda choice: captions.append(caption(choice)) or captions[-1])
    assert run(tmp_path / "out").exit_code == 3
    assert len(captions) == 2
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    told = b"".join(path.read_bytes() + str(path.relative_to(tmp_path)).encode() for path in written)
    for name in ("Doe", "Jane"):
        assert name.encode() not in told
        assert name not in str(captions)
    for case in cases:
        assert case.key in (tmp_path / "out" / RESULTS_FILE).read_text()
    assert cases[1].key in (tmp_path / "out" / "metrics.json").read_text()


@pytest.mark.usefixtures("three_scans")
def test_a_part_that_no_cohort_has_is_refused(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "out", "--split", "test").exception, BadRequest)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("three_scans")
def test_another_evaluation_needs_another_folder(tmp_path: Path) -> None:
    assert run(tmp_path / "out").exit_code == 0
    other = run(tmp_path / "out", "--slice-mm", "5")
    assert isinstance(other.exception, BadRequest)
    assert "another evaluation" in str(other.exception)


@pytest.mark.usefixtures("three_scans")
def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert isinstance(run(tmp_path).exception, BadRequest)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("three_scans")
def test_a_scan_without_an_answer_is_told_by_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Prediction:
        raise StepFailed("no brain found")

    monkeypatch.setattr(segment_cohort, "predict_scan", failing)
    assert run(tmp_path / "out").exit_code == 3
    assert "no brain found" in (tmp_path / "out" / "tables.md").read_text()


def test_the_command_knows_the_records_name() -> None:
    """It repeats it, so that its help imports nothing heavy."""
    assert RESULTS_FILE == record.RESULTS_FILE


@pytest.mark.slow
def test_a_phantom_by_a_network_with_random_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from infarct.networks import build
    from infarct.preprocess.segment_input import EVERYDAY
    from infarct.weights import WeightSet, save_weights

    torch.manual_seed(0)
    config = {"in_channels": 2, "out_channels": 2, "base": 2, "strides": [[1, 2, 2], [2, 2, 2]]}
    settings = {
        "input": asdict(EVERYDAY),
        "tile_zyx": [16, 64, 64],
        "temperature": [1.0, 1.0],
        "threshold": [0.5, 0.5],
        "minimum_ml": 1.0,
        "calibrated_on": "nothing",
    }
    tensors = {name: value.numpy() for name, value in build("se_res_unet", config).state_dict().items()}
    weights = WeightSet("segment", "random", "se_res_unet", config, settings, tensors, {})
    path = save_weights(weights, tmp_path / "random.safetensors")
    command: Any = ["segment", "--cohort", "phantom:aspects:validation", "--first", "1", "--weights", str(path)]
    done = CliRunner().invoke(evaluate, [*command, "-o", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 0, done.output
    line = json.loads((tmp_path / "out" / RESULTS_FILE).read_text().splitlines()[1])["case"]
    assert line["about"]["id"] == "aspects-validation-0000"
    assert line["truth_ml"] > 0
    assert 0 <= line["counts"]["tp"] <= line["counts"]["tp"] + line["counts"]["fn"]
    assert (tmp_path / "out" / "figures" / "gallery.png").stat().st_size > 1000

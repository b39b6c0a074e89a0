"""The command from end to end: what it writes, what it refuses, and what it must never show."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import mutator
import pytest

from acceptance.command import Outcome, run
from acceptance.stored_scans import rectified, write_dicom, write_nifti
from infarct import __version__
from infarct.findings import INTENDED_USE, Findings
from infarct.volume import Geometry, Scan
from plain_head import PlainSetup, make_plain_patient

Command = Callable[..., Outcome]
SMALL = Geometry.regular((34, 128, 128), (5.0, 1.8, 1.8), origin_mm=(-114.3, -114.3, -85.0))


@pytest.fixture(scope="module")
def scan() -> Scan:
    return make_plain_patient(5, PlainSetup(side="left", geometry=SMALL, head_rest=False)).scan


@pytest.fixture(scope="module")
def series(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(tmp_path_factory.mktemp("dicom") / "Canary^Folder", scan)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: run([str(a) for a in arguments], capfd, monkeypatch)


def test_analyze_writes_findings_and_report(command: Command, series: Path, tmp_path: Path) -> None:
    result = command("analyze", series, "-o", tmp_path / "out", "--onset-hours", "3", "--symptomatic-side", "left")
    assert result.code == 0
    assert result.out.strip() == str(tmp_path / "out" / "report.html")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["findings.json", "report.html"]
    findings = Findings.model_validate_json((tmp_path / "out" / "findings.json").read_text())
    assert findings.software.version == __version__
    assert findings.intended_use == INTENDED_USE
    assert findings.aspects is not None
    assert (findings.aspects.side, findings.aspects.side_rule) == ("left", "symptomatic")
    assert findings.provenance.config["request"]["onset_hours"] == 3
    assert not {"onset_unknown", "systems_left_out"} & {flag.code for flag in findings.quality.flags}
    assert findings.followup_infarct is None
    assert INTENDED_USE in (tmp_path / "out" / "report.html").read_text()


def test_a_follow_up_is_measured_with_the_shipped_weights(command: Command, series: Path, tmp_path: Path) -> None:
    assert command("analyze", series, "-o", tmp_path / "out", "--onset-hours", "30", "--quiet").code == 0
    findings = Findings.model_validate_json((tmp_path / "out" / "findings.json").read_text())
    assert findings.followup_infarct is not None
    assert (findings.followup_infarct.method, findings.followup_infarct.side) == ("pooled_unet", "left")
    assert findings.followup_infarct.volume_ml > 0
    assert findings.hemorrhage is not None
    assert (findings.hemorrhage.method, findings.hemorrhage.suspected) == ("patch_cnn_dense", False)


def test_nothing_of_the_patient_or_of_paths_is_shown(command: Command, series: Path, tmp_path: Path) -> None:
    result = command("analyze", series, "-o", tmp_path / "out", "--verbose")
    assert result.code == 0
    written = [path.read_text() for path in (tmp_path / "out").iterdir()]
    for text in (*written, result.err):
        assert "canary" not in text.lower()
        assert str(tmp_path) not in text
        assert str(series) not in text
        assert "1.2.826.0.1.3680043" not in text


def test_json_prints_the_findings(command: Command, series: Path, tmp_path: Path) -> None:
    result = command("analyze", series, "-o", tmp_path / "out", "--json", "--quiet")
    assert json.loads(result.out) == json.loads((tmp_path / "out" / "findings.json").read_text())
    assert result.err == ""


def test_no_socket_is_opened(command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert command("analyze", series, "-o", tmp_path / "out").code == 0


def test_nifti_and_dicom_give_the_same_answer(command: Command, scan: Scan, series: Path, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "ct.nii.gz", rectified(scan), ((2, 0, 1), (False, True, True)))
    answers = []
    for number, source in enumerate((path, series)):
        assert command("analyze", source, "-o", tmp_path / str(number)).code == 0
        answers.append(json.loads((tmp_path / str(number) / "findings.json").read_text()))
    for ours, theirs in zip(answers[0]["aspects"]["regions"], answers[1]["aspects"]["regions"], strict=True):
        assert ours["affected"] == theirs["affected"]
        assert ours["mean_hu"] == pytest.approx(theirs["mean_hu"], abs=0.05)
    assert answers[0]["aspects"]["score"] == answers[1]["aspects"]["score"]
    assert answers[0]["infarct"]["side"] == answers[1]["infarct"]["side"] == "left"


def refused(result: Outcome, folder: Path) -> bool:
    """Tell whether a command was refused with one line and left nothing behind."""
    lines = result.err.strip().splitlines()
    left = [path for path in folder.iterdir() if path.name.startswith((".infarct", "out"))]
    return result.code == 2 and result.out == "" and lines[-1].startswith("infarct: ") and not left


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": "2.0"}', None])
def test_earlier_findings_that_are_none_are_refused(
    command: Command, series: Path, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "earlier.json"
    if text is not None:
        path.write_text(text)
    result = command("analyze", series, "-o", tmp_path / "out", "--previous", path)
    assert refused(result, tmp_path)
    assert str(path) not in result.err


def test_a_scan_without_volumetry_tells_that_growth_is_not_measured(
    command: Command, series: Path, tmp_path: Path
) -> None:
    first = command("analyze", series, "-o", tmp_path / "first", "--onset-hours", "3", "--systems", "none")
    assert first.code == 0
    earlier = tmp_path / "first" / "findings.json"
    after = ("-o", tmp_path / "second", "--onset-hours", "30", "--systems", "none", "--previous", earlier)
    assert command("analyze", series, *after).code == 0
    findings = Findings.model_validate_json((tmp_path / "second" / "findings.json").read_text())
    assert findings.followup_infarct is None
    assert "growth_not_measured" in {flag.code for flag in findings.quality.flags}
    late = ("-o", tmp_path / "out", "--onset-hours", "2", "--previous", earlier)
    assert refused(command("analyze", series, *late), tmp_path)


@pytest.mark.parametrize("name", ["missing", "empty", "text", "truncated", "few_slices", "not_ct", "water"])
def test_bad_input_is_refused_with_one_line(
    command: Command, scan: Scan, series: Path, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "source"
    if name == "empty":
        source.mkdir()
    elif name == "text":
        source.write_text("no scan at all")
    elif name == "water":
        write_dicom(source, Scan(scan.hu * 0 + 3, scan.geometry))
    elif name != "missing":
        shutil.copytree(series, source)
    if name == "truncated":
        file = sorted(source.iterdir())[7]
        file.write_bytes(file.read_bytes()[:-900])
    if name == "few_slices":
        for file in sorted(source.iterdir())[5:]:
            file.unlink()
    if name == "not_ct":
        for file in source.iterdir():
            file.write_bytes(file.read_bytes().replace(b"CS\x02\x00CT", b"CS\x02\x00MR"))
    result = command("analyze", source, "-o", tmp_path / "out", "--quiet")
    assert refused(result, tmp_path)
    assert len(result.err.strip().splitlines()) == 1
    assert str(tmp_path) not in result.err


def test_an_output_folder_in_use_is_left_alone(command: Command, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "findings.json").write_text("older result")
    result = command("analyze", series, "-o", out)
    assert result.code == 2
    assert "not empty" in result.err
    assert (out / "findings.json").read_text() == "older result"


def test_a_failure_while_writing_leaves_nothing(
    command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("infarct.writers.write_html", fail)
    (tmp_path / "empty").mkdir()
    for name in ("out", "empty"):
        result = command("analyze", series, "-o", tmp_path / name, "--quiet", "--systems", "none")
        assert result.code == 2
        assert result.err == "infarct: the results could not be written (No space left on device)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_an_empty_folder_takes_the_results_and_stays_itself(command: Command, series: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    before = (tmp_path / "empty").stat().st_ino
    assert command("analyze", series, "-o", tmp_path / "link", "--systems", "none").code == 0
    assert (tmp_path / "empty").stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["findings.json", "report.html"]


@pytest.mark.parametrize("name", ["in the input", "x" * 300, "/proc/results"])
def test_an_output_that_cannot_be_is_refused(command: Command, series: Path, tmp_path: Path, name: str) -> None:
    out = series / "results" if name == "in the input" else tmp_path / name
    result = command("analyze", series, "-o", out, "--quiet")
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert str(tmp_path) not in result.err


@pytest.mark.parametrize(
    "arguments",
    [["analyze"], ["analyze", "x"], ["nonsense"], ["analyze", "x", "-o", "y", "--onset-hours", "-1"],
     ["analyze", "x", "-o", "y", "--onset-hours", "inf"],
     ["analyze", "x", "-o", "y", "--symptomatic-side", "middle"],
     ["analyze", "x", "-o", "y", "--side-rule", "both"],
     ["analyze", "x", "-o", "y", "--side-rule", "min", "--symptomatic-side", "left"],
     ["analyze", "x", "-o", "y", "--set", "left.M2=0"], ["analyze", "x", "-o", "y", "--reader", "R"],
     ["analyze", "x", "-o", "y", "--set", "left.M9=0", "--reader", "R"],
     ["analyze", "x", "-o", "y", "--systems", "magic"],
     ["analyze", "x", "-o", "y", "--systems", "none", "--weights", "w.safetensors"],
     ["analyze", "x", "-o", "y", "--precision", "fp8"],
     ["train", "segment", "-o", "y"], ["train", "magic", "-o", "y"],
     ["evaluate", "segment", "--cohort", "phantom:acute", "-o", "y"],
     ["evaluate", "aspects", "--cohort", "phantom:aspects", "-o", "y"],
     ["cohort", "check", "no such folder"], ["models", "magic"],
     ["analyze", "x", "-o", "y", "--onset-hours", "1", "--last-known-well-hours", "2"]],
)  # fmt: skip
def test_bad_usage_exits_with_2(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).code == 2


def test_weights_that_are_none_are_refused(command: Command, series: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    result = command(
        "analyze", series, "-o", tmp_path / "out", "--weights", tmp_path / "w.safetensors", "--systems", "segment"
    )
    assert refused(result, tmp_path)


def test_without_systems_the_baseline_answers(command: Command, series: Path, tmp_path: Path) -> None:
    result = command("analyze", series, "-o", tmp_path / "out", "--systems", "none", "--quiet")
    assert result.code == 0
    findings = Findings.model_validate_json((tmp_path / "out" / "findings.json").read_text())
    assert findings.infarct is not None
    assert findings.infarct.method == "asymmetry"
    assert findings.provenance.weights == ()


def test_a_reader_s_regions_change_the_score_and_stand_in_findings_and_report(
    command: Command, series: Path, tmp_path: Path
) -> None:
    plain = ["analyze", series, "--systems", "none", "--quiet", "--side-rule", "min"]
    words = ["--set", "right.M4=1", "--set", "right.M5=1", "--set", "left.M4=0", "--reader", "A. Reader"]
    found = []
    for name, more in (("plain", []), ("read", words)):
        assert command(*plain, "-o", tmp_path / name, *more).code == 0
        found.append(Findings.model_validate_json((tmp_path / name / "findings.json").read_text()))
    before, after = (findings.aspects for findings in found)
    assert before is not None
    assert after is not None
    assert after.regions == before.regions
    assert [(o.side, o.region, o.affected, o.reader) for o in after.overrides] == [
        ("right", "M4", True, "A. Reader"),
        ("right", "M5", True, "A. Reader"),
        ("left", "M4", False, "A. Reader"),
    ]
    assert (after.side_rule, after.right_score) == ("min", 8)
    assert "overrides" not in found[1].provenance.config["request"]
    report = (tmp_path / "read" / "report.html").read_text()
    assert "3 regions set by A. Reader" in report
    assert "Right M4: affected; the system found: not affected. A. Reader, 20" in report


def test_version_and_schema(command: Command) -> None:
    assert command("--version").out.strip() == __version__
    schema = json.loads(command("schema").out)
    assert schema["title"] == "Findings"


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))])
def test_damaged_series_through_the_command(
    command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(mutator, "PIXEL_BYTES", 128 * 128 * 2)
    monkeypatch.setattr(mutator, "_ROW_BYTES", 128 * 2)
    files = {path.name: path.read_bytes() for path in sorted(series.iterdir())}
    changed, _ = mutator.mutate_dicom(files, 5000 + seed)
    source = mutator.write_files(tmp_path / "source", changed)
    result = command("analyze", source, "-o", tmp_path / "out", "--quiet", "--systems", "none")
    assert "Traceback" not in result.err
    if result.code == 0:
        Findings.model_validate_json((tmp_path / "out" / "findings.json").read_text())
    else:
        assert refused(result, tmp_path)

"""The demo as its user runs it: a phantom as DICOM, read back, with a report, a PDF and DICOM objects on its frames."""

import json
from pathlib import Path

import pytest
from highdicom.seg import segread
from pydicom import dcmread

from acceptance.command import run
from infarct.readers import read_scan


@pytest.mark.slow
def test_the_demo_leaves_all_that_a_reader_opens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"
    done = run(["demo", "-o", str(folder), "--quiet"], capfd, monkeypatch)
    assert done.code == 0, done.err
    assert done.out.strip() == str(folder / "report.html")
    assert {path.name for path in folder.iterdir()} == {"dicom", "findings.json", "report.html", "report.pdf", "scan"}
    findings = json.loads((folder / "findings.json").read_text())
    assert findings["scan"]["source"] == "phantom"
    assert findings["aspects"]["side"] == findings["infarct"]["side"] == "left"
    assert findings["agreement"]["sides"]["segment"] == "left"
    scan = read_scan(folder / "scan")
    lesion = segread(folder / "dicom" / "seg_infarct.dcm")
    assert {str(uids[2]) for uids in lesion.get_source_image_uids()} == {
        reference.sop_instance_uid for reference in scan.source.slices
    }
    assert dcmread(folder / "dicom" / "sr_findings.dcm").StudyInstanceUID == scan.source.study_uid

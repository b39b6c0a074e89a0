"""`infarct analyze --format`: what is written beside findings and report, and that it is all or nothing."""

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from acceptance.command import Outcome, run
from acceptance.stored_scans import rectified, tilted_uneven_geometry, write_dicom, write_nifti
from infarct.findings import Analysis, Findings
from infarct.pipeline import analyze
from infarct.readers import read_scan
from infarct.volume import Scan, volume_ml
from plain_head import PlainSetup, make_plain_patient

Command = Callable[..., Outcome]
ALL = "pdf,seg,sr,sc,dicom-pdf,nifti"
PLAIN = ("--systems", "none", "--quiet")


@pytest.fixture(scope="module")
def scan() -> Scan:
    geometry = tilted_uneven_geometry(size=128, pixel_mm=1.8)
    return make_plain_patient(5, PlainSetup(side="left", lesion_hu=(-12.0, -11.0), geometry=geometry)).scan


@pytest.fixture(scope="module")
def series(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    order = list(np.random.Generator(np.random.Philox(1)).permutation(len(scan.hu)))
    return write_dicom(tmp_path_factory.mktemp("dicom") / "Canary^Folder", scan, order=order)


@pytest.fixture(scope="module")
def analysis(series: Path) -> Analysis:
    return analyze(read_scan(series))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: run([str(a) for a in arguments], capfd, monkeypatch)


@pytest.fixture
def fast(command: Command, monkeypatch: pytest.MonkeyPatch, analysis: Analysis) -> Command:
    """Return the command with the analysis of the series done once for all."""
    monkeypatch.setattr("infarct.pipeline.analyze", lambda *_, **__: analysis)
    return command


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_all_formats_of_a_tilted_uneven_series(fast: Command, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = fast("analyze", series, "-o", out, *PLAIN, "--format", ALL)
    assert (result.code, result.err) == (0, "")
    assert {"findings.json", "report.html", "report.pdf", "nifti/maps.json", "nifti/ct.nii.gz"} <= files(out)
    assert {"dicom/seg_aspects_regions.dcm", "dicom/seg_infarct.dcm", "dicom/sr_findings.dcm"} <= files(out)
    assert {"dicom/sc_ganglionic.dcm", "dicom/sc_lesion.dcm", "dicom/pdf_report.dcm"} <= files(out)
    findings = Findings.model_validate_json((out / "findings.json").read_text())
    assert "maps_rectified" in {flag.code for flag in findings.quality.flags}
    assert findings.infarct is not None
    _check_segmentation(out, series, findings)
    image = nib.load(out / "nifti" / "infarct.nii.gz")
    infarct = np.asarray(image.dataobj) > 0
    ras = nib.affines.apply_affine(image.affine, np.argwhere(infarct)).mean(axis=0)
    assert ras[0] < -10  # RAS: to the left
    for path in out.rglob("*"):
        if path.is_file() and path.parent.name != "dicom":
            content = path.read_bytes().lower()
            assert b"canary" not in content, path.name
            assert b"1.2.826.0.1.3680043" not in content, path.name
    for path in (out / "dicom").iterdir():
        assert pydicom.dcmread(path).PatientID == "CANARY-ID"


def _check_segmentation(out: Path, series: Path, findings: Findings) -> None:
    """The mask on the stored frames has the volume and the side of the findings."""
    assert findings.infarct is not None
    back = read_scan(series)
    segmentation = hd.seg.segread(out / "dicom" / "seg_infarct.dcm")
    uids = [reference.sop_instance_uid for reference in back.source.slices]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]
    assert volume_ml(pixels > 0, back.geometry) == pytest.approx(findings.infarct.volume_ml, rel=0.05)
    assert findings.infarct.side == "left"
    world = back.geometry.index_to_world(np.argwhere(pixels > 0))
    assert world[:, 0].mean() > 10  # LPS: to the left


def test_the_same_scan_gives_the_same_identifiers_again(fast: Command, series: Path, tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        assert fast("analyze", series, "-o", tmp_path / name, *PLAIN, "--format", "seg,sr").code == 0
        folder = tmp_path / name / "dicom"
        found.append({path.name: pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()})
    assert found[0] == found[1]


def test_deidentified_objects_name_nobody(fast: Command, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert fast("analyze", series, "-o", out, *PLAIN, "--format", "seg,sr,dicom-pdf", "--deidentify").code == 0
    objects = list((out / "dicom").iterdir())
    assert len(objects) >= 4
    for path in objects:
        assert b"canary" not in path.read_bytes().lower()
        assert pydicom.dcmread(path).PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("asked", ["sc", ALL])
def test_dicom_objects_of_a_nifti_file_are_refused(command: Command, scan: Scan, tmp_path: Path, asked: str) -> None:
    source = write_nifti(tmp_path / "ct.nii.gz", rectified(scan))
    result = command("analyze", source, "-o", tmp_path / "out", *PLAIN, "--format", asked)
    assert result.code == 2
    assert result.err == (
        "infarct: seg, sr, sc and dicom-pdf need a DICOM input; pass the DICOM series or leave them out\n"
    )
    assert files(tmp_path) == {"ct.nii.gz"}
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_nifti_file_has_its_pdf_and_maps(command: Command, scan: Scan, tmp_path: Path) -> None:
    source = write_nifti(tmp_path / "ct.nii.gz", rectified(scan))
    out = tmp_path / "out"
    assert command("analyze", source, "-o", out, *PLAIN, "--format", "pdf,nifti").code == 0
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert "nifti/brain_mask.nii.gz" in files(out)
    assert "nifti/ct.nii.gz" not in files(out)


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_among_the_objects_leaves_nothing(
    fast: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("infarct.writers.nifti_maps.write_nifti", fail)
    out = tmp_path / "out"
    if existing:
        out.mkdir()
    result = fast("analyze", series, "-o", out, *PLAIN, "--format", "seg,nifti")
    assert result.code == 2
    assert result.err == "infarct: the results could not be written (No space left on device)\n"
    assert list(tmp_path.rglob("*")) == ([out] if existing else [])


@pytest.mark.parametrize("words", [["--format", "jpeg"], ["--format", ""], ["--deidentify"]])
def test_bad_words_are_refused(command: Command, series: Path, tmp_path: Path, words: list[str]) -> None:
    assert command("analyze", series, "-o", tmp_path / "out", *words).code == 2
    assert list(tmp_path.iterdir()) == []

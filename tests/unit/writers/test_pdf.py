import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from stored_analyses import Stored, write_all
from synthetic_head import CASES, FLAGS, CaseMaker, make_aspects

from infarct.findings import INTENDED_USE, Infarct, Override, Quality
from infarct.types import Flag
from infarct.writers.pdf import render_pdf, write_pdf

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) not installed")


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def text(pdf: bytes, folder: Path) -> str:
    path = folder / "record.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return " ".join(done.stdout.decode().split())


@pytest.mark.parametrize("name", CASES)
def test_the_record_has_two_pages_always_the_same(case: CaseMaker, name: str) -> None:
    pdf = render_pdf(*case(name))
    assert pages(pdf) == 2
    assert pdf == render_pdf(*case(name))


def test_much_to_tell_is_made_smaller_not_cut_off(case: CaseMaker) -> None:
    scan, analysis = case("bleeding")
    flags = tuple(
        Flag(f"code_{n}", "warning", "A long sentence about the quality of the scan. " * 4) for n in range(30)
    )
    infarct = analysis.findings.infarct
    assert infarct is not None
    many = Infarct(method="asymmetry", volume_ml=9.0, side="left", lesions=infarct.lesions * 15)
    overrides = tuple(
        Override(region="M1", side="left", affected=bool(n % 2), reader="R" * 60, at="2024-01-01T00:00:00Z")
        for n in range(20)
    )
    findings = analysis.findings.model_copy(
        update={
            "quality": Quality(verdict="flagged", flags=flags),
            "infarct": many,
            "aspects": make_aspects(overrides=overrides),
        }
    )
    assert pages(render_pdf(scan, replace(analysis, findings=findings))) == 2


@needs_poppler
def test_the_answers_and_the_intended_use_are_on_it(case: CaseMaker, tmp_path: Path) -> None:
    told = text(render_pdf(*case("bleeding")), tmp_path)
    assert told.count(INTENDED_USE) == 3
    for words in (
        "Bleeding suspected",
        "6 of 10",
        "Affected: left I, L, M2 and M5.",
        "Right side 10, left side 6.",
        "Suspected bleeding 4.7 ml",
        "Old infarct 3.1 ml not counted as acute",
        "patient's right (R) is on the left",
        "not a trained model",
        "page 1 of 2",
        "page 2 of 2",
    ):
        assert words in told, words
    row = "M2 MCA cortex lateral to the insula not affected 34.2 0.0% 8% affected 28.1 17.6% 97%"
    assert row in told.replace(" %", "%")


@needs_poppler
def test_flags_come_gravest_first(case: CaseMaker, tmp_path: Path) -> None:
    told = text(render_pdf(*case("flagged")), tmp_path)
    places = [told.index(flag.code) for flag in (FLAGS[2], FLAGS[1], FLAGS[3], FLAGS[0])]
    assert places == sorted(places)
    assert max(places) < told.index("6 of 10")


@needs_poppler
def test_hostile_words_stay_words(case: CaseMaker, tmp_path: Path) -> None:
    scan, analysis = case("lesion")
    hostile = "<b>bold</b> & <img src='x'/> <para>"
    summary = analysis.findings.scan.model_copy(update={"manufacturer": hostile, "series_choice": hostile})
    findings = analysis.findings.model_copy(update={"scan": summary})
    assert hostile in text(render_pdf(scan, replace(analysis, findings=findings)), tmp_path)


def test_it_is_written_beside_the_others_and_inside_an_object(series_of: "object", tmp_path: Path) -> None:
    case: Stored = series_of("tilted_uneven")  # type: ignore[operator]
    plain = write_pdf(case.scan, case.analysis, tmp_path)
    assert plain.name == "report.pdf"
    folder = write_all(case, tmp_path / "out", formats=("pdf", "dicom-pdf"))
    assert (folder / "report.pdf").read_bytes() == plain.read_bytes()
    document = pydicom.dcmread(folder / "dicom" / "pdf_report.dcm")
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == plain.read_bytes()
    assert len(document.EncapsulatedDocument) % 2 == 0
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert len(document.SourceInstanceSequence) == len(case.images)

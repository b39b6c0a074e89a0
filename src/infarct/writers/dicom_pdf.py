"""The record as a PDF inside a DICOM object."""

from pathlib import Path
from typing import Final

from highdicom.base import SOPClass
from highdicom.sr import CodedConcept
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from infarct.writers import dicom_terms as terms
from infarct.writers.dicom_objects import ObjectSet, described, save, source_instances

FILE_NAME: Final = "pdf_report.dcm"
TITLE: Final = "infarct: head CT, ischemic change"


def write_encapsulated(objects: ObjectSet, pdf: bytes, folder: Path) -> Path:
    """Write ``pdf`` as ``pdf_report.dcm`` into ``folder``, which exists, and return its path."""
    document = SOPClass(
        study_instance_uid=objects.study_uid,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **described(objects, kind="dicom-pdf", number=1, description="infarct: report"),
    )
    document.ConversionType, document.BurnedInAnnotation = "WSD", "NO"
    document.DocumentTitle, document.AcquisitionDateTime = TITLE, None
    document.ConceptNameCodeSequence = [CodedConcept.from_code(terms.REPORT_TITLE)]
    document.SourceInstanceSequence = source_instances(objects)
    document.VerificationFlag = "UNVERIFIED"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return save(document, objects, folder / FILE_NAME)

"""The headers that DICOM objects made of a scan take over: patient, study, and what kind of image they belong to."""

from contextlib import suppress
from io import BytesIO
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from infarct.readers import dicom_image as tags
from infarct.readers.dicom_image import PixelStore
from infarct.readers.foreign import foreign
from infarct.volume import DicomHeaders

UTF_8: Final = "ISO_IR 192"
PATIENT: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "QualityControlSubject",
    "OtherPatientNames",
    "OtherPatientIDsSequence",
    "EthnicGroupCodeSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)
"""Attributes of the patient and clinical trial subject modules (PS3.3 C.7.1.1, C.7.1.3), those of animals left out."""
STUDY: Final = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ConsultingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
    "ProcedureCodeSequence",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "Occupation",
    "SmokingStatus",
    "AdditionalPatientHistory",
    "PregnancyStatus",
    "PatientSexNeutered",
    "ReasonForVisit",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "PatientState",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)
"""Attributes of the general study, patient study and clinical trial study modules (PS3.3 C.7.2)."""


def read_headers(store: PixelStore) -> DicomHeaders:
    """Return the headers of one image that others repeat; attributes that cannot be read or written are left out.

    Raises `UnreadableInput` where the file cannot be read any more.
    """
    wanted = ["SpecificCharacterSet", "SOPClassUID", "FrameOfReferenceUID", *PATIENT, *STUDY]
    with (
        foreign("a file cannot be read any more; copy the series again"),
        BytesIO(store.inflated) if store.inflated is not None else store.path.open("rb") as stream,
    ):
        dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=wanted)
    kept = Dataset()
    for keyword in (*PATIENT, *STUDY):
        with suppress(Exception):  # pydicom parses lazily; what is broken or does not fit its kind counts as missing
            kept.update(_decoded(_encoded(_alone(dataset, keyword))))
    return DicomHeaders(tags.uid(dataset, "SOPClassUID"), tags.uid(dataset, "FrameOfReferenceUID"), _encoded(kept))


def _alone(dataset: Dataset, keyword: str) -> Dataset:
    """Return a data set of one element and the character set that it is written in."""
    alone = Dataset()
    alone.SpecificCharacterSet = dataset.get("SpecificCharacterSet", "ISO_IR 6")
    alone.add(dataset[keyword])
    alone.decode()
    alone.SpecificCharacterSet = UTF_8
    return alone


def _encoded(dataset: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return stream.getvalue()


def _decoded(content: bytes) -> Dataset:
    return read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True)

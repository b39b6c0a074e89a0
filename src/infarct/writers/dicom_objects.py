"""What all DICOM objects of one analysis share: the source's patient and study, identifiers, dates, equipment."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from infarct.findings import Analysis, Findings
from infarct.volume import Scan
from infarct.writers import dicom_terms as terms
from infarct.writers.source_frames import SourceFrames, dicom_source, source_frames
from infarct.writers.uids import hashed_uid

MANUFACTURER: Final = "infarct"
RESEARCH: Final = "RESEARCH"
"""Content qualification (PS3.3 C.8.13.2.1.1) of everything that infarct writes."""
UNDATED: Final = datetime(1900, 1, 1)
"""The day that stands in de-identified objects, which tell no date."""
DEIDENTIFICATION: Final = ("infarct: patient and study attributes removed", "dates removed", "unique identifiers kept")
"""What was done (PS3.3 C.7.1.1), each of at most 64 letters."""
UNSTATED: Final = "not stated by the source images"
"""What was done where a source says that the identity was removed, but not how, as it must (type 1C)."""
EMPTIED: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes that every object has, if empty (type 2)."""


@dataclass(frozen=True, eq=False)
class ObjectSet:
    """The DICOM objects of one analysis; ``digest`` stands for all that its identifiers follow from.

    ``patient_and_study`` is what each of them says of patient and study. It is never shown.
    """

    frames: SourceFrames
    series_uid: str
    study_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    slice_thickness_mm: float
    version: str
    digest: str
    made: datetime
    patient_and_study: Dataset = field(repr=False)

    def uid(self, *names: str) -> str:
        """Return the unique identifier of a part of the set."""
        return hashed_uid("infarct", self.series_uid, self.digest, *names)


def object_set(scan: Scan, analysis: Analysis, *, deidentify: bool, made: datetime) -> ObjectSet:
    """Return what the DICOM objects of an analysis share.

    ``made`` is the time that they name as their making; no identifier follows from it. ``deidentify`` leaves out what
    they would say of patient and study, and every date.

    Raises `BadRequest` where the scan was not read from DICOM, or its headers lack the identifiers to refer to.
    """
    source = dicom_source(scan)
    frame_of_reference = source.headers.frame_of_reference_uid
    return ObjectSet(
        frames=source_frames(scan),
        series_uid=source.series_uid,
        study_uid=source.study_uid,
        frame_of_reference_uid=frame_of_reference or hashed_uid("infarct", source.series_uid, "frame of reference"),
        sop_class_uid=source.headers.sop_class_uid,
        slice_thickness_mm=scan.acquisition.slice_thickness_mm or float(np.median(scan.geometry.slice_intervals_mm)),
        version=analysis.findings.software.version,
        digest=_digest(analysis, deidentify=deidentify),
        made=UNDATED if deidentify else made,
        patient_and_study=_removed(source.study_uid) if deidentify else _kept(source.headers.patient_and_study),
    )


def _digest(analysis: Analysis, *, deidentify: bool) -> str:
    """Return what identifiers follow from: the findings without their timings, the masks, and what is told of whom."""
    digest = hashlib.sha256(analysis.findings.model_dump_json(exclude={"timings_s"}).encode())
    digest.update(b"de-identified" if deidentify else b"identified")
    for name, array in sorted(vars(analysis.maps).items()):
        if isinstance(array, np.ndarray) and array.dtype in (np.bool_, np.uint8):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _kept(patient_and_study: bytes) -> Dataset:
    """Return what the source says; where it says that the identity was removed, but not how, that is said."""
    kept = read_dataset(BytesIO(patient_and_study), is_implicit_VR=False, is_little_endian=True)
    told = kept.get("DeidentificationMethod") or kept.get("DeidentificationMethodCodeSequence")
    if kept.get("PatientIdentityRemoved") == "YES" and not told:
        kept.DeidentificationMethod = UNSTATED
    return kept


def _removed(study_uid: str) -> Dataset:
    """Return what an object says of nobody; the name is one a study, so that no two patients become one."""
    nobody = Dataset()
    for keyword in EMPTIED:
        setattr(nobody, keyword, None)
    nobody.StudyInstanceUID = study_uid
    nobody.SpecificCharacterSet = "ISO_IR 192"
    digits = hashlib.sha256(study_uid.encode()).hexdigest()[:12]
    nobody.PatientName, nobody.PatientID = f"REMOVED^{digits}", f"REMOVED-{digits}"
    nobody.PatientIdentityRemoved, nobody.DeidentificationMethod = "YES", list(DEIDENTIFICATION)
    return nobody


def described(objects: ObjectSet, *, kind: str, number: int, description: str, variant: str = "") -> dict[str, Any]:
    """Return the arguments that highdicom's objects share: series, instance and equipment.

    ``kind`` names the series, such as seg; ``number`` is the instance's in it, from 1; ``variant`` tells apart what the
    same findings can be written as.
    """
    return {
        "series_instance_uid": objects.uid(kind),
        "series_number": SERIES_NUMBERS[kind],
        "sop_instance_uid": objects.uid(kind, str(number), variant),
        "instance_number": number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": objects.version,
        "device_serial_number": objects.version,
        "series_description": description,
    }


SERIES_NUMBERS: Final = {"seg": 7801, "sr": 7802, "sc": 7803, "dicom-pdf": 7804}
"""Numbers of the series, far from those that scanners give."""


def save(dataset: Dataset, objects: ObjectSet, path: Path) -> Path:
    """Write an object with the source's patient and study and the set's dates, and return the path."""
    dataset.update(objects.patient_and_study)
    for keyword in ("InstanceCreation", "Content"):
        setattr(dataset, f"{keyword}Date", objects.made.strftime("%Y%m%d"))
        setattr(dataset, f"{keyword}Time", objects.made.strftime("%H%M%S"))
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = objects.made.strftime("%Y%m%d%H%M%S")
    dataset.save_as(path, enforce_file_format=True)
    return path


def own_coding_scheme() -> CodingSchemeIdentificationItem:
    """Return who stands behind the terms that no public coding scheme has."""
    return CodingSchemeIdentificationItem(
        designator=terms.OWN_SCHEME, uid=terms.OWN_SCHEME_UID, name=terms.OWN_SCHEME_NAME
    )


def stand_ins(objects: ObjectSet) -> list[Dataset]:
    """Return a single-frame image without pixels for each slice, in their order, for highdicom to derive from.

    Each has an identifier of its own, its number (from 1); `refer` puts the source's in its place, so that classic,
    enhanced and several enhanced images take one way. They hold nothing of the patient.
    """
    return [_stand_in(objects, k) for k in range(len(objects.frames.references))]


def _stand_in(objects: ObjectSet, k: int) -> Dataset:
    frames = objects.frames
    image = Dataset()
    for keyword in EMPTIED:
        setattr(image, keyword, None)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, str(k + 1)
    image.StudyInstanceUID, image.SeriesInstanceUID = objects.study_uid, objects.series_uid
    image.FrameOfReferenceUID, image.Modality = objects.frame_of_reference_uid, "CT"
    image.Rows, image.Columns = frames.size
    image.ImagePositionPatient = [format_number_as_ds(float(mm)) for mm in frames.origins_mm[k]]
    cosines = (*frames.row_direction, *frames.column_direction)
    image.ImageOrientationPatient = [format_number_as_ds(float(cosine)) for cosine in cosines]
    image.PixelSpacing = [format_number_as_ds(mm) for mm in frames.pixel_spacing_mm]
    image.SliceThickness = format_number_as_ds(objects.slice_thickness_mm)
    return image


def refer(item: Dataset, objects: ObjectSet, k: int) -> None:
    """Make ``item`` refer to the stored image, and to the frame of a multi-frame one, of slice ``k``."""
    reference = objects.frames.references[k]
    item.ReferencedSOPClassUID = objects.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_number is not None:
        item.ReferencedFrameNumber = reference.frame_number


def source_instances(objects: ObjectSet) -> list[Dataset]:
    """Return a reference to every stored image that the slices were read from, each once."""
    uids = dict.fromkeys(reference.sop_instance_uid for reference in objects.frames.references)
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = objects.sop_class_uid, uid
        items.append(item)
    return items


def algorithm(findings: Findings, system: str) -> AlgorithmIdentificationSequence:
    """Return the identification of what found something: ``system`` is its method, as the findings name it."""
    return AlgorithmIdentificationSequence(
        name=f"{MANUFACTURER} {system}",
        family=terms.ARTIFICIAL_INTELLIGENCE,
        version=findings.software.version,
        source=MANUFACTURER,
    )

"""A made scan as a CT series of DICOM files, as a scanner would store it: tilted and uneven stacks as they are."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from infarct import __version__
from infarct.volume import Geometry, Scan
from infarct.writers.uids import hashed_uid

INTERCEPT_HU: Final = -1024
LOWEST_HU: Final = -1024
"""Values below it mean 'nothing was measured here' and become padding."""
SYNTHETIC: Final = "Synthetic phantom, no patient. Research use only."
_SECONDS_A_SLICE: Final = 1


@dataclass(frozen=True)
class SeriesLabels:
    """What the headers of a made series say beside what its `Scan` knows.

    ``patient`` and ``session`` are names such as ``aspects-test-0007`` and ``acute``; ``digest`` tells patients apart
    whose names agree. All unique identifiers follow from these three, so the same patient has the same ones again.
    """

    patient: str
    digest: str
    session: str
    sex: Literal["f", "m"]
    acquired: datetime
    model: str = ""

    def uid(self, *names: str) -> str:
        """Return the unique identifier of a part of the patient."""
        return hashed_uid("infarct phantom", self.patient, self.digest, *names)


def write_dicom_ct(scan: Scan, labels: SeriesLabels, folder: Path) -> Path:
    """Write ``scan`` as one file a slice into ``folder``, which is made, and return it; same input, same bytes.

    HU are rounded to whole numbers. Where some lie below `LOWEST_HU`, the lowest is named as the padding value.
    """
    folder.mkdir(parents=True)
    stored = np.clip(np.round(scan.hu) - INTERCEPT_HU, -(2**15), 2**15 - 1).astype("<i2")
    common = _series(scan, labels)
    lowest = int(stored.min())
    if lowest < LOWEST_HU - INTERCEPT_HU:
        common.PixelPaddingValue = lowest
    for k, plane in enumerate(stored):
        image = _slice(scan.geometry, labels, k)
        image.update(common)
        image.PixelData = plane.tobytes()
        image.file_meta = _file_meta(str(image.SOPInstanceUID))
        image.save_as(folder / f"IM{k + 1:04d}.dcm", enforce_file_format=True)
    return folder


def _series(scan: Scan, labels: SeriesLabels) -> Dataset:
    """Return what all slices of the series share."""
    common = Dataset()
    _name_patient(common, scan, labels)
    _name_series(common, labels)
    _describe_scanner(common, scan, labels)
    common.ImageOrientationPatient = [
        f"{cosine:.10f}" for cosine in (*scan.geometry.x_direction, *scan.geometry.y_direction)
    ]
    common.PixelSpacing = [f"{spacing:.8f}" for spacing in scan.geometry.pixel_spacing_mm_yx]
    common.Rows, common.Columns = scan.geometry.size_yx
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    common.BitsAllocated, common.BitsStored, common.HighBit, common.PixelRepresentation = 16, 16, 15, 1
    common.RescaleSlope, common.RescaleIntercept, common.RescaleType = "1", str(INTERCEPT_HU), "HU"
    common.WindowCenter, common.WindowWidth = "40", "80"
    return common


def _name_patient(common: Dataset, scan: Scan, labels: SeriesLabels) -> None:
    common.SpecificCharacterSet = "ISO_IR 100"
    common.PatientName, common.PatientID = f"PHANTOM^{labels.patient}", f"PHANTOM-{labels.patient}"
    common.PatientBirthDate, common.PatientSex = "", labels.sex.upper()
    if scan.acquisition.patient_age_years is not None:
        common.PatientAge = f"{scan.acquisition.patient_age_years:03d}Y"
    common.ImageComments, common.BurnedInAnnotation = SYNTHETIC, "NO"


def _name_series(common: Dataset, labels: SeriesLabels) -> None:
    common.SOPClassUID, common.Modality = CTImageStorage, "CT"
    common.ImageType, common.BodyPartExamined = ["ORIGINAL", "PRIMARY", "AXIAL"], "HEAD"
    common.StudyInstanceUID = labels.uid(labels.session, "study")
    common.SeriesInstanceUID = labels.uid(labels.session, "series")
    common.FrameOfReferenceUID = labels.uid(labels.session, "frame")
    common.StudyID, common.AccessionNumber, common.ReferringPhysicianName = labels.session[:16], "", ""
    common.PositionReferenceIndicator, common.PatientPosition = "", "HFS"
    common.StudyDescription, common.SeriesDescription = "PHANTOM head CT", "PHANTOM head without contrast"
    common.SeriesNumber, common.AcquisitionNumber = "2", "1"
    common.StudyDate = common.SeriesDate = common.AcquisitionDate = labels.acquired.strftime("%Y%m%d")
    common.StudyTime = common.SeriesTime = labels.acquired.strftime("%H%M%S")


def _describe_scanner(common: Dataset, scan: Scan, labels: SeriesLabels) -> None:
    acquisition = scan.acquisition
    common.Manufacturer, common.ManufacturerModelName = acquisition.manufacturer or "", labels.model
    common.InstitutionName, common.SoftwareVersions = "PHANTOM", f"infarct {__version__}"
    common.KVP = "" if acquisition.kvp is None else f"{acquisition.kvp:g}"
    common.ConvolutionKernel = acquisition.kernel or ""
    common.SliceThickness = "" if acquisition.slice_thickness_mm is None else f"{acquisition.slice_thickness_mm:g}"
    common.GantryDetectorTilt = f"{_tilt_deg(scan.geometry):.2f}"


def _tilt_deg(geometry: Geometry) -> float:
    """Return the gantry tilt as headers have it: positive where the slices fall towards the back of the head."""
    return geometry.tilt_deg if geometry.y_direction[2] < 0 else -geometry.tilt_deg


def _slice(geometry: Geometry, labels: SeriesLabels, k: int) -> Dataset:
    image = Dataset()
    image.SOPInstanceUID, image.InstanceNumber = labels.uid(labels.session, str(k)), str(k + 1)
    image.ImagePositionPatient = [f"{position:.6f}" for position in geometry.origins_mm[k]]
    image.SliceLocation = f"{geometry.slice_positions_mm[k]:.6f}"
    moment = labels.acquired + timedelta(seconds=k * _SECONDS_A_SLICE)
    image.ContentDate, image.ContentTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    return image


def _file_meta(sop_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta

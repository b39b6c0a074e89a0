"""Scans written as users store them: DICOM series and NIfTI files in any axis order."""

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from infarct.volume import Geometry, Scan, resample


def write_dicom(folder: Path, scan: Scan, *, order: list[int] | None = None) -> Path:
    """Write ``scan`` as a plain CT series; ``order`` says which slice goes into the first, second, ... file."""
    folder.mkdir(parents=True)
    geometry = scan.geometry
    for number, k in enumerate(order or range(len(scan.hu))):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1.{k + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset(str(number), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID, image.StudyInstanceUID = "1.2.826.0.1.3680043.10.2", "1.2.826.0.1.3680043.10.3"
        image.FrameOfReferenceUID = "1.2.826.0.1.3680043.10.4"
        image.PatientName, image.PatientID = "Canary^Patient", "CANARY-ID"
        image.Modality, image.ImageType, image.BodyPartExamined = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "HEAD"
        image.KVP, image.SliceThickness, image.InstanceNumber = "120", "5", str(number + 1)
        image.ImagePositionPatient = [f"{value:.6f}" for value in geometry.origins_mm[k]]
        image.ImageOrientationPatient = [f"{value:.8f}" for value in (*geometry.x_direction, *geometry.y_direction)]
        image.PixelSpacing = [f"{value:.6f}" for value in geometry.pixel_spacing_mm_yx]
        image.Rows, image.Columns = geometry.size_yx
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept = "1", "0"
        image.PixelData = np.round(scan.hu[k]).astype("<i2").tobytes()
        image.save_as(folder / f"IM{number:04d}", enforce_file_format=True)
    return folder


def rectified(scan: Scan) -> Scan:
    """Return the scan on its even, upright grid, as tools store it in NIfTI."""
    target = scan.geometry.rectified()
    return Scan(np.round(resample(scan.hu, scan.geometry, target)), target, scan.acquisition, scan.source)


def axis_orders() -> list[tuple[tuple[int, int, int], tuple[bool, bool, bool]]]:
    """Return all 48 ways to order and flip the three axes of a volume."""
    return list(product(permutations((0, 1, 2)), product((False, True), repeat=3)))


def write_nifti(
    path: Path, scan: Scan, order: tuple[tuple[int, int, int], tuple[bool, bool, bool]] = ((0, 1, 2), (False,) * 3)
) -> Path:
    """Write an even ``scan`` as NIfTI with its axes ordered and flipped as said; the world positions stay."""
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    image = nib.Nifti1Image(scan.hu.transpose(2, 1, 0).astype(np.int16), lps_to_ras @ scan.geometry.affine)
    axes, flips = order
    moves = np.array([[axes[axis], -1 if flips[axis] else 1] for axis in range(3)])
    nib.save(image.as_reoriented(moves), path)
    return path


def mirrored_voxels(scan: Scan) -> Scan:
    """Return the scan with its columns reversed and its geometry kept: another patient, lesion on the other side."""
    return Scan(scan.hu[:, :, ::-1].copy(), scan.geometry, scan.acquisition, scan.source, scan.flags)


def tilted_uneven_geometry(*, size: int = 256, pixel_mm: float = 0.9, tilt_deg: float = 15.0) -> Geometry:
    """Return a GE-like geometry about the world's origin: tilted gantry, thin stack below a thick one."""
    heights = np.r_[np.arange(-75.0, -15.0, 4.0), np.arange(-15.0, 85.0, 7.0)]
    half = (size - 1) * pixel_mm / 2
    tilt = np.radians(tilt_deg)
    down = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    origins = np.c_[np.full(len(heights), -half), np.full(len(heights), -half * down[1]), heights - half * down[2]]
    return Geometry(origins, np.array([1.0, 0.0, 0.0]), down, (pixel_mm, pixel_mm), (size, size))

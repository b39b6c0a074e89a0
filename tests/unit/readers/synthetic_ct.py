"""A small fake head and the files that scanners would make of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from infarct.types import Float32Array, Float64Array

SLICES, ROWS, COLUMNS = 12, 72, 64
PIXEL_MM, GAP_MM = 2.0, 5.0
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MARKER_ZYX = (5, 20, 42)
"""A bright cube, 3 x 3 pixels in one slice: anterior, on the patient's left, in the lower half."""
MARKER_HU = 250.0
Edit = Callable[[Dataset, int], None]


def fake_head(slices: int = SLICES, seed: int = 1, *, noise_hu: float = 3.0) -> Float32Array:
    """Return the HU (z, y, x) of an egg with a skull of about 1000 HU, brain of 35 and ventricles of 8 HU, in air."""
    z, y, x = np.meshgrid(np.linspace(0.0, 1, slices), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    size = 1.0 - 0.3 * z
    radius = np.hypot((y - 36) / (33 * size), (x - 31.5) / (29 * size))
    hu = np.full(radius.shape, -1000.0)
    hu[radius < 1.0] = 30.0  # scalp
    hu[radius < 0.95] = 1000.0
    hu[radius < 0.85] = 35.0
    ventricle = np.hypot((y - 34) / 10, (np.abs(x - 31.5) - 5 - 3 * z) / 3.5) < 1
    hu[ventricle & (z > 0.3) & (z < 0.8)] = 8.0
    k, row, column = MARKER_ZYX
    hu[k, row - 1 : row + 2, column - 1 : column + 2] = MARKER_HU
    hu += np.random.Generator(np.random.Philox(seed)).normal(0, noise_hu, hu.shape)
    return np.round(hu).astype(np.float32)


@dataclass(frozen=True)
class Series:
    """A series to write: HU (z, rows, columns) as stored, and where each slice lies."""

    hu: Float32Array = field(default_factory=fake_head)
    positions: Float64Array | None = None
    orientation: Sequence[float] = AXIAL
    pixel_mm: tuple[float, float] = (PIXEL_MM, PIXEL_MM)
    slope: float | Sequence[float] = 1.0
    intercept: float | Sequence[float] = -1024.0
    signed: bool = False
    bits: int = 12
    uid: str = "1.2.3.4"
    edit: Edit | None = None

    @property
    def origins(self) -> Float64Array:
        if self.positions is not None:
            return self.positions
        return np.stack([[-63.0, -71.0, GAP_MM * k] for k in range(len(self.hu))])

    def with_edit(self, edit: Edit) -> "Series":
        """Return the series with a change to the data set of each slice (data set, slice number)."""
        return replace(self, edit=edit)


def datasets(series: Series) -> list[Dataset]:
    """Return the CT images of a series, in order of ``series.hu``."""
    return [_dataset(series, k) for k in range(len(series.hu))]


def _dataset(series: Series, k: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{series.uid}.{k + 1}"
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = series.uid, "1.2.3", "CT"
    ds.ImageType, ds.PatientName, ds.PatientID = ["ORIGINAL", "PRIMARY", "AXIAL"], "Doe^Jane", "P1"
    ds.PatientPosition, ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = "HFS", 2, k + 1, 1
    ds.SliceThickness, ds.KVP, ds.ConvolutionKernel, ds.Manufacturer = 5.0, 120, "H31s", "Acme"
    ds.ImagePositionPatient = [round(float(v), 4) for v in series.origins[k]]
    ds.ImageOrientationPatient = [round(float(v), 6) for v in series.orientation]
    ds.PixelSpacing = [float(v) for v in series.pixel_mm]
    slope, intercept = (float(np.broadcast_to(value, len(series.hu))[k]) for value in (series.slope, series.intercept))
    ds.RescaleSlope, ds.RescaleIntercept = float(slope), float(intercept)
    set_pixels(ds, np.round((series.hu[k] - intercept) / slope), signed=series.signed, bits=series.bits)
    if series.edit:
        series.edit(ds, k)
    return ds


def set_pixels(ds: Dataset, stored: Any, *, signed: bool = False, bits: int = 12) -> None:
    """Store pixel values (rows, columns)."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(signed)
    bits_kept = np.clip(stored, low, high).astype(np.int32) & (2**bits - 1)
    if signed and bits == 16:
        bits_kept &= 0xFFFF
    ds.PixelData = bits_kept.astype("<u2").tobytes()


def write(folder: Path, images: Sequence[Dataset], *, suffix: str = ".dcm", prefix: str = "") -> Path:
    """Write images with a preamble; names follow the given order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, ds in enumerate(images):
        ds.save_as(folder / f"{prefix}{index:03d}{suffix}", enforce_file_format=True)
    return folder


def write_series(folder: Path, series: Series | None = None, *, suffix: str = ".dcm", prefix: str = "") -> Path:
    """Write a series into a folder."""
    return write(folder, datasets(series or Series()), suffix=suffix, prefix=prefix)


def recoded(folder: Path, syntax: str, target: Path) -> Path:
    """Write the files of a folder in another transfer syntax, by pydicom where it is uncompressed, else by GDCM."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if syntax.startswith("1.2.840.10008.1.2.4") or syntax == "1.2.840.10008.1.2.5":
            _gdcm_recoded(path, syntax, target / path.name)
        else:
            _pydicom_recoded(path, syntax, target / path.name)
    return target


def _pydicom_recoded(path: Path, syntax: str, target: Path) -> None:
    ds = pydicom.dcmread(path)
    if syntax == "1.2.840.10008.1.2.2":
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    implicit, little = syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"
    pydicom.dcmwrite(target, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True, overwrite=True)


def _gdcm_recoded(path: Path, syntax: str, target: Path) -> None:
    import gdcm  # it brings a zlib of its own, which crashes Python's if loaded before it

    kinds = {
        "1.2.840.10008.1.2.5": gdcm.TransferSyntax.RLELossless,
        "1.2.840.10008.1.2.4.57": gdcm.TransferSyntax.JPEGLosslessProcess14,
        "1.2.840.10008.1.2.4.70": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        "1.2.840.10008.1.2.4.80": gdcm.TransferSyntax.JPEGLSLossless,
        "1.2.840.10008.1.2.4.90": gdcm.TransferSyntax.JPEG2000Lossless,
    }
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def enhanced(series: Series | None = None) -> Dataset:
    """Return one enhanced multi-frame object; its frames are stored in reverse order."""
    series = series or Series()
    singles = datasets(series)[::-1]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EnhancedCTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=["enhanced"])
    for keyword in [
        "SeriesInstanceUID",
        "StudyInstanceUID",
        "Modality",
        "ImageType",
        "PatientName",
        "PatientID",
        "Manufacturer",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ]:
        setattr(ds, keyword, getattr(singles[0], keyword))
    ds.NumberOfFrames = len(singles)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_group(singles[0], "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_group(singles[0], "ImageOrientationPatient")]
    shared.CTReconstructionSequence = [_group(singles[0], "ConvolutionKernel")]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for single in singles:
        frame = Dataset()
        frame.PlanePositionSequence = [_group(single, "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [_group(single, "RescaleSlope", "RescaleIntercept")]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.PixelData = b"".join(single.PixelData for single in singles)
    return ds


def _group(source: Dataset, *keywords: str) -> Dataset:
    group = Dataset()
    for keyword in keywords:
        setattr(group, keyword, getattr(source, keyword))
    return group


def ras_affine(origins_lps: Float64Array | None = None) -> Float64Array:
    """Return the RAS matrix of the default series with voxels ordered x, y, z."""
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, GAP_MM, 1.0])
    affine[:3, 3] = (63.0, 71.0, 0.0) if origins_lps is None else origins_lps * (-1, -1, 1)
    return affine


def write_nifti(
    path: Path, hu: Any, affine: Float64Array | None = None, *, dtype: Any = np.int16, codes: tuple[int, int] = (1, 1)
) -> Path:
    """Write a volume (z, y, x) as NIfTI with the given sform and qform codes."""
    matrix = ras_affine() if affine is None else affine
    image = nib.Nifti1Image(np.asarray(hu).transpose(2, 1, 0).astype(dtype), matrix)
    image.set_sform(matrix, codes[0])
    image.set_qform(matrix, codes[1])
    nib.save(image, path)
    return path

"""Small DICOM series of every kind, read, with made-up findings and masks that no flip or shift leaves alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from synthetic_ct import PIXEL_MM, Series, enhanced, fake_head, write, write_series
from synthetic_head import make_aspects, make_findings

from infarct.anatomy import REGIONS, region_label
from infarct.findings import (
    Analysis,
    Hemorrhage,
    HemorrhageType,
    Infarct,
    Lesion,
    Maps,
    OldInfarct,
    ScanSummary,
)
from infarct.readers import read_scan
from infarct.types import BoolArray, Float64Array
from infarct.volume import Scan, volume_ml
from infarct.volume.mask import centroid_mm
from infarct.writers.formats import FORMATS, Format, write_formats

MADE = datetime(2024, 5, 6, 7, 8, 9)
KINDS = ("upright", "tilted", "uneven", "tilted_uneven", "thin", "turned", "transposed", "enhanced", "two_enhanced")
SLICES = 12


@dataclass(frozen=True, eq=False)
class Stored:
    """A series on disk, its images in the order of the slices, the scan read from it, and an analysis of it."""

    folder: Path
    images: tuple[tuple[Dataset, int | None], ...]
    scan: Scan
    analysis: Analysis


def named(ds: Dataset, k: int) -> None:
    """Give an image the headers of a patient and a study as a scanner would."""
    del k
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Canary", "CANARY-7", "19500102", "F"
    ds.PatientAge, ds.StudyDate, ds.StudyTime, ds.StudyID = "070Y", "20200304", "050607", "S1"
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyDescription = "CANARY-A", "Canary^Doctor", "Canary head"
    ds.InstitutionName, ds.PositionReferenceIndicator = "Canary hospital", ""
    ds.FrameOfReferenceUID, ds.SOPInstanceUID = "1.2.9.1", ds.SOPInstanceUID


def positions(kind: str) -> Float64Array:
    heights = np.arange(SLICES) * 5.0
    if "uneven" in kind:
        heights = np.r_[np.arange(8) * 4.0, 28.0 + 7.0 * np.arange(1, SLICES - 7)]
    drift = heights * np.tan(np.radians(15.0)) if "tilted" in kind else heights * 0
    return np.stack([np.full(len(heights), -63.0), -71.0 + drift, heights], axis=1)


def series(kind: str) -> Series:
    """Return a series: ``turned`` is stored back to front and left to right, ``transposed`` column by column."""
    if kind == "thin":
        heights = np.arange(60) * 0.7
        return Series(hu=fake_head(60), positions=np.stack([heights * 0 - 63.0, heights * 0 - 71.0, heights], axis=1))
    plain = Series(positions=positions(kind))
    last = [63.0, 71.0]
    if kind == "turned":
        turned = np.c_[plain.origins[:, 0] + 2 * last[0], plain.origins[:, 1] + 2 * last[1], plain.origins[:, 2]]
        return replace(plain, hu=plain.hu[:, ::-1, ::-1], positions=turned, orientation=(-1, 0, 0, 0, -1, 0))
    if kind == "transposed":
        return replace(plain, hu=plain.hu.swapaxes(1, 2), orientation=(0, 1, 0, 1, 0, 0))
    return plain


def store(folder: Path, kind: str, edit: Callable[[Dataset, int], None] = named) -> Path:
    """Write the series of a kind into ``folder``."""
    made = series(kind).with_edit(edit)
    if kind == "enhanced":
        return write(folder, [completed(enhanced(made), edit)])
    if kind == "two_enhanced":
        halves = [replace(made, hu=made.hu[part], positions=made.origins[part]) for part in (slice(0, 6), slice(6, 12))]
        images = [completed(enhanced(half), edit) for half in halves]
        for number, image in enumerate(images):
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}"
        return write(folder, images)
    return write_series(folder, made)


def completed(image: Dataset, edit: Callable[[Dataset, int], None]) -> Dataset:
    edit(image, 0)
    return image


def stored(folder: Path, kind: str) -> Stored:
    """Write, read and analyse a series of a kind."""
    store(folder / "source", kind)
    scan = read_scan(folder / "source")
    return Stored(folder, images_of(scan, folder / "source"), scan, analysis_of(scan))


def images_of(scan: Scan, folder: Path) -> tuple[tuple[Dataset, int | None], ...]:
    by_uid = {}
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        by_uid[image.SOPInstanceUID] = image
    return tuple((by_uid[one.sop_instance_uid], one.frame_number) for one in scan.source.slices)


def box(scan: Scan, z: slice, y: slice, x: slice) -> BoolArray:
    mask = np.zeros(scan.hu.shape, dtype=bool)
    mask[z, y, x] = True
    return mask


def lesion_of(mask: BoolArray, scan: Scan, **changes: object) -> Lesion:
    plain = {
        "volume_ml": volume_ml(mask, scan.geometry),
        "side": "left",
        "centroid_lps_mm": tuple(centroid_mm(mask, scan.geometry).tolist()),
        "territories": ("MCA",),
        "mean_hu": 25.5,
        "net_water_uptake_pct": 20.25,
        "stage": "acute",
        "probability": 0.75,
    }
    return Lesion(**{**plain, **changes})  # type: ignore[arg-type]


def analysis_of(scan: Scan) -> Analysis:
    """Return an analysis with every mask: boxes of different sizes, off the middle on every axis."""
    count = len(scan.hu)
    low, high = count // 4, count // 2
    infarct = box(scan, slice(low, high), slice(14, 25), slice(38, 49))
    infarct[low, 14, 38] = False  # no box is as it was once it is turned
    old = box(scan, slice(high, high + 2), slice(44, 49), slice(17, 22))
    blood = box(scan, slice(high, high + 1), slice(30, 32), slice(20, 26))
    regions = np.zeros(scan.hu.shape, dtype=np.uint8)
    for place, region in enumerate(REGIONS[:-1]):  # the last one is outside the scan
        for side, start in (("right", 6), ("left", 36)):
            regions[low + place // 4 : high, 10 + 4 * place : 13 + 4 * place, start + place : start + place + 9] = (
                region_label(region, side)
            )
    random = np.random.Generator(np.random.Philox(7))
    findings = make_findings(
        scan=ScanSummary(
            source="dicom",
            series_uid_hash="0123456789abcdef",
            series_choice="The only series.",
            slice_positions_mm=tuple(scan.geometry.slice_positions_mm.tolist()),
            shape_zyx=scan.geometry.shape_zyx,
            spacing_mm_zyx=scan.geometry.spacing_mm_zyx,
            slice_thickness_mm=5.0,
            gantry_tilt_deg=0.0,
            kvp=120.0,
            manufacturer="ACME",
        ),
        aspects=make_aspects(),
        infarct=Infarct(
            method="asymmetry",
            volume_ml=volume_ml(infarct, scan.geometry),
            side="left",
            lesions=(lesion_of(infarct, scan),),
        ),
        old_infarct=OldInfarct(
            volume_ml=volume_ml(old, scan.geometry), lesions=(lesion_of(old, scan, side="right", stage="old"),)
        ),
        hemorrhage=Hemorrhage(
            suspected=True,
            volume_ml=volume_ml(blood, scan.geometry),
            probability=0.625,
            types=(HemorrhageType(type="parenchymal", volume_ml=volume_ml(blood, scan.geometry)),),
        ),
    )
    maps = Maps(
        brain_mask=box(scan, slice(1, count - 1), slice(8, 60), slice(6, 58)),
        aspects_regions=regions,
        side_difference_hu=random.normal(0, 3, scan.hu.shape).astype(np.float32),
        infarct=infarct,
        infarct_probability=np.where(infarct, np.float32(0.75), np.float32(0.125)),
        old_infarct=old,
        patch_probability=random.random(scan.hu.shape, dtype=np.float32),
        hemorrhage=blood,
        ganglionic_slice=low,
        supraganglionic_slice=high,
    )
    return Analysis(findings, maps)


def write_all(
    case: Stored,
    folder: Path,
    *,
    deidentify: bool = False,
    formats: Sequence[Format] = FORMATS,
    made: datetime = MADE,
) -> Path:
    """Write an analysis in all formats into ``folder``, which is made."""
    folder.mkdir(parents=True)
    write_formats(case.scan, case.analysis, folder, formats, deidentify=deidentify, made=made)
    return folder


def frames_of(images: Sequence[tuple[Dataset, int | None]]) -> list[tuple[str, int]]:
    """Return instance and frame number (0 for none) of images, as references name them."""
    return [(str(image.SOPInstanceUID), number or 0) for image, number in images]


assert PIXEL_MM == 2.0  # the turned series relies on it

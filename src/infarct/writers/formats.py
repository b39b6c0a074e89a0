"""Everything that an analysis can be written as beside findings.json and report.html."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from infarct.findings import Analysis
from infarct.quiet import quiet
from infarct.types import Flag
from infarct.volume import Scan
from infarct.writers.source_frames import dicom_source

Format: TypeAlias = Literal["pdf", "seg", "sr", "sc", "dicom-pdf", "nifti"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
DICOM_FORMATS: Final[frozenset[Format]] = frozenset({"seg", "sr", "sc", "dicom-pdf"})
DICOM_FOLDER: Final = "dicom"
NIFTI_FOLDER: Final = "nifti"


def write_formats(
    scan: Scan,
    analysis: Analysis,
    folder: Path,
    formats: Collection[Format],
    *,
    deidentify: bool = False,
    made: datetime,
) -> None:
    """Write an analysis into ``folder``, which exists, in each of ``formats``.

    ``pdf``: ``report.pdf``. ``nifti``: maps under ``nifti/``. ``seg``, ``sr``, ``sc`` and ``dicom-pdf``: objects under
    ``dicom/``, which carry the patient and study of their source unless ``deidentify``; ``made`` is the time that they
    name as their making.

    Raises `BadRequest`, before anything is written, where DICOM objects are asked of a scan that was not read from
    DICOM.
    """
    with quiet():
        if DICOM_FORMATS.intersection(formats):
            _write_objects(scan, analysis, folder, formats, deidentify=deidentify, made=made)
        if "pdf" in formats:
            from infarct.writers.pdf import write_pdf

            write_pdf(scan, analysis, folder)
        if "nifti" in formats:
            from infarct.writers.nifti_maps import write_maps

            maps = folder / NIFTI_FOLDER
            maps.mkdir()
            write_maps(scan, analysis, maps)


def _write_objects(
    scan: Scan, analysis: Analysis, folder: Path, formats: Collection[Format], *, deidentify: bool, made: datetime
) -> None:
    from infarct.writers.dicom_objects import object_set
    from infarct.writers.dicom_pdf import write_encapsulated
    from infarct.writers.dicom_sc import write_captures
    from infarct.writers.dicom_seg import write_segmentations
    from infarct.writers.dicom_sr import write_report
    from infarct.writers.pdf import render_pdf

    objects = object_set(scan, analysis, deidentify=deidentify, made=made)
    target = folder / DICOM_FOLDER
    target.mkdir()
    segments = write_segmentations(objects, analysis, target) if "seg" in formats else {}
    if "sr" in formats:
        write_report(objects, analysis, target, segments)
    if "sc" in formats:
        write_captures(objects, scan, analysis, target)
    if "dicom-pdf" in formats:
        write_encapsulated(objects, render_pdf(scan, analysis), target)


def check_formats(scan: Scan, formats: Collection[Format]) -> None:
    """Raise `BadRequest` where ``formats`` ask for DICOM objects that cannot be made of ``scan``."""
    if DICOM_FORMATS.intersection(formats):
        dicom_source(scan)


def with_format_flags(scan: Scan, analysis: Analysis, formats: Collection[Format]) -> Analysis:
    """Return the analysis with a flag where the NIfTI maps have to leave the grid of the scan."""
    if "nifti" not in formats or (scan.geometry.is_even and scan.geometry.is_upright):
        return analysis
    message = (
        "NIfTI cannot hold tilted or unevenly spaced slices: the maps under nifti/ lie on an even, upright grid, with "
        "the scan beside them as ct.nii.gz."
    )
    quality = analysis.findings.quality
    flagged = quality.model_copy(update={"flags": (*quality.flags, Flag("maps_rectified", "info", message))})
    return replace(analysis, findings=analysis.findings.model_copy(update={"quality": flagged}))

"""One subject's files: scans and paired images as a BIDS-like folder, and the truth beside them."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct import __version__
from infarct.export.equipment import equipment_of
from infarct.export.montage import strip
from infarct.export.order import CohortOrder, subject_name
from infarct.export.table import participant
from infarct.phantom import Patient, Sample, Visit, sample
from infarct.phantom.diffusion import DiffusionMaps
from infarct.phantom.observer import detectability
from infarct.phantom.perfusion import PerfusionMaps
from infarct.phantom.scoring import AspectsScores, score_aspects
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Acquisition, Geometry, Scan, volume_ml
from infarct.writers.dicom_ct import SeriesLabels, write_dicom_ct
from infarct.writers.file_grid import FileGrid
from infarct.writers.nifti import write_nifti

TRUTH_FILE: Final = "truth.json"
ONSET: Final = datetime(2000, 1, 1, 8, 0, 0)
"""The made-up moment from which the times in headers count."""
MASKS: Final = {
    "infarct": "infarct",
    "old_infarct": "oldinfarct",
    "staining": "staining",
    "intracranial": "intracranial",
}
PERFUSION_MASKS: Final = {"core": "core", "penumbra": "penumbra"}
"""Names in `Visit.truth` and in file names."""
LABEL_MAPS: Final = ("hemorrhage", "aspects", "territories", "tissue")
RECTIFIED_NOTE: Final = (
    "The slices were tilted or unevenly spaced, which NIfTI cannot hold. This file and the truth share one even, "
    "upright grid; SlicePositions are those of the scan."
)


def write_subject(order: CohortOrder, index: int, place: Path) -> None:
    """Render a patient and write its scans into ``place / "raw"`` and its truth into ``place / "truth"``."""
    made = sample(order.preset, index, split=order.split, pairs=order.pairs)
    _SubjectWriter(order, made, place).write()


def write_series(patient: Patient, visit: Visit, folder: Path, *, session: str, hours: float | None) -> Path:
    """Write the CT of a visit, ``hours`` from onset, as one DICOM file a slice into a new ``folder`` and return it."""
    labels = SeriesLabels(
        patient=patient.name,
        digest=patient.digest(),
        session=session,
        sex=patient.clinical.sex,
        acquired=ONSET + timedelta(hours=hours or 0),
        model=equipment_of(visit.protocol)[0].model,
    )
    return write_dicom_ct(_scan(patient, visit), labels, folder)


class _SubjectWriter:
    """Writes one subject; knows its names, and collects what goes into ``truth.json``."""

    def __init__(self, order: CohortOrder, made: Sample, place: Path) -> None:
        self._order, self._made, self._patient = order, made, made.patient
        self._raw, self._truth = place / "raw", place / "truth"
        self._name = subject_name(made.patient.index)
        self._sessions: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Write all files."""
        stroke = self._patient.stroke
        self._visit("acute", self._made.acute, stroke.onset_h if stroke else None)
        if self._made.followup is not None and stroke is not None:
            self._visit("followup", self._made.followup, stroke.followup_h)
        if self._made.perfusion is not None:
            self._perfusion(self._made.perfusion)
        if self._made.diffusion is not None:
            self._diffusion(self._made.diffusion)
        scores = score_aspects(self._patient, self._made.acute)
        _write_json(self._truth / TRUTH_FILE, self._record(scores))

    def _file(self, root: Path, session: str, kind: str, ending: str) -> Path:
        """Return the path of a file of a session, in a folder that exists."""
        folder = root / f"ses-{session}" / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._name}_ses-{session}_{ending}"

    def _visit(self, session: str, visit: Visit, hours: float | None) -> None:
        grid = FileGrid(visit.geometry)
        hu = visit.hu.cpu().numpy()
        scan = _scan(self._patient, visit)
        if self._order.format == "dicom":
            folder = self._file(self._raw, session, "ct", "dicom").parent / "dicom"
            write_series(self._patient, visit, folder, session=session, hours=hours)
        else:
            write_nifti(grid.hu(hu), grid.target, self._file(self._raw, session, "ct", "ct.nii.gz"), description=_NOTE)
            _write_json(self._file(self._raw, session, "ct", "ct.json"), _ct_sidecar(scan, visit, grid, hours))
        truth = {name: mask.cpu().numpy() for name, mask in visit.truth.items()}
        volumes = self._visit_truth(session, truth, grid)
        shown = {name: truth.get(name, np.zeros(hu.shape, dtype=bool)) > 0 for name in (*MASKS, "hemorrhage")}
        self._file(self._truth, session, "", "ct.png").write_bytes(strip(hu, visit.geometry, shown))
        self._sessions[session] = {
            "hours_from_onset": hours,
            "grid": "rectified" if grid.is_rectified else "scan",
            "to_head_lps": np.linalg.inv(visit.protocol.pose.matrix()).tolist(),
            "volumes_ml": visit.volumes_ml,
            "file_volumes_ml": volumes,
            "detectability": _detectability(visit),
            "midline_shift_mm": visit.midline_shift_mm,
        }

    def _visit_truth(self, session: str, truth: dict[str, Any], grid: FileGrid) -> dict[str, float]:
        """Write the truth of a CT on its files' grid, and return the volumes of the masks there."""
        volumes = {}
        masks = MASKS | (PERFUSION_MASKS if session == "acute" else {})
        for name, label in masks.items():
            mask = grid.mask(truth[name]) if name in truth else np.zeros(grid.target.shape_zyx, dtype=bool)
            write_nifti(mask, grid.target, self._file(self._truth, session, "", f"label-{label}_mask.nii.gz"))
            volumes[name] = volume_ml(mask, grid.target)
        for name in LABEL_MAPS:
            labels = grid.labels(truth[name])
            write_nifti(labels, grid.target, self._file(self._truth, session, "", f"desc-{name}_dseg.nii.gz"))
            if name == "hemorrhage":
                volumes[name] = volume_ml(labels > 0, grid.target)
        return volumes

    def _perfusion(self, maps: PerfusionMaps) -> None:
        volumes = {"cbf": maps.cbf, "cbv": maps.cbv, "mtt": maps.mtt_s, "tmax": maps.tmax_s}
        units = {"cbf": "ml/100 g/min", "cbv": "ml/100 g", "mtt": "s", "tmax": "s"}
        for name, values in volumes.items():
            self._image(
                "acute", "perf", name, values.cpu().numpy(), maps.geometry, {"Units": units[name], "Modality": "CTP"}
            )
        for name, mask in (("core", maps.core), ("penumbra", maps.penumbra), ("brain", maps.brain)):
            self._mask("acute", "perf", name, mask.cpu().numpy(), maps.geometry)
        self._sessions["acute"]["perfusion"] = {
            "healthy_cbf_ml_100g_min": maps.healthy_cbf,
            "to_head_lps": maps.to_head.tolist(),
            "to_ct_lps": self._to_ct(maps.to_head),
        }

    def _diffusion(self, maps: DiffusionMaps) -> None:
        about = {"Modality": "MR", "HoursFromOnset": maps.hours if self._patient.stroke else None}
        images = (
            ("acq-b0_dwi", maps.b0, "arbitrary", 0),
            ("acq-b1000_dwi", maps.dwi, "arbitrary", 1000),
            ("adc", maps.adc_um2_s, "um2/s = 1e-6 mm2/s", None),
        )
        for name, values, units, b_value in images:
            details = about | {"Units": units, "bValue": b_value}
            self._image("mri", "dwi", name, values.cpu().numpy(), maps.geometry, details)
        masks = {"infarct": maps.lesion, "shinethrough": maps.shine_through, "oldinfarct": maps.old_infarct}
        for name, mask in (masks | {"brain": maps.brain}).items():
            self._mask("mri", "dwi", name, mask.cpu().numpy(), maps.geometry)
        self._sessions["mri"] = {
            "hours_from_onset": maps.hours if self._patient.stroke else None,
            "diffusion": {"to_head_lps": maps.to_head.tolist(), "to_ct_lps": self._to_ct(maps.to_head)},
        }

    def _to_ct(self, to_head: Float64Array) -> list[list[float]]:
        """Return the 4x4 matrix from an image's world to that of the acute CT, LPS mm."""
        matrix: list[list[float]] = (self._patient.acute.pose.matrix() @ to_head).tolist()
        return matrix

    def _image(
        self, session: str, kind: str, name: str, values: Float32Array, geometry: Geometry, about: dict[str, Any]
    ) -> None:
        path = self._file(self._raw, session, kind, f"{name}.nii.gz")
        write_nifti(values, geometry, path, description=_NOTE)
        _write_json(self._file(self._raw, session, kind, f"{name}.json"), about | {"Synthetic": True})

    def _mask(self, session: str, space: str, name: str, mask: BoolArray, geometry: Geometry) -> None:
        path = self._file(self._truth, session, "", f"space-{space}_label-{name}_mask.nii.gz")
        write_nifti(mask, geometry, path)

    def _record(self, scores: AspectsScores) -> dict[str, Any]:
        return {
            "participant": participant(self._name, self._made, scores),
            "digest": self._patient.digest(),
            "infarct_version": __version__,
            "stratum": self._patient.stratum,
            "aspects": {
                "regions_by_core": scores.by_core,
                "regions_by_readers": scores.by_readers,
                "side": scores.side,
            },
            "sessions": self._sessions,
            "parameters": asdict(self._patient),
        }


_NOTE: Final = "infarct phantom: synthetic, research use only"


def _scan(patient: Patient, visit: Visit) -> Scan:
    """Return the CT with the headers of the scanner that it is said to come from."""
    protocol = visit.protocol
    equipment, kernel = equipment_of(protocol)
    acquisition = Acquisition(
        kvp=float(protocol.kvp),
        manufacturer=equipment.manufacturer,
        kernel=kernel,
        slice_thickness_mm=protocol.thickness_mm,
        patient_age_years=int(patient.clinical.age),
    )
    return Scan(visit.hu.cpu().numpy(), visit.geometry, acquisition)


def _detectability(visit: Visit) -> dict[str, float] | None:
    """Return d' of the infarct against quantum noise alone, and against anatomy too; None where none is rendered."""
    signal = visit.signal_hu
    if signal is None:
        return None
    return {
        name: detectability(signal, visit.protocol, visit.geometry, anatomical=anatomical)
        for name, anatomical in (("quantum", False), ("anatomical", True))
    }


def _ct_sidecar(scan: Scan, visit: Visit, grid: FileGrid, hours: float | None) -> dict[str, Any]:
    """Return what the header of a DICOM file would say, for a NIfTI file."""
    about: dict[str, Any] = {
        "Synthetic": True,
        "Modality": "CT",
        "Units": "HU",
        "Manufacturer": scan.acquisition.manufacturer,
        "ManufacturersModelName": equipment_of(visit.protocol)[0].model,
        "KVP": scan.acquisition.kvp,
        "SliceThickness": scan.acquisition.slice_thickness_mm,
        "ConvolutionKernel": scan.acquisition.kernel,
        "Reconstruction": visit.protocol.reconstruction,
        "GantryTilt": round(visit.geometry.tilt_deg, 3),
        "SlicePositions": [round(float(position), 4) for position in visit.geometry.slice_positions_mm],
        "HoursFromOnset": hours,
        "Rectified": grid.is_rectified,
    }
    return about | {"RectifiedNote": RECTIFIED_NOTE} if grid.is_rectified else about


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")

"""The clinical table of a cohort, and the files that describe it."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from infarct import __version__
from infarct.export.order import CohortOrder
from infarct.findings import INTENDED_USE
from infarct.phantom import Sample
from infarct.phantom.assembly import TISSUES
from infarct.phantom.scoring import AspectsScores

COLUMNS: Final[dict[str, str]] = {
    "participant_id": "Name of the subject's folders.",
    "patient": "Name of the phantom patient: preset, split and index.",
    "age": "Age in years.",
    "sex": "f or m.",
    "state": "stroke, healthy or mimic.",
    "onset_h": "Hours from onset to the acute CT.",
    "followup_h": "Hours from onset to the follow-up CT.",
    "side": "Side of the stroke, the patient's.",
    "occlusion": "Site of the occlusion.",
    "reperfused": "1 where the vessel was open again at the acute CT.",
    "nihss": "NIHSS before treatment.",
    "nihss_24h": "NIHSS after a day.",
    "mrs90": "Modified Rankin scale at 90 days.",
    "core_ml": "Volume of the perfusion core at the acute CT, in the head.",
    "penumbra_ml": "Volume of the penumbra at the acute CT, core not included, in the head.",
    "infarct_ml": "Volume of the infarct that the acute CT may show, in the head.",
    "final_ml": "Volume of the final infarct; as measured in the head where a follow-up CT was made, else as drawn.",
    "aspects_core": "ASPECTS by the truth: regions with more than 10 % of core.",
    "aspects_reader1": "ASPECTS of the acute CT by a simulated reader.",
    "aspects_reader2": "ASPECTS of the acute CT by another simulated reader.",
    "stratum": "Classes that the patient counts in, name=value, separated by semicolons.",
    "digest": "SHA-256 of all parameters of the patient.",
}
MISSING: Final = "n/a"


def participant(name: str, made: Sample, scores: AspectsScores) -> dict[str, Any]:
    """Return a subject's row of the table, None where nothing is known; keys are those of `COLUMNS`."""
    patient = made.patient
    clinical = patient.clinical
    return {
        "participant_id": name,
        "patient": patient.name,
        "age": clinical.age,
        "sex": clinical.sex,
        "state": patient.stratum.get("state", "stroke" if patient.stroke else "healthy"),
        "nihss": clinical.nihss,
        "nihss_24h": clinical.nihss_24h,
        "mrs90": clinical.mrs90,
        **_stroke(made),
        "aspects_core": scores.core,
        "aspects_reader1": scores.readers[0],
        "aspects_reader2": scores.readers[1],
        "stratum": ";".join(f"{key}={value}" for key, value in sorted(patient.stratum.items())),
        "digest": patient.digest(),
    }


def _stroke(made: Sample) -> dict[str, Any]:
    stroke = made.patient.stroke
    if stroke is None:
        names = ("onset_h", "followup_h", "side", "occlusion", "reperfused")
        return dict.fromkeys((*names, "core_ml", "penumbra_ml", "infarct_ml", "final_ml"))
    acute_ml = made.acute.volumes_ml
    final_ml = made.followup.volumes_ml["infarct"] if made.followup is not None else stroke.final_ml
    return {
        "onset_h": round(stroke.onset_h, 3),
        "followup_h": round(stroke.followup_h, 3),
        "side": stroke.side,
        "occlusion": stroke.site,
        "reperfused": int(stroke.reperfused),
        "core_ml": round(acute_ml["core"], 3),
        "penumbra_ml": round(acute_ml["penumbra"], 3),
        "infarct_ml": round(acute_ml["infarct"], 3),
        "final_ml": round(final_ml, 3),
    }


def as_tsv(rows: Iterable[dict[str, Any]]) -> str:
    """Return the rows as tab-separated text with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(COLUMNS), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: MISSING if row[name] is None else row[name] for name in COLUMNS})
    return stream.getvalue()


def columns_described() -> dict[str, dict[str, str]]:
    """Return the sidecar of the table."""
    return {name: {"Description": words} for name, words in COLUMNS.items()}


def dataset_description(order: CohortOrder, *, derivative: bool) -> dict[str, Any]:
    """Return ``dataset_description.json`` of the raw part or of the truth."""
    kind = "truth of a phantom cohort" if derivative else "phantom cohort"
    return {
        "Name": f"infarct {kind}, preset {order.preset}, split {order.split}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative" if derivative else "raw",
        "GeneratedBy": [{"Name": "infarct", "Version": __version__, "Description": "infarct phantom"}],
        "Synthetic": True,
        "IntendedUse": INTENDED_USE,
    }


def readme(order: CohortOrder) -> str:
    """Return the text that says what the folder holds."""
    return _README.format(
        preset=order.preset,
        split=order.split,
        version=__version__,
        intended=INTENDED_USE,
        tissues=", ".join(f"{value} {name}" for value, name in enumerate(TISSUES)),
    )


_README: Final = """Phantom cohort, preset {preset}, split {split}, made by infarct {version}.

Everything here is synthetic: computed from parameters and an atlas. No patient is in it. {intended}

participants.tsv            clinical table; participants.json says what the columns mean
index.html                  pictures of all patients, the truth outlined
sub-*/ses-acute/ct          non-contrast CT in Hounsfield units (NIfTI, or a DICOM series in a folder)
sub-*/ses-acute/perf        CT perfusion maps: CBF, CBV, MTT, Tmax; their own grid, the head moved by a little
sub-*/ses-mri/dwi           b = 0, b = 1000 s/mm2, and ADC in um2/s = 1e-6 mm2/s; their own grid and scanner
sub-*/ses-followup/ct       CT of the same patient hours to weeks later
derivatives/truth/sub-*     masks and label maps; truth.json: volumes, parameters, where each image's head lies

The files follow BIDS where BIDS has a rule; it has none for CT yet.
Masks without a space lie on the grid of the CT's NIfTI file. A tilted or uneven stack is resampled onto an even,
upright grid for NIfTI: its sidecar says Rectified, and the truth is on the same grid. With DICOM the series keeps its
slices; the truth then lies on that rectified grid, at the right place in the same world. space-perf and space-dwi name
the grid of the paired images. NIfTI is RAS as always; matrices in truth.json are LPS mm, from an image's world to the
head's frame (to_head_lps) or to the world of the acute CT (to_ct_lps).

desc-hemorrhage: 1 parenchymal, 2 intraventricular, 3 subarachnoid, 4 subdural, 5 transformation of the infarct
desc-aspects: right C I IC L M1-M6 are 1-10, left 11-20
desc-territories: 1 ACA, 2 MCA, 3 PCA, 4 midbrain, 5 pons, 6 medulla, 7 cerebellum
desc-tissue: {tissues}
"""

"""What the papers print about their patients, and how it is measured over patients that a preset draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from infarct.phantom.patient import Patient, Preset, Stroke
from infarct.types import Float64Array

SLICES: Final = 325
"""Slices of a phantom's 1 mm stack, every 0.5 mm."""


@dataclass(frozen=True)
class Row:
    """One figure: what is printed, each patient's value (NaN where it does not count), and the statistic over them."""

    what: str
    printed: float
    value: Callable[[Patient], float]
    statistic: Callable[[Float64Array], float]

    def drawn(self, patients: Sequence[Patient]) -> float:
        """Return the figure over patients."""
        return float(self.statistic(np.array([self.value(patient) for patient in patients], dtype=np.float64)))


def stroke_of(patient: Patient) -> Stroke:
    """Return the stroke of a patient who has one."""
    if patient.stroke is None:
        raise ValueError(f"{patient.name} has no stroke")
    return patient.stroke


def share(what: str, printed: float, test: Callable[[Patient], bool]) -> Row:
    """Return the row for a share of patients."""
    return Row(what, printed, lambda patient: float(test(patient)), np.nanmean)


def stratum(what: str, printed: float, key: str, value: str) -> Row:
    """Return the row for the share of a stratum."""
    return share(what, printed, lambda patient: patient.stratum.get(key) == value)


def quartiles(what: str, printed: tuple[float, float, float], value: Callable[[Patient], float]) -> list[Row]:
    """Return rows for the lower quartile, the median and the upper quartile."""
    names = ("lower quartile", "median", "upper quartile")
    return [
        Row(f"{what}, {name}", figure, value, partial(np.nanpercentile, q=q))
        for name, figure, q in zip(names, printed, (25, 50, 75), strict=True)
    ]


def final_ml_of(severity: str) -> Callable[[Patient], float]:
    """Return what gives the final volume of patients of a severity, NaN for others."""
    return lambda patient: stroke_of(patient).final_ml if patient.stratum["severity"] == severity else np.nan


def interval_days(patient: Patient) -> float:
    """Return the days from the acute to the later scan."""
    stroke = stroke_of(patient)
    return (stroke.followup_h - stroke.onset_h) / 24


def nihss_change(patient: Patient) -> float:
    """Return by how many points the NIHSS has risen in a day."""
    return patient.clinical.nihss_24h - patient.clinical.nihss


def voxel_share(patient: Patient) -> float:
    """Return the infarct's share of all voxels of a 1 mm stack, in percent."""
    protocol = patient.acute
    voxel_ml = protocol.pixel_mm**2 * protocol.gaps_mm[0] / 1000
    return 100 * stroke_of(patient).infarct_ml / (voxel_ml * protocol.size_px**2 * SLICES)


HYPERACUTE: Final = [
    stratum("onset at most 6 h", 355 / 517, "onset", "<=6 h"),
    stratum("onset 6-12 h", 162 / 517, "onset", "6-12 h"),
    stratum("supratentorial", 428 / 517, "region", "supratentorial"),
    stratum("infratentorial", 89 / 517, "region", "infratentorial"),
    stratum("cortical", 156 / 517, "area", "cortical"),
    stratum("subcortical", 204 / 517, "area", "subcortical"),
    stratum("cortical and subcortical", 68 / 517, "area", "both"),
    stratum("0.5-1.5 cm", 64 / 517, "size", "0.5-1.5 cm"),
    Row("CT to MR, mean (days)", 7.4, interval_days, np.nanmean),
    Row("CT to MR, SD (days)", 5.3, interval_days, np.nanstd),
]
ASPECTS: Final = [
    *quartiles("onset to CT (min)", (210, 270, 360), lambda patient: 60 * stroke_of(patient).onset_h),
    *(
        share(f"occlusion: {name}", printed, lambda patient, name=name: stroke_of(patient).site.split("_")[0] == name)
        for name, printed in (("ICA", 0.285), ("M1", 0.493), ("M2", 0.092), ("ACA", 0.014), ("tandem", 0.116))
    ),
    *quartiles("core (ml)", (9.2, 22, 44), lambda patient: stroke_of(patient).core_ml),
    Row("core, mean (ml)", 28.42, lambda patient: stroke_of(patient).core_ml, np.nanmean),
    Row("core, SD (ml)", 30.54, lambda patient: stroke_of(patient).core_ml, np.nanstd),
    *quartiles("age", (63, 72, 81), lambda patient: patient.clinical.age),
    share("female", 0.391, lambda patient: patient.clinical.sex == "f"),
    *quartiles("NIHSS before", (13, 17, 20), lambda patient: patient.clinical.nihss),
    Row("NIHSS before, mean", 16.96, lambda patient: patient.clinical.nihss, np.nanmean),
    Row("NIHSS before, SD", 5.73, lambda patient: patient.clinical.nihss, np.nanstd),
    Row("NIHSS after, mean", 13.54, lambda patient: patient.clinical.nihss_24h, np.nanmean),
    Row("NIHSS after, SD", 8.54, lambda patient: patient.clinical.nihss_24h, np.nanstd),
    Row("NIHSS, change, median", -3, nihss_change, np.nanmedian),
    Row("NIHSS, change, lower quartile", -8, nihss_change, partial(np.nanpercentile, q=25)),
    *quartiles("mRS at 90 days", (1, 3, 5), lambda patient: patient.clinical.mrs90),
    Row("mRS, mean", 3.14, lambda patient: patient.clinical.mrs90, np.nanmean),
    Row("mRS, SD", 2.04, lambda patient: patient.clinical.mrs90, np.nanstd),
    share("bleeding into the infarct", 0.106, lambda patient: stroke_of(patient).hemorrhage_ml > 0),
]
ACUTE: Final = [
    Row(f"share of voxels, mean (%, {SLICES} slices)", 0.8, voxel_share, np.nanmean),
    Row("pixel, least (mm)", 0.38, lambda patient: patient.acute.pixel_mm, np.nanmin),
    Row("pixel, largest (mm)", 0.5, lambda patient: patient.acute.pixel_mm, np.nanmax),
]
FOLLOWUP: Final = [
    *(
        stratum(severity, count / 396, "severity", severity)
        for severity, count in (("severe", 67), ("intermediate", 204), ("subtle", 125))
    ),
    *quartiles("volume, all (ml)", (15, 48, 125), lambda patient: stroke_of(patient).final_ml),
    *quartiles("volume, severe (ml)", (35, 89, 210), final_ml_of("severe")),
    *quartiles("volume, intermediate (ml)", (18, 46, 101), final_ml_of("intermediate")),
    *quartiles("volume, subtle (ml)", (11, 29, 86), final_ml_of("subtle")),
    Row("age, mean", 69, lambda patient: patient.clinical.age, np.nanmean),
]
PRINTED: Final[dict[Preset, list[Row]]] = {
    "hyperacute": HYPERACUTE,
    "aspects": ASPECTS,
    "acute": ACUTE,
    "followup": FOLLOWUP,
}

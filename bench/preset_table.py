"""What the papers print about their patients against what the presets draw, over patients of the train split.

Prints a Markdown table. "SE" is the standard error of the drawn figure (bootstrap over patients) in percent of the
printed one: where it is not small against 10 %, chance alone decides whether the figure lies within 10 %.
Run: python bench/preset_table.py [patients a preset] [preset ...]
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from infarct.phantom.clinical import read_aspects
from infarct.phantom.patient import Patient, Preset, Stroke
from infarct.phantom.presets import draw
from infarct.types import Float64Array
from unit.phantom.crude_aspects import crude_regions, icc_single

PATIENTS: Final = 300
BOOTSTRAPS: Final = 200
TOLERANCE: Final = 0.1
SLICES: Final = 325
"""Slices of a phantom's 1 mm stack, every 0.5 mm."""


@dataclass(frozen=True)
class Row:
    """One figure: what is printed, each patient's value (NaN where it does not count), and the statistic over them."""

    what: str
    printed: float
    value: Callable[[Patient], float]
    statistic: Callable[[Float64Array], float]


def stroke_of(patient: Patient) -> Stroke:
    if patient.stroke is None:
        raise ValueError(f"{patient.name} has no stroke")
    return patient.stroke


def share(what: str, printed: float, test: Callable[[Patient], bool]) -> Row:
    return Row(what, printed, lambda patient: float(test(patient)), np.nanmean)


def stratum(what: str, printed: float, key: str, value: str) -> Row:
    return share(what, printed, lambda patient: patient.stratum.get(key) == value)


def quartiles(what: str, printed: tuple[float, float, float], value: Callable[[Patient], float]) -> list[Row]:
    """Return rows for the lower quartile, the median and the upper quartile."""
    names = ("lower quartile", "median", "upper quartile")
    return [
        Row(f"{what}, {name}", figure, value, partial(np.nanpercentile, q=q))
        for name, figure, q in zip(names, printed, (25, 50, 75), strict=True)
    ]


def final_ml_of(severity: str) -> Callable[[Patient], float]:
    return lambda patient: stroke_of(patient).final_ml if patient.stratum["severity"] == severity else np.nan


def interval_days(patient: Patient) -> float:
    stroke = stroke_of(patient)
    return (stroke.followup_h - stroke.onset_h) / 24


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
    Row("NIHSS before, SD", 5.73, lambda patient: patient.clinical.nihss, np.nanstd),
    Row("NIHSS after, mean", 13.54, lambda patient: patient.clinical.nihss_24h, np.nanmean),
    Row("NIHSS after, SD", 8.54, lambda patient: patient.clinical.nihss_24h, np.nanstd),
    *quartiles("mRS at 90 days", (1, 3, 5), lambda patient: patient.clinical.mrs90),
    Row("mRS, mean", 3.14, lambda patient: patient.clinical.mrs90, np.nanmean),
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
TABLE: Final[dict[Preset, list[Row]]] = {
    "hyperacute": HYPERACUTE,
    "aspects": ASPECTS,
    "acute": ACUTE,
    "followup": FOLLOWUP,
}


def print_rows(preset: Preset, patients: list[Patient]) -> None:
    random = np.random.Generator(np.random.Philox(1))
    for row in TABLE[preset]:
        values = np.array([row.value(patient) for patient in patients])
        drawn = float(row.statistic(values))
        again = [float(row.statistic(random.choice(values, len(values)))) for _ in range(BOOTSTRAPS)]
        error = abs(drawn / row.printed - 1)
        within = "yes" if error <= TOLERANCE else "no"
        figures = f"{row.printed:.3g} | {drawn:.3g} | {100 * np.std(again) / row.printed:.0f} %"
        print(f"| {preset} | {row.what} | {figures} | {within} |")


def print_readers(patients: list[Patient]) -> None:
    """Print how far two simulated readers agree, on crudely simulated regions."""
    scores = []
    for patient in patients:
        shares, visible_hu = crude_regions(patient)
        seed = stroke_of(patient).seed
        scores.append([10 - read_aspects(shares, visible_hu, seed, reader).sum() for reader in (0, 1)])
    print(f"\nTwo simulated readers, regions simulated crudely: ICC(A,1) {icc_single(np.array(scores, float)):.2f}")


def main(count: int, presets: list[Preset]) -> None:
    print(f"| preset | figure | printed | drawn ({count}) | SE | within 10 % |\n|---|---|---|---|---|---|")
    for preset in presets:
        print_rows(preset, [draw(preset, index) for index in range(count)])
    print_readers([draw("aspects", index) for index in range(count)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS, sys.argv[2:] or list(TABLE))

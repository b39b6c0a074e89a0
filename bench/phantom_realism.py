"""How like real head CT the phantoms are: a table against reference figures and a real scan, and pictures to judge.

Run: python bench/phantom_realism.py [--data FOLDER] [--phantoms N] [--jobs N] [--out build/phantom_realism]

FOLDER holds real scans (its sub-folder ge_tilt_dicom is read, or the folder itself); without it the columns of the real
scan stay empty. Writes table.md, the docs-ready table, and figures; what shows the real scan is not to be committed.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from realism import BANDS, PERCENTILES, SPECTRUM_EDGES, Measured, in_plane_depth, measure
from scipy import ndimage

from infarct.atlas.registration import Registration
from infarct.errors import Refusal
from infarct.phantom.assembly import TISSUES, Visit, render
from infarct.phantom.patient import Patient, Preset, Protocol, Split
from infarct.phantom.presets import draw
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.readers import read_scan
from infarct.types import Float32Array
from infarct.volume import Scan

Setting = Literal["5 mm", "8-9 mm", "7 mm"]
REAL_SETTING: Final[Setting] = "7 mm"
REAL_FOLDER: Final = "ge_tilt_dicom"
PRESETS: Final[tuple[Preset, ...]] = ("healthy", "hyperacute", "aspects", "followup")
"""Phantoms come from these in turn, index 0, 1, ... of the split `train`, those at 120 kVp: as the reference is.

Slices of 8 to 9 mm are drawn in the split `shifted` alone, at 80 and 140 kVp: those patients come from there.
"""
LIKE_REAL_EVERY: Final = 2
"""Every second phantom is also scanned like the real scan."""
SHOWN: Final = 3
CORTEX_DEPTH_MM: Final = 8.0
LIKE_REAL_PITCH_DEG: Final = -14.0
"""With the gantry tilted by 18.5 degrees, slices then cut the head at about the angle of the real scan: 4.5 degrees."""

Range = tuple[float, float]
FIVE_SCANS: Final = "five real 5 mm scans, after a 7 px median filter, over the brain slices"
FIVE_SCANS_NOISE: Final = "five real 5 mm scans, 0.43 mm pixels: residual against a Gaussian of 6 px, flat brain"
THICK_SCANS: Final = "real scans of 8-9 mm: residual against a Gaussian of 6 px, flat brain"
GOAL: Final = "grey-white contrast at 120 kVp that the phantoms are made for"
OURS: Final = "plausible, ours"
NOISE_KEYS: Final = ("residual_sd", "lag1", "lag2", "lag3", *(f"band{low}-{high}" for low, high in BANDS))

# Ranges over the five scans of the lowest and the highest figure.
PERCENTILE_RANGES: Final[dict[int, Range]] = {
    1: (9, 12),
    5: (16, 21),
    25: (28, 31),
    50: (33, 35),
    75: (36, 39),
    95: (40.5, 44),
    99: (45, 49),
}
NOISE_RANGES: Final[dict[str, Range]] = {
    "residual_sd": (4.6, 5.7),
    "lag1": (0.83, 0.89),
    "lag2": (0.57, 0.70),
    "lag3": (0.44, 0.64),
}
THICK_RANGES: Final[dict[str, Range]] = {"residual_sd": (4.1, 4.5), "lag1": (0.92, 0.96), "lag2": (0.79, 0.90)}


@dataclass(frozen=True)
class Row:
    """One line of the table; ``reference`` None where there is no figure to compare with but the real scan's."""

    key: str
    label: str
    reference: Range | None = None
    source: str = ""
    digits: int = 1


NOISE_LABELS: Final = {
    "residual_sd": "residual SD in flat brain, HU",
    "lag1": "autocorrelation at 1 px in x",
    "lag2": "autocorrelation at 2 px in x",
    "lag3": "autocorrelation at 3 px in x",
} | {f"band{low}-{high}": f"noise power at {low}-{high} cycles/mm, %" for low, high in BANDS}


def noise_rows(ranges: dict[str, Range], source: str) -> tuple[Row, ...]:
    """Return the lines on noise for one setting."""
    return tuple(
        Row(key, NOISE_LABELS[key], ranges.get(key), source if key in ranges else "", 2 if "lag" in key else 1)
        for key in NOISE_KEYS
    )


ANATOMY_ROWS: Final = (
    *(Row(f"p{p}", f"intracranial HU, p{p}", PERCENTILE_RANGES[p], FIVE_SCANS) for p in PERCENTILES),
    Row("tissue_contrast", "grey less white matter by true labels, HU", (5, 9), GOAL),
    Row("nuclei_white", "lentiform nuclei less deep white matter by registered atlas, HU", (5, 9), GOAL),
    Row("texture3mm", "SD of brain under a 3 mm Gaussian, HU"),
    Row("texture8mm", "SD of brain under an 8 mm Gaussian, HU"),
    Row("asymmetry3mm", "SD of left less mirrored right, 3 mm Gaussian, brain on both sides, HU"),
    Row("asymmetry8mm", "the same under 8 mm, HU"),
    Row("asymmetry_all", "the same under 3 mm with fluid, HU"),
    Row("rim", "upper quartile of brain 3-6 mm below the skull less that at 12-25 mm, HU"),
    Row("fluid_pct", "share of fluid (< 17 HU) in the brain slices, %", (2, 18), OURS),
    # Adults: means of 1.3 (women) to 1.5 l (men), SD 0.13 l, in volumetric MRI and CT.
    Row("intracranial_ml", "intracranial volume above the foramen magnum, ml", (1100, 1800), OURS, 0),
    # Lateral ventricles alone: about 15 ml at 30, 40 ml at 75 years, with a factor of two each way.
    Row("ventricles_ml", "fluid within 8 mm of the atlas's ventricles, ml", (8, 110), OURS, 0),
    # Vault means at frontal, parietal and occipital points lie between 5 and 8 mm in adults.
    Row("skull_mm", "thickness of the vault, mm", (4, 9), OURS),
    # Cortical bone 1100 +- 300 HU, diploe about 500 HU, mixed in slices of 5 mm and more.
    Row("bone_p50", "bone of the vault (> 300 HU), median, HU", (600, 1300), OURS, 0),
    Row("bone_p99", "bone of the vault, p99, HU", (1300, 2200), OURS, 0),
    Row("air_mean", "air, mean HU", (-1010, -990), OURS, 0),
    Row("air_sd", "air, SD, HU", (2, 12), OURS),
)
TABLES: Final[dict[Setting, tuple[Row, ...]]] = {
    "5 mm": (*ANATOMY_ROWS, *noise_rows(NOISE_RANGES, FIVE_SCANS_NOISE)),
    "8-9 mm": noise_rows(THICK_RANGES, THICK_SCANS),
    "7 mm": (*ANATOMY_ROWS, *noise_rows({}, "")),
}
TITLES: Final[dict[Setting, str]] = {
    "5 mm": "Phantoms at 5 mm, 0.43 mm pixels (the real scan: 7 mm, 0.49 mm)",
    "8-9 mm": "Noise of phantoms at 8 and 9 mm, 0.43 mm pixels (the real scan: 7 mm, 0.49 mm)",
    "7 mm": "Phantoms scanned like the real scan: 7 mm, 0.49 mm pixels, tilt 18.5 degrees",
}

LEVELS: Final[dict[str, tuple[float, float]]] = {
    "posterior fossa": (50.0, -38.0),
    "basal ganglia": (10.0, 4.0),
    "ventricular": (15.0, 20.0),
    "supraganglionic": (15.0, 31.0),
    "centrum semiovale": (15.0, 43.0),
    "vertex": (15.0, 60.0),
}
"""LPS y and z in mm of a point in the atlas's midsagittal plane on each level."""
FIELD_MM: Final = (224.0, 176.0)
WINDOW_HU: Final = (0.0, 80.0)
PANEL_INCH: Final = 2.2
PANEL_DPI: Final = 170


@dataclass(frozen=True, eq=False)
class Shown:
    """A head for the pictures: one slice (float32, (y, x)) a level, None where the scan has none, with pixel size."""

    name: str
    slices: tuple[Float32Array | None, ...]
    pixel_mm: float


@dataclass(frozen=True, eq=False)
class Found:
    """What came of one scan; ``failure`` says why there are no measures."""

    setting: Setting
    measured: Measured | None
    shown: Shown
    failure: str = ""


def scanned_at(protocol: Protocol, setting: Setting) -> Protocol:
    """Return a protocol at the thickness and pixel size of a setting; noise follows the square root of thickness.

    Thick slices keep the protocol that they were drawn with.
    """
    if setting == "8-9 mm":
        return replace(protocol, pixel_mm=0.43)
    thickness_mm = {"5 mm": 5.0, "7 mm": 7.0}[setting]
    noise_hu = protocol.noise_hu * math.sqrt(protocol.thickness_mm / thickness_mm)
    changed = replace(protocol, thickness_mm=thickness_mm, gaps_mm=(thickness_mm,), noise_hu=noise_hu, pixel_mm=0.43)
    if setting == REAL_SETTING:
        pose = replace(protocol.pose, pitch_deg=LIKE_REAL_PITCH_DEG)
        return replace(changed, gaps_mm=(4.0, 7.0), gap_change=0.33, tilt_deg=18.5, pixel_mm=0.488, pose=pose)
    return changed


def is_reference_like(protocol: Protocol) -> bool:
    """Return whether a protocol has the tube voltage of the reference scans."""
    return protocol.kvp == 120


def is_thick(protocol: Protocol) -> bool:
    """Return whether a protocol has slices of 8 to 9 mm."""
    return protocol.thickness_mm >= 8


def patients(count: int, split: Split, wanted: Callable[[Protocol], bool]) -> Iterator[Patient]:
    """Yield ``count`` patients whose protocol is ``wanted``, the presets in turn."""
    number = 0
    while count:
        patient = draw(PRESETS[number % len(PRESETS)], number // len(PRESETS), split)
        number += 1
        if wanted(patient.acute):
            count -= 1
            yield patient


def tissue_contrast(visit: Visit) -> float:
    """Return the median HU of grey less white matter by the true labels, one pixel inside, without lesions.

    Nothing within 8 mm of the skull counts, so that blurred bone does not brighten the cortex.
    """
    hu = visit.hu.cpu().numpy()
    truth = {name: tensor.cpu().numpy() for name, tensor in visit.truth.items()}
    sound = in_plane_depth(truth["intracranial"], visit.geometry.pixel_spacing_mm_yx) > CORTEX_DEPTH_MM
    for lesion in ("infarct", "old_infarct", "hemorrhage"):
        if lesion in truth:
            sound &= truth[lesion] == 0
    cross = ndimage.generate_binary_structure(2, 1)[None]
    grey, white = (
        float(np.median(hu[ndimage.binary_erosion(truth["tissue"] == TISSUES.index(name), cross) & sound]))
        for name in ("grey", "white")
    )
    return grey - white


def examined(scan: Scan, name: str, setting: Setting) -> Found:
    """Return what was measured in a scan, and its slices for the pictures."""
    try:
        head = prepare_head(scan)
    except Refusal as refusal:
        return Found(setting, None, Shown(name, (None,) * len(LEVELS), 1.0), str(refusal))
    return Found(setting, measure(scan, head), level_slices(scan, head, name))


def examined_phantom(task: tuple[Patient, Setting]) -> Found:
    """Return what was measured in a phantom, scanned at a setting."""
    torch.set_num_threads(1)
    patient, setting = task
    visit = render(replace(patient, acute=scanned_at(patient.acute, setting))).acute
    found = examined(visit.scan(patient.name), patient.name, setting)
    if found.measured is not None:
        found.measured.values["tissue_contrast"] = tissue_contrast(visit)
    return found


def level_slices(scan: Scan, head: Head, name: str) -> Shown:
    """Return the slice nearest to each level, cut to the field around the brain."""
    registration: Registration = head.registration
    geometry = scan.geometry
    rows, columns = (int(length / geometry.pixel_spacing_mm_yx[0]) for length in FIELD_MM)
    middle = geometry.world_to_index(head.geometry.index_to_world(np.argwhere(head.brain)).mean(axis=0))
    slices: list[Float32Array | None] = []
    for y_mm, z_mm in LEVELS.values():
        point = registration.atlas_to_scan @ (0.0, y_mm, z_mm, 1.0)
        k = round(float(geometry.world_to_index(point[:3])[0]))
        if not 0 <= k < len(scan.hu):
            slices.append(None)
            continue
        centre = geometry.in_plane_index(k, geometry.index_to_world(middle))
        top, left = (int(c - n / 2) for c, n in zip(centre, (rows, columns), strict=True))
        padded = np.pad(scan.hu[k], max(rows, columns), constant_values=-1000.0)
        offset = max(rows, columns)
        slices.append(padded[top + offset : top + offset + rows, left + offset : left + offset + columns])
    return Shown(name, tuple(slices), geometry.pixel_spacing_mm_yx[0])


def table(setting: Setting, phantoms: list[Measured], real: Measured | None) -> str:
    """Return a markdown table of the phantoms at one setting against the references and the real scan."""
    lines = [
        f"## {TITLES[setting]}: {len(phantoms)} phantoms\n",
        "| measure | reference | real scan | phantoms, median (5-95 %) | inside |",
        "|---|---|---|---|---|",
    ]
    for row in TABLES[setting]:
        values = np.array([one.values.get(row.key, np.nan) for one in phantoms])
        low, middle, high = np.nanpercentile(values, [5, 50, 95])
        own = real.values.get(row.key) if real else None
        reference = inside = ""
        if row.reference:
            share = np.mean((values >= row.reference[0]) & (values <= row.reference[1]))
            within = row.reference[0] <= middle <= row.reference[1]
            inside = f"{'yes' if within else '**no**'} ({100 * share:.0f} %)"
            reference = f"{row.reference[0]:g} to {row.reference[1]:g}" + (" (ours)" if row.source == OURS else "")
        n = row.digits
        measured = "" if own is None else f"{own:.{n}f}"
        lines.append(
            f"| {row.label} | {reference} | {measured} | {middle:.{n}f} ({low:.{n}f} to {high:.{n}f}) | {inside} |"
        )
    return "\n".join(lines) + "\n"


def notes(real: Measured | None) -> str:
    """Return what stands above the tables."""
    sources = dict.fromkeys(row.source for rows in TABLES.values() for row in rows if row.source)
    lines = ["References: " + "; ".join(sources) + ".", ""]
    lines.append(
        "`inside`: whether the median of the phantoms lies in the reference, and the share of phantoms that do."
    )
    lines.append(
        "The rule for flat brain was picked so that one real scan gives the four figures printed for it; stricter"
    )
    lines.append("rules give lower ones. It could not be checked on the five scans that the ranges come from.")
    if real is None:
        lines.append("No real scan was given (`--data`): its columns are empty.")
    return "\n".join(lines) + "\n"


def draw_heads(heads: list[Shown], path: Path) -> None:
    """Write a picture with one head a row and one level a column, window 0-80 HU."""
    size = (PANEL_INCH * len(LEVELS), PANEL_INCH * FIELD_MM[0] / FIELD_MM[1] * len(heads))
    figure = Figure(figsize=size, dpi=PANEL_DPI, facecolor="black")
    axes = figure.subplots(len(heads), len(LEVELS), squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1, 0.01, 0.01)
    for line, head in zip(axes, heads, strict=True):
        for axis, hu, level in zip(line, head.slices, LEVELS, strict=True):
            axis.set_axis_off()
            if hu is not None:
                low, high = WINDOW_HU
                axis.imshow(hu, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
            axis.text(0.02, 0.98, level, color="#c0c0c0", size=6, va="top", transform=axis.transAxes)
        line[0].text(0.02, 0.02, head.name, color="#c0c0c0", size=6, transform=line[0].transAxes)
    figure.savefig(path)


def draw_spectra(groups: dict[str, list[Measured]], path: Path) -> None:
    """Write the noise power spectra, per unit of area of the frequency plane, each normalised to a sum of 1."""
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axis = figure.subplots()
    middles = (SPECTRUM_EDGES[1:] + SPECTRUM_EDGES[:-1]) / 2
    for name, group in groups.items():
        density = np.array([one.spectrum for one in group]) / (np.pi * np.diff(np.square(SPECTRUM_EDGES)))
        low, middle, high = np.percentile(density, [5, 50, 95], axis=0)
        (curve,) = axis.plot(middles, middle, label=name, color="black" if len(group) == 1 else None)
        if len(group) > 1:
            axis.fill_between(middles, low, high, color=curve.get_color(), alpha=0.15, linewidth=0)
    axis.set(xlabel="spatial frequency, cycles/mm", ylabel="noise power, share per (cycle/mm)$^2$", yscale="log")
    axis.set(xlim=(0, 1), ylim=(0.01, 30))
    axis.legend()
    figure.savefig(path)


def read_real(data: Path) -> Found:
    """Return what was measured in the real scan."""
    folder = data / REAL_FOLDER
    found = examined(read_scan(folder if folder.is_dir() else data), "real", REAL_SETTING)
    if found.measured is None:
        raise SystemExit(f"the real scan could not be measured: {found.failure}")
    return found


def write_figures(found: list[Found], real: Found | None, out: Path) -> None:
    """Write all figures; those with the real scan carry ``real`` in their name."""
    shown = {setting: [one.shown for one in found if one.measured and one.setting == setting] for setting in TABLES}
    draw_heads(shown["5 mm"][:SHOWN], out / "phantoms.png")
    spectra = {f"phantoms, {name}": [f.measured for f in found if f.measured and f.setting == name] for name in TABLES}
    spectra = {name: group for name, group in spectra.items() if group}
    if real and real.measured:
        draw_heads([*shown[REAL_SETTING][:SHOWN], real.shown], out / "phantoms_and_real.png")
        spectra["real scan, 7 mm"] = [real.measured]
    draw_spectra(spectra, out / "noise_spectra.png")


def main(data: Path | None, count: int, jobs: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    real = read_real(data) if data else None
    tasks: list[tuple[Patient, Setting]] = []
    thick = patients(count, "shifted", is_thick)
    for number, patient in enumerate(patients(count, "train", is_reference_like)):
        tasks += [(patient, "5 mm"), (next(thick), "8-9 mm")]
        if real and number % LIKE_REAL_EVERY == 0:
            tasks.append((patient, REAL_SETTING))
    found: list[Found] = []
    with ProcessPoolExecutor(jobs) as pool:
        for number, one in enumerate(pool.map(examined_phantom, tasks), start=1):
            print(f"{number}/{len(tasks)} {one.shown.name} at {one.setting} {one.failure}", file=sys.stderr)
            found.append(one)
    parts = ["# Phantoms against real scans\n", notes(real.measured if real else None)]
    parts += [f"Not measured: {one.shown.name} at {one.setting}: {one.failure}\n" for one in found if not one.measured]
    for setting in TABLES:
        group = [one.measured for one in found if one.measured and one.setting == setting]
        if group:
            parts.append(table(setting, group, real.measured if real else None))
    text = "\n".join(parts)
    (out / "table.md").write_text(text, encoding="utf-8")
    write_figures(found, real, out)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("build/phantom_realism"))
    given = parser.parse_args()
    main(given.data, given.phantoms, given.jobs, given.out)

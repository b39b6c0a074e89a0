"""What the papers print about their patients against what the presets draw, over three cohorts of 300 patients.

Prints a Markdown table; its last column is the largest deviation of the three from the printed figure.
Run: python bench/preset_table.py [preset ...]
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from infarct.phantom.clinical import read_aspects
from infarct.phantom.patient import Patient, Preset, Split
from infarct.phantom.presets import draw
from unit.phantom.crude_aspects import crude_regions, icc_single
from unit.phantom.printed_figures import PRINTED, stroke_of

PATIENTS: Final = 300
COHORTS: Final[tuple[tuple[Split, int], ...]] = (("train", 0), ("train", 300), ("test", 0))
"""Split and first index."""


def cohort(preset: Preset, split: Split, first: int) -> list[Patient]:
    return [draw(preset, index, split) for index in range(first, first + PATIENTS)]


def print_rows(preset: Preset) -> None:
    cohorts = [cohort(preset, split, first) for split, first in COHORTS]
    for row in PRINTED[preset]:
        drawn = [row.drawn(patients) for patients in cohorts]
        worst = max(abs(figure / row.printed - 1) for figure in drawn)
        figures = " | ".join(f"{figure:.3g}" for figure in (row.printed, *drawn))
        print(f"| {preset} | {row.what} | {figures} | {100 * worst:.1f} % |")


def print_readers(patients: list[Patient]) -> None:
    """Print how far two simulated readers agree, on crudely simulated regions."""
    scores = []
    for patient in patients:
        shares, visible_hu = crude_regions(patient)
        seed = stroke_of(patient).seed
        scores.append([10 - read_aspects(shares, visible_hu, seed, reader).sum() for reader in (0, 1)])
    print(f"\nTwo simulated readers, regions simulated crudely: ICC(A,1) {icc_single(np.array(scores, float)):.2f}")


def main(presets: list[Preset]) -> None:
    names = " | ".join(f"{split} {first}-{first + PATIENTS - 1}" for split, first in COHORTS)
    print(f"| preset | figure | printed | {names} | off by |\n|---|---|---|---|---|---|---|")
    for preset in presets:
        print_rows(preset)
    print_readers(cohort("aspects", *COHORTS[0]))


if __name__ == "__main__":
    main([preset for preset in PRINTED if preset in sys.argv[1:]] or list(PRINTED))

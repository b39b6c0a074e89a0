"""What the hyperdense artery sign finds in the phantom cohort's validation split: sensitivity and specificity.

Half of the patients have a dense clot in the carotid's end or M1; of the others, half a stroke there without one, half
no stroke. Slices are 5 mm in preset `aspects`, 1 mm in `acute`.

Run: python bench/accuracy_dense_artery.py [aspects|acute] [patients with a dense clot, and as many without]
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

from infarct.phantom import Patient, Preset, draw, render_ct
from infarct.pipeline import prepare_head
from infarct.systems.dense_artery import find_dense_artery

SITES = ("ICA", "tandem", "M1")


def strokes(preset: Preset, *, dense: bool) -> Iterator[Patient]:
    """Yield patients with the trunk shut, their clot dense or not."""
    for number in count():
        patient = draw(preset, number, "validation")
        stroke = patient.stroke
        if stroke and stroke.site in SITES and (stroke.hyperdense_hu > 0) == dense:
            yield patient


def healthy(preset: Preset) -> Iterator[Patient]:
    """Yield patients without a stroke who were scanned as those of the preset."""
    drawn = (draw("healthy", number, "validation") for number in count())
    return (patient for patient in drawn if patient.stratum["scanned_as"] == preset)


def answer(patient: Patient) -> str:
    found = find_dense_artery(prepare_head(render_ct(patient).scan(patient.name)))
    if found is None:
        return "not judged"
    if not found.suspected:
        return "no sign"
    return "sign" if patient.stroke is None or found.side == patient.stroke.side else "sign, wrong side"


def main(preset: Preset, size: int) -> None:
    groups = {
        "dense clot": islice(strokes(preset, dense=True), size),
        "clot not dense": islice(strokes(preset, dense=False), size // 2),
        "healthy": islice(healthy(preset), size - size // 2),
    }
    for name, patients in groups.items():
        print(f"{preset}, validation, {name}: {dict(Counter(answer(patient) for patient in patients))}")


if __name__ == "__main__":
    chosen: Preset = "acute" if sys.argv[1:2] == ["acute"] else "aspects"
    main(chosen, int((sys.argv[2:] or ["20"])[0]))

"""Scans with known truth: a cohort of phantom patients made from the atlas and physics.

`draw` gives the numbers of a patient, `render` its scans, `sample` both at once. Needs torch, numpy and scipy only.
"""

from infarct.phantom.patient import PRESETS, SPLITS, Patient, Pose, Preset, Split
from infarct.phantom.presets import draw
from infarct.phantom.sample import PAIRS, Pair, Sample, Visit, render, sample

__all__ = [
    "PAIRS",
    "PRESETS",
    "SPLITS",
    "Pair",
    "Patient",
    "Pose",
    "Preset",
    "Sample",
    "Split",
    "Visit",
    "draw",
    "render",
    "sample",
]

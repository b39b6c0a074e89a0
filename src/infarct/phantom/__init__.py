"""Scans with known truth: a cohort of phantom patients made from the atlas and physics.

`draw` gives the numbers of a patient, `render` its scans, `render_ct` the one CT that its preset is about,
`render_scans` the acute one by several protocols; `sample` draws and renders. Needs torch, numpy and scipy only.
"""

from infarct.phantom.assembly import PAIRS, Pair, Sample, Visit, render, render_ct, render_scans, sample
from infarct.phantom.patient import PRESETS, SPLITS, Patient, Pose, Preset, Split
from infarct.phantom.presets import draw

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
    "render_ct",
    "render_scans",
    "sample",
]

"""Phantom patients as cases, rendered when they are loaded. Needs torch, numpy and scipy only."""

from collections.abc import Iterable
from functools import partial

import numpy as np

from infarct.cohorts.aspects import AspectsTruth
from infarct.cohorts.case import Case, Clinical, LabelledScan
from infarct.phantom import Patient, Preset, Split, Visit, draw, render_ct
from infarct.phantom.observer import detectability
from infarct.phantom.scoring import score_sides


def phantom_cases(preset: Preset, split: Split, indices: Iterable[int], *, device: str = "cpu") -> tuple[Case, ...]:
    """Return patients ``indices`` of a preset's split as cases that `load` renders on ``device``.

    The scan is the one that the preset is about: the follow-up CT and the final infarct in `followup`, otherwise the
    acute CT and the infarct that it may show. All masks are labelled; they are empty in a patient without them.
    """
    return tuple(_case(draw(preset, index, split), device) for index in indices)


def _case(patient: Patient, device: str) -> Case:
    later = patient.preset == "followup"
    stroke = patient.stroke
    clinical = Clinical(
        onset_h=(stroke.followup_h if later else stroke.onset_h) if stroke else None,
        age=patient.clinical.age,
        sex=patient.clinical.sex,
        side=stroke.side if stroke else None,
        nihss=patient.clinical.nihss,
        mrs90=patient.clinical.mrs90,
    )
    return Case(
        id=patient.name,
        patient=patient.name,
        target="final" if later else "acute",
        loader=partial(render_case, patient, device),
        clinical=clinical,
        stratum=patient.stratum,
        lesion_free=stroke is None,
        synthetic=True,
    )


def render_case(patient: Patient, device: str = "cpu") -> LabelledScan:
    """Return the rendered scan of a patient with its truth; which regions are affected is said of acute scans only."""
    visit = render_ct(patient, device)
    truth = {name: mask.cpu().numpy() for name, mask in visit.truth.items()}
    return LabelledScan(
        scan=visit.scan(patient.name),
        lesion=truth.get("infarct", np.zeros(tuple(visit.hu.shape), dtype=bool)),
        old=truth["old_infarct"],
        hemorrhage=truth["hemorrhage"],
        intracranial=truth["intracranial"],
        detectability=None
        if visit.signal_hu is None
        else detectability(visit.signal_hu, visit.protocol, visit.geometry, anatomical=True),
        regions=truth["aspects"],
        midline_shift_mm=visit.midline_shift_mm,
        aspects=None if patient.preset == "followup" else _aspects(patient, visit),
    )


def _aspects(patient: Patient, acute: Visit) -> AspectsTruth:
    right, left = score_sides(patient, acute)
    stroke = patient.stroke
    return AspectsTruth(
        by_core=right.by_core + left.by_core,
        by_readers=tuple(first + second for first, second in zip(right.by_readers, left.by_readers, strict=True)),
        side=stroke.side if stroke else None,
        core_ml=acute.volumes_ml["core"] if stroke else None,
    )

"""A phantom patient with real numbers whose scans show the small fake head, so that the readers take them."""

from dataclasses import replace

import numpy as np
import torch
from synthetic_ct import fake_head

from infarct.phantom import Preset, Sample, Visit, draw
from infarct.phantom.patient import Protocol
from infarct.volume import Geometry
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion, old_lesion


def tilted() -> Geometry:
    """Return the fake head's stack, its slices turned by 15 degrees about x, as a gantry is tilted."""
    angle = np.radians(15.0)
    down = np.array([0.0, np.cos(angle), np.sin(angle)])
    return Geometry(GEOMETRY.origins_mm, np.array([1.0, 0.0, 0.0]), down, (2.0, 2.0), (72, 64))


def head_sample(preset: Preset, index: int, *, geometry: Geometry = GEOMETRY, followup: bool = True) -> Sample:
    """Return patient ``index`` of the validation split with an acute and, if wanted and drawn, a follow-up CT."""
    patient = draw(preset, index, "validation")
    patient = replace(patient, acute=replace(patient.acute, tilt_deg=round(geometry.tilt_deg)))
    acute = _visit(patient.acute, geometry, stroke=patient.stroke is not None, seed=1)
    later = None
    if followup and patient.followup is not None:
        later = _visit(patient.followup, geometry, stroke=True, seed=2)
    return Sample(patient, acute, later, None, None)


def _visit(protocol: Protocol, geometry: Geometry, *, stroke: bool, seed: int) -> Visit:
    hemorrhage = torch.zeros(geometry.shape_zyx, dtype=torch.uint8)
    hemorrhage[6, 30:34, 30:34] = 2
    truth = {
        "intracranial": torch.from_numpy(np.abs(fake_head(noise_hu=0.0) - 30) < 60),
        "old_infarct": torch.from_numpy(old_lesion()),
        "hemorrhage": hemorrhage,
        "aspects": torch.full_like(hemorrhage, 5),
        "territories": torch.full_like(hemorrhage, 2),
        "tissue": torch.full_like(hemorrhage, 1),
    }
    if stroke:
        mask = torch.from_numpy(lesion() if seed == 1 else np.roll(lesion(), 2, axis=1))
        truth |= {"infarct": mask, "core": mask, "penumbra": torch.zeros_like(mask)}
    volumes = dict.fromkeys(("infarct", "core", "penumbra", "intracranial", "old_infarct", "hemorrhage"), 1.0)
    hu = torch.from_numpy(fake_head(seed=seed))
    return Visit(hu, geometry, protocol, truth, volumes, midline_shift_mm=-2.5)

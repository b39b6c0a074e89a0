"""A patient with real numbers and tiny made-up pictures, to test what becomes of them on disk."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from infarct.phantom import Pose, Sample, Visit, draw
from infarct.phantom.diffusion import DiffusionMaps
from infarct.phantom.patient import Patient, Protocol
from infarct.phantom.perfusion import PerfusionMaps
from infarct.volume import Geometry

UPRIGHT = Geometry.regular((10, 24, 20), (5.0, 8.0, 9.0), origin_mm=(-85.0, -90.0, -20.0))
MAPS = Geometry.regular((4, 10, 12), (10.0, 12.0, 11.0), origin_mm=(-60.0, -50.0, -15.0))


def tilted() -> Geometry:
    """Return a stack of two spacings whose slices fall 20 degrees to the front."""
    tilt = np.radians(20.0)
    heights = np.r_[np.arange(-20.0, 10.0, 5.0), np.arange(10.0, 40.0, 7.5)]
    down = np.array([0.0, np.cos(tilt), np.sin(tilt)])
    origins = np.c_[np.full(len(heights), -85.0), np.full(len(heights), -90.0), heights]
    return Geometry(origins, np.array([1.0, 0.0, 0.0]), down, (8.0, 9.0), (24, 20))


def small_sample(index: int = 1, *, geometry: Geometry = UPRIGHT, healthy: bool = False) -> Sample:
    """Return a patient with all pairs; the healthy one has an acute scan only."""
    patient = draw("healthy" if healthy else "aspects", index, "validation")
    pose = Pose(5.0, -4.0, 3.0, (2.0, -6.0, 10.0))
    patient = replace(patient, acute=replace(patient.acute, pose=pose, tilt_deg=round(geometry.tilt_deg)))
    acute = _visit(patient, patient.acute, geometry)
    if patient.stroke is None or patient.followup is None:
        return Sample(patient, acute, None, None, None)
    followup = _visit(patient, patient.followup, geometry)
    return Sample(patient, acute, followup, _perfusion(pose), _diffusion())


def _visit(patient: Patient, protocol: Protocol, geometry: Geometry) -> Visit:
    shape = geometry.shape_zyx
    hu = torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape) % 80
    hu[:, 0, 0] = -2000.0
    intracranial = torch.zeros(shape, dtype=torch.bool)
    intracranial[1:-1, 4:-4, 4:-4] = True
    infarct = torch.zeros_like(intracranial)
    infarct[3:6, 8:16, 5:9] = True
    none = torch.zeros(shape, dtype=torch.uint8)
    aspects = none.clone()
    aspects[2:7, 6:18, 4:8], aspects[2:7, 6:18, 12:16] = 5, 15
    truth = {"intracranial": intracranial, "old_infarct": torch.zeros_like(infarct), "hemorrhage": none.clone()}
    truth |= {"aspects": aspects, "territories": none + 2, "tissue": none + 1}
    if patient.stroke is not None:
        truth |= {"infarct": infarct, "core": infarct, "penumbra": torch.zeros_like(infarct)}
    volumes = dict.fromkeys(("infarct", "core", "penumbra", "intracranial", "old_infarct", "hemorrhage"), 12.3456)
    return Visit(hu, geometry, protocol, truth, volumes, midline_shift_mm=-2.5)


def _perfusion(pose: Pose) -> PerfusionMaps:
    values = torch.linspace(0, 50, int(np.prod(MAPS.shape_zyx))).reshape(MAPS.shape_zyx)
    some: Tensor = values > 20
    moved = Pose(1.0, 0.0, -2.0, (1.0, 2.0, -1.0)).matrix() @ pose.matrix()
    return PerfusionMaps(
        MAPS, values, values / 10, values / 8, values / 5, some, values > 40, values > 30, 41.0, np.linalg.inv(moved)
    )


def _diffusion() -> DiffusionMaps:
    values = torch.linspace(0, 3000, int(np.prod(MAPS.shape_zyx))).reshape(MAPS.shape_zyx)
    some = values > 1000
    return DiffusionMaps(MAPS, values, values / 2, values, some, values > 2500, values > 2800, ~some, 30.0, np.eye(4))

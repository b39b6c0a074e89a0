"""CT perfusion maps of a phantom patient: CBF, CBV, MTT and Tmax on a grid, in a pose and with noise of their own.

Flow is continuous in space, so the truth is a threshold, as in patients: core is where CBF falls below 30 % of the
healthy side's mean, core and penumbra together are where Tmax exceeds 6 s. White matter starts lower and loses less
before it reaches the threshold. Tissue that is reperfused has its flow back, often more than before.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic
from infarct.phantom.grid import Grid, rng, smooth_noise
from infarct.phantom.ischemia import Lesions
from infarct.phantom.patient import Pose, Stroke
from infarct.phantom.slabs import (
    FWHM_PER_SIGMA,
    Box,
    blurred_in_plane,
    box_of,
    grainy,
    grid_of,
    slab_points,
    softened,
)
from infarct.types import Float64Array
from infarct.volume.geometry import Geometry

GREY_CBF, WHITE_CBF = 55.0, 22.0
"""ml/100 g/min of an adult (Leenders, Brain 1990;113:27)."""
GREY_CBV, WHITE_CBV = 4.0, 2.0
"""ml/100 g, large vessels left out (Leenders, Brain 1990;113:27)."""
CORE_SHARE: Final = 0.30
"""Core: CBF below this share of the other side (Campbell, Stroke 2011;42:3435)."""
PENUMBRA_TMAX_S: Final = 6.0
"""Threatened tissue: Tmax above this (Olivot, Stroke 2009;40:469)."""
NORMAL_TMAX_S: Final = 1.6
MAX_MTT_S, MAX_TMAX_S = 25.0, 25.0
"""Where the scan of about a minute ends, deconvolution says no more."""
DAMAGE_HU: Final = 8.0
"""Chronic damage that lowers HU by this much lowers the flow as far as chronic damage does."""
BLOOD_HU: Final = 52.0
EDGE_MM: Final = 1.2
"""SD of the zone in which flow passes from one level to the next."""
WHITE_RESERVE: Final = 0.7
OLIGEMIA_MM: Final = 5.0
BRAIN_SHARE: Final = 0.5
"""Voxels with less parenchyma than this are masked, as software does by density."""
LAYERS: Final = 4
"""Layers that a slice is averaged from, for each 5 mm of thickness."""


@dataclass(frozen=True)
class PerfusionSetup:
    """How the maps are taken and how this patient's brain is perfused.

    ``misalignment`` is the head's movement since the CT. ``flow`` and ``volume`` multiply all CBF and CBV, ``delay_s``
    is added to the Tmax of the affected side (a narrow carotid artery). In core ``residual`` of the threshold's CBF is
    left, in penumbra ``reserve`` of what lies between threshold and normal. ``noise`` 0 gives clean maps.
    """

    seed: int
    pixel_mm: float
    slice_mm: float
    coverage_mm: float
    misalignment: Pose
    fwhm_mm: float
    noise: float
    flow: float
    volume: float
    delay_s: float
    residual: float
    reserve: float
    luxury: float


@dataclass(frozen=True, eq=False)
class PerfusionMaps:
    """Maps and truth, (z, y, x) on ``geometry``; maps are float32 and 0 outside ``brain``.

    ``cbf`` in ml/100 g/min, ``cbv`` in ml/100 g, ``mtt_s`` and ``tmax_s`` in seconds. ``core`` and ``penumbra`` (core
    not included) are the truth, bool. ``to_head`` is the 4x4 matrix from the maps' world (LPS mm) to the head's frame.
    """

    geometry: Geometry
    cbf: Tensor
    cbv: Tensor
    mtt_s: Tensor
    tmax_s: Tensor
    brain: Tensor
    core: Tensor
    penumbra: Tensor
    healthy_cbf: float
    """Mean CBF of the healthy side (of both where there is no stroke): 30 % of it is the threshold of core."""
    to_head: Float64Array = field(repr=False)


def draw_perfusion(seed: int) -> PerfusionSetup:
    """Return how a patient's perfusion is scanned: detectors of 40 to 160 mm, slices of 5 to 10 mm, a small move."""
    random = rng(seed, "perfusion")
    pitch, roll, yaw = np.clip(random.normal(0, 1.2, 3), -3, 3).tolist()
    x, y, z = np.clip(random.normal(0, 1.2, 3), -3, 3).tolist()
    return PerfusionSetup(
        seed=seed,
        pixel_mm=float(random.choice((0.9, 1.5, 1.7, 1.8), p=(0.1, 0.2, 0.5, 0.2))),
        slice_mm=float(random.choice((5.0, 8.0, 10.0), p=(0.65, 0.2, 0.15))),
        coverage_mm=float(random.choice((40.0, 80.0, 100.0, 120.0, 160.0), p=(0.15, 0.3, 0.25, 0.15, 0.15))),
        misalignment=Pose(pitch, roll, yaw, (x, y, z)),
        fwhm_mm=float(random.uniform(3, 5)),
        noise=float(random.lognormal(0, 0.25)),
        flow=float(random.lognormal(0, 0.12)),
        volume=float(random.lognormal(0, 0.1)),
        delay_s=float(max(random.normal(0.2, 0.8), 0)),
        residual=float(random.uniform(0.1, 0.4)),
        reserve=float(random.uniform(0.2, 0.45)),
        luxury=float(random.uniform(0.0, 0.8)),
    )


def perfusion_maps(
    canvas: Canvas,
    chronic: Chronic,
    *,
    lesions: Lesions | None,
    stroke: Stroke | None,
    pose: Pose,
    setup: PerfusionSetup,
) -> PerfusionMaps:
    """Return the perfusion of the head on ``canvas``, which lay as ``pose`` says in the CT.

    Without lesions and stroke the maps are those of a healthy brain. The world is the CT's: a map's voxel lies where
    the same tissue lies in the CT, but for ``setup.misalignment``.
    """
    to_world = setup.misalignment.matrix() @ pose.matrix()
    to_head = np.asarray(np.linalg.inv(to_world), dtype=np.float64)
    geometry = _geometry(canvas.grid, to_world, setup)
    box = box_of(canvas.intracranial, 2)
    grid = grid_of(canvas.grid, box)
    tissue = _tissue_channels(canvas, chronic, grid, box, setup)
    channels = torch.stack((*tissue, *_lesion_channels(canvas, lesions, stroke, grid, box)))
    healthy_cbf = _healthy_cbf(canvas.left[box], channels, stroke, setup)
    total = torch.zeros((len(_SUMMED), *geometry.shape_zyx), device=canvas.grey.device)
    layers = max(round(LAYERS * setup.slice_mm / 5), 1)
    for points in slab_points(geometry, to_head, layers, total.device):
        at = grid.sample(channels, points, outside="zeros")
        total += _flow(dict(zip(_CHANNELS, at, strict=True)), CORE_SHARE * healthy_cbf, setup) / layers
    return _measured(total, geometry, healthy_cbf, to_head, setup)


_TISSUE_CHANNELS: Final = ("grey", "white", "vessel", "damage", "variation")
_LESION_CHANNELS: Final = ("core", "threat", "core_mask", "threat_mask", "oligemia", "luxury", "slow")
_CHANNELS: Final = (*_TISSUE_CHANNELS, *_LESION_CHANNELS)
_SUMMED: Final = ("parenchyma", "cbf", "cbv", "late", "core", "threat")


def _geometry(grid: Grid, to_world: Float64Array, setup: PerfusionSetup) -> Geometry:
    """Return an upright stack that covers what the detector does, from the base of the ganglia on if it is short."""
    count = max(round(setup.coverage_mm / setup.slice_mm), 1)
    size = int(np.ceil(220 / setup.pixel_mm / 2)) * 2
    low = np.array(grid.origin_mm)
    middle = low + (np.array(grid.shape_zyx[::-1]) - 1) * grid.spacing_mm / 2
    centre = to_world[:3, :3] @ (middle[0], middle[1], 18.0) + to_world[:3, 3]
    half = (size - 1) * setup.pixel_mm / 2
    origin = centre - (half, half, (count - 1) * setup.slice_mm / 2)
    return Geometry.regular((count, size, size), (setup.slice_mm, setup.pixel_mm, setup.pixel_mm), origin_mm=origin)


def _tissue_channels(
    canvas: Canvas, chronic: Chronic, grid: Grid, box: Box, setup: PerfusionSetup
) -> tuple[Tensor, ...]:
    """Return what decides the flow before any stroke, each (z, y, x) in the box of the canvas that ``grid`` is of."""
    device = canvas.grey.device
    unbled = 1 - torch.sigmoid((canvas.hu[box] - BLOOD_HU) / 2)
    arteries = smooth_noise(_seed(setup, "vessels"), grid, 4.0, device)
    vessel = canvas.sulcus[box] * torch.sigmoid(4 * (arteries - 1.3))
    damage = (-chronic.delta_hu[box] / DAMAGE_HU).clamp(0, 1)
    variation = smooth_noise(_seed(setup, "variation"), grid, 25.0, device)
    return canvas.grey[box] * unbled, canvas.white[box] * unbled, vessel, damage, variation


def _lesion_channels(
    canvas: Canvas, lesions: Lesions | None, stroke: Stroke | None, grid: Grid, box: Box
) -> tuple[Tensor, ...]:
    """Return what a stroke does to the flow, in the order of `_LESION_CHANNELS`."""
    none = torch.zeros(grid.shape_zyx, device=canvas.grey.device)
    if lesions is None or stroke is None:
        return (none,) * len(_LESION_CHANNELS)
    same_side = canvas.left[box] == (stroke.side == "left")
    core = lesions.core[box]
    threat = core | lesions.penumbra[box]
    reperfused = lesions.infarct[box] & ~threat if stroke.reperfused else none
    return (
        softened(core, grid, EDGE_MM),
        softened(threat, grid, EDGE_MM),
        core.float(),
        threat.float(),
        softened(threat, grid, OLIGEMIA_MM) * same_side,
        softened(reperfused, grid, EDGE_MM),
        same_side.float(),
    )


def _seed(setup: PerfusionSetup, name: str) -> int:
    return int(rng(setup.seed, "perfusion", name).integers(2**62))


def _healthy_cbf(left: Tensor, channels: Tensor, stroke: Stroke | None, setup: PerfusionSetup) -> float:
    grey, white = channels[0], channels[1]
    healthy = (grey + white) > BRAIN_SHARE
    if stroke is not None:
        healthy &= left != (stroke.side == "left")
    share = grey[healthy].mean() / (grey[healthy] + white[healthy]).mean()
    return float(setup.flow * (WHITE_CBF + (GREY_CBF - WHITE_CBF) * share))


def _flow(at: dict[str, Tensor], threshold_cbf: float, setup: PerfusionSetup) -> Tensor:
    """Return what is averaged over a slice, (c, z, y, x) in the order of `_SUMMED`; ``late`` is Tmax x parenchyma."""
    parenchyma = at["grey"] + at["white"]
    grey = at["grey"] / parenchyma.clamp(min=1e-3)
    intact = (1 - 0.4 * at["damage"]) * (1 + 0.08 * at["variation"])
    normal_cbf = setup.flow * intact * (WHITE_CBF + (GREY_CBF - WHITE_CBF) * grey)
    normal_cbv = setup.volume * intact * (WHITE_CBV + (GREY_CBV - WHITE_CBV) * grey)
    core, threat, luxury = at["core"], at["threat"], 2 * at["luxury"].clamp(max=0.5)
    # Each soft mask is one half on its border: what is above is inside, and the flow passes the threshold there.
    inside_core, outside_core = (2 * core - 1).clamp(min=0), (1 - 2 * core).clamp(min=0)
    inside, outside = (2 * threat - 1).clamp(min=0), (1 - 2 * threat).clamp(min=0)
    limit = torch.minimum(normal_cbf * 0.9, torch.full_like(normal_cbf, threshold_cbf))
    # White matter's threshold lies nearer to its normal flow, so it keeps a larger part of the little that is between.
    least = setup.reserve + (WHITE_RESERVE - setup.reserve) * (1 - grey)
    reserve = least + (1 - least) * outside * (1 - 0.4 * at["oligemia"])
    cbf = limit * (1 - (1 - setup.residual) * inside_core) + outside_core * reserve * (normal_cbf - limit)
    cbf = cbf * (1 + setup.luxury * luxury)
    cbv = normal_cbv * (1 + 0.15 * inside - 0.8 * inside_core + 0.4 * setup.luxury * luxury)
    base = NORMAL_TMAX_S + 0.7 * (1 - grey) + 0.2 * at["variation"] + 0.8 * at["damage"] + setup.delay_s * at["slow"]
    base = (base * (1 - 0.2 * setup.luxury * luxury)).clamp(max=PENUMBRA_TMAX_S - 0.5)
    rise = 2 * torch.maximum(threat, at["oligemia"].clamp(max=0.48)).clamp(max=0.5)
    tmax = base + (PENUMBRA_TMAX_S - base) * rise + inside * (2.5 + 1.5 * setup.reserve) + 4 * inside_core
    blood = at["vessel"] * (1 - 0.6 * threat)
    return torch.stack(
        (
            parenchyma,
            parenchyma * cbf + 130 * blood,
            parenchyma * cbv + 14 * blood,
            parenchyma * tmax,
            at["core_mask"] * parenchyma,
            at["threat_mask"] * parenchyma,
        )
    )


def _measured(
    total: Tensor, geometry: Geometry, healthy_cbf: float, to_head: Float64Array, setup: PerfusionSetup
) -> PerfusionMaps:
    """Return the maps blurred and with noise, and the truth as it lies on their grid."""
    sigma_px = setup.fwhm_mm / FWHM_PER_SIGMA / setup.pixel_mm
    parenchyma, core, threat = total[0], total[4], total[5]
    brain = parenchyma > BRAIN_SHARE
    cbf, cbv = (blurred_in_plane(volume, sigma_px) for volume in (total[1], total[2]))
    late = blurred_in_plane(total[3], sigma_px) / blurred_in_plane(parenchyma, sigma_px).clamp(min=0.05)
    strength = setup.noise * (5 / setup.slice_mm) ** 0.5
    grains = [
        strength * grainy(_seed(setup, name), geometry.shape_zyx, sigma_px, total.device)
        for name in ("cbf", "cbv", "tmax")
    ]
    cbf = (cbf * (1 + 0.1 * grains[0]) + 1.0 * grains[0]).clamp(min=0)
    cbv = (cbv * (1 + 0.1 * grains[1]) + 0.12 * grains[1]).clamp(min=0)
    # Deconvolution sometimes fails: the tails of the error are heavier than a normal distribution's.
    tmax = (late + 0.5 * grains[2] + 0.04 * grains[2] ** 3).clamp(0, MAX_TMAX_S)
    mtt = (60 * cbv / cbf.clamp(min=0.5)).clamp(max=MAX_MTT_S)
    is_core = brain & (2 * core >= parenchyma)
    return PerfusionMaps(
        geometry=geometry,
        cbf=cbf * brain,
        cbv=cbv * brain,
        mtt_s=mtt * brain,
        tmax_s=tmax * brain,
        brain=brain,
        core=is_core,
        penumbra=brain & (2 * threat >= parenchyma) & ~is_core,
        healthy_cbf=healthy_cbf,
        to_head=to_head,
    )

"""Chronic damage: leukoaraiosis, lacunes, perivascular spaces and healed infarcts, painted before tissue gets its HU.

Noise is drawn in offsets from a lesion's centre that grow towards its own side, so the same lesion on the other side
is the mirror image.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.anatomy import REGIONS, TERRITORY_LABELS
from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import (
    Box,
    Point,
    atlas_box,
    box_around,
    distance_mm,
    locate,
    lowest,
    offsets,
    radius_mm,
    ripple,
    sign,
    softened,
    with_surroundings,
)
from infarct.phantom.fields import MNI_PER_HEAD, atlas_fields
from infarct.phantom.grid import rng
from infarct.phantom.growth import arrival, both_halves, growth_grid, right_tissue
from infarct.phantom.patient import Confounders, Densities, Lacune, OldInfarct, Stroke

RETRACTION: Final = (0.25, 0.5)
"""Logarithm of the volume that a healed infarct has lost, from one all gliosis to one all cavity."""
RETRACTION_SHIFT: Final = 0.03
"""Shift of the midline in mm per ml of loss."""
RIM_HU: Final = (15.0, 28.0)
"""Gliosis beside the cavity and beside healthy tissue."""
CAVITY_HU: Final = (5.0, 12.0)
BORDER_MM: Final = 0.4
"""Softness of the border of a cavity."""
LACUNE_PLACES: Final[dict[str, tuple[Point, Point]]] = {
    "basal_ganglia": ((23, -1, 3), (4, 9, 6)),
    "thalamus": ((11, 19, 7), (3, 5, 4)),
    "white_matter": ((26, 2, 28), (4, 20, 6)),
    "pons": ((5, 26, -32), (2.5, 3, 5)),
}
"""Mean and SD of the places of lacunes in the left half of the atlas, LPS mm."""
LACUNE_TRIES: Final = 6
COARSE_MM: Final = 2.0
"""Leukoaraiosis is smooth: where it lies is worked out on a grid this coarse."""
CAPS: Final[tuple[tuple[Point, Point, float], ...]] = (
    ((18, -34, 6), (7, 8, 9), 7.0),
    ((31, 56, 12), (7, 10, 10), 7.0),
    ((27, 0, 32), (9, 32, 8), 5.0),
)
"""Centre, SD (LPS mm, left half of the atlas) and strength (mm) of what draws leukoaraiosis: frontal and occipital
caps, centrum semiovale."""
CAPSULE_MM: Final = 14.0
"""By how much the internal capsule resists."""
NEVER_MM: Final = 100.0


@dataclass(eq=False)
class Chronic:
    """What `paint_chronic` leaves for later steps, (z, y, x) on the canvas.

    ``old_infarct`` is bool: cavity and rim of healed infarcts, sulci that they span included. ``delta_hu`` is to be
    added to soft tissue once it has its HU.
    """

    old_infarct: Tensor
    delta_hu: Tensor


def paint_chronic(canvas: Canvas, confounders: Confounders, densities: Densities) -> Chronic:
    """Change the fractions of ``canvas`` by chronic damage; return masks and changes of HU that go with it."""
    chronic = Chronic(torch.zeros_like(canvas.intracranial), torch.zeros_like(canvas.hu))
    if confounders.leukoaraiosis > 0:
        _paint_leukoaraiosis(canvas, confounders, chronic.delta_hu)
    if confounders.perivascular > 0:
        _paint_perivascular(canvas, confounders)
    for lacune in confounders.lacunes:
        _paint_lacune(canvas, lacune, chronic.delta_hu)
    for infarct in confounders.old_infarcts:
        _paint_old_infarct(canvas, infarct, densities, chronic)
    return chronic


def _hollow(canvas: Canvas, box: Box, weight: Tensor) -> None:
    """Turn the share ``weight`` of the parenchyma in a box into fluid."""
    grey, white = canvas.grey[box], canvas.white[box]
    canvas.csf[box] += weight * (grey + white)
    grey *= 1 - weight
    white *= 1 - weight


def _edge(signed_mm: Tensor, spacing_mm: float) -> Tensor:
    """Return the fraction of a voxel that is inside, from its signed distance to the border (positive inside)."""
    return (signed_mm / spacing_mm + 0.5).clamp(0, 1)


def retraction_source(confounders: Confounders, device: str = "cpu") -> Tensor:
    """Return the logarithm of volume change on the atlas's coarse grid (`fields.atlas_fields`).

    Scars shrink; the fluid around them fills the room, and the midline comes nearer.
    """
    points = atlas_fields(device).coarse.points(device)
    source = torch.zeros(points.shape[:-1], device=device)
    grid = growth_grid()
    for infarct in confounders.old_infarcts:
        order, tissue = _spread(infarct, device)
        count = round(infarct.volume_ml * MNI_PER_HEAD**3 / grid.voxel_ml)
        lost = softened(lowest(order, tissue, count))
        loss = RETRACTION[0] + (RETRACTION[1] - RETRACTION[0]) * infarct.cavity
        shrinking = -loss * grid.sample(lost, points, outside="zeros")
        pulled_mm = -RETRACTION_SHIFT * loss * infarct.volume_ml
        source += with_surroundings(shrinking, infarct.side, pulled_mm, device)
    return source


@lru_cache(maxsize=8)
def _spread(infarct: OldInfarct, device: str) -> tuple[Tensor, Tensor]:
    """Return the order in which an old infarct once spread, and the tissue that it could reach, on `growth_grid`."""
    stroke = _stroke(infarct)
    return arrival(stroke, device), both_halves(right_tissue(device).float(), stroke, 0.0) > 0


def _stroke(infarct: OldInfarct) -> Stroke:
    """Return the stroke that an old infarct once was; only what shapes it matters."""
    random = rng(infarct.seed, "old infarct")
    parts: tuple[Literal["both", "cortical"], ...] = ("both", "cortical")
    return Stroke(
        seed=infarct.seed,
        growth="arrival",
        site=infarct.site,
        side=infarct.side,
        cortical=parts[int(random.uniform() < 0.4)],
        shape=float(random.uniform(0, 0.6)),
        collaterals=0.3,
        core_ml=infarct.volume_ml,
        penumbra_ml=0.0,
        infarct_ml=infarct.volume_ml,
        final_ml=infarct.volume_ml,
        onset_h=0.0,
        uptake=1.0,
        reperfused=False,
        reperfusion_factor=1.0,
        petechiae_hu=0.0,
        staining_hu=0.0,
        fogging=0.0,
        swelling=0.0,
        hemorrhage_ml=0.0,
        hyperdense_hu=0.0,
        followup_h=0.0,
    )


def _paint_old_infarct(canvas: Canvas, infarct: OldInfarct, densities: Densities, chronic: Chronic) -> None:
    """Replace one infarct by a cavity, deep in it or open to the surface, and a gliotic rim towards healthy tissue."""
    box, mask = _old_infarct_mask(canvas, infarct, chronic.old_infarct)
    if not bool(mask.any()):
        return
    chronic.old_infarct[box] |= mask
    random = rng(infarct.seed, "rim")
    cavity, rim = _cavity_and_rim(canvas, box, mask, infarct)
    tissue = (canvas.grey[box] + canvas.white[box]).clamp(min=1e-3)
    tissue_hu = (canvas.grey[box] * densities.grey + canvas.white[box] * densities.white) / tissue
    soft = softened(mask)
    fluid_hu = min(max(densities.csf + random.uniform(0, 3), CAVITY_HU[0]), CAVITY_HU[1])
    # Where the scar meets fluid the cortex is thin.
    thin = 0.5 * soft * softened(canvas.csf[box] > 0.5) * (canvas.grey[box] > 0.4)
    _hollow(canvas, box, torch.maximum(soft * cavity, thin))
    left_over = canvas.grey[box] + canvas.white[box]
    change = left_over * (rim - tissue_hu).clamp(max=0) + cavity * canvas.csf[box] * (fluid_hu - densities.csf)
    chronic.delta_hu[box] += soft * (change - chronic.delta_hu[box])


def _old_infarct_mask(canvas: Canvas, infarct: OldInfarct, taken: Tensor) -> tuple[Box, Tensor]:
    """Return the box of an old infarct and in it the mask of the exact volume, clear of those before it."""
    device = str(canvas.hu.device)
    grid = growth_grid()
    order, tissue = _spread(infarct, device)
    generous = round((1.7 * infarct.volume_ml + 1) * MNI_PER_HEAD**3 / grid.voxel_ml)
    reached = grid.points(device)[lowest(order, tissue, generous)]
    low, high = (reached.amin(dim=0) - 8).tolist(), (reached.amax(dim=0) + 8).tolist()
    box = atlas_box(canvas, (low[0], low[1], low[2]), (high[0], high[1], high[2]), 2)
    side = canvas.left[box] if infarct.side == "left" else ~canvas.left[box]
    solid = canvas.grey[box] + canvas.white[box] + canvas.sulcus[box] > 0.5
    allowed = solid & canvas.intracranial[box] & side & ~taken[box]
    score = grid.sample(order, canvas.atlas_mm[box])
    return box, lowest(score, allowed, round(infarct.volume_ml / canvas.grid.voxel_ml))


def _cavity_and_rim(canvas: Canvas, box: Box, mask: Tensor, infarct: OldInfarct) -> tuple[Tensor, Tensor]:
    """Return the fraction of cavity and the HU of gliosis: the cavity keeps away from living tissue, not from fluid."""
    step = 2 if infarct.volume_ml > 20 and canvas.grid.spacing_mm < 1.5 else 1
    spacing_mm = step * canvas.grid.spacing_mm
    living = (canvas.grey[box] + canvas.white[box] > 0.5) & ~mask
    distance = distance_mm(living[::step, ::step, ::step], spacing_mm, 30.0)
    if step > 1:
        distance = functional.interpolate(distance[None, None], size=mask.shape, mode="trilinear")[0, 0]
    depth = distance + 1.5 * ripple(offsets(canvas, box, (0.0, 0.0, 0.0), infarct.side), infarct.seed, 7.0)
    inside = depth[mask]
    count = min(max(round((1 - infarct.cavity) * inside.numel()), 1), inside.numel())
    cut = inside.kthvalue(count).values
    cavity = torch.sigmoid((depth - cut) / BORDER_MM) * (infarct.cavity > 0)
    first = float(inside.amin())
    along = ((depth - first) / (float(cut) - first + 1e-3)).clamp(0, 1)
    return cavity, RIM_HU[1] - (RIM_HU[1] - RIM_HU[0]) * along


def _paint_lacune(canvas: Canvas, lacune: Lacune, delta_hu: Tensor) -> None:
    """Hollow out one lacune and lower the HU of part of its wall."""
    random = rng(lacune.seed, "lacune")
    mean, spread = LACUNE_PLACES[lacune.place]
    places = random.normal(mean, spread, (LACUNE_TRIES, 3)) * (sign(lacune.side), 1, 1)
    centres = [locate(canvas, (x, y, z)) for x, y, z in places.tolist()]
    boxes = [box_around(canvas, centre, lacune.radius_mm + 3) for centre in centres]
    # The try with least fluid around it lies in parenchyma and not in a ventricle or a sulcus.
    best = min(range(LACUNE_TRIES), key=lambda index: round(float(canvas.csf[boxes[index]].mean()), 3))
    box, axes = boxes[best], offsets(canvas, boxes[best], centres[best], lacune.side)
    stretch = np.exp(random.normal(0, 0.22, 3))
    stretch /= stretch.prod() ** (1 / 3)
    uneven = ripple(axes, lacune.seed, 0.8 * lacune.radius_mm)
    distance = radius_mm(axes, stretch.tolist()) * (1 + 0.2 * uneven.tanh())
    wall = ((lacune.radius_mm + 2 - distance) / 2).clamp(0, 1) * (1 + uneven).clamp(0, 1)
    weight = _edge(lacune.radius_mm - distance, canvas.grid.spacing_mm) * random.uniform(0.8, 1.0)
    _hollow(canvas, box, weight)
    delta_hu[box] -= random.uniform(4, 8) * wall * (1 - weight) * (canvas.grey[box] + canvas.white[box])


def _paint_perivascular(canvas: Canvas, confounders: Confounders) -> None:
    """Hollow out perivascular spaces where the perforators enter, below the lentiform nuclei."""
    share = confounders.perivascular
    for side in ("left", "right"):
        random = rng(confounders.seed, "perivascular", side)
        for number in range(round(share * random.uniform(4, 10))):
            x, y, z = random.normal((21, -2, -7), (3.5, 4, 2.5)).tolist()
            centre = locate(canvas, (x * sign(side), y, z))
            size_mm = 0.6 + share * random.uniform(0.3, 1.5)
            box = box_around(canvas, centre, 2 * size_mm + 1)
            axes = offsets(canvas, box, centre, side)
            distance = radius_mm(axes, (1.6, 1, 1)) * (1 + 0.1 * ripple(axes, confounders.seed + number, 2.0))
            _hollow(canvas, box, random.uniform(0.6, 1.0) * _edge(size_mm - distance, canvas.grid.spacing_mm))


def _paint_leukoaraiosis(canvas: Canvas, confounders: Confounders, delta_hu: Tensor) -> None:
    """Lower the HU of the white matter of least resistance, the share of each side that the parameters ask for."""
    step = max(1, round(COARSE_MM / canvas.grid.spacing_mm))
    box = atlas_box(canvas, (-64, -78, -8), (64, 96, 68), step)
    rows, lines, columns = (slice(part.start + step // 2, part.stop, step) for part in box)
    coarse: Box = (rows, lines, columns)
    at = canvas.atlas_mm[coarse]
    white, depth_mm = canvas.white[coarse], canvas.depth_mm[coarse]
    capsule = canvas.aspects[coarse] % 10 == REGIONS.index("IC") + 1
    infratentorial = canvas.territories[coarse] >= TERRITORY_LABELS["midbrain"]
    spacing_mm = step * canvas.grid.spacing_mm
    below_cortex = distance_mm(canvas.grey[coarse] > 0.5, spacing_mm, 8)
    cost = _attraction(at) + distance_mm(canvas.ventricle[coarse] > 0.3, spacing_mm, 40) + CAPSULE_MM * capsule
    cost = cost + NEVER_MM * infratentorial
    # U-fibres stay as they are: the last millimetres below the cortex resist most.
    cost = cost + 2 * (7 - below_cortex).clamp(min=0) + 1.5 * (14 - depth_mm).clamp(min=0)
    z, y, x = (axis[step // 2 :: step] for axis in offsets(canvas, box, (0.0, 0.0, 0.0), "left"))
    patches = ripple((z, y, x), confounders.seed, 11.0)
    grain = ripple((z, y, x), confounders.seed + 1, 5.0)
    cost = cost + 2.5 * patches + 1.2 * grain
    deep = (white > 0.5) & (depth_mm > 9) & (at[..., 2] > 0)
    strength = torch.zeros_like(cost)
    for side in ("left", "right"):
        here = (at[..., 0] > 0) == (side == "left")
        share = confounders.leukoaraiosis * (1 + sign(side) * confounders.leukoaraiosis_asymmetry)
        inside = cost[deep & here].sort().values
        cut = inside[min(int(share * len(inside)), len(inside) - 1)]
        strength = torch.where(here, torch.sigmoid((cut - cost) / 1.2), strength)
    strength = strength * (1 + 0.12 * grain + 0.15 * patches).clamp(0.3, 1.5)
    fine = functional.interpolate(strength[None, None], scale_factor=step, mode="trilinear")[0, 0]
    delta_hu[box] -= confounders.leukoaraiosis_hu * fine * canvas.white[box]


def _attraction(at: Tensor) -> Tensor:
    """Return by how many mm each place (..., 3) of the atlas resists leukoaraiosis: caps do not, the callosum does."""
    lateral = torch.cat((at[..., :1].abs(), at[..., 1:]), dim=-1)
    cost = 8 * torch.exp(-((lateral[..., 0] / 11) ** 4))
    for centre, spread, strength in CAPS:
        scaled = (lateral - at.new_tensor(centre)) / at.new_tensor(spread)
        cost = cost - strength * torch.exp(-0.5 * (scaled**2).sum(dim=-1))
    return cost

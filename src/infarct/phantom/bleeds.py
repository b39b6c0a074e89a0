"""Blood that is no part of an acute infarct: parenchymal, intraventricular, subarachnoid and subdural.

Contrast that stains the brain after treatment is painted here too, since it looks like blood, with a label of its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from infarct.anatomy import INFRATENTORIAL, TERRITORY_LABELS
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
    stretched,
    thinned,
    with_surroundings,
)
from infarct.phantom.fields import MNI_PER_HEAD, atlas_fields
from infarct.phantom.grid import rng
from infarct.phantom.patient import Bleed, BleedKind, Densities

KINDS: Final[dict[BleedKind, int]] = {
    "parenchymal": 1,
    "intraventricular": 2,
    "subarachnoid": 3,
    "subdural": 4,
    "staining": 6,
}
"""Values of the map that `paint_bleeds` returns; 5 is left for hemorrhagic transformation (`sample`)."""
MASS_SHARE: Final = 0.6
"""Share of a bleed's volume that pushes the brain aside; the rest replaces tissue and fluid."""
SHIFT_MM_PER_ML: Final = 0.07
"""Shift of the midline by parenchymal and subdural bleeds above the tentorium."""
Axes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class _Place:
    """A place of parenchymal bleeding: centre and SD (LPS mm, left half of the atlas), share of bleeds, greatest ml."""

    centre_mm: Point
    spread_mm: Point
    share: float
    largest_ml: float
    stretch_zyx: Point = (1.0, 1.0, 1.0)
    infratentorial: bool = False


_PLACES: Final = (
    _Place((27, 0, 3), (2, 5, 3), 0.38, 250, (1.0, 1.3, 0.8)),
    _Place((14, 19, 7), (1.5, 3, 2), 0.15, 30),
    _Place((33, -36, 20), (5, 8, 8), 0.09, 250),
    _Place((38, 32, 34), (5, 8, 6), 0.09, 250),
    _Place((48, 12, -12), (4, 8, 4), 0.09, 120, (0.9, 1.4, 0.9)),
    _Place((26, 76, 8), (5, 5, 6), 0.05, 120),
    _Place((23, 60, -38), (5, 5, 4), 0.1, 30, infratentorial=True),
    _Place((2, 25, -32), (1, 2, 3), 0.05, 7, (0.9, 0.9, 1.2), infratentorial=True),
)
"""Ganglia, thalamus, four lobes, cerebellum, pons; the shares are our choice, near those of hypertensive series."""
FOURTH_MM: Final = 14.0
"""How much higher the fourth ventricle counts than it lies: blood gets there late."""
_CISTERNS: Final[tuple[Point, ...]] = ((36, -6, -10), (8, -8, -18), (40, 0, 50), (34, 40, 48))
"""Sylvian fissure, suprasellar cistern, frontal and parietal convexity (LPS mm, left half of the atlas)."""
_HUB: Final[Point] = (0.0, 17.0, 5.0)
"""Where the directions of subdural bleeds are measured from, in the atlas."""
_MIXED_HU: Final = (35.0, 55.0)
"""Between chronic and acute: old and fresh blood lie in layers."""
_DURA_PLACES: Final[tuple[Point, ...]] = ((1, 50, 42), (1, -20, 55), (22, 55, -10))
"""Back and front of the falx, tentorium (LPS mm, left half of the atlas)."""


def paint_bleeds(canvas: Canvas, bleeds: tuple[Bleed, ...], densities: Densities) -> Tensor:
    """Paint blood and staining into ``canvas.hu``; return a uint8 map of `KINDS`, 0 elsewhere."""
    mask = torch.zeros_like(canvas.territories)
    painters: dict[BleedKind, Callable[[Canvas, Bleed, Densities, Tensor], tuple[Box, Tensor]]] = {
        "parenchymal": _parenchymal,
        "intraventricular": _intraventricular,
        "subarachnoid": _subarachnoid,
        "subdural": _subdural,
        "staining": _parenchymal,
    }
    for bleed in bleeds:
        box, found = painters[bleed.kind](canvas, bleed, densities, mask == 0)
        mask[box][found] = KINDS[bleed.kind]
    return mask


def mass_source(bleeds: tuple[Bleed, ...], device: str = "cpu") -> Tensor:
    """Return the logarithm of volume change on the atlas's coarse grid (`fields.atlas_fields`).

    Parenchymal and subdural bleeds take room; the fluid around them gives way, and the midline moves off. Blood among
    fluid and staining take none.
    """
    fields = atlas_fields(device)
    points = fields.coarse.points(device)
    source = torch.zeros(points.shape[:-1], device=device)
    z, y, x = points[:, 0, 0, 2], points[0, :, 0, 1], points[0, 0, :, 0]
    for bleed in bleeds:
        if bleed.kind == "parenchymal":
            place, centre = _place_of(bleed)
            axes = (z - centre[2], y - centre[1], (x - centre[0]) * sign(bleed.side))
            score, allowed = radius_mm(axes, place.stretch_zyx), fields.shape[0] > 0
            shift = 0.0 if place.infratentorial else SHIFT_MM_PER_ML
        elif bleed.kind == "subdural":
            axes = (z - _HUB[2], y - _HUB[1], (x - _HUB[0]) * sign(bleed.side))
            reach = _crescent(bleed, axes)
            score, allowed = fields.shape[0] / reach.clamp(min=0.05), (fields.shape[0] > 0) & (reach > 0.05)
            shift = SHIFT_MM_PER_ML
        else:
            continue
        # What is there before the push is smaller than the bleed.
        ml = (1 - MASS_SHARE) * bleed.volume_ml * MNI_PER_HEAD**3
        region = lowest(score, allowed, round(ml / fields.coarse.voxel_ml))
        growing = -math.log(1 - MASS_SHARE) * softened(region)
        source += with_surroundings(growing, bleed.side, shift * bleed.volume_ml, device)
    return source


def _count(canvas: Canvas, bleed: Bleed) -> int:
    return round(bleed.volume_ml / canvas.grid.voxel_ml)


def _side(canvas: Canvas, box: Box, bleed: Bleed) -> Tensor:
    """Return which voxels of a box are on the bleed's side; the midline itself is on neither."""
    return canvas.atlas_mm[box][..., 0] * sign(bleed.side) > 0


def _place_of(bleed: Bleed) -> tuple[_Place, Point]:
    """Return where a parenchymal bleed of this volume lies, and its centre in the atlas."""
    random = rng(bleed.seed, "place")
    fitting = [place for place in _PLACES if place.largest_ml >= bleed.volume_ml]
    shares = [place.share for place in fitting]
    place = fitting[int(random.choice(len(fitting), p=[share / sum(shares) for share in shares]))]
    x, y, z = random.normal(place.centre_mm, place.spread_mm).tolist()
    return place, (x * sign(bleed.side), y, z)


def _parenchymal(canvas: Canvas, bleed: Bleed, densities: Densities, free: Tensor) -> tuple[Box, Tensor]:
    """Paint an irregular ellipsoid and the oedema around it."""
    del densities
    place, centre = _place_of(bleed)
    centre = locate(canvas, centre)
    size_mm = (bleed.volume_ml * 750 / math.pi) ** (1 / 3)
    box = box_around(canvas, centre, 2.0 * size_mm + bleed.rim_mm + 4)
    axes = offsets(canvas, box, centre, bleed.side)
    random = rng(bleed.seed, "shape")
    stretch = [own * math.exp(random.normal(0, 0.15)) for own in place.stretch_zyx]
    # Bounded, so that no islands appear far out.
    lumps = 0.22 * ripple(axes, bleed.seed, size_mm).tanh()
    lumps = lumps + 0.06 * ripple(axes, bleed.seed + 1, 0.4 * size_mm + 1).tanh()
    score = radius_mm(axes, stretch) * (1 + lumps) + 5 * (canvas.csf[box] - 0.5 * canvas.sulcus[box])
    mask = lowest(score, _room(canvas, box, bleed, place) & free[box], _count(canvas, bleed))
    weight = softened(mask)
    blood_hu = bleed.hu + 2.5 * ripple(axes, bleed.seed + 2, 6.0) - 2.0 * (score / size_mm).clamp(0, 1)
    _paint_oedema(canvas, box, bleed, mask, axes)
    _blend(canvas, box, weight, blood_hu)
    return box, mask


def _room(canvas: Canvas, box: Box, bleed: Bleed, place: _Place) -> Tensor:
    """Return where a parenchymal bleed may lie: its compartment without ventricles, on its side above the tent."""
    solid = canvas.grey[box] + canvas.white[box] + canvas.csf[box] - canvas.ventricle[box] > 0.5
    solid &= canvas.intracranial[box] & (canvas.depth_mm[box] > 1)
    below = torch.zeros_like(solid)
    for name in INFRATENTORIAL:
        below |= canvas.territories[box] == TERRITORY_LABELS[name]
    return solid & below if place.infratentorial else solid & ~below & _side(canvas, box, bleed)


def _paint_oedema(canvas: Canvas, box: Box, bleed: Bleed, mask: Tensor, axes: Axes) -> None:
    """Lower the HU around a bleed, in white matter more than in grey."""
    if bleed.kind == "staining" or bleed.rim_mm <= 0:
        return
    depth_hu = rng(bleed.seed, "oedema").uniform(6, 12)
    width = bleed.rim_mm * (1 + 0.3 * ripple(axes, bleed.seed + 3, 8.0)).clamp(0.4, 1.6)
    outside_mm = distance_mm(mask, canvas.grid.spacing_mm, 2 * bleed.rim_mm)
    share = ((1.2 * width - outside_mm) / (0.8 * width)).clamp(0, 1)
    canvas.hu[box] -= depth_hu * share * (canvas.white[box] + 0.5 * canvas.grey[box]) * canvas.intracranial[box]


def _blend(canvas: Canvas, box: Box, weight: Tensor, hu: Tensor | float) -> None:
    """Replace the HU inside the skull by ``hu``, by the share ``weight`` of each voxel."""
    weight = weight * canvas.intracranial[box]
    canvas.hu[box] += weight * (hu - canvas.hu[box])


def _intraventricular(canvas: Canvas, bleed: Bleed, densities: Densities, free: Tensor) -> tuple[Box, Tensor]:
    """Fill ventricles from what lies lowest in a patient on the back; the other side's come later."""
    box = atlas_box(canvas, (-45, -45, -50), (45, 75, 45), 1)
    random = rng(bleed.seed, "layer")
    axes = offsets(canvas, box, (0.0, 0.0, 0.0), bleed.side)
    clot = random.uniform(1, 9)
    score = clot * ripple(axes, bleed.seed, 12.0).tanh() - axes[1][:, None]
    score = score + random.uniform(15, 35) * ~_side(canvas, box, bleed)
    score = score + FOURTH_MM * (canvas.atlas_mm[box][..., 2] < -14)
    mask = lowest(score, (canvas.ventricle[box] > 0.5) & free[box], _count(canvas, bleed))
    weight = softened(mask) * canvas.ventricle[box]
    canvas.hu[box] += weight * (bleed.hu - densities.csf) * (1 + 0.05 * ripple(axes, bleed.seed + 1, 8.0))
    return box, mask


def _subarachnoid(canvas: Canvas, bleed: Bleed, densities: Densities, free: Tensor) -> tuple[Box, Tensor]:
    """Fill sulci and cisterns around one place; blood thins out away from it."""
    del densities
    random = rng(bleed.seed, "cistern")
    x, y, z = random.normal(_CISTERNS[int(random.choice(4, p=[0.3, 0.2, 0.25, 0.25]))], (2, 8, 4)).tolist()
    centre = locate(canvas, (x * sign(bleed.side), y, z))
    box = box_around(canvas, centre, 30 + 12 * bleed.volume_ml ** (1 / 3))
    axes = offsets(canvas, box, centre, bleed.side)
    score = radius_mm(axes) + 5 * ripple(axes, bleed.seed, 14.0)
    fluid = canvas.csf[box] - canvas.ventricle[box]
    allowed = (fluid > 0.4) & canvas.intracranial[box] & _side(canvas, box, bleed) & free[box]
    mask = lowest(score, allowed, _count(canvas, bleed))
    far = (score / score[mask].amax().clamp(min=1)).clamp(0, 1) if bool(mask.any()) else score
    blood_hu = bleed.hu * (1.08 - 0.2 * far)
    # Blood widens the sulci that it fills, so it covers more than their fluid did.
    _blend(canvas, box, torch.maximum(softened(mask), 0.85 * mask) * (1.7 * fluid).clamp(0, 1), blood_hu)
    return box, mask


def _crescent(bleed: Bleed, axes: Axes) -> Tensor:
    """Return the relative thickness of a subdural bleed in each direction, 1 at its middle, 0 beyond its ends."""
    random = rng(bleed.seed, "crescent")
    azimuth, elevation = random.uniform(-0.35, 0.3), random.uniform(0.2, 0.5)
    size = min(max((bleed.volume_ml / 60) ** 0.3, 0.5), 1.2)
    z, y, x = axes
    level = torch.sqrt(y[:, None] ** 2 + x**2)
    across = (torch.atan2(y[:, None], x) - azimuth) / (1.2 * size * random.uniform(0.85, 1.15))
    upward = (torch.atan2(z[:, None, None], level) - elevation) / (0.85 * size * random.uniform(0.85, 1.15))
    thickness: Tensor = (1 - across**2 - upward**2).clamp(min=0) ** 0.8
    return thickness


def _subdural(canvas: Canvas, bleed: Bleed, densities: Densities, free: Tensor) -> tuple[Box, Tensor]:
    """Paint a crescent along the inner table; some go on along the falx or the tentorium."""
    del densities
    right, left = (-82.0, 0.0) if bleed.side == "right" else (0.0, 82.0)
    box = atlas_box(canvas, (right, -84, -30), (left, 118, 92), 1)
    hub = locate(canvas, _HUB)
    axes = offsets(canvas, box, hub, bleed.side)
    coarse, shape = thinned(axes), (len(axes[0]), len(axes[1]), len(axes[2]))
    reach = stretched(_crescent(bleed, coarse), shape)
    depth = canvas.depth_mm[box]
    allowed = (reach > 0.02) & (depth > 0) & canvas.intracranial[box] & _side(canvas, box, bleed) & free[box]
    mask = torch.zeros_like(allowed)
    random = rng(bleed.seed, "falx")
    along = 0.12 * (random.uniform() < 0.3)
    if along:
        _add_along_dura(canvas, box, bleed, round(along * _count(canvas, bleed)), mask, free)
    count = _count(canvas, bleed) - int(mask.sum())
    mask = mask | lowest(depth / reach.clamp(min=0.02), allowed & ~mask, count)
    # Only the inner border is soft: outside is bone.
    weight = softened(mask | ~canvas.intracranial[box]) * (1 - canvas.bone[box])
    _blend(canvas, box, weight, stretched(_subdural_hu(bleed, coarse), shape))
    return box, mask


def _subdural_hu(bleed: Bleed, axes: Axes) -> Tensor:
    """Return HU of a subdural bleed: nearly even, or with a level where fresh blood sinks below the old."""
    hu = bleed.hu + 1.5 * ripple(axes, bleed.seed, 9.0)
    if not _MIXED_HU[0] <= bleed.hu < _MIXED_HU[1]:
        return hu
    level = rng(bleed.seed, "level").uniform(-10, 15)
    return hu + 13 * torch.tanh((axes[1][:, None] - level) / 6)


def _add_along_dura(canvas: Canvas, box: Box, bleed: Bleed, count: int, mask: Tensor, free: Tensor) -> None:
    """Add ``count`` voxels in a thin layer along the falx or the tentorium to a mask in a box."""
    x, y, z = _DURA_PLACES[int(rng(bleed.seed, "dura").integers(len(_DURA_PLACES)))]
    centre = locate(canvas, (x * sign(bleed.side), y, z))
    near = _overlap(box_around(canvas, centre, 34), box)
    z_part, y_part, x_part = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(near, box, strict=True))
    fold = canvas.intracranial[near] & (canvas.grey[near] + canvas.white[near] + canvas.csf[near] < 0.6)
    fold &= canvas.depth_mm[near] > 2
    reach = (1 - (radius_mm(offsets(canvas, near, centre, bleed.side)) / 36) ** 2).clamp(min=0)
    distance = distance_mm(fold, canvas.grid.spacing_mm, 6.0)
    allowed = canvas.intracranial[near] & _side(canvas, near, bleed) & free[near] & (reach > 0.05) & (distance < 6)
    mask[z_part, y_part, x_part] |= lowest(distance / reach.clamp(min=0.05), allowed, count)


def _overlap(first: Box, second: Box) -> Box:
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return z, y, x

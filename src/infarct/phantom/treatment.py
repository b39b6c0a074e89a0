"""Marks of treatment: coil, clip, drain with its burr hole, and a missing bone flap, painted over ``canvas.hu``."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.anatomy import Side
from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import (
    Box,
    Point,
    box_around,
    distance_to_course,
    locate,
    offsets,
    radius_mm,
    ripple,
    sign,
)
from infarct.phantom.grid import rng
from infarct.phantom.patient import Treatment

COIL_HU: Final = 6000.0
CLIP_HU: Final = 5000.0
"""Metal: beyond what a scanner stores, so that its own limit shows."""
DRAIN_HU: Final = 320.0
"""Wall of a catheter; with its lumen a voxel holds 150-250 HU."""
TUBE_MM: Final = 1.5
LUMEN_MM: Final = 0.6
FLAP_HU: Final = (35.0, 45.0)
"""Scar and muscle where the bone is missing."""
SINUS_MM: Final = 25.0
"""A flap keeps this far from the midline."""
_ANEURYSMS: Final[tuple[Point, ...]] = ((1, -22, -12), (15, -6, -14), (33, -4, -16), (1, 16, -14))
"""Anterior communicating, internal carotid, middle cerebral, top of the basilar artery (LPS mm, left half)."""
_KOCHER: Final[Point] = (33, -22, 72)
"""Usual entry of a ventricular drain: frontal bone, 11-12 cm behind the nasion and 3 cm beside the midline."""
_FORAMEN: Final[Point] = (8, -8, 8)
"""Frontal horn before the foramen of Monro: its tip."""
_DEEP_MM: Final = 14.0
"""Skull and scalp together lie within this distance outside the inner table."""


def paint_treatment(canvas: Canvas, treatment: Treatment) -> None:
    """Change ``canvas.hu``, and ``canvas.bone`` where bone was taken out."""
    side, seed = treatment.side, treatment.seed
    if treatment.skull_defect:
        _open_skull(canvas, side, seed)
    if treatment.drain:
        _place_drain(canvas, side, seed)
    if treatment.coil:
        _place_coil(canvas, side, seed)
    if treatment.clip:
        _place_clip(canvas, side, seed)


def _at_aneurysm(canvas: Canvas, side: Side, random: np.random.Generator) -> Point:
    x, y, z = random.normal(_ANEURYSMS[int(random.integers(len(_ANEURYSMS)))], 1.5).tolist()
    return locate(canvas, (x * sign(side), y, z))


def _place_coil(canvas: Canvas, side: Side, seed: int) -> None:
    """Paint a ball of wire, 4 to 8 mm across."""
    random = rng(seed, "coil")
    centre = _at_aneurysm(canvas, side, random)
    size_mm = random.uniform(2, 4)
    box = box_around(canvas, centre, size_mm + 2)
    axes = offsets(canvas, box, centre, side)
    distance = radius_mm(axes, np.exp(random.normal(0, 0.1, 3)).tolist()) * (1 + 0.08 * ripple(axes, seed, 3.0))
    _cover(canvas, box, size_mm - distance, COIL_HU)


def _place_clip(canvas: Canvas, side: Side, seed: int) -> None:
    """Paint a bar of 2 by 8 mm in a random direction."""
    random = rng(seed, "clip")
    centre = _at_aneurysm(canvas, side, random)
    direction = random.normal(size=3)
    half = 3.0 * direction / np.linalg.norm(direction) * (sign(side), 1, 1)
    start, stop = np.array(centre) - half, np.array(centre) + half
    box = box_around(canvas, centre, 7)
    _cover(canvas, box, 1.0 - _distance_to_line(canvas, box, start, stop), CLIP_HU)


def _cover(canvas: Canvas, box: Box, inside_mm: Tensor, hu: float) -> None:
    """Replace the HU in a box by ``hu`` where ``inside_mm`` is positive, by shares of voxels at the border."""
    share = (inside_mm / canvas.grid.spacing_mm + 0.5).clamp(0, 1)
    canvas.hu[box] += share * (hu - canvas.hu[box])


def _distance_to_line(canvas: Canvas, box: Box, start: np.ndarray, stop: np.ndarray) -> Tensor:
    """Return the distance in mm of each voxel of a box to the line between two points of the head's frame."""
    z, y, x = torch.meshgrid(*offsets(canvas, box, (0.0, 0.0, 0.0), "left"), indexing="ij")
    return distance_to_course(torch.stack((x, y, z), dim=-1), x.new_tensor(np.stack((start, stop))))


def _place_drain(canvas: Canvas, side: Side, seed: int) -> None:
    """Paint a catheter from a frontal burr hole to the frontal horn."""
    random = rng(seed, "drain")
    x, y, z = random.normal(_KOCHER, (2, 3, 0)).tolist()
    entry = np.array(locate(canvas, (x * sign(side), y, z)))
    x, y, z = random.normal(_FORAMEN, (1.5, 2, 2)).tolist()
    tip = np.array(locate(canvas, (x * sign(side), y, z)))
    outwards = (entry - tip) / np.linalg.norm(entry - tip)
    outside = entry + 25 * outwards
    box = _box_of(canvas, tip, outside, 10)
    distance = _distance_to_line(canvas, box, tip, outside)
    depth = canvas.depth_mm[box]
    # The burr hole is 11-14 mm wide; scar and fluid fill it.
    hole = (random.uniform(5.5, 7.0) - distance).clamp(0, 1) * (depth < 1) * (depth > -_DEEP_MM)
    _remove_bone(canvas, box, hole, random.uniform(15, 35))
    tube = ((TUBE_MM - distance) / canvas.grid.spacing_mm + 0.5).clamp(0, 1) * (depth > -_DEEP_MM)
    lumen = ((LUMEN_MM - distance) / canvas.grid.spacing_mm + 0.5).clamp(0, 1)
    canvas.hu[box] += tube * (DRAIN_HU * (1 - 0.6 * lumen) - canvas.hu[box])


def _box_of(canvas: Canvas, first: np.ndarray, last: np.ndarray, margin_mm: float) -> Box:
    """Return the box that holds two points and a margin."""
    boxes = [box_around(canvas, (float(p[0]), float(p[1]), float(p[2])), margin_mm) for p in (first, last)]
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
    return z, y, x


def _remove_bone(canvas: Canvas, box: Box, share: Tensor, hu: float) -> None:
    """Replace bone with its marrow by soft tissue of ``hu``, by ``share`` of each voxel."""
    dense = canvas.hu[box] > 70
    share = share * torch.maximum(canvas.bone[box], dense.float())
    canvas.hu[box] += share * (hu - canvas.hu[box])
    canvas.bone[box] *= 1 - share


def _open_skull(canvas: Canvas, side: Side, seed: int) -> None:
    """Take out a flap of bone, 6 to 12 cm wide, over one frontotemporoparietal convexity."""
    random = rng(seed, "flap")
    x, y, z = random.normal((68, 8, 22), (0, 8, 6)).tolist()
    centre = locate(canvas, (x * sign(side), y, z))
    half = random.uniform(30, 60)
    box = box_around(canvas, centre, half + 12)
    axes = offsets(canvas, box, centre, side)
    # Wider than high, with rounded corners, and clear of the sagittal sinus.
    edge = ((axes[1][:, None] / half) ** 4 + (axes[0][:, None, None] / (0.8 * half)) ** 4) ** 0.25
    edge = torch.minimum(half * (1 - edge), axes[2] + abs(centre[0]) - SINUS_MM) + 1.5 * ripple(axes, seed, 25.0)
    depth = canvas.depth_mm[box]
    outer = (depth < 1) & (depth > -_DEEP_MM) & (canvas.left[box] == (side == "left"))
    _remove_bone(canvas, box, edge.clamp(0, 1) * outer, random.uniform(*FLAP_HU))

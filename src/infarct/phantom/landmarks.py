"""Small structures that catch the eye in CT: arteries, venous sinuses, calcified plexus, pineal, falx and ganglia."""

from typing import Final

import torch
from torch import Tensor

from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import Point, distance_to_course, near
from infarct.phantom.grid import Grid, rng, smooth_noise
from infarct.phantom.patient import Densities, Head

ARTERIES: Final[tuple[tuple[float, tuple[Point, ...]], ...]] = (
    (1.6, ((0, 18, -60), (0, 10, -44), (0, 12, -26), (0, 14, -20))),
    (1.9, ((15, -2, -48), (13, -6, -36), (12, -4, -26), (13, -4, -20))),
    (1.4, ((13, -4, -20), (24, -6, -19), (34, -6, -17), (41, -4, -12), (43, 6, -4))),
    (1.0, ((12, -6, -20), (3, -22, -16), (1.5, -36, -4), (1.5, -38, 10))),
    (1.1, ((0, 14, -20), (12, 14, -19), (21, 24, -16), (24, 38, -10))),
)
"""Radius in mm and course in atlas LPS mm (x from the midline): basilar, carotid, middle, anterior, posterior."""
SINUSES: Final[tuple[tuple[float, tuple[Point, ...]], ...]] = (
    (2.6, ((0, 92, -8), (22, 86, -22), (44, 66, -28), (54, 40, -32), (50, 30, -46))),
    (1.6, ((0, 46, 0), (0, 60, 0), (0, 78, -4), (0, 92, -8))),
)
"""Transverse and sigmoid sinus; straight sinus."""
PLEXUS_HU: Final = (120.0, 420.0)
SAGITTAL_SINUS_MM: Final = 4.5
SPOT_STRETCH: Final = (0.75, 1.5, 1.2)
"""Calcifications are longer from front to back and upwards than wide (x, y, z)."""


def put(canvas: Canvas, where: Tensor, share: Tensor, hu: Tensor | float) -> None:
    """Fill the ``share`` (0-1, one value a voxel of the index ``where``) of voxels with a density, over what is there.

    ``where`` is (n, 3) z, y, x. For use before soft tissue is composed.
    """
    z, y, x = where.unbind(-1)
    rest = 1 - canvas.grey[z, y, x] - canvas.white[z, y, x] - canvas.csf[z, y, x]
    for part in (canvas.grey, canvas.white, canvas.csf, canvas.ventricle):
        part[z, y, x] *= 1 - share
    filled = rest * (1 - share)
    canvas.hu[z, y, x] = (canvas.hu[z, y, x] * filled + hu * share) / (filled + share).clamp(min=1e-6)


def add_landmarks(canvas: Canvas, head: Head, densities: Densities) -> None:
    """Put vessels and calcifications into a head whose soft tissue is not yet composed."""
    for group, hu in ((ARTERIES, densities.blood - 6), (SINUSES, densities.blood + 4)):
        for radius_mm, course in group:
            for side in (1.0, -1.0):
                _tube(canvas, tuple((side * x, y, z) for x, y, z in course), radius_mm, hu)
    _sagittal_sinus(canvas, densities.blood + 4)
    random = rng(head.seed, "calcium")
    spots: list[tuple[bool, Point, float, float]] = [
        (head.calcified_choroid, (24, 42, 8), 3.2, random.uniform(*PLEXUS_HU)),
        (head.calcified_pineal, (0, 26, 0), 2.4, random.uniform(*PLEXUS_HU)),
        (head.calcified_falx, (0, random.uniform(-60, -20), random.uniform(30, 70)), 3.5, random.uniform(120, 500)),
        (head.calcified_basal_ganglia, (20, 2, 0), 5.0, random.uniform(50, 90)),
    ]
    for present, centre, radius_mm, hu in spots:
        for side in (1.0, -1.0) if centre[0] else (1.0,):
            if present:
                scale = random.uniform(0.6, 1.15)
                _spot(canvas, (side * centre[0], centre[1], centre[2]), radius_mm * scale, hu, head.seed + 61)


def _tube(canvas: Canvas, course: tuple[Point, ...], radius_mm: float, hu: float) -> None:
    where = near(canvas, course, radius_mm + 2)
    points = canvas.atlas_mm[where[:, 0], where[:, 1], where[:, 2]]
    distance = distance_to_course(points, points.new_tensor(course))
    share = torch.sigmoid((radius_mm * 1.17 - distance) / 0.4)
    put(canvas, where, share, hu)


def _sagittal_sinus(canvas: Canvas, hu: float) -> None:
    """Fill the triangle under the vault in the midline, from the forehead to the occiput."""
    where = near(canvas, ((0, -90, 0), (0, 95, 95)), 9)
    z, y, x = where.unbind(-1)
    at, depth = canvas.atlas_mm[z, y, x], canvas.depth_mm[z, y, x]
    behind = torch.sigmoid((at[:, 1] + 30) / 20)
    width = (SAGITTAL_SINUS_MM * (0.4 + 0.6 * behind) - 0.75 * depth).clamp(min=0)
    put(canvas, where, torch.sigmoid((width - at[:, 0].abs()) / 0.5) * (width > 0), hu)


def _spot(canvas: Canvas, centre: Point, radius_mm: float, hu: float, seed: int) -> None:
    """Put an irregular calcification at an atlas point."""
    where = near(canvas, (centre,), 2.2 * radius_mm)
    if not len(where):
        return
    points = canvas.atlas_mm[where[:, 0], where[:, 1], where[:, 2]]
    grid = Grid((20, 20, 20), 1.5, (centre[0] - 14, centre[1] - 14, centre[2] - 14))
    rough = grid.sample(smooth_noise(seed, grid, 3.5, points.device), points)
    stretch = torch.tensor(SPOT_STRETCH, device=points.device)
    distance = ((points - torch.tensor(centre, device=points.device)) / stretch).norm(dim=-1) / radius_mm
    share = torch.sigmoid((1 - distance + 0.45 * rough) / 0.15)
    put(canvas, where, share, hu * (1 + 0.3 * rough.clamp(-1, 1)))

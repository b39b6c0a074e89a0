"""Individual sulci: sheets that run inwards from the surface along the zero lines of random patterns.

The average brain has the main gyri and few of the small sulci, and these are the same on both sides. Band-passed random
fields are read near where each voxel's shortest way to the surface ends (the skull or the falx), so that their zero
lines become sheets nearly at a right angle to it, which bend and branch as they go deeper. n / |gradient n| is the
signed distance to the nearest sheet. A coarse pattern makes the long and deep sulci, a fine one their side branches.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from infarct.phantom.grid import Grid, smooth_noise, white_noise
from infarct.phantom.patient import Head

FOLD_GRID: Final = Grid((72, 85, 72), 3.0, (-106.0, -116.0, -104.0))
"""Lattice of the patterns in atlas space."""
GYRI_MM: Final = (13.0, 9.5)
"""Distance between sulci of the coarse and of the fine pattern in atlas mm; in a head they are about 11 and 8 mm."""
FARTHEST_MM: Final = 20.0
"""Distances to sheets are cut off here."""
RADIAL: Final = 0.75
"""How far along the way to the surface the patterns are read: at 1 sheets are straight, below it they bend."""
MEDIAL_MM: Final = 3.0
"""Over this distance sulci of the convexity give way to those of the medial surface."""

SIDES_APART_MM: Final = 12.0
"""The two sides read the patterns this far to the front and to the back, so that medial sulci are no mirror images."""


@dataclass(frozen=True, eq=False)
class Folds:
    """Signed distances to the sheets of both patterns and how deep sulci run, (3, z, y, x) on ``grid``, atlas mm."""

    grid: Grid
    channels: Tensor


def fold_fields(head: Head, device: torch.device | str) -> Folds:
    """Return the folding patterns of a head."""
    make = _labyrinth if head.folding == "labyrinth" else _stripes
    sheets = [_distance(make(head.seed + 100 * k, gyrus_mm, device)) for k, gyrus_mm in enumerate(GYRI_MM)]
    reach = 14.0 + 6.0 * smooth_noise(head.seed + 11, FOLD_GRID, 30.0, device)
    reach += 5.0 * smooth_noise(head.seed + 16, FOLD_GRID, 12.0, device)
    return Folds(FOLD_GRID, torch.stack([*sheets, reach]))


def read_at(at: Tensor, depth_mm: Tensor, inwards: Tensor) -> Tensor:
    """Return where the patterns are read for atlas points ``at`` (..., 3): near the skull or the falx beside them.

    ``depth_mm`` is the atlas distance to the skull, ``inwards`` (..., 3) the direction that leads from it.
    """
    across = at[..., 0]
    medial = torch.sigmoid((depth_mm - across.abs()) / MEDIAL_MM)
    way = (1 - medial)[..., None] * depth_mm[..., None] * inwards
    way[..., 0] += medial * across
    read = at - RADIAL * way
    read[..., 1] += SIDES_APART_MM * torch.tanh(across / 2)
    return read


def _distance(pattern: Tensor) -> Tensor:
    """Return the signed distance in mm to the zero lines of a pattern on the lattice, to first order."""
    z, y, x = torch.gradient(pattern, spacing=FOLD_GRID.spacing_mm)
    slope = torch.sqrt(z**2 + y**2 + x**2) + 0.03
    return (pattern / slope).clamp(-FARTHEST_MM, FARTHEST_MM)


def _labyrinth(seed: int, gyrus_mm: float, device: torch.device | str) -> Tensor:
    """Return noise whose frequencies lie in a ring, SD 1: its zero lines wind like sulci."""
    noise = white_noise(seed + 12, FOLD_GRID.shape_zyx, device)
    axes = [torch.fft.fftfreq(count, d=FOLD_GRID.spacing_mm, device=noise.device) for count in FOLD_GRID.shape_zyx]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    centre = 1 / (2 * gyrus_mm)
    ring = torch.exp(-(((torch.sqrt(z**2 + y**2 + x**2) - centre) / (0.25 * centre)) ** 2))
    pattern: Tensor = torch.fft.ifftn(torch.fft.fftn(noise) * ring).real
    pattern /= pattern.std()
    return pattern


def _stripes(seed: int, gyrus_mm: float, device: torch.device | str) -> Tensor:
    """Return the sine of a bent phase: sulci that run side by side, a family that training never sees."""
    points = FOLD_GRID.points(device)
    way = white_noise(seed + 13, (3,), device)
    phase = (points * (way / way.norm())).sum(-1) * (math.pi / gyrus_mm)
    bend = smooth_noise(seed + 14, FOLD_GRID, 45.0, device) + 0.4 * smooth_noise(seed + 15, FOLD_GRID, 18.0, device)
    return torch.sin(phase + 2.5 * bend)

"""Individual sulci: sheets that run inwards from the surface along the zero lines of a random pattern on the hull.

The average brain has the main gyri and few of the small sulci, and these are the same on both sides. A band-passed
random field is read where each voxel's shortest way to the skull ends, so that its zero lines become sheets at a right
angle to the surface. |n| / |gradient n| is the distance to the nearest sheet.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from infarct.phantom.grid import Grid, smooth_noise, white_noise
from infarct.phantom.patient import Head

FOLD_GRID: Final = Grid((54, 64, 54), 4.0, (-106.0, -116.0, -104.0))
"""Lattice of the pattern in atlas space."""
GYRUS_MM: Final = 13.0
"""Distance between individual sulci in atlas mm: gyri are about 11 mm wide in a head."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The pattern, its slope and how deep sulci run, (3, z, y, x) on ``grid``: 1, 1/mm and mm, in atlas space."""

    grid: Grid
    channels: Tensor


def fold_fields(head: Head, device: torch.device | str) -> Folds:
    """Return the folding pattern of a head."""
    pattern = _labyrinth(head.seed, device) if head.folding == "labyrinth" else _stripes(head.seed, device)
    step = FOLD_GRID.spacing_mm
    z, y, x = torch.gradient(pattern, spacing=step)
    slope = torch.sqrt(z**2 + y**2 + x**2) + 0.03
    # Most of the surface has additional sulci; the rest keeps those of the average brain.
    reach = 11.0 + 8.0 * smooth_noise(head.seed + 11, FOLD_GRID, 32.0, device)
    return Folds(FOLD_GRID, torch.stack([pattern, slope, reach]))


def _labyrinth(seed: int, device: torch.device | str) -> Tensor:
    """Return noise whose frequencies lie in a ring, SD 1: its zero lines wind like sulci."""
    noise = white_noise(seed + 12, FOLD_GRID.shape_zyx, device)
    axes = [torch.fft.fftfreq(count, d=FOLD_GRID.spacing_mm, device=noise.device) for count in FOLD_GRID.shape_zyx]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    centre = 1 / (2 * GYRUS_MM)
    ring = torch.exp(-(((torch.sqrt(z**2 + y**2 + x**2) - centre) / (0.25 * centre)) ** 2))
    pattern: Tensor = torch.fft.ifftn(torch.fft.fftn(noise) * ring).real
    pattern /= pattern.std()
    return pattern


def _stripes(seed: int, device: torch.device | str) -> Tensor:
    """Return the sine of a bent phase: sulci that run side by side, a family that training never sees."""
    points = FOLD_GRID.points(device)
    way = white_noise(seed + 13, (3,), device)
    phase = (points * (way / way.norm())).sum(-1) * (math.pi / GYRUS_MM)
    bend = smooth_noise(seed + 14, FOLD_GRID, 45.0, device) + 0.4 * smooth_noise(seed + 15, FOLD_GRID, 18.0, device)
    return torch.sin(phase + 2.5 * bend)

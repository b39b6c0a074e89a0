"""The individual's deformation: random smooth diffeomorphisms, and tissue that swells or shrinks and pushes."""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom.fields import AtlasFields
from infarct.phantom.grid import Grid, smooth_noise

WARP: Final = Grid((42, 46, 38), 6.0, (-111.0, -122.0, -133.0))
"""Lattice of the displacements; it holds the atlas with the neck below it."""
SQUARINGS: Final = 6


def random_velocity(seed: int, coarse_mm: float, fine_mm: float, depth_mm: Tensor) -> Tensor:
    """Return a random velocity (3, z, y, x) in mm on `WARP`.

    Its SD is ``coarse_mm`` over 120 mm and ``fine_mm`` over 30 and 16 mm. The fine parts fade towards the skull
    (``depth_mm`` is the depth below it, on `WARP`), whose shape is smooth. Along y and z the hemispheres slide against
    each other at the falx, so that the sulci of the two sides do not meet there.
    """
    device = depth_mm.device
    inside = torch.sigmoid((depth_mm - 9) / 3)
    sides = torch.tanh(WARP.points(device)[..., 0] / 5)
    parts = []
    for axis in range(3):
        numbers = [seed * 16 + 4 * part + axis for part in range(4)]
        fine = smooth_noise(numbers[1], WARP, 30.0, device) + 0.8 * smooth_noise(numbers[2], WARP, 16.0, device)
        if axis > 0:
            fine = fine + 1.2 * sides * smooth_noise(numbers[3], WARP, 30.0, device)
        parts.append(coarse_mm * smooth_noise(numbers[0], WARP, 120.0, device) + fine_mm * inside * fine)
    return torch.stack(parts)


def pushing_velocity(gain: Tensor, depth_mm: Tensor) -> Tensor:
    """Return the velocity (3, z, y, x) that makes tissue gain volume where ``gain`` is positive, and shrink elsewhere.

    ``gain`` is the wanted logarithm of the volume ratio on `WARP`. The flow has no curl (its potential solves the
    Poisson equation) and vanishes at the skull.
    """
    padded = functional.pad(gain, (8, 8, 8, 8, 8, 8))
    frequency = [
        2 * math.pi * torch.fft.fftfreq(count, d=WARP.spacing_mm, device=gain.device) for count in padded.shape
    ]
    kz, ky, kx = torch.meshgrid(*frequency, indexing="ij")
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1.0
    potential = -torch.fft.fftn(padded) / square
    potential[0, 0, 0] = 0
    flow = [torch.fft.ifftn(1j * k * potential).real[8:-8, 8:-8, 8:-8] for k in (kx, ky, kz)]
    taper = torch.clamp((depth_mm - 1) / 20, 0, 1)
    return torch.stack(flow).float() * (taper * taper * (3 - 2 * taper))


def displacement(velocity: Tensor) -> Tensor:
    """Return the displacement (3, z, y, x) after unit time in a stationary ``velocity``, by scaling and squaring."""
    moved = velocity / 2**SQUARINGS
    points = WARP.points(velocity.device)
    for _ in range(SQUARINGS):
        moved = moved + WARP.sample(moved, points + moved.movedim(0, -1))
    return moved


def pull_back(fields: AtlasFields, seed: int, coarse_mm: float, fine_mm: float, gain_of: Tensor | None) -> Tensor:
    """Return the displacement (3, z, y, x) on `WARP` that leads from the observed head to the atlas.

    ``gain_of`` is the wanted logarithm of volume change on the atlas's coarse grid (swelling and bleeding positive,
    retraction negative), or None.
    """
    points = WARP.points(fields.shape.device)
    depth = fields.coarse.sample(fields.shape[0], points)
    individual = displacement(random_velocity(seed, coarse_mm, fine_mm, depth))
    if gain_of is None:
        return individual
    atlas_points = points + individual.movedim(0, -1)
    gain = fields.coarse.sample(gain_of, atlas_points, outside="zeros")
    depth = fields.coarse.sample(fields.shape[0], atlas_points)
    undone = displacement(-pushing_velocity(gain, depth))
    return undone + WARP.sample(individual, points + undone.movedim(0, -1))

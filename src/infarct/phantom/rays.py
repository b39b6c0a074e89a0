"""Parallel rays through slices: line integrals and back-projection on a raster of 2 mm.

What goes wrong along a ray (too few photons, too hard a beam, metal) goes wrong all along it: artefacts and the local
noise are made from rays. The raster is coarse because only what lies around dense bone and metal comes from it; the
picture itself never passes through it.
"""

import warnings
from functools import cache
from typing import Final

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

RASTER: Final = 128
STEP_MM: Final = 2.0
"""Voxels across the raster, and their size: 256 mm, a whole head."""
ANGLES: Final = 120
BINS: Final = 184
"""Rays of one angle, `STEP_MM` apart: the diagonal of the raster."""


def raster_mm(middle_mm: float) -> Tensor:
    """Return the positions of the raster's voxels along one axis, where its middle lies at ``middle_mm``."""
    return (torch.arange(RASTER, dtype=torch.float32) - (RASTER - 1) / 2) * STEP_MM + middle_mm


def project(slices: Tensor) -> Tensor:
    """Return the line integrals (k, angles, bins) of slices (k, y, x) on the raster, in their unit times mm."""
    along, _ = _matrices(slices.device)
    return (along @ slices.flatten(1).T).T.reshape(-1, ANGLES, BINS) * STEP_MM


def smear(rays: Tensor) -> Tensor:
    """Return at each voxel of the raster (k, y, x) the mean of all rays (k, angles, bins) through it."""
    _, back = _matrices(rays.device)
    return (back @ rays.flatten(1).T).T.reshape(-1, RASTER, RASTER) / ANGLES


def reconstruct(rays: Tensor) -> Tensor:
    """Return filtered back-projections (k, y, x) of line integrals (k, angles, bins): undoes `project`."""
    padded = 2 * BINS
    spectrum = torch.fft.rfft(rays, n=padded, dim=-1)
    frequency = torch.fft.rfftfreq(padded, d=STEP_MM, device=rays.device)
    window = 0.5 * (1 + torch.cos(2 * torch.pi * frequency * STEP_MM))
    filtered = torch.fft.irfft(spectrum * (frequency * window), n=padded, dim=-1)[..., :BINS]
    return smear(filtered.contiguous()) * torch.pi


@cache
def _matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the sparse matrices from voxels to rays, and from rays to voxels."""
    axis = np.arange(RASTER) - (RASTER - 1) / 2
    y, x = (array.ravel() for array in np.meshgrid(axis, axis, indexing="ij"))
    angle = np.arange(ANGLES) * (np.pi / ANGLES)
    place = x[:, None] * np.cos(angle) + y[:, None] * np.sin(angle) + (BINS - 1) / 2
    lower = np.floor(place).astype(np.int32)
    part = (place - lower).astype(np.float32)
    ray = np.stack([lower, lower + 1], axis=-1) + (np.arange(ANGLES, dtype=np.int32) * BINS)[:, None]
    values = np.stack([1 - part, part], axis=-1).reshape(-1)
    starts = np.arange(RASTER**2 + 1, dtype=np.int32) * (2 * ANGLES)
    back = sparse.csr_matrix((values, ray.reshape(-1).astype(np.int32), starts), shape=(RASTER**2, ANGLES * BINS))
    return _as_torch(back.T.tocsr(), device), _as_torch(back, device)


def _as_torch(matrix: sparse.csr_matrix, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its sparse rows a beta
        starts, columns, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(starts, columns, values, size=matrix.shape, check_invariants=False).to(device)

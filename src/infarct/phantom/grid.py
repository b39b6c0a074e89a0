"""Regular grids in torch, sampling between them, and seeded random fields."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

PARALLEL: Final = 2
"""Parts in which points are sampled at once."""
LATTICE_STEPS: Final = 3
"""Lattice points of a smooth field over its scale; with fewer, interpolation shows as kinks."""


@dataclass(frozen=True)
class Grid:
    """A regular grid in LPS mm: voxel (0, 0, 0) is centred on ``origin_mm`` (x, y, z), axes run along x, y and z."""

    shape_zyx: tuple[int, int, int]
    spacing_mm: float
    origin_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return self.spacing_mm**3 / 1000

    def points(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the (z, y, x, 3) positions of all voxels, as (x, y, z) mm."""
        axes = [
            self.origin_mm[2 - axis] + self.spacing_mm * torch.arange(count, dtype=torch.float32, device=device)
            for axis, count in enumerate(self.shape_zyx)
        ]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        return torch.stack((x, y, z), dim=-1)

    def sample(self, volume: Tensor, points_mm: Tensor, *, nearest: bool = False, outside: str = "border") -> Tensor:
        """Return ``volume`` at points, linearly (or by the nearest voxel).

        ``volume`` is (z, y, x) or (c, z, y, x) on this grid, ``points_mm`` (..., 3); the result is (...) or (c, ...).
        ``outside`` is "border" (the nearest value) or "zeros".
        """
        channels = volume if volume.dim() == 4 else volume[None]
        depth, rows, columns = self.shape_zyx
        count = torch.tensor([columns, rows, depth], dtype=torch.float32, device=points_mm.device)
        origin = torch.tensor(self.origin_mm, dtype=torch.float32, device=points_mm.device)
        scaled = (points_mm - origin) * (2 / (self.spacing_mm * (count - 1))) - 1
        parts = PARALLEL if points_mm.dim() == 4 and len(points_mm) % PARALLEL == 0 else 1
        shaped = scaled if points_mm.dim() == 4 else scaled.reshape(1, 1, -1, 3)
        # On the CPU, torch samples the items of a batch in parallel, and one item on one thread.
        batch = shaped.reshape(parts, -1, *shaped.shape[1:])
        mode = "nearest" if nearest else "bilinear"
        found = functional.grid_sample(
            channels[None].float().expand(parts, -1, -1, -1, -1),
            batch,
            mode=mode,
            padding_mode=outside,
            align_corners=True,
        )
        found = found.movedim(0, 1).reshape(len(channels), *points_mm.shape[:-1])
        return found if volume.dim() == 4 else found[0]


def rng(seed: int, *names: str) -> np.random.Generator:
    """Return a generator of its own for a seed and a name: a draw added to one part leaves the others as they were."""
    words = [int.from_bytes(name.encode()[:16].ljust(16, b"\0"), "little") for name in names]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def white_noise(seed: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Return standard normal noise; the same seed gives the same numbers on the same kind of device."""
    generator = torch.Generator(device=device).manual_seed(seed % 2**63)
    return torch.randn(shape, generator=generator, device=device)


def smooth_noise(seed: int, grid: Grid, scale_mm: float, device: torch.device | str = "cpu") -> Tensor:
    """Return a smooth random field of mean 0 and SD 1 on ``grid``, correlated over about ``scale_mm``.

    White noise on a lattice of a third of ``scale_mm`` is blurred (SD two steps) and interpolated.
    """
    step = max(scale_mm / LATTICE_STEPS, grid.spacing_mm)
    sigma = 2 * scale_mm / LATTICE_STEPS / step
    reach = int(2.5 * sigma + 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=device) / sigma) ** 2)
    size = [int((count - 1) * grid.spacing_mm / step) + 2 for count in grid.shape_zyx]
    coarse = white_noise(seed, (1, 1, *(count + 2 * reach for count in size)), device)
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = len(taps)
        coarse = functional.conv3d(coarse, taps.reshape(shape))
    coarse = (coarse - coarse.mean()) / coarse.std()
    fine = functional.interpolate(coarse, size=grid.shape_zyx, mode="trilinear", align_corners=True)
    return fine[0, 0]

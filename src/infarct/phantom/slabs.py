"""Thick slices through a canvas on a grid of their own, and the blur and noise of the images made from them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom.grid import Grid, white_noise
from infarct.types import Float64Array
from infarct.volume.geometry import Geometry

FWHM_PER_SIGMA = 2.3548


def slab_points(
    geometry: Geometry, world_to_head: Float64Array, parts: int, device: torch.device | str = "cpu"
) -> Iterator[Tensor]:
    """Yield ``parts`` times the (z, y, x, 3) positions in the head's frame of all voxels of an even stack.

    Each is a layer of the slices; together they are spread evenly over the slices' thickness.
    """
    corner, above, below, beside = geometry.index_to_world([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    turn, shift = world_to_head[:3, :3], world_to_head[:3, 3]
    axes = []
    for step, count in zip((above, below, beside), geometry.shape_zyx, strict=True):
        direction = torch.tensor(turn @ (step - corner), dtype=torch.float32, device=device)
        axes.append(torch.arange(count, dtype=torch.float32, device=device)[:, None] * direction)
    start = torch.tensor(turn @ corner + shift, dtype=torch.float32, device=device)
    plane = start + axes[1][:, None] + axes[2]
    thickness = turn @ (geometry.normal * geometry.spacing_mm_zyx[0])
    for part in (np.arange(parts) + 0.5) / parts - 0.5:
        layer = torch.tensor(thickness * part, dtype=torch.float32, device=device)
        yield axes[0][:, None, None] + plane + layer


Box = tuple[slice, slice, slice]


def box_of(mask: Tensor, margin: int) -> Box:
    """Return the smallest box that holds ``mask`` (bool, (z, y, x), not empty) and ``margin`` voxels around it."""
    box = []
    for axis, count in enumerate(mask.shape):
        present = mask.movedim(axis, 0).flatten(1).any(dim=1).nonzero()
        box.append(slice(max(int(present[0]) - margin, 0), min(int(present[-1]) + margin + 1, count)))
    return box[0], box[1], box[2]


def grid_of(grid: Grid, box: Box) -> Grid:
    """Return the grid of a box of a volume on ``grid``."""
    x, y, z = (start + grid.spacing_mm * part.start for start, part in zip(grid.origin_mm, box[::-1], strict=True))
    depth, rows, columns = (part.stop - part.start for part in box)
    return Grid((depth, rows, columns), grid.spacing_mm, (x, y, z))


def softened(mask: Tensor, grid: Grid, sigma_mm: float) -> Tensor:
    """Return ``mask`` (bool or 0-1, (z, y, x) on ``grid``) blurred by a gaussian in 3D; zero where it is empty."""
    out = torch.zeros_like(mask, dtype=torch.float32)
    found = mask > 0
    if not bool(found.any()):
        return out
    box = box_of(found, int(np.ceil(3 * sigma_mm / grid.spacing_mm)))
    part = mask[box].float()
    for axis in range(3):
        part = _blurred_along(part, axis, sigma_mm / grid.spacing_mm)
    out[box] = part
    return out


def blurred_in_plane(volume: Tensor, sigma_px: float) -> Tensor:
    """Return each slice of ``volume`` (z, y, x) blurred by a gaussian."""
    return _blurred_along(_blurred_along(volume, 1, sigma_px), 2, sigma_px)


def grainy(seed: int, shape_zyx: tuple[int, int, int], sigma_px: float, device: torch.device | str = "cpu") -> Tensor:
    """Return noise of SD 1, correlated in plane as if blurred by a gaussian; slices are independent."""
    noise = white_noise(seed, shape_zyx, device)
    if sigma_px <= 0:
        return noise
    weights = _weights(sigma_px, noise)
    # Blurring by weights of sum 1 along two axes multiplies the variance by the sum of their squares, twice.
    return blurred_in_plane(noise, sigma_px) / (weights**2).sum()


def _weights(sigma_px: float, like: Tensor) -> Tensor:
    reach = max(int(np.ceil(3 * sigma_px)), 1)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float32, device=like.device)
    weights = torch.exp(-0.5 * (offset / sigma_px) ** 2)
    return weights / weights.sum()


def _blurred_along(volume: Tensor, axis: int, sigma_px: float) -> Tensor:
    weights = _weights(sigma_px, volume)
    reach = len(weights) // 2
    lines = volume.movedim(axis, -1)
    flat = functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (reach, reach), mode="replicate")
    return functional.conv1d(flat, weights[None, None]).reshape(lines.shape).movedim(-1, axis)

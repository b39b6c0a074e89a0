"""Parts of a canvas around a place in the atlas, and what is worked out in them: offsets, ripples, distances.

Also what happens around a lesion that takes or leaves room, since the skull cannot give way.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.anatomy import Side
from infarct.phantom.canvas import Canvas
from infarct.phantom.fields import atlas_fields
from infarct.phantom.grid import rng

Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]
"""(x, y, z) in LPS mm."""

STRIDE: Final = 6
"""Every so many voxels are looked at first to find a place on the canvas."""
WAVES: Final = 32
"""Waves that make up a ripple: enough to look random in every direction."""
SHELL_GAIN: Final = 0.37
"""Source of volume on the shell that shifts the midline of an average head by 1 mm, measured on canvases."""
SHELL_MM: Final = (4.5, 6.0)
"""Depth (atlas mm inside the skull) and half-width of the shell: there the skull itself moves least."""
GREATEST_CHANGE: Final = 1.2
"""Greatest logarithm of the volume change of a ventricle or a sulcus that makes room or fills it."""
FLUID_REACH_MM: Final = 30.0
SULCUS_SHARE: Final = 0.15
"""How readily the layer of sulci changes its volume, against a ventricle."""


def sign(side: Side) -> float:
    """Return the sign of x on a side, in LPS."""
    return 1.0 if side == "left" else -1.0


def locate(canvas: Canvas, atlas_mm: Point) -> Point:
    """Return where on the canvas (x, y, z in mm of the head's frame) a position in the atlas lies."""
    target = torch.tensor(atlas_mm, dtype=torch.float32, device=canvas.hu.device)
    near = _nearest(canvas.atlas_mm[::STRIDE, ::STRIDE, ::STRIDE], target) * STRIDE
    low = (near - STRIDE).clamp(min=0)
    window = tuple(slice(int(first), int(first) + 2 * STRIDE + 1) for first in low)
    index = low + _nearest(canvas.atlas_mm[window], target)
    index = torch.minimum(index.clamp(min=1), torch.tensor(canvas.grid.shape_zyx) - 2)
    k, j, i = (int(value) for value in index)
    # One Newton step from the nearest voxel: mirrored targets then get mirrored places, between voxels too.
    at = canvas.atlas_mm
    slopes = torch.stack((at[k, j, i + 1] - at[k, j, i - 1], at[k, j + 1, i] - at[k, j - 1, i]), dim=1)
    slopes = torch.cat((slopes, (at[k + 1, j, i] - at[k - 1, j, i])[:, None]), dim=1) / (2 * canvas.grid.spacing_mm)
    step = torch.linalg.solve(slopes.double(), (target - at[k, j, i]).double()).clamp(-4, 4)
    origin = canvas.grid.origin_mm
    x, y, z = (
        start + canvas.grid.spacing_mm * voxel + float(move)
        for start, voxel, move in zip(origin, (i, j, k), step, strict=True)
    )
    return x, y, z


def _nearest(points_mm: Tensor, target: Tensor) -> Tensor:
    """Return the (z, y, x) index, on the CPU, of the point nearest to ``target``."""
    flat = int(((points_mm - target) ** 2).sum(dim=-1).argmin())
    return torch.tensor(np.unravel_index(flat, points_mm.shape[:-1]))


def near(canvas: Canvas, points: Sequence[Sequence[float]], margin_mm: float) -> Tensor:
    """Return the (n, 3) index of the intracranial voxels in the box around atlas points."""
    thinned = canvas.atlas_mm[::STRIDE, ::STRIDE, ::STRIDE]
    low = torch.tensor(points, device=thinned.device).amin(dim=0) - margin_mm
    high = torch.tensor(points, device=thinned.device).amax(dim=0) + margin_mm
    found = torch.nonzero(((thinned > low - STRIDE) & (thinned < high + STRIDE)).all(dim=-1))
    if not len(found):
        return found
    first = (found.amin(dim=0) - 1).clamp(min=0) * STRIDE
    last = (found.amax(dim=0) + 2) * STRIDE
    box = tuple(slice(int(start), int(stop)) for start, stop in zip(first, last, strict=True))
    at = canvas.atlas_mm[box]
    inside = ((at > low) & (at < high)).all(dim=-1) & canvas.intracranial[box]
    return torch.nonzero(inside) + first


def box_around(canvas: Canvas, centre_mm: Point, reach_mm: float) -> Box:
    """Return the part of the canvas within ``reach_mm`` of a point of the head's frame, along each axis."""
    grid = canvas.grid
    slices = []
    for axis, count in enumerate(grid.shape_zyx):
        middle = (centre_mm[2 - axis] - grid.origin_mm[2 - axis]) / grid.spacing_mm
        reach = reach_mm / grid.spacing_mm + 1
        first = min(max(int(np.floor(middle - reach)), 0), count - 1)
        slices.append(slice(first, max(min(int(np.ceil(middle + reach)) + 1, count), first + 1)))
    return slices[0], slices[1], slices[2]


def offsets(canvas: Canvas, box: Box, centre_mm: Point, side: Side) -> tuple[Tensor, Tensor, Tensor]:
    """Return the z, y and x offsets in mm from a centre along the axes of a box; x grows away from the midline."""
    device = canvas.hu.device
    z, y, x = (
        torch.arange(part.start, part.stop, dtype=torch.float32, device=device) * canvas.grid.spacing_mm
        + (canvas.grid.origin_mm[2 - axis] - centre_mm[2 - axis])
        for axis, part in enumerate(box)
    )
    return z, y, x * sign(side)


def ripple(axes_mm: tuple[Tensor, Tensor, Tensor], seed: int, scale_mm: float) -> Tensor:
    """Return smooth noise of mean 0 and SD 1 at the z, y, x coordinates, correlated over about ``scale_mm``.

    It is a sum of plane waves, so it depends on the coordinates alone and not on the grid or the device.
    """
    random = rng(seed, "ripple")
    directions = random.standard_normal((WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths_mm = scale_mm * random.uniform(1.3, 2.6, (WAVES, 1))
    device = axes_mm[0].device
    waves = torch.tensor(2 * np.pi * directions / lengths_mm, dtype=torch.float32, device=device)
    phases = torch.tensor(random.uniform(0, 2 * np.pi, WAVES), dtype=torch.float32, device=device)
    z, y, x = axes_mm
    rows = z[:, None, None] * waves[:, 0] + y[:, None] * waves[:, 1] + phases
    columns = x[:, None] * waves[:, 2]
    # cos(a + b) = cos a cos b - sin a sin b: a matrix product instead of a cosine for each voxel and wave.
    left = torch.cat((rows.cos(), -rows.sin()), dim=-1)
    right = torch.cat((columns.cos(), columns.sin()), dim=-1)
    noise: Tensor = (left @ right.T) * (2 / WAVES) ** 0.5
    return noise


def thinned(axes_mm: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return about every third coordinate of each axis, ends included, for smooth fields over large boxes."""
    z, y, x = (
        torch.linspace(float(axis[0]), float(axis[-1]), len(axis) // 3 + 2, device=axis.device) for axis in axes_mm
    )
    return z, y, x


def stretched(volume: Tensor, shape_zyx: tuple[int, int, int]) -> Tensor:
    """Return a field worked out on `thinned` axes on all voxels of a box."""
    return functional.interpolate(volume[None, None], size=shape_zyx, mode="trilinear", align_corners=True)[0, 0]


def radius_mm(axes_mm: tuple[Tensor, Tensor, Tensor], stretch_zyx: Sequence[float] = (1, 1, 1)) -> Tensor:
    """Return the distance from the offsets' origin, each axis divided by its stretch."""
    z, y, x = (axis / stretch for axis, stretch in zip(axes_mm, stretch_zyx, strict=True))
    return torch.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)


def lowest(score: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Return the ``count`` allowed voxels of lowest score as a mask, or all of them where there are fewer."""
    values = score[allowed]
    count = min(count, values.numel())
    if count < 1:
        return torch.zeros_like(allowed)
    return allowed & (score <= values.kthvalue(count).values)


def softened(mask: Tensor) -> Tensor:
    """Return a mask as a fraction whose edge is blurred over one voxel."""
    volume = mask.float()
    for axis in range(3):
        last = volume.shape[axis] - 1
        blurred = 0.5 * volume
        blurred.narrow(axis, 1, last).add_(volume.narrow(axis, 0, last), alpha=0.25)
        blurred.narrow(axis, 0, last).add_(volume.narrow(axis, 1, last), alpha=0.25)
        volume = blurred
    return volume


def distance_mm(mask: Tensor, spacing_mm: float, reach_mm: float) -> Tensor:
    """Return the distance of each voxel to the nearest one of ``mask``; beyond ``reach_mm`` it is only a large one."""
    reach = int(reach_mm / spacing_mm) + 1
    squared = torch.where(mask, 0.0, 4.0 * reach**2)
    for axis in range(3):
        nearest = squared.clone()
        count = squared.shape[axis]
        for shift in range(1, min(reach, count - 1) + 1):
            ahead, behind = squared.narrow(axis, shift, count - shift), squared.narrow(axis, 0, count - shift)
            lower, upper = nearest.narrow(axis, 0, count - shift), nearest.narrow(axis, shift, count - shift)
            torch.minimum(lower, ahead + shift**2, out=lower)
            torch.minimum(upper, behind + shift**2, out=upper)
        squared = nearest
    return squared.sqrt() * spacing_mm


def atlas_box(canvas: Canvas, low_mm: Point, high_mm: Point, step: int) -> Box:
    """Return the smallest box with sides in multiples of ``step`` that holds a box of the atlas."""
    coarse = canvas.atlas_mm[::4, ::4, ::4]
    inside = ((coarse > coarse.new_tensor(low_mm)) & (coarse < coarse.new_tensor(high_mm))).all(dim=-1)
    slices = []
    for axis, count in enumerate(canvas.grid.shape_zyx):
        hit = inside.movedim(axis, 0).flatten(1).any(dim=1).nonzero()
        first, last = max(int(hit[0]) * 4 - 3, 0), min(int(hit[-1]) * 4 + 4, count)
        slices.append(slice(first, first + (last - first) // step * step))
    return slices[0], slices[1], slices[2]


def distance_to_course(points_mm: Tensor, course: Tensor) -> Tensor:
    """Return the distance in mm of points (..., 3) to the broken line through the corners ``course`` (m, 3).

    A corner may be repeated.
    """
    best = torch.full(points_mm.shape[:-1], torch.inf, device=points_mm.device)
    for start, stop in pairwise(course):
        way = stop - start
        along = (((points_mm - start) @ way) / (way @ way).clamp(min=1e-9)).clamp(0, 1)
        best = torch.minimum(best, (points_mm - start - along[..., None] * way).norm(dim=-1))
    return best


@cache
def _surroundings(device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, on the atlas's coarse grid, the points, what gives way (ventricles; a layer of sulci), and a shell.

    The shell lies about the skull of the cerebrum and holds the x component of the way out: as a source of volume it
    shifts all inside along x, as if the skull were a wall, while what flows out of it and into it stops at the skull.
    """
    fields = atlas_fields(device)
    points = fields.coarse.points(device)
    depth_mm = fields.shape[0]
    ventricle = torch.sigmoid(fields.shape[1])
    sulcus = torch.exp(-(((depth_mm - 5) / 3) ** 2))
    slope = torch.gradient(depth_mm, spacing=fields.coarse.spacing_mm, dim=2)[0]
    cerebral = torch.sigmoid((points[..., 2] + 15) / 6)
    shell = -slope * torch.exp(-(((depth_mm - SHELL_MM[0]) / SHELL_MM[1]) ** 2)) * cerebral
    return points, ventricle, sulcus, shell


def with_surroundings(source: Tensor, side: Side, shift_mm: float, device: str = "cpu") -> Tensor:
    """Return the source of volume of one lesion with what happens around it, since the skull cannot give way.

    Ventricles and sulci near it and on its side change against the sign of ``source`` (on the atlas's coarse grid),
    within `GREATEST_CHANGE`, and the midline moves away from the lesion by about ``shift_mm``.
    """
    points, ventricle, sulcus, shell = _surroundings(device)
    # The deformation lives on a lattice of 6 mm: thin layers must be visible on it.
    for kernel, padding in (((5, 1, 1), (2, 0, 0)), ((1, 5, 1), (0, 2, 0)), ((1, 1, 5), (0, 0, 2))):
        source = functional.avg_pool3d(source[None], kernel, stride=1, padding=padding)[0]
    source = source * (1 - ventricle)
    voxel_ml = atlas_fields(device).coarse.voxel_ml
    change_ml = float((source.exp() - 1).sum()) * voxel_ml
    if change_ml == 0:
        return source
    place = source.abs() / source.abs().sum()
    centre = (points * place[..., None]).sum(dim=(0, 1, 2))
    near = torch.exp(-(points - centre).norm(dim=-1) / FLUID_REACH_MM)
    near = near * (0.1 + 0.9 * torch.sigmoid(points[..., 0] * sign(side) / 4))
    fluid = (ventricle + SULCUS_SHARE * sulcus * (source.abs() < 0.05)) * near
    answer = -change_ml * fluid / (float(fluid.sum()) * voxel_ml)
    answer = answer.clamp(-GREATEST_CHANGE, GREATEST_CHANGE)
    return source + answer + sign(side) * shift_mm * SHELL_GAIN * shell

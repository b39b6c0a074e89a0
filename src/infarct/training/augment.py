"""Cutting a patch out of a case: as it is, or moved, flipped, and changed in intensity."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from infarct.training.recipe import Augmentation
from infarct.types import Float32Array, Float64Array, LabelArray

Zyx = tuple[int, int, int]
Region = tuple[slice, slice, slice]

NEIGHBOUR: Final = 0.254
"""Weight of the four neighbours in added noise: resampled CT has a correlation of .45 at one pixel, .06 at two."""


class Volumes(Protocol):
    """What patches are cut from: ``channels`` float16 (c, z, y, x), ``labels`` uint8 (z, y, x)."""

    @property
    def channels(self) -> npt.NDArray[np.float16]: ...  # noqa: D102
    @property
    def labels(self) -> LabelArray: ...  # noqa: D102
    @property
    def spacing_mm_zyx(self) -> tuple[float, float, float]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Patch:
    """``channels`` float32 (c, z, y, x) and ``labels`` uint8 (z, y, x)."""

    channels: Float32Array
    labels: LabelArray


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the voxels of a patch come from: source index = ``matrix`` @ (index - patch centre) + ``centre``, in zyx.

    ``mirror_matrix`` and ``mirror_centre`` are the mirrored channel's.
    """

    matrix: Float64Array
    centre: Float64Array
    mirror_matrix: Float64Array
    mirror_centre: Float64Array


def cut(case: Volumes, start_zyx: Zyx, size_zyx: Zyx) -> Patch:
    """Return the box of a case that begins at ``start_zyx``; beyond the case lie zeros, as in inference."""
    inside, at = [], []
    for start, size, length in zip(start_zyx, size_zyx, case.labels.shape, strict=True):
        low, high = min(max(start, 0), length), min(max(start + size, 0), length)
        inside.append(slice(low, high))
        at.append(slice(low - start, high - start))
    channels = np.zeros((len(case.channels), *size_zyx), np.float32)
    labels = np.zeros(size_zyx, np.uint8)
    channels[:, *at] = case.channels[:, *inside]
    labels[*at] = case.labels[*inside]
    return Patch(channels, labels)


def augmented(
    case: Volumes, start_zyx: Zyx, size_zyx: Zyx, setting: Augmentation, random: np.random.Generator
) -> Patch:
    """Return the patch that begins at ``start_zyx``, changed as ``setting`` says; channels after the first are mirrored
    ones.
    """
    if setting.moves:
        patch = moved(case, size_zyx, drawn_motion(case, start_zyx, size_zyx, setting, random))
    else:
        patch = cut(case, start_zyx, size_zyx)
    if random.random() < setting.flip_chance:
        patch = Patch(patch.channels[..., ::-1].copy(), patch.labels[..., ::-1].copy())
    return Patch(retoned(patch.channels, setting, random), patch.labels)


def moved(case: Volumes, size_zyx: Zyx, motion: Motion) -> Patch:
    """Return a patch whose channels are interpolated linearly and whose labels are those of the nearest voxels.

    What a turned patch takes from beyond the case is what lies at its border, with label 0. Where the case is smaller
    than the patch it is zeros, as in `cut`.
    """
    smaller = any(length < size for length, size in zip(case.labels.shape, size_zyx, strict=True))
    beyond = "zeros" if smaller else "border"
    own = _region(case, motion.matrix, motion.centre, size_zyx)
    grid = _grid(motion.matrix, motion.centre, size_zyx, own)
    channels = [_sampled(case.channels[:1, *own], grid, beyond=beyond)]
    labels = _sampled(case.labels[None, *own], grid, mode="nearest", beyond="zeros")[0]
    if len(case.channels) > 1:
        other = _region(case, motion.mirror_matrix, motion.mirror_centre, size_zyx)
        grid = _grid(motion.mirror_matrix, motion.mirror_centre, size_zyx, other)
        channels.append(_sampled(case.channels[1:, *other], grid, beyond=beyond))
    return Patch(np.concatenate(channels), labels.astype(np.uint8))


def drawn_motion(
    case: Volumes, start_zyx: Zyx, size_zyx: Zyx, setting: Augmentation, random: np.random.Generator
) -> Motion:
    """Return a random motion of the patch that begins at ``start_zyx``, within what ``setting`` allows."""
    spacing = np.array(case.spacing_mm_zyx)
    turn = random.uniform(-1, 1, 3) * np.radians([setting.rotation_deg, setting.tilt_deg, setting.tilt_deg])
    matrix = _rotation(turn) * (1 + setting.scale * random.uniform(-1, 1))
    shift = setting.shift_mm * random.uniform(-1, 1, 3)
    yaw, roll = np.radians(setting.mirror_rotation_deg) * random.uniform(-1, 1, 2)
    aside = np.array([0.0, 0.5, 1.0]) * setting.mirror_shift_mm * random.uniform(-1, 1, 3)
    jitter = _rotation(np.array([yaw, roll, 0.0]))
    middle = (np.array(case.labels.shape) - 1) / 2 * spacing
    centre = (np.array(start_zyx) + (np.array(size_zyx) - 1) / 2) * spacing + shift
    mirror_centre = jitter @ (centre - middle) + middle + aside
    return Motion(
        matrix * spacing / spacing[:, None],
        centre / spacing,
        jitter @ matrix * spacing / spacing[:, None],
        mirror_centre / spacing,
    )


def _rotation(angles: Float64Array) -> Float64Array:
    """Return the rotation (3, 3), in (z, y, x), by three angles in radians about the axes z, y and x."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        step = np.eye(3)
        a, b = (other for other in range(3) if other != axis)
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        result = result @ step
    return result


def _region(case: Volumes, matrix: Float64Array, centre: Float64Array, size_zyx: Zyx) -> Region:
    """Return the part of a case that a moved patch takes values from, at least a voxel."""
    half = np.abs(matrix) @ ((np.array(size_zyx) - 1) / 2)
    lengths = np.array(case.labels.shape)
    low = np.clip(np.floor(centre - half), 0, lengths - 1).astype(int)
    high = np.clip(np.ceil(centre + half) + 1, low + 1, lengths).astype(int)
    z, y, x = (slice(int(first), int(stop)) for first, stop in zip(low, high, strict=True))
    return z, y, x


def _grid(matrix: Float64Array, centre: Float64Array, size_zyx: Zyx, region: Region) -> Tensor:
    """Return where in a region each voxel comes from, as `grid_sample` wants it: (1, z, y, x, 3), xyz, -1..1."""
    first = np.array([part.start for part in region])
    last = np.array([part.stop - 1 for part in region])
    half = np.maximum((last - first) / 2, 0.5)  # of a single voxel any
    turned = matrix * ((np.array(size_zyx) - 1) / 2) / half[:, None]
    place = (centre - (first + last) / 2) / half
    xyz = np.column_stack([turned[::-1, ::-1], place[::-1]]).astype(np.float32)
    return functional.affine_grid(torch.from_numpy(xyz[None]), [1, 1, *size_zyx], align_corners=True)


def _sampled(
    volumes: npt.NDArray[np.float16 | np.uint8], grid: Tensor, *, beyond: str, mode: str = "bilinear"
) -> Float32Array:
    whole = torch.from_numpy(volumes.astype(np.float32))[None]
    found = functional.grid_sample(whole, grid, mode=mode, padding_mode=beyond, align_corners=True)
    values: Float32Array = found[0].numpy()
    return values


def retoned(channels: Float32Array, setting: Augmentation, random: np.random.Generator) -> Float32Array:
    """Return the channels with another contrast and level, the same for all, and noise of their own."""
    contrast, level = (random.uniform(-1, 1, 2) * (setting.contrast, setting.offset)).astype(np.float32)
    changed = channels * (1 + contrast) + level if setting.contrast or setting.offset else channels
    if not setting.noise_sd:
        return np.asarray(changed, dtype=np.float32)
    noise = random.standard_normal(channels.shape, dtype=np.float32)
    sd = np.float32(setting.noise_sd * random.random() / (1 + 2 * NEIGHBOUR**2))
    return np.asarray(changed + sd * smeared(smeared(noise, 2), 3), dtype=np.float32)


def smeared(noise: Float32Array, axis: int) -> Float32Array:
    """Add `NEIGHBOUR` times both neighbours along an axis; the patch's edge is its own neighbour."""
    along = np.moveaxis(noise, axis, 0)
    result = along.copy()
    result[1:] += np.float32(NEIGHBOUR) * along[:-1]
    result[:-1] += np.float32(NEIGHBOUR) * along[1:]
    return np.moveaxis(result, 0, axis)

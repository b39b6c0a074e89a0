"""Lesions put into prepared cases while training: irregular dark blobs in tissue, anywhere in the brain.

Phantom infarcts follow vessels and are faint; a network that sees only those learns where infarcts are likely before it
learns what they look like. Blobs have any place, size and depth, and each patch that gets one gets a new one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch.nn import functional

from infarct.training.cases import ACUTE, BRAIN, OUTSIDE
from infarct.training.recipe import Implants
from infarct.training.store import StoredCase
from infarct.types import BoolArray, Float32Array, Float64Array

TISSUE: Final = 0.75
"""Blobs lie where the smoothed first channel is within this of 0: neither fluid nor bone (15 HU where 20 are one)."""
DARKEST: Final = -1.75
"""No voxel becomes darker than this: 0 HU lies there or above."""
FEWEST: Final = 100
"""Cases with less tissue than this many voxels stay as they are."""
GRAIN_MM: Final = 8.0


def with_implant(case: StoredCase, setting: Implants, random: np.random.Generator) -> StoredCase:
    """Return the case with a blob: darker in the channels, and acute in the labels where it is at half its depth.

    The first channel is the scan and the second, where there is one, its mirror image: the same with x reversed. Old
    and acute infarcts keep their labels.
    """
    channels = case.channels.astype(np.float32)
    tissue = (case.labels == BRAIN) & (np.abs(ndimage.uniform_filter(channels[0], (1, 3, 3))) < TISSUE)
    places = np.flatnonzero(tissue)
    if len(places) < FEWEST:
        return case
    volume_ml, depth = size_of(setting, random)
    z, y, x = (int(place) for place in np.unravel_index(places[random.integers(len(places))], tissue.shape))
    if random.random() >= setting.crossing:
        half = tissue.shape[2] // 2
        tissue[:, :, slice(half, None) if x < half else slice(0, half)] = False
    share, texture = blob(tissue, case.spacing_mm_zyx, (z, y, x), volume_ml=volume_ml, random=random)
    darker = depth * share * texture
    channels[0] -= darker
    channels[1:] -= darker[:, :, ::-1]
    np.maximum(channels, np.float32(DARKEST), out=channels)
    labels = case.labels.copy()
    labels[(share >= 0.5) & (labels == BRAIN)] = ACUTE
    counts = np.stack([np.bincount(plane.ravel(), minlength=len(case.counts)) for plane in labels], axis=1)
    return replace(case, channels=channels.astype(np.float16), labels=labels, counts=counts)


def without_faint(case: StoredCase, faintest: float) -> StoredCase:
    """Return the case with acute voxels labelled as outside, so that they do not count, where they can hardly be seen.

    That is where half of them are less than ``faintest`` (in the first channel's unit) darker than the mirrored side.
    Cases of one channel stay as they are.
    """
    acute = case.labels == ACUTE
    if faintest <= 0 or len(case.channels) < 2 or not acute.any():
        return case
    compared = acute & (case.labels[:, :, ::-1] == BRAIN)
    difference = (case.channels[1].astype(np.float32) - case.channels[0].astype(np.float32))[compared]
    if not difference.size or float(np.median(difference)) >= faintest:
        return case
    labels = np.where(acute, np.uint8(OUTSIDE), case.labels)
    counts = case.counts.copy()
    counts[OUTSIDE] += counts[ACUTE]
    counts[ACUTE] = 0
    return replace(case, labels=labels, counts=counts)


def size_of(setting: Implants, random: np.random.Generator) -> tuple[float, np.float32]:
    """Return the volume in ml and the depth of a blob, in the unit of the channels."""
    volume_ml, depth = (float(np.exp(random.uniform(*np.log(ends)))) for ends in (setting.volume_ml, setting.depth))
    return volume_ml, np.float32(depth)


def blob(
    tissue: BoolArray,
    spacing_mm_zyx: Sequence[float],
    middle: tuple[int, int, int],
    *,
    volume_ml: float,
    random: np.random.Generator,
) -> tuple[Float32Array, Float32Array]:
    """Return how much of a blob each voxel is, 0 to 1, and how deep it is there, about 1; both as ``tissue`` (z, y, x).

    It is a stretched ball around ``middle`` with a rough surface and a soft edge, inside the tissue.
    """
    spacing = np.asarray(spacing_mm_zyx, dtype=np.float64)
    radius_mm = float((volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3))
    stretch = np.exp(random.normal(0.0, 0.25, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    z, y, x = (
        ((np.arange(length) - place) * step / factor).astype(np.float32) ** 2
        for length, place, step, factor in zip(tissue.shape, middle, spacing, stretch, strict=True)
    )
    distance_mm = np.sqrt(z[:, None, None] + y[:, None] + x)
    bumps = _field(tissue.shape, spacing, max(radius_mm * random.uniform(0.3, 0.8), 4.0), random)
    rough = distance_mm - np.float32(random.uniform(0.2, 0.6) * radius_mm) * bumps
    wanted = min(int(volume_ml * 1000 / spacing.prod()), int(tissue.sum()) - 1)
    inside = tissue & (rough <= np.partition(rough[tissue], wanted)[wanted])
    edge_mm = random.uniform(0.5, 4.0)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), (0.0, edge_mm / spacing[1], edge_mm / spacing[2]))
    texture = 1 + np.float32(random.uniform(0, 0.35)) * _field(tissue.shape, spacing, GRAIN_MM, random)
    return np.asarray(soft * tissue, dtype=np.float32), texture


def _field(shape: tuple[int, ...], spacing: Float64Array, sigma_mm: float, random: np.random.Generator) -> Float32Array:
    """Return smooth noise of SD 1 of some shape; it is made on a coarser grid, which is much faster."""
    step = np.maximum(np.round(sigma_mm / 2 / spacing), 1.0)
    size = [int(np.ceil(length / one)) + 1 for length, one in zip(shape, step, strict=True)]
    coarse: npt.NDArray[np.float32] = random.standard_normal(size, dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, sigma_mm / spacing / step)
    coarse /= max(float(coarse.std()), 1e-6)
    whole = functional.interpolate(torch.from_numpy(coarse)[None, None], size=shape, mode="trilinear")
    values: Float32Array = whole[0, 0].numpy()
    return values

"""The cascade of VB-Nets on its own grid: the coarse network finds the place, the fine one draws the regions there.

Source: Cao et al. 2022 (DOI 10.1002/hbm.25845), section 2.3. Training validates by what is here, so that the score that
chooses weights is that of what runs.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from scipy import ndimage, special

from infarct.anatomy import REGIONS
from infarct.errors import StepFailed
from infarct.preprocess.cascade_input import CascadeInput, CascadeSetting, Shrinking, box_start, channels_of, shrunk
from infarct.runtime import Engine, predict_tiled
from infarct.types import BoolArray, Float32Array, LabelArray

OVERLAP: Final = 0.25
FOUND: Final = 0.5
"""From this probability on a voxel counts as region in the coarse answer, and as brain."""
SMALLEST_SHARE: Final = 0.1
"""Pieces of the coarse answer smaller than this part of the largest do not widen the box."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Cascade:
    """The two networks, ready to run."""

    coarse: Engine
    fine: Engine
    setting: CascadeSetting


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """What the cascade says of a head, on the input's grid.

    ``probabilities`` (float32, (classes, z, y, x)) of background and regions, smoothed; all 0 outside ``box``, where
    the fine network looked, and the skull. ``brain`` (bool, (z, y, x)) is the brain as the coarse network sees it.
    """

    probabilities: Float32Array
    box: Box
    brain: BoolArray


def find_regions(cascade: Cascade, given: CascadeInput) -> FoundRegions:
    """Return the regions of a head. Raises `StepFailed` where the coarse network finds none inside the skull."""
    setting = cascade.setting
    small, how = shrunk(given, setting.factor_zyx)
    everywhere = np.ones(small.inside.shape, dtype=bool)
    rough = _predicted(cascade.coarse, small, everywhere, setting.coarse_tile_zyx, setting)
    place = (1 - rough[0] >= FOUND) & small.inside
    tight, wide = (box_around(place, how, given, reach_mm) for reach_mm in (0.0, setting.reach_mm))
    box = tile_around(tight, wide, given.image.shape, setting.fine_tile_zyx)
    part = given.cut(box)
    fine = _predicted(cascade.fine, part, part.inside, setting.fine_tile_zyx, setting)
    probabilities = np.zeros((len(fine) - 1, *given.image.shape), dtype=np.float32)
    probabilities[:, *box] = fine[:-1]
    return FoundRegions(smoothed(probabilities, box, given, setting.smoothing_mm), box, _brain(rough[-1], how, given))


def box_around(region: BoolArray, how: Shrinking, given: CascadeInput, reach_mm: float) -> Box:
    """Return the box on the input's grid that holds a mask on the shrunk grid, with ``reach_mm`` around.

    Small pieces beside the largest do not count. Raises `StepFailed` where the mask is empty.
    """
    pieces, count = ndimage.label(region, np.ones((3, 3, 3), dtype=bool))
    if not count:
        raise StepFailed("the network finds no ASPECTS regions")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes >= SMALLEST_SHARE * sizes.max())[pieces]
    sides = []
    axes = zip(ndimage.find_objects(kept.astype(np.uint8))[0], how.factor_zyx, how.padding, strict=True)
    for (part, factor, (low, _)), step, length in zip(axes, given.spacing_mm_zyx, given.image.shape, strict=True):
        reach = int(np.ceil(reach_mm / step))
        first, end = part.start * factor - low - reach, part.stop * factor - low + reach
        sides.append(slice(min(max(first, 0), length), min(max(end, 0), length)))
    return sides[0], sides[1], sides[2]


def tile_around(tight: Box, wide: Box, shape: tuple[int, ...], size_zyx: tuple[int, int, int]) -> Box:
    """Return the one tile around the middle of a box, as training cuts it; ``wide`` where ``tight`` is longer.

    A network answers best for what stands in its tile as it did in training: tiles that cover a box from end to end,
    each showing another part of the head, lost a third of the Dice of one.
    """
    middle = np.array([(part.start + part.stop - 1) / 2 for part in tight])
    starts = box_start(middle, shape, size_zyx)
    z, y, x = (
        slice(max(start, 0), min(start + size, length)) if part.stop - part.start <= size else wider
        for part, wider, start, size, length in zip(tight, wide, starts, size_zyx, shape, strict=True)
    )
    return z, y, x


def exclusive(logits: Float32Array) -> Float32Array:
    """Return the probabilities of logits (k + 1, z, y, x): of k classes that exclude each other, then of the brain."""
    return np.concatenate([special.softmax(logits[:-1], axis=0), special.expit(logits[-1:])])


def smoothed(probabilities: Float32Array, box: Box, given: CascadeInput, smoothing_mm: float) -> Float32Array:
    """Return class probabilities (float32, (k, z, y, x)) smoothed by a Gaussian inside ``box`` and the skull.

    What lies outside takes no part: the smoothed values are divided by the smoothed mask, so they still add up to 1.
    """
    if not smoothing_mm:
        return probabilities
    sigmas = [smoothing_mm / step for step in given.spacing_mm_zyx]
    blur = partial(ndimage.gaussian_filter, sigma=sigmas, mode="constant", truncate=3.0, output=np.float32)
    inside = given.inside[box].astype(np.float32)
    weight = np.maximum(blur(inside), np.float32(1e-6))
    out = np.zeros_like(probabilities)
    for k, part in enumerate(probabilities):
        out[k][box] = blur(part[box] * inside) / weight * inside
    return out


def labels_of(probabilities: Float32Array, left: BoolArray) -> LabelArray:
    """Return region labels (uint8) of class probabilities (k, ...); ``left`` (bool, (...)) says what lies on the left.

    It is asked only where the classes have no side. Where all probabilities are 0 there is no region.
    """
    best: LabelArray = probabilities.argmax(axis=0).astype(np.uint8)
    if len(probabilities) == 1 + len(REGIONS):
        best[(best > 0) & left] += len(REGIONS)
    return best


def left_half(shape: tuple[int, ...]) -> BoolArray:
    """Return the left half (bool, (z, y, x)) of a grid that the midsagittal plane cuts in the middle."""
    columns = np.arange(shape[2]) > (shape[2] - 1) / 2
    return np.broadcast_to(columns, shape)


def _predicted(
    engine: Engine, given: CascadeInput, where: BoolArray, tile_zyx: tuple[int, int, int], setting: CascadeSetting
) -> Float32Array:
    """Return the probabilities of classes and brain (float32, (k + 1, z, y, x)); 0 outside ``where``."""
    return predict_tiled(
        engine,
        channels_of(given, setting),
        where,
        tile_zyx=tile_zyx,
        overlap=OVERLAP,
        both_ways=not setting.sided,
        chances=exclusive,
    )


def _brain(probability: Float32Array, how: Shrinking, given: CascadeInput) -> BoolArray:
    """Return the brain on the input's grid, interpolated from the coarse network's."""
    factor = np.array(how.factor_zyx, dtype=np.float64)
    carried = ndimage.affine_transform(
        probability, 1 / factor, -how.offset / factor, given.image.shape, order=1, mode="nearest"
    )
    return np.asarray(carried >= FOUND)

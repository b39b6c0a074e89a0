"""Inference tile by tile, over the brain alone.

Memory is that of one tile and of the answer. Tiles overlap, and where they do their probabilities are averaged. The
weights of a tile are a product over the axes, and every tile that holds a voxel of the brain is run; so the weights are
divided by their sum beforehand, axis by axis, and no second volume adds them up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from infarct.errors import BadRequest, StepFailed
from infarct.runtime.engine import Engine
from infarct.types import BoolArray, Float32Array, Float64Array

Blending = Literal["average", "gaussian"]
Shape = tuple[int, int, int]
IndexArray = npt.NDArray[np.intp]
Place = tuple[slice, slice, slice, slice]
GAUSSIAN_SHARE: Final = 1 / 8
"""Standard deviation of the gaussian weights as a share of the tile, as in nnU-Net."""


@dataclass(frozen=True, eq=False)
class Span:
    """The part of one axis that a tile holds: it begins at ``start``, outside the volume where that is smaller.

    ``inside`` are the voxels of the volume, ``within`` the same voxels of the tile, ``weights`` what each counts for.
    """

    inside: slice
    within: slice
    weights: Float32Array


def predict_tiled(
    engine: Engine,
    channels: Float32Array,
    brain: BoolArray,
    *,
    tile_zyx: Shape,
    overlap: float = 0.25,
    blending: Blending = "average",
    both_ways: bool = False,
    chances: Callable[[Float32Array], Float32Array] = expit,
) -> Float32Array:
    """Return probabilities (float32, (k, z, y, x)), averaged over tiles, 0 outside ``brain``.

    ``chances`` makes them from the logits (float32, (k, z, y, x)) of a tile: the sigmoid of each, if not given.

    ``channels`` is (c, z, y, x), ``brain`` (z, y, x). Tiles of ``tile_zyx`` voxels, each sharing at least the part
    ``overlap`` of its length with the next, cover the bounding box of the brain; none leaves the volume, and those
    without brain are left out. A volume smaller than a tile stands in its middle, zeros around it. With ``both_ways``
    each tile is also run with x reversed, and the two answers averaged: then a mirrored tile has the mirrored answer.

    Raises `StepFailed` where ``brain`` is empty, `BadRequest` where ``overlap`` is not from 0 to below 1, and
    `ValueError` where shapes do not fit.
    """
    if not 0 <= overlap < 1:
        raise BadRequest(f"the overlap of tiles must be from 0 to below 1, not {overlap:g}")
    if channels.shape[1:] != brain.shape:
        raise ValueError(f"channels of {channels.shape[1:]} do not fit a brain of {brain.shape}")
    axes = _plan(brain, tile_zyx, overlap, blending)
    tile = np.zeros((1, len(channels), *tile_zyx), dtype=np.float32)
    answer: Float32Array | None = None
    for spans in _touching(brain, axes):
        inside, within = _places(spans)
        tile[0][within] = channels[inside]  # what lies around a small volume is the same for all tiles, and stays zero
        probabilities = _probabilities(engine, tile, chances, both_ways=both_ways)
        if answer is None:
            answer = np.zeros((len(probabilities), *brain.shape), dtype=np.float32)
        answer[inside] += _weighted(probabilities[within], spans)
    if answer is None:
        raise StepFailed("there is no brain to run the network on")
    for z, inside_brain in enumerate(brain):  # slice by slice, to need no second volume
        np.minimum(answer[:, z] * inside_brain, 1, out=answer[:, z])  # weights add up to 1 but for rounding
    return answer


def _probabilities(
    engine: Engine, tile: Float32Array, chances: Callable[[Float32Array], Float32Array], *, both_ways: bool
) -> Float32Array:
    """Return the probabilities (k, z, y, x) of a tile (1, c, z, y, x)."""
    answer = chances(engine.run(tile)[0])
    if both_ways:
        answer += chances(engine.run(np.ascontiguousarray(tile[..., ::-1]))[0, ..., ::-1])
        answer /= 2
    return answer


def _plan(brain: BoolArray, tile_zyx: Shape, overlap: float, blending: Blending) -> list[list[Span]]:
    """Return the spans of each axis."""
    extents = [np.flatnonzero(brain.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return [
        _spans(_starts(extent, size, length, overlap), size, _profile(length, blending)) if len(extent) else []
        for extent, size, length in zip(extents, brain.shape, tile_zyx, strict=True)
    ]


def _starts(extent: IndexArray, size: int, length: int, overlap: float) -> list[int]:
    """Return where tiles of ``length`` begin that cover ``extent`` (indices with brain) on an axis of ``size``.

    The extent lies in the middle of its tiles, as far as the volume reaches: what they hold beyond it is surroundings
    on both sides, as in training. A smaller volume is in the middle of a tile itself.
    """
    first, end = int(extent[0]), int(extent[-1]) + 1
    if end - first > length:
        step = max(int(length * (1 - overlap)), 1)
        reach = length + -(-(end - first - length) // step) * step
        low = max(first - (reach - (end - first)) // 2, 0)
        last = min(low + reach, size) - length
        return [*range(low, last, step), last]
    if size < length:
        return [-((length - size) // 2)]
    return [min(max((first + end - length) // 2, 0), size - length)]


def _spans(starts: list[int], size: int, profile: Float64Array) -> list[Span]:
    """Return the spans that begin at ``starts`` with weights that add up to 1 wherever they reach."""
    length = len(profile)
    pieces = [(slice(max(start, 0), min(start + length, size)), start) for start in starts]
    total = np.zeros(size)
    for inside, start in pieces:
        total[inside] += profile[inside.start - start : inside.stop - start]
    spans = []
    for inside, start in pieces:
        within = slice(inside.start - start, inside.stop - start)
        spans.append(Span(inside, within, (profile[within] / total[inside]).astype(np.float32)))
    return spans


def _profile(length: int, blending: Blending) -> Float64Array:
    """Return the weights along a tile before they are scaled to add up to 1."""
    if blending == "average":
        return np.ones(length)
    distance = (np.arange(length) - (length - 1) / 2) / (GAUSSIAN_SHARE * length)
    return np.asarray(np.exp(-0.5 * distance**2))


def _touching(brain: BoolArray, axes: list[list[Span]]) -> Iterator[tuple[Span, ...]]:
    """Yield the tiles with any brain in them, in a fixed order."""
    for spans in product(*axes):
        if brain[tuple(span.inside for span in spans)].any():
            yield spans


def _places(spans: tuple[Span, ...]) -> tuple[Place, Place]:
    """Return where a tile lies in an array of the volume (c, z, y, x), and the volume in one of the tile."""
    z, y, x = spans
    everything = slice(None)
    return (everything, z.inside, y.inside, x.inside), (everything, z.within, y.within, x.within)


def _weighted(probabilities: Float32Array, spans: tuple[Span, ...]) -> Float32Array:
    """Return what a tile (k, z, y, x) adds to the answer."""
    z, y, x = (span.weights for span in spans)
    return np.asarray(probabilities * z[:, None, None] * (y[:, None] * x), dtype=np.float32)

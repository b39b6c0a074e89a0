"""Inference voxel by voxel over whole slices, by the dense form of a patch CNN, over the brain alone.

Slices are run in small square blocks, and those without brain are left out: that follows the brain's outline, keeps the
features of a block in the processor's cache, and needs one size of input only.
"""

from typing import Final

import numpy as np
from scipy.special import expit

from infarct.errors import StepFailed
from infarct.preprocess.patch_input import Channels, Places, cut_blocks
from infarct.runtime.engine import Engine
from infarct.types import BoolArray, Float32Array
from infarct.volume.mask import bounding_box

BLOCK_PX: Final = 32
"""Side of what is judged in a block. Larger ones hold more that is no brain, smaller ones share less."""
AT_ONCE: Final = 16
"""Blocks of one run: three networks side by side need 50 MB for their widest layer."""


def predict_slices(engine: Engine, images: Channels, brain: BoolArray) -> Float32Array:
    """Return probabilities (float32, (k, z, y, x)) of each of k networks, 0 outside ``brain``.

    ``engine`` runs `networks.patch_cnn.DensePatchCnn`; ``images`` is (c, z, y, x), ``brain`` bool (z, y, x).

    Raises `StepFailed` where ``brain`` is empty, and `ValueError` where shapes do not fit.
    """
    if images.shape[1:] != brain.shape:
        raise ValueError(f"images of {images.shape[1:]} do not fit a brain of {brain.shape}")
    answer: Float32Array | None = None
    for z in np.flatnonzero(brain.any(axis=(1, 2))):
        places = _blocks(brain[z], int(z))
        for first in range(0, len(places), AT_ONCE):
            part = places[first : first + AT_ONCE]
            chances = expit(engine.run(cut_blocks(images, part, BLOCK_PX)))
            if answer is None:
                answer = np.zeros((chances.shape[1], *brain.shape), dtype=np.float32)
            for (_, y, x), block in zip(part, chances, strict=True):
                place = answer[:, z, y : y + BLOCK_PX, x : x + BLOCK_PX]
                place[:] = block[:, : place.shape[1], : place.shape[2]]
    if answer is None:
        raise StepFailed("there is no brain to run the network on")
    answer *= brain
    return answer


def _blocks(brain: BoolArray, z: int) -> Places:
    """Return the first voxel (n, 3) of each block with any of the ``brain`` (bool, (y, x)) of slice ``z``.

    Blocks begin at the edge of the brain; the last may reach beyond the slice.
    """
    _, rows, columns = bounding_box(brain[None])
    grid = [(y, x) for y in range(*_range(rows)) for x in range(*_range(columns))]
    found = [(z, y, x) for y, x in grid if brain[y : y + BLOCK_PX, x : x + BLOCK_PX].any()]
    return np.array(found, dtype=np.intp)


def _range(part: slice) -> tuple[int, int, int]:
    return part.start, part.stop, BLOCK_PX

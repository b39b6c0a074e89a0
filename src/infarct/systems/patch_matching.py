"""Finding where in a slice a patch lies that comes as a picture, as the localize paper places its patches.

Where tiles are cut by `preprocess.tile_input` their places are known, and matching is not needed.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from skimage import feature

from infarct.errors import BadRequest
from infarct.preprocess.tile_input import resize_matrix
from infarct.types import Float32Array

_match_template: Final[Any] = feature.match_template  # it has no types


@dataclass(frozen=True)
class Match:
    """First row and column of the place that looks most like a patch, and its normalised cross-correlation, -1 to 1."""

    row: int
    column: int
    correlation: float


def find_patch(patch: Float32Array, plane: Float32Array, *, side_px: int) -> Match:
    """Return where in a slice a patch lies.

    ``plane`` (float32, (y, x)) is the slice in any grey values, ``patch`` (float32, square) a part of it of ``side_px``
    rows and columns, in the same values or others that grow with them in proportion; it may come enlarged.

    Raises `BadRequest` where the patch is not square, has one value all over, is smaller than ``side_px``, or does not
    fit into the slice.
    """
    if patch.ndim != 2 or patch.shape[0] != patch.shape[1]:
        raise BadRequest("a patch to be found in a slice is a square of grey values")
    if not 1 < side_px <= min(len(patch), *plane.shape):
        raise BadRequest("a patch is at most as large as its picture and the slice, and more than a pixel")
    resize = resize_matrix(len(patch), side_px, scale=len(patch) / side_px, start=0.0, margin=0)
    template = resize @ patch @ resize.T
    if np.ptp(template) == 0:
        raise BadRequest("a patch of one grey value lies anywhere")
    likeness = _match_template(plane, template)
    row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
    return Match(int(row), int(column), float(likeness.max()))

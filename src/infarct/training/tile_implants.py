"""Lesions put into tiles while localize is trained: the blobs of `training.implants`, in one slice.

A few hundred phantoms give some thousand infarct tiles, most of them faint and alike within a head: a network learns
them by heart. The blobs are new each time. They lie in the tile itself, and then it is infarct; or in the mirrored
place or beside the tile, and then it is not.
"""

from typing import Final, Literal

import numpy as np
from scipy import ndimage, special

from infarct.preprocess.segment_input import CENTRED_SCALE_HU
from infarct.preprocess.tile_input import TileSetting
from infarct.preprocess.tile_picks import INFARCT_SHARE
from infarct.training.implants import DARKEST, FEWEST, TISSUE, blob, size_of
from infarct.training.recipe import Implants
from infarct.types import BoolArray, Float32Array

Where = Literal["own", "mirrored", "beside"]

SLICE_MM: Final = 5.0
"""What a slice stands for: the volume of a blob is that of its part in one."""


def with_tile_implant(
    wide: Float32Array, setting: TileSetting, implants: Implants, *, where: Where, random: np.random.Generator
) -> Float32Array | None:
    """Return a tile with its surroundings (float32 (c, s, s)) and a blob in it; ``s`` may hold a margin.

    "own": at least half of the tile itself is blob; "mirrored": so it is in the mirrored channel; "beside": a blob that
    leaves the tile itself alone. None where there is too little tissue, or the blob does not fall so. The tile must
    have a known length.
    """
    assert setting.tile_mm is not None
    pixel_mm = setting.field_tiles * setting.tile_mm / setting.size_px
    image = wide[1 if where == "mirrored" else 0]
    tissue = np.abs(ndimage.uniform_filter(image, 3)) < TISSUE
    inside = middle_of(len(image), setting)
    wanted = tissue & ~inside if where == "beside" else tissue & inside
    places = np.flatnonzero(wanted)
    if tissue.sum() < FEWEST or not len(places):
        return None
    volume_ml, depth = size_of(implants, random)
    y, x = (int(place) for place in np.unravel_index(places[random.integers(len(places))], tissue.shape))
    spacing = (SLICE_MM, pixel_mm, pixel_mm)
    share, texture = (
        values[0] for values in blob(tissue[None], spacing, (0, y, x), volume_ml=volume_ml, random=random)
    )
    covered = float((share[inside] >= 0.5).mean())
    if covered > 0 if where == "beside" else covered < INFARCT_SHARE:
        return None
    darker = depth * share * np.maximum(texture, 0)
    height_mm = (6e3 * volume_ml / np.pi) ** (1 / 3)
    return _darkened(wide, darker, setting, where=where, pixel_mm=pixel_mm, height_mm=height_mm)


def middle_of(side: int, setting: TileSetting) -> BoolArray:
    """Return which pixels of a tile with surroundings, bool (side, side), are the tile itself."""
    away = np.abs(np.arange(side) - (side - 1) / 2) <= setting.size_px / setting.field_tiles / 2
    return np.asarray(away[:, None] & away)


def _darkened(
    wide: Float32Array,
    darker: Float32Array,
    setting: TileSetting,
    *,
    where: Where,
    pixel_mm: float,
    height_mm: float,
) -> Float32Array:
    """Return the channels with one image darker, and the smoothed differences of both about as they then are.

    In the slices around, the blob is taken to be as here, up to half of ``height_mm`` away.
    """
    changed = wide.copy()
    place = 1 if where == "mirrored" else 0
    changed[place] = np.maximum(changed[place] - darker, np.minimum(changed[place], np.float32(DARKEST)))
    lost = np.float32(CENTRED_SCALE_HU / setting.difference_hu) * (wide[place] - changed[place])
    for channel, (in_plane_mm, across_mm) in enumerate(setting.differences, start=setting.images):
        seen = special.erf(max(height_mm, SLICE_MM) / (np.sqrt(8) * across_mm)) if across_mm else 1.0
        smooth = np.float32(seen) * ndimage.gaussian_filter(lost, in_plane_mm / pixel_mm, mode="nearest")
        changed[channel] += smooth if where == "mirrored" else -smooth
    return changed

"""What the atlas shows and where it puts the ASPECTS regions, as channels for the cascade of VB-Nets.

Coordinates alone leave it to a network to learn the atlas by heart. The maps are soft, because a registration is off
by millimetres and heads differ: they say about where a region is, and the image says where it ends. They are log-odds,
so that a network whose answer is added to them begins with the atlas and learns what to change. Where the atlas's
own picture differs from the head's, the head's regions lie elsewhere: so that is a channel as well.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.anatomy import REGIONS, region_label
from infarct.atlas import Atlas, load_atlas
from infarct.preprocess.window import Window
from infarct.types import Float32Array, Float64Array

STEP_VOXELS: Final = 2
"""Every second voxel of the atlas (1 mm) is kept: the maps are smooth."""
SPREAD_MM: Final = 4.0
"""SD of the Gaussian that blurs the atlas's regions; about as far as they are off."""
DOUBT: Final = 0.02
"""Added to every share: nothing is certain, so that the odds end at 1 to 51."""
TEMPLATE_WINDOW: Final = Window(30.0, 60.0)
"""That of the images of the cascade, which go from 0 to 2."""
PRIOR_CHANNELS: Final = 1 + len(REGIONS)


@dataclass(frozen=True, eq=False)
class AtlasMaps:
    """The atlas's picture, 0 to 2, and the log-odds of each region against none, on a grid (z, y, x) of ``shape`` over
    the left half: ``values`` float32, (11, voxels).

    A point's voxel is (point in mm - ``origin_mm``) / ``step_mm``, in order x, y, z; x is the distance from the plane.
    """

    values: Float32Array
    shape: tuple[int, int, int]
    origin_mm: Float64Array
    step_mm: Float64Array


def region_prior(places_mm: Float32Array) -> Float32Array:
    """Return what the atlas gives for points: its picture, 0 (air) to 2, and the log-odds of each region against none
    (float32, (11, z, y, x)).

    ``places_mm`` (float32, (3, z, y, x)) are x, y and z in the atlas, x of either sign. Where all three are 0 the place
    is not known, and all is 0. Outside the atlas lies what is in its corner: air.
    """
    maps = _maps()
    index = np.zeros(places_mm.shape[1:], dtype=np.int64)
    there = np.ones(index.shape, dtype=bool)
    for part, count, origin, step in zip(
        (places_mm[2], places_mm[1], np.abs(places_mm[0])),
        maps.shape,
        maps.origin_mm[::-1],
        maps.step_mm[::-1],
        strict=True,
    ):
        nearest = np.rint((part - np.float32(origin)) * np.float32(1 / step)).astype(np.int64)
        there &= (nearest >= 0) & (nearest < count)
        index = index * count + nearest
    index[~there] = 0
    return maps.values[:, index] * places_mm.any(axis=0)


@cache
def _maps() -> AtlasMaps:
    return maps_of(load_atlas())


def maps_of(atlas: Atlas) -> AtlasMaps:
    """Return the picture of an atlas and the blurred maps of its regions."""
    step = np.array(atlas.geometry.spacing_mm_zyx[::-1]) * STEP_VOXELS
    middle = atlas.aspects_labels.shape[2] // 2
    labels = atlas.aspects_labels[::STEP_VOXELS, ::STEP_VOXELS, middle::STEP_VOXELS]
    sigmas = SPREAD_MM / step[::-1]
    shares = np.stack(
        [
            ndimage.gaussian_filter((labels == region_label(region, "left")).astype(np.float32), sigmas, mode="mirror")
            for region in REGIONS
        ]
    )
    odds = np.log((shares + DOUBT) / (1 - shares.sum(axis=0) + DOUBT))
    template = ndimage.uniform_filter(TEMPLATE_WINDOW.apply(atlas.template_hu[..., middle:]), STEP_VOXELS + 1)
    picture = 2 * template[::STEP_VOXELS, ::STEP_VOXELS, ::STEP_VOXELS]
    origin = atlas.geometry.index_to_world(np.array([0.0, 0.0, middle]))
    z, y, x = labels.shape
    values = np.concatenate([picture[None], odds]).reshape(PRIOR_CHANNELS, -1)
    return AtlasMaps(values, (z, y, x), origin, step)

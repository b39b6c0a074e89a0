"""A drawn head for the reference standard: an egg of brain on 3 mm voxels, two grey blocks a side, regions as slabs."""

import numpy as np

from infarct.atlas import Atlas, load_atlas
from infarct.atlas.registration import Registration
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.noise import Noise
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry

SHAPE = (14, 60, 51)
VOXEL_MM = 3.0
GEOMETRY = Geometry.regular(SHAPE, (VOXEL_MM,) * 3, origin_mm=(-75.0, -88.5, 0.0))
PLANE = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
"""Column 25 lies at x = 0, so that reversing the columns mirrors the head exactly."""


def egg() -> BoolArray:
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return np.asarray(((y - 29.5) / 27) ** 2 + ((x - 25) / 22) ** 2 < 1) & (z >= 0)


def slab_labels(brain: BoolArray) -> LabelArray:
    """Return ten slabs from front to back on each side, equally thick."""
    rows = np.clip((np.arange(SHAPE[1]) - 4) // 5, 0, 9).astype(np.uint8)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:] = 1 + rows[:, None]
    columns = np.arange(SHAPE[2])
    labels[:, :, columns > 25] += 10
    labels[:, :, columns == 25] = 0
    return np.where(brain, labels, 0).astype(np.uint8)


def drawn_head(hu: Float32Array | None = None) -> Head:
    """Return the head, at 33 HU where ``hu`` does not say otherwise."""
    brain = egg()
    if hu is None:
        hu = np.where(brain, 33.0, -1000.0).astype(np.float32)
    labels = slab_labels(brain)
    voxel_ml = VOXEL_MM**3 / 1000
    return Head(
        hu=hu,
        geometry=GEOMETRY,
        brain=brain,
        skull_closed=True,
        fluid=np.zeros(SHAPE, dtype=bool),
        registration=Registration(np.eye(4), 0.0, 0.0, 1.0, is_reliable=False),
        midplane=PLANE,
        mirrored_hu=hu[:, :, ::-1],
        noise=Noise(0.0, VOXEL_MM**2, 33.0),
        aspects_regions=labels,
        region_ml=tuple(np.bincount(labels.ravel(), minlength=21) * voxel_ml),
        territories=np.zeros(SHAPE, dtype=np.uint8),
    )


def atlas() -> Atlas:
    """Return the shipped atlas; a head without a match to it takes nothing from it."""
    return load_atlas()

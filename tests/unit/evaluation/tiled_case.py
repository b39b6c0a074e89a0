"""One small head of tiles four pixels wide: an infarct on the left, an old one on the right, and methods that judge it.

The brain is rows and columns 4 to 35 of six slices, so 64 tiles a slice; the midsagittal plane lies between columns 19
and 20, so that the tile that begins at column c has its mirrored place at column 36 - c.
"""

from dataclasses import replace

import numpy as np

from infarct.cohorts import Case, Clinical, LabelledScan
from infarct.evaluation.localize_cohort import PreparedTiles, TileMethod
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.tile_input import EVERYDAY, Places, TilePicture, make_picture, tile_shares
from infarct.types import BoolArray, Float64Array
from infarct.volume import Acquisition, Geometry, Scan

SETTING = replace(EVERYDAY, mirror=False, differences=())
GEOMETRY = Geometry.regular((6, 40, 40), (5.0, 2.0, 2.0))
PLANE = Midplane(np.array([1.0, 0.0, 0.0]), 39.0)
EMPTY = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
GRID_TILES = 6 * 64


def box(slices: slice, rows: slice, columns: slice) -> BoolArray:
    mask = EMPTY.copy()
    mask[slices, rows, columns] = True
    return mask


BRAIN = box(slice(0, 6), slice(4, 36), slice(4, 36))
INFARCT = box(slice(2, 4), slice(8, 16), slice(24, 32))
"""Eight tiles, four in each of two slices."""
OLD = box(slice(3, 4), slice(8, 12), slice(8, 12))
"""One tile, the mirrored place of one of the infarct."""
OPPOSITE = INFARCT[:, :, ::-1]
SCAN = Scan(np.where(BRAIN, 35, -1000).astype(np.float32), GEOMETRY, Acquisition(kvp=120.0, slice_thickness_mm=5.0))
TOLD = {"region": "supratentorial", "area": "cortical", "size": ">1.5 cm"}


def picture() -> TilePicture:
    return make_picture(SCAN.hu, GEOMETRY, brain=BRAIN, plane=PLANE, setting=SETTING)


def prepared() -> PreparedTiles:
    return PreparedTiles(SCAN, None, picture())  # type: ignore[arg-type]


def load() -> LabelledScan:
    return LabelledScan(SCAN, INFARCT, OLD, intracranial=BRAIN, detectability=4.0)


def load_healthy() -> LabelledScan:
    return LabelledScan(SCAN, EMPTY, EMPTY, intracranial=BRAIN)


CASE = Case("scan-1", "patient-1", "acute", load, Clinical(onset_h=2.0), TOLD)
HEALTHY = Case("scan-2", "patient-2", "acute", load_healthy)


def method_of(mask: BoolArray, *, threshold: float = 0.5, whole_threshold: float = 0.5) -> TileMethod:
    """Return a method that is as sure of an infarct as a tile lies in ``mask``."""

    def judge(one: PreparedTiles, places: Places) -> Float64Array:
        return tile_shares(mask, places, one.picture.tile_px)

    return TileMethod({"made": "up"}, judge, threshold, whole_threshold, SETTING)

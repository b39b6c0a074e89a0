import numpy as np
import pytest

from infarct.preprocess.patch_answer import sure_of
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((2, 10, 20), (5.0, 1.0, 2.0))  # a voxel is 0.01 ml


def test_pieces_count_by_what_is_sure_in_them() -> None:
    """Three pieces of 16 voxels, of which 6, 2 and none are sure."""
    mask, sure = np.zeros((2, 10, 20), dtype=bool), np.zeros((2, 10, 20), dtype=bool)
    for column in (0, 6, 12):
        mask[:, 1:5, column : column + 2] = True
    sure[0, 1:4, 0:2] = sure[1, 1, 6:8] = sure[1, 8, 18] = True
    kept, largest_ml = sure_of(mask, sure, GEOMETRY, least_ml=0.05)
    assert largest_ml == pytest.approx(0.06)
    assert kept.sum() == 16
    assert kept[1, 4, 1]
    assert sure_of(mask, sure, GEOMETRY, least_ml=0.02)[0].sum() == 32
    np.testing.assert_array_equal(sure_of(mask, sure, GEOMETRY, least_ml=0.0)[0], mask)


def test_nothing_marked_is_nothing_sure() -> None:
    kept, largest_ml = sure_of(np.zeros((2, 10, 20), bool), np.ones((2, 10, 20), bool), GEOMETRY, least_ml=0.0)
    assert largest_ml == 0
    assert not kept.any()

"""Region growing of CSF on boxes made by hand."""

import numpy as np
import pytest

from infarct.preprocess.csf import segment_csf
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((15, 41, 41), (5.0, 2.0, 2.0), origin_mm=(-40.0, -40.0, -35.0))
VENTRICLE = (slice(6, 9), slice(18, 23), slice(17, 24))


def box() -> tuple[np.ndarray, np.ndarray]:
    """A box of brain of 30 HU with a ventricle of 8 HU in its middle."""
    hu = np.full(GEOMETRY.shape_zyx, -1000, dtype=np.float32)
    inside = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    inside[1:14, 3:38, 3:38] = True
    hu[inside] = 30
    hu[VENTRICLE] = 8
    return hu, inside


def test_the_ventricle_is_found_and_nothing_else() -> None:
    hu, inside = box()
    expected = np.zeros(hu.shape, dtype=bool)
    expected[VENTRICLE] = True
    assert np.array_equal(segment_csf(hu, inside, GEOMETRY), expected)


@pytest.mark.parametrize(("value", "taken"), [(-5, True), (13, True), (-5.1, False), (13.1, False)])
def test_bounds_are_inclusive(value: float, taken: bool) -> None:
    hu, inside = box()
    hu[7, 20, 20] = hu[7, 20, 24] = value  # one among the seeds, one beside the ventricle
    csf = segment_csf(hu, inside, GEOMETRY)
    assert csf[7, 20, 20] == taken
    assert csf[7, 20, 24] == taken


def test_it_grows_far_over_corners_but_not_over_gaps() -> None:
    hu, inside = box()
    for step in range(4):
        hu[9 + step, 23 + step, 24 + step] = 5  # a staircase that touches by corners only
    hu[7, 20, 28:32] = 5  # 16 mm from the centre, four voxels beside the ventricle
    csf = segment_csf(hu, inside, GEOMETRY)
    assert csf[12, 26, 27]
    assert not csf[7, 20, 28:32].any()


def test_a_far_pocket_is_no_seed() -> None:
    hu, inside = box()
    hu[VENTRICLE] = 30
    hu[7, 5:9, 5:9] = 8  # 25 mm and more from the centre
    assert not segment_csf(hu, inside, GEOMETRY).any()
    hu[7, 20, 27] = 8  # 14 mm from the centre
    assert segment_csf(hu, inside, GEOMETRY).sum() == 1
    hu[7, 20, 27], hu[7, 20, 28] = 30, 8  # 16 mm from it
    assert not segment_csf(hu, inside, GEOMETRY).any()


def test_fluid_outside_the_skull_does_not_count() -> None:
    hu, inside = box()
    hu[:, 20, :] = 8
    csf = segment_csf(hu, inside, GEOMETRY)
    assert csf[inside[:, 20, :].nonzero()[0], 20, inside[:, 20, :].nonzero()[1]].all()
    assert not csf[~inside].any()


def test_empty_region_gives_an_empty_mask() -> None:
    hu, inside = box()
    csf = segment_csf(hu, np.zeros_like(inside), GEOMETRY)
    assert csf.dtype == bool
    assert csf.shape == hu.shape
    assert not csf.any()

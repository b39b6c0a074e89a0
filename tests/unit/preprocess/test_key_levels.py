"""The two scoring slices on label maps made by hand."""

import numpy as np

from infarct.anatomy import Region, region_label
from infarct.preprocess.key_levels import key_slices
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((12, 20, 20), (5.0, 1.0, 1.0))


def labels(**voxels: dict[int, int]) -> np.ndarray:
    """A label map with so many voxels of a right region in each named slice."""
    regions = np.zeros(GEOMETRY.shape_zyx, dtype=np.uint8)
    for number, (name, counts) in enumerate(voxels.items()):
        region: Region = name  # type: ignore[assignment]
        for k, count in counts.items():
            regions[k, number, :count] = region_label(region, "right")
    return regions


def test_small_nuclei_weigh_as_much_as_large_ones() -> None:
    regions = labels(C={4: 2, 5: 1}, I={4: 9, 5: 10}, IC={4: 2, 5: 1}, L={4: 9, 5: 10}, M5={8: 5, 9: 12})
    assert key_slices(regions, GEOMETRY) == (4, 9)


def test_supraganglionic_slice_is_at_least_15_mm_higher_where_there_is_one() -> None:
    regions = labels(C={4: 5}, L={4: 5}, M4={5: 12, 6: 3}, M5={7: 4})
    assert key_slices(regions, GEOMETRY) == (4, 7)
    assert key_slices(labels(C={4: 5}, M4={5: 9, 6: 3}), GEOMETRY) == (4, 5)


def test_missing_levels_are_none() -> None:
    assert key_slices(labels(), GEOMETRY) == (None, None)
    assert key_slices(labels(L={3: 4}, M1={3: 9}), GEOMETRY) == (3, None)
    assert key_slices(labels(M6={3: 4, 4: 6}), GEOMETRY) == (None, 4)

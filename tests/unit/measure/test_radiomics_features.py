"""The IBSI's digital phantom: every feature against its published value; the rest by hand and by properties.

The phantom's array is the figure of the IBSI reference manual's section "Digital phantom" (data set
ibsi_1_digital_phantom, CC BY 4.0), and agrees with the merged co-occurrence matrices that the manual prints (appendix
"Digital phantom texture matrices"), which stand below. The values are the manual's tables of reference values
(Zwanenburg et al., arXiv:1612.07003), printed to three digits, tolerance 0.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from infarct.measure.radiomics import (
    IN_PLANE,
    THROUGH_PLANE,
    Merging,
    RadiomicsSettings,
    co_occurrences,
    features,
    region_features,
    statistics,
)

PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    dtype=np.float32,
)
"""Slices top to bottom, rows y, columns x; 0 is outside the region. Voxels are 2 mm wide."""
SPACING_MM = (2.0, 2.0, 2.0)
AS_IT_IS = RadiomicsSettings(lowest_hu=1.0, highest_hu=6.0, bin_width_hu=1.0, distance_mm=2.0)
"""No discretisation: bins of 1 from 1, neighbours one voxel apart."""

MERGED_BY_SLICE = (
    {(1, 1): 22, (1, 4): 17, (1, 6): 6, (4, 4): 16, (4, 6): 11, (6, 6): 4},
    {(1, 1): 42, (1, 3): 5, (1, 4): 8, (1, 6): 8, (3, 4): 1, (3, 6): 2, (4, 4): 4, (4, 6): 3},
    {(1, 1): 56, (1, 4): 7, (1, 6): 4, (4, 4): 2},
    {(1, 1): 70, (1, 4): 7, (1, 6): 5, (4, 4): 2},
)
FIRST_ORDER = {
    "stat_mean": 2.15, "stat_var": 3.05, "stat_skew": 1.08, "stat_kurt": -0.355, "stat_median": 1, "stat_min": 1,
    "stat_p10": 1, "stat_p90": 4, "stat_max": 6, "stat_iqr": 3, "stat_range": 5, "stat_mad": 1.55, "stat_rmad": 1.11,
    "stat_medad": 1.15, "stat_cov": 0.812, "stat_qcod": 0.6, "stat_rms": 2.77,
    "ih_mode": 1, "ih_entropy": 1.27, "ih_uniformity": 0.512,
}  # fmt: skip
MERGINGS: tuple[Merging, ...] = ("2D_comb", "2_5D_comb", "3D_comb")
CO_OCCURRENCE = {
    "joint_max": (0.512, 0.492, 0.509), "joint_avg": (2.14, 2.2, 2.15), "joint_var": (2.71, 3.24, 3.13),
    "joint_entr": (2.24, 2.61, 2.57), "diff_avg": (1.4, 1.44, 1.38), "diff_var": (3.06, 3.23, 3.21),
    "diff_entr": (1.49, 1.67, 1.64), "sum_avg": (4.29, 4.41, 4.3), "sum_var": (5.66, 7.65, 7.41),
    "sum_entr": (1.79, 2.14, 2.11), "energy": (0.352, 0.277, 0.291), "contrast": (5.19, 5.29, 5.12),
    "dissimilarity": (1.4, 1.44, 1.38), "inv_diff": (0.683, 0.673, 0.688), "inv_diff_norm": (0.854, 0.85, 0.856),
    "inv_diff_mom": (0.625, 0.613, 0.631), "inv_diff_mom_norm": (0.901, 0.899, 0.902),
    "inv_var": (0.0553, 0.0582, 0.0574), "corr": (0.0173, 0.182, 0.183), "auto_corr": (5.14, 5.45, 5.19),
    "clust_tend": (5.66, 7.65, 7.41), "clust_shade": (6.98, 16.4, 17.4), "clust_prom": (80.4, 142, 147),
    "info_corr1": (-0.0341, -0.0334, -0.0288), "info_corr2": (0.263, 0.291, 0.269),
}  # fmt: skip
"""Merged by slice and averaged, merged over slices, merged in 3D."""


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


@pytest.mark.parametrize(("place", "merging"), list(enumerate(MERGINGS)))
def test_every_feature_has_its_published_value(place: int, merging: Merging) -> None:
    found = features(PHANTOM, PHANTOM > 0, SPACING_MM, replace(AS_IT_IS, merging=merging))
    published = {f"cm_{name}_{merging}": values[place] for name, values in CO_OCCURRENCE.items()}
    assert {name: three_digits(value) for name, value in found.items()} == FIRST_ORDER | published
    assert list(found) == list(FIRST_ORDER | published)


def test_matrices_are_those_that_the_manual_prints() -> None:
    matrices = list(co_occurrences(PHANTOM.astype(np.intp), SPACING_MM, replace(AS_IT_IS, merging="2D_comb")))
    for matrix, printed in zip(matrices, MERGED_BY_SLICE, strict=True):
        expected = np.zeros((6, 6))
        for (first, second), count in printed.items():
            expected[first - 1, second - 1] = expected[second - 1, first - 1] = count
        np.testing.assert_array_equal(matrix, expected)
    (merged,) = co_occurrences(PHANTOM.astype(np.intp), SPACING_MM, AS_IT_IS)
    np.testing.assert_array_equal(merged, sum(matrices))


def test_directions_and_their_opposites_are_all_neighbours() -> None:
    directions = np.array(IN_PLANE + THROUGH_PLANE)
    both = {tuple(row) for row in np.concatenate([directions, -directions])}
    assert len(both) == 26
    assert (0, 0, 0) not in both


def scan_of_regions() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    hu = random.normal(32, 6, (6, 40, 44)).astype(np.float32)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[1:4, 3:20, 2:20] = 3
    labels[2:6, 18:38, 20:43] = 17
    return hu, labels


def test_one_region_of_many_is_the_region_alone() -> None:
    hu, labels = scan_of_regions()
    found = region_features(hu, labels, (5.0, 0.5, 0.5))
    assert list(found) == [3, 17]
    for label, one in found.items():
        assert one == features(hu, labels == label, (5.0, 0.5, 0.5))


def test_mirrored_region_has_the_same_features() -> None:
    hu, labels = scan_of_regions()
    one = features(hu, labels == 17, (5.0, 0.5, 0.5))
    other = features(hu[:, :, ::-1], labels[:, :, ::-1] == 17, (5.0, 0.5, 0.5))
    assert other == pytest.approx(one, rel=1e-9)


def test_bone_air_and_what_lies_outside_do_not_count() -> None:
    hu, labels = scan_of_regions()
    expected = features(hu, (labels == 3) & (np.arange(44) < 15), (5.0, 0.5, 0.5))
    hu[:, :, 15:30] = 900.0
    hu[:, :, 30:] = -1000.0
    assert features(hu, labels == 3, (5.0, 0.5, 0.5)) == expected


def test_neighbours_are_counted_in_mm() -> None:
    """Twice as many pixels of half the size, each repeated: pairs 2 mm apart hold the same grey levels."""
    levels = np.random.default_rng(5).integers(1, 6, (1, 9, 9))
    settings = replace(AS_IT_IS, distance_mm=2.0)
    (coarse,) = co_occurrences(levels, (5.0, 2.0, 2.0), settings)
    (fine,) = co_occurrences(levels.repeat(2, axis=1).repeat(2, axis=2), (5.0, 1.0, 1.0), settings)
    np.testing.assert_array_equal(fine, 4 * coarse)
    (next_pixel,) = co_occurrences(levels, (5.0, 9.0, 9.0), settings)  # never less than one pixel
    np.testing.assert_array_equal(next_pixel, coarse)


def test_offset_beyond_the_region_finds_no_pair() -> None:
    assert not list(co_occurrences(np.ones((1, 3, 3), dtype=np.intp), (5.0, 0.1, 0.1), AS_IT_IS))


def test_bins_are_closed_below() -> None:
    """Bins of 4 HU from -20: [-20, -16) is 1, [-16, -12) is 2; 100 HU, the last, is the 31st."""
    hu = np.array([[[-20.0, -16.01, -16.0, 99.9, 100.0, 100.1]]], dtype=np.float32)
    levels = [features(hu[:, :, [k, k]], np.ones((1, 1, 2), dtype=bool), (5.0, 2.0, 2.0))["ih_mode"] for k in range(5)]
    assert levels == [1, 1, 2, 30, 31]
    assert RadiomicsSettings().grey_levels == 31


def test_mode_of_equal_peaks_lies_nearest_the_mean() -> None:
    hu = np.array([[[1, 1, 3, 3, 6]]], dtype=np.float32)  # mean 2.8
    assert features(hu, hu > 0, SPACING_MM, AS_IT_IS)["ih_mode"] == 3


def test_region_of_one_value() -> None:
    found = features(np.full((1, 4, 4), 30, dtype=np.float32), np.ones((1, 4, 4), dtype=bool), (5.0, 1.0, 1.0))
    assert (found["stat_skew"], found["stat_kurt"], found["stat_var"]) == (0, 0, 0)
    assert (found["ih_entropy"], found["cm_joint_entr_2_5D_comb"], found["cm_info_corr2_2_5D_comb"]) == (0, 0, 0)
    assert {name for name, value in found.items() if math.isnan(value)} == {
        "cm_corr_2_5D_comb", "cm_info_corr1_2_5D_comb",
    }  # fmt: skip


def test_statistics_by_hand() -> None:
    found = statistics(np.array([0.0, 1.0, 2.0, 9.0]))
    assert found["stat_mean"] == 3
    assert found["stat_var"] == 12.5  # (9 + 4 + 1 + 36) / 4
    assert found["stat_skew"] == pytest.approx((-27 - 8 - 1 + 216) / 4 / 12.5**1.5)
    assert found["stat_kurt"] == pytest.approx((81 + 16 + 1 + 1296) / 4 / 12.5**2 - 3)
    assert found["stat_rmad"] == pytest.approx(0.5)  # 1 and 2 lie between the 10th and 90th percentile
    undefined = statistics(np.array([-1.0, 1.0]))
    assert {name for name, value in undefined.items() if math.isnan(value)} == {"stat_cov", "stat_qcod", "stat_rmad"}


@pytest.mark.parametrize("mask", [np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool)])
def test_region_without_brain_is_refused(mask: np.ndarray) -> None:
    hu = np.full((2, 3, 3), 500, dtype=np.float32)
    with pytest.raises(ValueError, match="no two neighbouring voxels"):
        features(hu, mask, (5.0, 0.5, 0.5))
    assert region_features(hu, mask.astype(np.uint8), (5.0, 0.5, 0.5)) == {}

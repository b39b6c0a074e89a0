"""Which regions are used, on label maps worked out by hand."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from infarct.anatomy import REGIONS, region_label
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane
from infarct.systems.region_choice import ChoiceConfig, chosen, mean_dice, plausible_regions
from infarct.systems.regions_vbnet import DrawnRegions, largest_pieces
from infarct.types import LabelArray
from infarct.volume import Geometry

SHAPE = (8, 30, 40)
GRID = Geometry.regular(SHAPE, (5.0, 2.0, 2.0), origin_mm=(-39, 0, 0))
"""Voxels of 0.02 ml; the plane x = 0 lies between the columns 19 and 20."""


def boxes() -> LabelArray:
    """Return twenty regions of 2 x 4 x 6 voxels, that is .96 ml, five in a row at two heights."""
    labels = np.zeros(SHAPE, np.uint8)
    for number, region in enumerate(REGIONS):
        z, y = 1 + 3 * (number // 5), 1 + 6 * (number % 5)
        labels[z : z + 2, y : y + 4, 24:30] = region_label(region, "left")
        labels[z : z + 2, y : y + 4, 10:16] = region_label(region, "right")
    return labels


def head(labels: LabelArray) -> Head:
    """Return what the choice looks at of a head whose atlas regions are ``labels``."""
    brain = np.zeros(SHAPE, dtype=bool)
    brain[:, :, 4:36] = True
    plain = SimpleNamespace(
        geometry=GRID,
        brain=brain,
        midplane=Midplane(np.array([1.0, 0, 0]), 0.0),
        aspects_regions=labels,
        region_ml=(0.0,) + (0.96,) * 20,
    )
    return cast(Head, plain)


def drawn(labels: LabelArray) -> DrawnRegions:
    return DrawnRegions(labels, np.ones(SHAPE, dtype=bool))


def moved(labels: LabelArray, columns: int) -> LabelArray:
    return np.roll(labels, columns, axis=2)


def test_all_boxes_are_plausible() -> None:
    assert plausible_regions(boxes(), head(boxes())) == 20
    assert plausible_regions(np.zeros(SHAPE, np.uint8), head(boxes())) == 0


LEFT_M2 = (slice(4, 6), slice(1, 5), slice(24, 30))


def flawed(flaw: str) -> LabelArray:
    """Return the boxes with something wrong in the left M2, which has 48 voxels."""
    labels = boxes()
    value = labels[4, 1, 24]
    assert value == region_label("M2", "left")
    labels[LEFT_M2] = 0
    places = {
        "small": [(4, slice(1, 5), slice(24, 28))],  # 16 voxels
        "two pieces": [(slice(4, 6), slice(1, 5), slice(24, 26)), (slice(4, 6), slice(1, 5), slice(27, 30))],  # 16, 24
        "outside the skull": [(slice(4, 6), slice(1, 5), slice(31, 37))],  # 8 of 48 beyond column 35
        "other side": [(slice(4, 6), slice(1, 5), slice(19, 25))],  # 8 of 48 right of the plane
    }
    for place in places.get(flaw, []):
        labels[place] = value
    return labels


@pytest.mark.parametrize(
    ("flaw", "lost"), [("missing", 2), ("small", 2), ("two pieces", 1), ("outside the skull", 1), ("other side", 1)]
)
def test_each_flaw_is_seen(flaw: str, lost: int) -> None:
    """A region that is missing or too small takes its partner with it: the sides do not match."""
    assert plausible_regions(flawed(flaw), head(boxes())) == 20 - lost


def test_sizes_are_judged_by_this_head() -> None:
    labels = boxes()
    for expected_ml, plausible in ((1.91, 20), (1.93, 0), (0.49, 20), (0.47, 0)):
        sized = SimpleNamespace(**{**vars(head(labels)), "region_ml": (0.0,) + (expected_ml,) * 20})
        assert plausible_regions(labels, cast(Head, sized)) == plausible


def test_dice_by_hand() -> None:
    """A region of one voxel in both, one of two voxels that share one, one that only the other has."""
    one, other = np.zeros((1, 1, 6), np.uint8), np.zeros((1, 1, 6), np.uint8)
    one[0, 0] = [1, 2, 2, 0, 0, 0]
    other[0, 0] = [1, 0, 2, 2, 0, 5]
    assert mean_dice(one, other) == pytest.approx((1 + 0.5 + 0) / 3)
    assert mean_dice(one * 0, other * 0) == 1.0


def test_the_networks_regions_are_used_where_both_agree() -> None:
    """One column aside: 5 of 6 columns shared."""
    choice = chosen(head(boxes()), drawn(moved(boxes(), 1)))
    assert (choice.method, choice.flags) == ("vbnet", ())
    assert choice.mean_dice == pytest.approx(5 / 6)
    np.testing.assert_array_equal(choice.labels, moved(boxes(), 1))


@pytest.mark.parametrize(("atlas_off", "network_off", "method"), [(0, 8, "atlas"), (8, 0, "vbnet"), (2, -2, "vbnet")])
def test_the_more_plausible_ones_are_used_where_they_disagree(atlas_off: int, network_off: int, method: str) -> None:
    """Eight columns to the left the right side's regions leave their side, four of whose columns cross the plane."""
    atlas, network = moved(boxes(), atlas_off), moved(boxes(), network_off)
    choice = chosen(head(atlas), drawn(network))
    assert choice.method == method
    (flag,) = choice.flags
    assert (flag.code, flag.severity) == ("regions_disagree", "warning")
    assert flag.value == pytest.approx(mean_dice(network, atlas), abs=1e-3)
    np.testing.assert_array_equal(choice.labels, network if method == "vbnet" else atlas)
    assert chosen(head(atlas), drawn(network), ChoiceConfig(least_dice=0.0)).flags == ()


def test_where_only_one_has_regions_those_are_used() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    for atlas, network, method in (
        (boxes(), None, "atlas"),
        (boxes(), nothing, "atlas"),
        (nothing, boxes(), "vbnet"),
        (nothing, None, "atlas"),
    ):
        choice = chosen(head(atlas), None if network is None else drawn(network))
        assert (choice.method, choice.mean_dice, choice.flags) == (method, None, ())
    assert not choice.labels.any()


def test_only_the_largest_piece_of_a_region_is_kept() -> None:
    labels = np.array([[[1, 1, 0, 1, 0, 3], [0, 0, 0, 0, 3, 0]]], np.uint8)
    assert largest_pieces(labels).tolist() == [[[1, 1, 0, 0, 0, 3], [0, 0, 0, 0, 3, 0]]]

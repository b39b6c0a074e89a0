"""Names and label values."""

import pytest

from infarct.anatomy import (
    CORTICAL_REGIONS,
    GANGLIONIC_REGIONS,
    INFRATENTORIAL,
    REGION_NAMES,
    REGIONS,
    SIDES,
    SUBCORTICAL_REGIONS,
    SUPRAGANGLIONIC_REGIONS,
    TERRITORY_LABELS,
    opposite,
    region_label,
    region_of_label,
)


def test_labels_and_regions_are_a_bijection() -> None:
    pairs = [(region, side) for side in SIDES for region in REGIONS]
    assert [region_label(*pair) for pair in pairs] == list(range(1, 21))
    assert [region_of_label(label) for label in range(1, 21)] == pairs


@pytest.mark.parametrize(
    ("region", "side", "label"),
    [("C", "right", 1), ("M6", "right", 10), ("C", "left", 11), ("L", "left", 14), ("M6", "left", 20)],
)
def test_labels_by_hand(region, side, label: int) -> None:
    assert region_label(region, side) == label


@pytest.mark.parametrize("label", [0, 21, -1, 255])
def test_other_labels_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        region_of_label(label)


def test_opposite_swaps_the_sides() -> None:
    assert opposite("left") == "right"
    assert opposite("right") == "left"
    assert all(opposite(opposite(side)) == side for side in SIDES)


def test_the_order_of_the_regions_is_fixed() -> None:
    assert REGIONS == ("C", "I", "IC", "L", "M1", "M2", "M3", "M4", "M5", "M6")
    assert set(REGION_NAMES) == set(REGIONS)


def test_groups_divide_the_regions() -> None:
    assert (*GANGLIONIC_REGIONS, *SUPRAGANGLIONIC_REGIONS) == REGIONS
    assert sorted((*SUBCORTICAL_REGIONS, *CORTICAL_REGIONS)) == sorted(REGIONS)


def test_territory_labels_are_distinct_and_small() -> None:
    assert sorted(TERRITORY_LABELS.values()) == list(range(1, 8))
    assert set(INFRATENTORIAL) <= set(TERRITORY_LABELS)

"""Features of regions and trees as arrays: worked out by hand, against scikit-learn, damaged ones refused."""

from dataclasses import replace

import numpy as np
import pytest
from grown_forests import FEATURES, TINY, mirrored_boxes, noisy_boxes, random_forest

from infarct.anatomy import REGIONS, SIDES, opposite, region_label
from infarct.errors import BadRequest
from infarct.measure.radiomics import features
from infarct.preprocess.region_input import RegionInput
from infarct.systems.region_forests import (
    TENSORS,
    Forest,
    feature_names,
    forests_of,
    leaf,
    logits_of,
    pair_rows,
    radiomics_settings,
    region_table,
)

SETTINGS = radiomics_settings(TINY)
FORESTS = {region: random_forest(number) for number, region in enumerate(REGIONS)}
MEAN = feature_names(SETTINGS).index("stat_mean")


def hand_forest() -> Forest:
    """Two trees. The first: x0 <= 1 gives 0.25, otherwise x1 <= -2 gives 0.5, otherwise 1. The second says 0.125."""
    return Forest(
        np.array([0, -1, 1, -1, -1, -1], np.int16),
        np.array([1.0, 0.25, -2.0, 0.5, 1.0, 0.125], np.float32),
        np.array([2, 0, 4, 0, 0, 0], np.int32),
        np.array([0, 5], np.int32),
    )


def test_trees_by_hand() -> None:
    rows = np.array([[1, 0], [1.0001, -2], [9, 0]], dtype=np.float32)
    expected = np.array([0.25 + 0.125, 0.5 + 0.125, 1 + 0.125]) / 2
    np.testing.assert_array_equal(hand_forest().share(rows), expected)
    np.testing.assert_allclose(hand_forest().logit(rows), np.log(expected / (1 - expected)), atol=1e-12)


def test_a_forest_is_never_quite_certain() -> None:
    rows = np.zeros((1, 2), dtype=np.float32)
    assert [leaf(share).logit(rows)[0] for share in (0.0, 1.0)] == pytest.approx([-np.log(999), np.log(999)])


def test_a_window_is_turned_back_into_hu() -> None:
    """Level 30 and width 60: -0.5 is 15 HU and 0.5 is 45 HU; a voxel at an end of the window does not count."""
    prepared = noisy_boxes()
    image = np.full(prepared.image.shape, -0.5, dtype=np.float32)
    place = prepared.regions == region_label("M3", "left")
    image[place] = np.resize(np.array([0.5, 0.5, 0.5, -0.5, 1.0, -1.0], np.float32), place.sum())
    table = region_table(RegionInput(image, prepared.regions, prepared.geometry), TINY, SETTINGS)
    names = feature_names(SETTINGS)
    found = dict(zip(names, table[region_label("M3", "left") - 1], strict=True))
    inside = np.resize([45.0, 45.0, 45.0, 15.0, np.nan, np.nan], place.sum())
    assert found["stat_mean"] == pytest.approx(np.nanmean(inside))
    assert (found["stat_min"], found["stat_max"]) == (15.0, 45.0)
    other = dict(zip(names, table[region_label("M3", "right") - 1], strict=True))
    assert (other["stat_mean"], other["stat_var"], other[next(n for n in names if "corr" in n)]) == (15.0, 0.0, 0.0)


def test_features_are_those_of_the_measure() -> None:
    prepared = noisy_boxes()
    table = region_table(prepared, TINY, SETTINGS)
    for region, side in (("IC", "left"), ("M5", "right")):
        label = region_label(region, side)  # type: ignore[arg-type]
        hu = (30 + 30 * prepared.image).astype(np.float32)
        mask = (prepared.regions == label) & (np.abs(prepared.image) < 1)
        expected = features(hu, mask, TINY.spacing_mm_zyx, SETTINGS)
        assert tuple(expected) == feature_names(SETTINGS)
        np.testing.assert_allclose(table[label - 1], list(expected.values()), rtol=1e-5)


def test_rows_by_hand() -> None:
    tables = np.zeros((1, 20, 2), dtype=np.float32)
    tables[0, region_label("I", "right") - 1] = (1, 2)
    tables[0, region_label("I", "left") - 1] = (5, 9)
    assert SIDES == ("right", "left")
    np.testing.assert_array_equal(pair_rows(tables, "I"), [[[1, 2, 5, 9, -4, -7], [5, 9, 1, 2, 4, 7]]])


def test_a_mirrored_head_has_the_sides_changed_to_the_last_bit() -> None:
    prepared = noisy_boxes()
    table, turned = (region_table(one, TINY, SETTINGS) for one in (prepared, mirrored_boxes(prepared)))
    np.testing.assert_array_equal(table[:10], turned[10:])
    np.testing.assert_array_equal(table[10:], turned[:10])
    own, other = logits_of(FORESTS, table), logits_of(FORESTS, turned)
    assert len(own) == 20
    assert own == {(region, opposite(side)): logit for (region, side), logit in other.items()}
    assert len(set(own.values())) > 10


def test_both_sides_brighter_moves_the_means_and_no_difference() -> None:
    prepared = noisy_boxes()
    calm = np.clip(prepared.image, -0.6, 0.6)
    brighter = RegionInput(calm + np.float32(0.2), prepared.regions, prepared.geometry)  # 6 HU
    before = pair_rows(region_table(replace(brighter, image=calm), TINY, SETTINGS), "M2")
    after = pair_rows(region_table(brighter, TINY, SETTINGS), "M2")
    third = FEATURES // 3
    np.testing.assert_allclose(after[:, MEAN] - before[:, MEAN], 6.0, atol=1e-4)
    np.testing.assert_allclose(after[:, third + MEAN] - before[:, third + MEAN], 6.0, atol=1e-4)
    np.testing.assert_allclose(after[:, 2 * third + MEAN], before[:, 2 * third + MEAN], atol=1e-4)


def test_a_region_missing_on_one_side_is_judged_on_neither() -> None:
    prepared = noisy_boxes()
    labels = np.where(prepared.regions == region_label("L", "left"), 0, prepared.regions).astype(np.uint8)
    found = logits_of(FORESTS, region_table(replace(prepared, regions=labels), TINY, SETTINGS))
    assert {region for region, _ in found} == set(REGIONS) - {"L"}
    none = region_table(replace(prepared, regions=np.zeros_like(labels)), TINY, SETTINGS)
    assert none.shape == (20, FEATURES // 3)
    assert not logits_of(FORESTS, none)


def tensors() -> dict[str, np.ndarray]:
    return {key: part for region, forest in FORESTS.items() for key, part in forest.tensors(region).items()}


def test_ten_whole_forests_are_taken() -> None:
    found = forests_of(tensors(), FEATURES // 3)
    assert list(found) == list(REGIONS)
    rows = np.random.default_rng(0).uniform(-9, 50, (7, FEATURES)).astype(np.float32)
    np.testing.assert_array_equal(found["M4"].share(rows), FORESTS["M4"].share(rows))


DAMAGED = {
    "a loop": {"right": (0, 0)},
    "a right child that is the left one": {"right": (0, 1)},
    "a child behind the end": {"right": (0, 75)},
    "a feature that nobody measured": {"feature": (0, FEATURES)},
    "a feature below the leaf": {"feature": (0, -2)},
    "no leaf at the end": {"feature": (-1, 0)},
    "a share above 1": {"value": (-1, 1.5)},
    "a negative share": {"value": (-1, -0.5)},
    "a tree that begins behind the end": {"roots": (0, 75)},
    "a tree that begins before the first": {"roots": (0, -1)},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_trees_are_refused(damage: dict[str, tuple[int, float]]) -> None:
    found = tensors()
    for name, (place, value) in damage.items():
        part = found[f"M1.{name}"].copy()
        part[place] = value
        found[f"M1.{name}"] = part
    with pytest.raises(BadRequest, match="damaged"):
        forests_of(found, FEATURES // 3)


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_another_shape_or_type_are_refused(name: str) -> None:
    part = tensors()[f"C.{name}"]
    for other in (part[:-1] if name != "roots" else part[:0], part[:, None], part.astype(np.float64), part[:0]):
        with pytest.raises(BadRequest, match="ten forests"):
            forests_of({**tensors(), f"C.{name}": other}, FEATURES // 3)
    with pytest.raises(BadRequest, match="ten forests"):
        forests_of({key: part for key, part in tensors().items() if key != f"C.{name}"}, FEATURES // 3)

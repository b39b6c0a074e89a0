"""What the cascade is trained on: items that match what inference gives, and truth that goes with the picture."""

from dataclasses import replace

import numpy as np
import pytest
from prepared_heads import SHAPE, TINY_CASCADE, head_case, tiny_vb

from infarct.preprocess.cascade_input import box_start, channels_of, coordinates
from infarct.training.augment import Motion
from infarct.training.recipe import Augmentation
from infarct.training.vb_data import (
    REGIONS_MIDDLE_MM,
    HeadDataset,
    as_registered,
    item_of,
    middle_start,
    patch_coordinates,
    shaken,
    volumes,
)
from infarct.training.vb_recipe import Shake

STILL = tiny_vb(augmentation=Augmentation(), shake=Shake(), box_shift_mm=(0.0, 0.0, 0.0))


def test_items_depend_on_seed_and_number_alone() -> None:
    cases = [head_case(seed) for seed in range(3)]
    one, again, other = (HeadDataset(cases, tiny_vb(seed=seed)) for seed in (1, 1, 2))
    for stage, size in (("coarse", TINY_CASCADE.coarse_tile_zyx), ("fine", TINY_CASCADE.fine_tile_zyx)):
        np.testing.assert_array_equal(one[4][stage]["channels"], again[4][stage]["channels"])
        assert not np.array_equal(one[4][stage]["channels"], other[4][stage]["channels"])
        assert one[0][stage]["channels"].shape == (15, *size)
        assert one[0][stage]["labels"].shape == size


def test_a_still_box_is_what_inference_cuts() -> None:
    """All channels of the fine network, around the middle of the regions; labels are those of the case and 1."""
    case = head_case(0)
    item = HeadDataset([case], STILL)[0]["fine"]
    z, y, x = box_start(case.middle, SHAPE, TINY_CASCADE.fine_tile_zyx)
    dz, dy, dx = TINY_CASCADE.fine_tile_zyx
    box = (slice(z, z + dz), slice(y, y + dy), slice(x, x + dx))
    np.testing.assert_allclose(item["channels"], channels_of(case.given, TINY_CASCADE)[:, *box], atol=2e-3)
    expected = np.where(case.regions > 0, case.regions + 1, case.intracranial)[box]
    np.testing.assert_array_equal(item["labels"], expected)
    assert (case.regions[box] > 0).sum() == (case.regions > 0).sum()


def test_a_head_smaller_than_the_tile_stands_in_its_middle_among_zeros() -> None:
    """As `runtime.predict_tiled` places it, coordinates too."""
    case = head_case(0)
    small = volumes(case.given, case.regions)
    size = (SHAPE[0] + 3, SHAPE[1] + 4, SHAPE[2] + 2)
    start = middle_start(SHAPE, size)
    assert start == (-1, -2, -1)
    channels = item_of(small, start, size, STILL, random=np.random.default_rng(0))["channels"].numpy()
    place = (slice(None), slice(1, 1 + SHAPE[0]), slice(2, 2 + SHAPE[1]), slice(1, 1 + SHAPE[2]))
    np.testing.assert_allclose(channels[place], channels_of(case.given, TINY_CASCADE), atol=2e-3)
    channels[place] = 0
    assert not channels.any()


def test_a_flip_swaps_the_sides() -> None:
    """The network without sides sees the mirrored head; one with sides also has the labels and the sign of x turned."""
    case = head_case(0)
    flipped = replace(STILL, augmentation=Augmentation(flip_chance=1.0))
    one, other = (HeadDataset([case], recipe)[0]["fine"] for recipe in (STILL, flipped))
    np.testing.assert_allclose(other["channels"][:1], one["channels"][:1].flip(-1), atol=2e-3)
    labels = one["labels"].flip(-1).numpy().astype(int)
    swapped = np.where(labels > 11, labels - 10, np.where(labels > 1, labels + 10, labels))
    np.testing.assert_array_equal(other["labels"], swapped)
    assert (other["channels"][1] >= 0).all()
    np.testing.assert_allclose(other["channels"][1:], one["channels"][1:].flip(-1), atol=1e-5)


def test_places_move_with_the_picture() -> None:
    """A turned and shifted patch: each voxel has the coordinates of where its values come from."""
    matrix = np.array([[0, 0.1, 1.5, -20], [0.2, 1.5, 0, -25], [5, 0, 0.1, -10]])
    turn = np.array([[1, 0, 0], [0, 0.9, -0.3], [0, 0.3, 0.9]])
    motion = Motion(turn, np.array([3.0, 9.0, 8.0]), turn, np.zeros(3))
    found = patch_coordinates(matrix, SHAPE, (3, 5, 7), motion)
    index = np.array([2, 4, 1])
    source = turn @ (index - [1, 2, 3]) + [3, 9, 8]
    np.testing.assert_allclose(found[:, *index], matrix @ [*source, 1] / 100, atol=1e-5)
    still = Motion(np.eye(3), (np.array(SHAPE) - 1) / 2, np.eye(3), np.zeros(3))
    whole = patch_coordinates(matrix, SHAPE, SHAPE, still)
    np.testing.assert_allclose(whole, coordinates(matrix, SHAPE), atol=1e-6)


def test_coordinates_are_shaken_as_told() -> None:
    """SD of the place of the atlas's origin along y and z; x is only scaled; some are not known at all."""
    matrix = np.eye(3, 4)
    random = np.random.default_rng(0)
    drawn = np.array([shaken(matrix, Shake(2.0, 1.5, 0.02), random) for _ in range(400)])
    assert drawn[:, 1:, 3].std(axis=0) == pytest.approx([2, 2], rel=0.15)
    assert not drawn[:, 0, [1, 2, 3]].any()
    assert drawn[:, 0, 0].std() == pytest.approx(0.02, rel=0.2)
    np.testing.assert_allclose(shaken(matrix, Shake(), random), matrix)
    stretched = shaken(matrix, Shake(stretch_xyz=(1.1, 1.2, 1.3)), random)
    np.testing.assert_allclose(stretched[:, :3], np.diag([1.1, 1.2, 1.3]))
    middle = REGIONS_MIDDLE_MM[1:]
    np.testing.assert_allclose(stretched[1:] @ [0, *middle, 1], middle)  # it stays where it is
    data = HeadDataset([head_case(0)], replace(STILL, shake=Shake(missing=0.5)))
    known = np.mean([bool(data[number]["fine"]["channels"][1:].any()) for number in range(60)])
    assert 0.3 < known < 0.7


def test_cases_are_off_alike_each_time_they_validate() -> None:
    cases, recipe = [head_case(0), head_case(1)], tiny_vb()
    (one, other), again = as_registered(cases, recipe), as_registered(cases[1:], recipe)
    assert one.to_atlas is not None
    assert other.to_atlas is not None
    assert not np.allclose(one.to_atlas, other.to_atlas)
    np.testing.assert_array_equal(other.to_atlas, again[0].to_atlas)
    assert one.regions is cases[0].regions
    unknown = replace(cases[0], to_atlas=None)
    assert as_registered([unknown], recipe) == [unknown]


def test_the_box_of_training_does_not_leave_the_head() -> None:
    assert box_start(np.array([0.0, 20.0, 5.5]), (10, 22, 12), (4, 8, 16)) == (0, 14, -2)


def test_the_published_network_gets_the_image_alone() -> None:
    cascade = replace(TINY_CASCADE, coordinates=False, prior=False, sided=True)
    recipe = replace(STILL, cascade=cascade, network_config={"in_channels": 1, "out_channels": 22})
    assert len(HeadDataset([head_case(0)], recipe)[0]["fine"]["channels"]) == 1

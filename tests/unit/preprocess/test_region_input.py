import numpy as np
import pytest

from infarct.anatomy import REGIONS, region_label
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.region_input import (
    EVERYDAY,
    PAPER,
    RegionInput,
    RegionSetting,
    make_region_input,
    put_back,
    region_pair,
)
from infarct.types import LabelArray
from infarct.volume import Geometry

SETTING = RegionSetting("tiny", (5.0, 2.0, 2.0), (3, 4, 5))
SHAPE = (6, 14, 12)


def speckled(seed: int) -> RegionInput:
    """Return noise with a random part of every region on either side; no side is like the other."""
    random = np.random.default_rng(seed)
    regions = np.zeros(SHAPE, np.uint8)
    half = SHAPE[2] // 2
    drawn = random.integers(0, 11, (*SHAPE[:2], half))
    regions[:, :, half:] = np.where(drawn > 0, drawn + 10, 0)
    regions[:, :, :half] = random.integers(0, 11, (*SHAPE[:2], half))
    image = random.uniform(-1, 1, SHAPE).astype(np.float32)
    return RegionInput(image, regions, Geometry.regular(SHAPE, SETTING.spacing_mm_zyx))


def swapped(labels: LabelArray) -> LabelArray:
    """Return labels with left and right exchanged."""
    other = np.where(labels > 10, labels - 10, labels + 10)
    return np.where(labels > 0, other, 0).astype(np.uint8)


def mirrored(given: RegionInput) -> RegionInput:
    return RegionInput(given.image[:, :, ::-1].copy(), swapped(given.regions)[:, :, ::-1].copy(), given.geometry)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shift", [(0, 0, 0), (1, -2, 3)])
def test_mirroring_the_head_swaps_the_halves_exactly(seed: int, shift: tuple[int, int, int]) -> None:
    given = speckled(seed)
    for region in REGIONS:
        one, other = (region_pair(head, region, SETTING, shift) for head in (given, mirrored(given)))
        assert one is not None
        assert other is not None
        assert (one[:2] == other[2:]).all()
        assert (one[2:] == other[:2]).all()


def test_a_pair_worked_out_by_hand() -> None:
    """One row of six voxels: the right insula at index 0 and 1, the left one at 4; patches of one row of three."""
    image = np.array([[[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]], np.float32)
    regions = np.array([[[2, 2, 0, 0, 12, 0]]], np.uint8)
    given = RegionInput(image, regions, Geometry.regular((1, 1, 6), (5, 1, 1)))
    setting = RegionSetting("row", (5.0, 1.0, 1.0), (1, 1, 3))
    pair = region_pair(given, "I", setting)
    assert pair is not None
    np.testing.assert_allclose(pair[0, 0, 0], [0.4, 0.5, 0.6])
    np.testing.assert_array_equal(pair[1, 0, 0], [0, 1, 0])
    # The right side reversed is .6 .5 .4 .3 .2 .1, its region at 4 and 5: the centre, 4.5, is voxel 5.
    np.testing.assert_allclose(pair[2, 0, 0], [0.2, 0.1, -1])
    np.testing.assert_array_equal(pair[3, 0, 0], [1, 1, 0])
    moved = region_pair(given, "I", setting, (0, 0, -1))
    assert moved is not None
    np.testing.assert_allclose(moved[0, 0, 0], [0.3, 0.4, 0.5])
    np.testing.assert_allclose(moved[2, 0, 0], [0.3, 0.2, 0.1])
    assert region_pair(given, "C", setting) is None
    assert given.has("I")
    assert not given.has("C")


def test_no_pair_where_one_side_is_empty() -> None:
    regions = np.array([[[3, 0, 0, 0]]], np.uint8)
    given = RegionInput(np.zeros((1, 1, 4), np.float32), regions, Geometry.regular((1, 1, 4), (5, 1, 1)))
    assert region_pair(given, "IC", SETTING) is None
    with pytest.raises(ValueError, match="no pair"):
        put_back(np.zeros(SETTING.patch_zyx, np.float32), given, "IC", "right", setting=SETTING)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_map_put_back_lies_where_it_was_cut(side: str) -> None:
    """The mask of a region, put back, is the region as far as the patch reached; the image likewise."""
    given = speckled(9)
    half = 0 if side == "left" else 2
    for region in REGIONS:
        pair = region_pair(given, region, SETTING)
        assert pair is not None
        image, mask = (put_back(part, given, region, side, setting=SETTING) for part in pair[half : half + 2])  # type: ignore[arg-type]
        reached = put_back(np.ones(SETTING.patch_zyx, np.float32), given, region, side, setting=SETTING) > 0  # type: ignore[arg-type]
        assert 0 < reached.sum() <= np.prod(SETTING.patch_zyx)
        np.testing.assert_array_equal(mask > 0, reached & (given.regions == region_label(region, side)))  # type: ignore[arg-type]
        np.testing.assert_array_equal(image[reached], given.image[reached])
        assert not image[~reached].any()
    with pytest.raises(ValueError, match="size of a patch"):
        put_back(np.zeros((1, 1, 1), np.float32), given, "C", "left", setting=SETTING)


def block_head() -> tuple[Geometry, np.ndarray, np.ndarray, np.ndarray]:
    """Return a skull of 1000 HU around a brain of 30 HU, 45 HU on the left of x = 0, with two regions."""
    geometry = Geometry.regular((9, 40, 40), (5.0, 3.0, 3.0), origin_mm=(-58.5, -60.0, 0.0))
    hu = np.full(geometry.shape_zyx, -1000, np.float32)
    hu[:, 6:34, 6:34] = 1000
    brain = np.zeros(hu.shape, dtype=bool)
    brain[1:8, 8:32, 8:32] = True
    hu[brain] = 30
    hu[:, :, 20:][brain[:, :, 20:]] = 45
    regions = np.zeros(hu.shape, np.uint8)
    regions[3:6, 15:20, 11:15] = region_label("L", "right")
    regions[3:6, 15:20, 25:29] = region_label("L", "left")
    return geometry, hu, brain, regions


def test_the_input_is_windowed_and_keeps_the_skull() -> None:
    geometry, hu, brain, regions = block_head()
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
    made = make_region_input(hu, geometry, brain=brain, regions=regions, plane=plane, setting=EVERYDAY)
    assert made.image.dtype == np.float32
    assert made.image.shape[2] % 2 == 0
    assert made.geometry.spacing_mm_zyx == (5.0, 1.5, 1.5)
    values = {region: made.image[made.regions == region_label("L", region)] for region in ("left", "right")}  # type: ignore[arg-type]
    np.testing.assert_allclose(values["right"], 0, atol=1e-4)  # the level, 30 HU
    np.testing.assert_allclose(values["left"], 0.5, atol=1e-4)  # 15 HU of 30
    assert (made.image == 1).mean() > 0.1  # bone
    assert made.image.min() == -1  # air
    pair = region_pair(made, "L", EVERYDAY)
    assert pair is not None
    assert pair.shape == (4, 7, 44, 37)
    np.testing.assert_array_equal(pair[1], pair[3])  # the head is symmetric
    assert pair[1].sum() == (made.regions == region_label("L", "left")).sum()
    with pytest.raises(ValueError, match="empty brain"):
        make_region_input(hu, geometry, brain=~(hu < 1e9), regions=regions, plane=plane, setting=EVERYDAY)


def test_the_published_setting() -> None:
    assert PAPER.patch_zyx == (7, 130, 110)
    assert PAPER.spacing_mm_zyx == (5, 0.5, 0.5)
    assert (PAPER.level_hu, PAPER.width_hu, PAPER.padding) == (30, 60, -1)
    assert PAPER.from_scan
    assert not EVERYDAY.from_scan
    extents = [np.multiply(one.patch_zyx, one.spacing_mm_zyx) for one in (PAPER, EVERYDAY)]
    np.testing.assert_allclose(extents[0], extents[1], atol=1.5)
    with pytest.raises(ValueError, match="at least a voxel"):
        RegionSetting("none", (5, 1, 1), (7, 0, 37))

"""Patches and blocks, at the edges of a scan and inside."""

import numpy as np
import pytest

from infarct.preprocess.patch_input import BEFORE_PX, PATCH_PX, ROOM_PX, cut_blocks, cut_patches

IMAGES = np.random.default_rng(0).normal(0, 1, (2, 4, 23, 31)).astype(np.float32)
EVERY = np.argwhere(np.ones(IMAGES.shape[1:], dtype=bool))


@pytest.mark.parametrize("images", [IMAGES, IMAGES[:1], IMAGES[:, :1], IMAGES[:, :, :3, :2]])
def test_every_patch_is_that_of_the_images_repeated_at_their_edges(images: np.ndarray) -> None:
    places = np.argwhere(np.ones(images.shape[1:], dtype=bool))
    padded = np.pad(images, [(0, 0), (1, 1), (9, 9), (9, 9)], mode="edge")
    patches = cut_patches(images, places)
    assert patches.dtype == np.float32
    assert patches.shape == (len(places), 3 * len(images), PATCH_PX, PATCH_PX)
    for patch, (z, y, x) in zip(patches, places, strict=True):
        expected = padded[:, z : z + 3, y : y + PATCH_PX, x : x + PATCH_PX]
        assert np.array_equal(patch, expected.reshape(-1, PATCH_PX, PATCH_PX))


def test_channels_are_the_slices_from_below_to_above_image_after_image() -> None:
    images = np.broadcast_to(np.arange(8.0, dtype=np.float32).reshape(2, 4, 1, 1), (2, 4, 20, 20))
    patches = cut_patches(images, np.array([[1, 10, 10], [0, 10, 10], [3, 10, 10]]))
    assert patches[:, :, 0, 0].tolist() == [[0, 1, 2, 4, 5, 6], [0, 0, 1, 4, 4, 5], [2, 3, 3, 6, 7, 7]]


def test_the_place_is_in_the_middle() -> None:
    places = np.array([[2, 0, 30], [1, 12, 15]])
    for patch, (z, y, x) in zip(cut_patches(IMAGES, places), places, strict=True):
        assert patch[1, BEFORE_PX, BEFORE_PX] == IMAGES[0, z, y, x]
        assert patch[4, BEFORE_PX, BEFORE_PX] == IMAGES[1, z, y, x]


def test_blocks_hold_the_field_of_each_voxel_judged_in_them() -> None:
    """Also where a block reaches far beyond the images."""
    first = np.array([[0, 0, 0], [3, 16, 24], [1, 5, 7]])
    side, field = 8, ROOM_PX + 1
    blocks = cut_blocks(IMAGES, first, side)
    assert blocks.shape == (3, 6, side + ROOM_PX, side + ROOM_PX)
    for block, (z, y, x) in zip(blocks, first, strict=True):
        for place in [(0, 0), (7, 7), (3, 6), (6, 0)]:
            if y + place[0] >= IMAGES.shape[2] or x + place[1] >= IMAGES.shape[3]:
                continue
            patch = cut_patches(IMAGES, np.array([[z, y + place[0], x + place[1]]]))[0]
            within = block[:, place[0] : place[0] + field, place[1] : place[1] + field]
            assert np.array_equal(within, patch[:, :field, :field])


def test_half_precision_images_are_cut_alike() -> None:
    half = IMAGES.astype(np.float16)
    patches = cut_patches(half, EVERY[::97])
    assert patches.dtype == np.float32
    assert np.array_equal(patches, cut_patches(half.astype(np.float32), EVERY[::97]))


def test_no_place_gives_no_patch() -> None:
    assert cut_patches(IMAGES, np.zeros((0, 3), dtype=np.intp)).shape == (0, 6, PATCH_PX, PATCH_PX)

"""Pictures of scans, and patches and blocks at their edges and inside."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.patch_input import (
    BEFORE_PX,
    EVERYDAY_PATCHES,
    PAPER_PATCHES,
    PATCH_PX,
    ROOM_PX,
    PatchPicture,
    PatchSetting,
    cut_blocks,
    cut_patches,
    make_patch_picture,
    on_picture,
    on_source,
)
from infarct.volume import Geometry

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


PLANE = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
COARSE = PatchSetting("coarse", 5.0, 2.0, "centred", mirror=True)


def noisy(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-20, 100, shape).astype(np.float32)


def centred_grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """Return a grid whose middle column lies on the plane x = 0."""
    return Geometry.regular(shape, spacing, origin_mm=(-(shape[2] - 1) / 2 * spacing[2], -30.0, 7.0))


def picture_of(geometry: Geometry, setting: PatchSetting, seed: int = 0) -> PatchPicture:
    everywhere = np.ones(geometry.shape_zyx, dtype=bool)
    hu = noisy(geometry.shape_zyx, seed)
    return make_patch_picture(hu, geometry, brain=everywhere, plane=PLANE, setting=setting)


def tilted(shape: tuple[int, int, int], spacing: tuple[float, float, float], deg: float = 15.0) -> Geometry:
    """Return a stack whose slices slip along y, unevenly spaced."""
    steps = spacing[0] * np.cumsum(np.r_[0.0, np.where(np.arange(shape[0] - 1) % 3, 1.0, 1.1)])
    origins = np.stack([0 * steps - 31.0, np.tan(np.radians(deg)) * steps - 30, steps], axis=1)
    return Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), spacing[1:], shape[1:])


def test_the_published_picture_is_the_scan_itself() -> None:
    geometry = centred_grid((4, 20, 30), (5.0, 0.5, 0.4))
    picture = picture_of(geometry, PAPER_PATCHES)
    expected = np.clip(noisy(geometry.shape_zyx), 0, 80) / 80
    np.testing.assert_allclose(picture.images, expected[None], atol=1e-6)
    np.testing.assert_array_equal(picture.hu, noisy(geometry.shape_zyx))
    np.testing.assert_array_equal(picture.geometry.origins_mm, geometry.origins_mm)
    assert picture.setting == PAPER_PATCHES


def test_centred_grey_by_hand() -> None:
    """A brain of 30 and 40 HU lies at 35; 20 HU are a unit, and blood and fluid do not count."""
    hu = np.array([30, 40, 90, 0, -50], dtype=np.float32) * np.ones((2, 5, 1), dtype=np.float32)
    geometry = centred_grid((2, 5, 5), (5.0, 1.0, 1.0))
    everywhere = np.ones(geometry.shape_zyx, dtype=bool)
    picture = make_patch_picture(hu, geometry, brain=everywhere, plane=PLANE, setting=EVERYDAY_PATCHES)
    np.testing.assert_allclose(picture.images[0, 0, 0], [-0.25, 0.25, 2.25, -1.75, -1.75], atol=1e-6)
    np.testing.assert_allclose(picture.images[1], picture.images[0, :, :, ::-1], atol=1e-5)


def test_a_flipped_head_changes_its_two_images() -> None:
    """Right and left change places in the scan: the mirrored head is then what the scan was."""
    geometry = centred_grid((3, 40, 51), (5.0, 1.0, 1.0))
    hu = noisy(geometry.shape_zyx)
    everywhere = np.ones(geometry.shape_zyx, dtype=bool)
    one, other = (
        make_patch_picture(part, geometry, brain=everywhere, plane=PLANE, setting=COARSE)
        for part in (hu, hu[:, :, ::-1].copy())
    )
    assert np.abs(one.images[0] - one.images[1]).max() > 0.5
    np.testing.assert_allclose(other.images, one.images[::-1], atol=1e-4)


def test_a_moved_head_gives_the_same_picture() -> None:
    geometry = centred_grid((3, 20, 31), (5.0, 1.0, 1.0))
    there = np.eye(4)
    there[:3, 3] = (12.0, -40.0, 100.0)
    moved = geometry.moved(there)
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 12.0)
    everywhere = np.ones(geometry.shape_zyx, dtype=bool)
    hu = noisy(geometry.shape_zyx)
    again = make_patch_picture(hu, moved, brain=everywhere, plane=plane, setting=COARSE)
    np.testing.assert_allclose(again.images, picture_of(geometry, COARSE).images, atol=1e-4)


@pytest.mark.parametrize("slices", [3, 7, 8, 9, 24, 25])
def test_each_thin_slice_takes_the_answer_of_its_slab(slices: int) -> None:
    """Slices of 1.25 mm make slabs of four; those left over at the ends take that of the nearest."""
    geometry = centred_grid((slices, 12, 14), (1.25, 1.0, 1.0))
    picture = picture_of(geometry, PAPER_PATCHES)
    numbers = np.broadcast_to(np.arange(len(picture.images[0]))[:, None, None], picture.hu.shape).astype(np.float32)
    found = on_source(picture, numbers)
    assert found.shape == geometry.shape_zyx
    middles = [np.mean(geometry.slice_positions_mm[part]) for part in picture.slabs]
    for k in range(slices):
        inside = [number for number, part in enumerate(picture.slabs) if part.start <= k < part.stop]
        expected = inside[0] if inside else int(np.argmin(np.abs(middles - geometry.slice_positions_mm[k])))
        assert (found[k] == expected).all()
    for number, part in enumerate(picture.slabs):
        np.testing.assert_allclose(picture.hu[number], noisy(geometry.shape_zyx)[part].mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("setting", [PAPER_PATCHES, EVERYDAY_PATCHES, COARSE])
@pytest.mark.parametrize("spacing", [(5.0, 0.5, 0.5), (1.2, 0.9, 0.7), (3.0, 1.3, 1.3)])
def test_a_mask_goes_to_the_picture_and_back(setting: PatchSetting, spacing: tuple[float, float, float]) -> None:
    """Same side, same slices, same place, on an uneven and tilted stack."""
    shape = (17, 90, 80)
    geometry = tilted(shape, spacing)
    picture = picture_of(geometry, setting)
    mask = np.zeros(shape, dtype=bool)
    part = picture.slabs[len(picture.slabs) // 2]
    mask[part, 20:50, 50:74] = True
    there = on_picture(picture, mask)
    assert np.flatnonzero(there.any(axis=(1, 2))).tolist() == [len(picture.slabs) // 2]
    back = on_source(picture, there.astype(np.float32)) >= 0.5
    assert np.flatnonzero(back.any(axis=(1, 2))).tolist() == list(range(part.start, part.stop))
    both, either = (back & mask).sum(), (back | mask).sum()
    assert both / either > (0.999 if setting.pixel_mm is None else 0.85)
    offset = np.argwhere(back).mean(axis=0) - np.argwhere(mask).mean(axis=0)
    assert np.abs(offset * spacing).max() < 0.6  # mm, of 2 a pixel at most


def test_pictures_lie_where_the_head_does() -> None:
    """A bright spot is found at its place in the world, whatever the pixels."""
    geometry = tilted((9, 80, 90), (5.0, 0.8, 0.6))
    hu = np.full(geometry.shape_zyx, 35.0, dtype=np.float32)
    hu[4, 30:34, 60:64] = 80
    everywhere = np.ones(geometry.shape_zyx, dtype=bool)
    expected = geometry.index_to_world([4.0, 31.5, 61.5])
    for setting in (PAPER_PATCHES, EVERYDAY_PATCHES, COARSE):
        picture = make_patch_picture(hu, geometry, brain=everywhere, plane=PLANE, setting=setting)
        index = np.argwhere(picture.hu > 36)
        weights = picture.hu[tuple(index.T)] - 35
        found = np.average(picture.geometry.index_to_world(index), axis=0, weights=weights)
        np.testing.assert_allclose(found, expected, atol=0.3)
        mirrored_at = np.unravel_index(np.argmax(picture.images[-1]), picture.hu.shape)
        side = picture.geometry.index_to_world(mirrored_at)[0]
        assert side == pytest.approx(-expected[0] if setting.mirror else expected[0], abs=1.5)


def test_refuses_what_makes_no_picture() -> None:
    geometry = centred_grid((2, 5, 5), (5.0, 1.0, 1.0))
    nothing = np.zeros(geometry.shape_zyx, dtype=bool)
    with pytest.raises(ValueError, match="empty brain"):
        make_patch_picture(noisy(geometry.shape_zyx), geometry, brain=nothing, plane=PLANE, setting=COARSE)
    for wrong in ({"grey": "pictures"}, {"pixel_mm": 0.0}, {"slab_mm": -5.0}):
        with pytest.raises(ValueError, match=r"grey|lengths"):
            replace(COARSE, **wrong)  # type: ignore[arg-type]
    assert (PAPER_PATCHES.images, EVERYDAY_PATCHES.images) == (1, 2)

"""Tiles and what the network sees of them: places worked out by hand, and mirrored heads that give mirrored tiles."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.segment_input import brain_level_hu
from infarct.preprocess.tile_input import (
    EVERYDAY,
    MOST_HU,
    PAPER,
    TilePicture,
    TileSetting,
    cut_tiles,
    make_picture,
    mean_about,
    mirrored_places,
    resize_matrix,
    slab_geometry,
    slab_means,
    slabs_of,
    tile_centres_mm,
    tile_grid,
    tile_shares,
    tile_side_px,
)
from infarct.volume import Geometry

SHAPE = (3, 60, 64)
GRID = Geometry.regular(SHAPE, (5.0, 1.0, 1.0), origin_mm=(-31.5, -20.0, 10.0))
MIDDLE = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
"""Between columns 31 and 32 of `GRID`."""
SMALL = replace(EVERYDAY, size_px=32)
"""Tiles of 8 pixels in a field of 32, on a grid of 1 mm."""
ONE = replace(SMALL, mirror=False, differences=())


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).uniform(16, 54, shape).astype(np.float32)


def picture_of(channels, setting, tile_px, *, brain=None, beyond=-2.0, geometry=None):
    channels = np.asarray(channels, dtype=np.float32)
    geometry = geometry or Geometry.regular(channels.shape[1:], (5.0, 1.0, 1.0))
    brain = np.ones(channels.shape[1:], dtype=bool) if brain is None else brain
    slices = np.arange(len(brain))
    return TilePicture(channels, brain, geometry, MIDDLE, slices, tile_px, setting, beyond)


def ramp(k, row, column):
    return 100.0 * k + 3.0 * row - 2.0 * column


def places(*rows):
    return np.array(rows, dtype=np.intp).reshape(-1, 3)


def test_a_field_of_as_many_pixels_is_cut_out_as_it_is():
    channels = noise()[None]
    (tile,) = cut_tiles(picture_of(channels, ONE, 8), places((1, 20, 30)))
    np.testing.assert_array_equal(tile, channels[:, 1, 8:40, 18:50])
    (tile,) = cut_tiles(picture_of(channels, ONE, 8), places((1, 20, 30)), margin_px=4)
    np.testing.assert_array_equal(tile, channels[:, 1, 4:44, 14:54])


@pytest.mark.parametrize("tile_px", [7, 8, 9])
@pytest.mark.parametrize("field_tiles", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("size", [31, 32, 48])
@pytest.mark.parametrize("margin", [0, 1, 4])
def test_every_pixel_of_a_cut_lies_where_it_should(tile_px, field_tiles, size, margin):
    """A plane of values is read off exactly by linear interpolation, in fields of odd and of even size."""
    k, row, column = np.indices(SHAPE)
    setting = replace(ONE, field_tiles=field_tiles, size_px=size)
    (tile,) = cut_tiles(picture_of(ramp(k, row, column)[None], setting, tile_px), places((2, 26, 28)), margin_px=margin)
    field = round(field_tiles * tile_px)
    along = (np.arange(-margin, size + margin) + 0.5) * field / size - 0.5 + (tile_px - field) / 2
    np.testing.assert_allclose(tile[0], ramp(2, 26 + along[:, None], 28 + along), atol=2e-4)


@pytest.mark.parametrize(("tile_px", "size"), [(8, 32), (7, 20), (9, 48), (16, 31)])
def test_a_margin_adds_at_the_edges_alone(tile_px, size):
    picture = picture_of(noise()[None], replace(ONE, size_px=size, field_tiles=2.0), tile_px)
    where = places((0, 0, 0), (1, 22, 25), (2, SHAPE[1] - tile_px, SHAPE[2] - tile_px))
    bare, wide = cut_tiles(picture, where), cut_tiles(picture, where, margin_px=3)
    np.testing.assert_allclose(wide[:, :, 3:-3, 3:-3], bare, atol=1e-5)


def test_shrinking_averages_and_keeps_what_is_even():
    weights = resize_matrix(30, 10, scale=3.0, start=0.0, margin=0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(weights[4][[11, 12, 13, 14, 15]], np.array([1, 2, 3, 2, 1]) / 9, atol=1e-6)
    np.testing.assert_array_equal(resize_matrix(6, 4, scale=1.0, start=1.0, margin=0), np.eye(6)[1:5])


def test_fluid_and_bone_do_not_hide_a_few_hu():
    """One side is 3 HU darker; wherever it is tissue, the map says so, though a part of it is fluid or bone."""
    hu = np.full(SHAPE, 35.0, dtype=np.float32)
    hu[:, :, 32:] -= 3.0
    hu[1, 20:30, 40:44], hu[:, 40:44, 8:12], hu[2, 50:, 50:] = 4.0, 75.0, 80.0
    picture = made(hu)
    level = brain_level_hu(hu, np.ones(SHAPE, dtype=bool))
    assert 32 < level < 35
    for values in picture.channels[2:]:
        far = 3 * values[:, :, 60:]
        np.testing.assert_allclose(far, -3.0, atol=0.3)
        np.testing.assert_allclose(3 * values[:, :, :4], 3.0, atol=0.3)


def test_a_sulcus_on_one_side_is_no_difference_and_a_faint_wide_patch_is_one():
    hu = np.full(SHAPE, 35.0, dtype=np.float32)
    hu[:, 15:45, 10:12] = 20.0
    sulcus = 3 * made(hu).channels[2:]
    assert np.abs(sulcus).max() < 0.1
    hu[:, 20:36, 40:56] -= 3.0
    first, *_ = 3 * made(hu).channels[2:]
    assert first[1, 28, 48] == pytest.approx(-3.0, abs=0.3)
    assert first[1, 28, 15] == pytest.approx(3.0, abs=0.3)


def test_no_place_differs_by_more_than_early_infarcts_do():
    hu = np.full(SHAPE, 36.0, dtype=np.float32)
    hu[:, :, 32:] = 21.0
    for values in made(hu).channels[2:4]:  # the widest map reaches over the middle
        np.testing.assert_allclose(3 * values[:, :, 60:], -MOST_HU, atol=0.1)


def test_differences_change_sign_with_the_head():
    hu = noise()
    first, second = made(hu), made(hu[:, :, ::-1].copy())
    np.testing.assert_allclose(first.channels[2:], -first.channels[2:, :, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(first.channels[2:], -second.channels[2:], atol=1e-5)


def test_beyond_the_picture_stands_air_and_no_difference():
    channels = np.stack([np.ones(SHAPE), np.full(SHAPE, 3.0), np.full(SHAPE, 5.0)])
    (tile,) = cut_tiles(picture_of(channels, SMALL, 8, beyond=-2.0), places((0, 0, 56)))
    inside = np.zeros((32, 32), dtype=bool)
    inside[12:, :20] = True
    for channel, (value, outside) in enumerate([(1, -2), (3, -2), (5, 0)]):
        np.testing.assert_allclose(tile[channel], np.where(inside, value, outside), atol=1e-5)


def test_no_tiles_and_tiles_stored_as_half():
    picture = picture_of(noise()[None] / 20, ONE, 8)
    assert cut_tiles(picture, places(), margin_px=2).shape == (0, 1, 36, 36)
    stored = replace(picture, channels=picture.channels.astype(np.float16))
    where = places((0, 3, 3), (2, 30, 41))
    cut = cut_tiles(stored, where)
    assert cut.dtype == np.float32
    np.testing.assert_allclose(cut, cut_tiles(picture, where), atol=2e-3)


def made(hu, *, setting=SMALL, geometry=GRID, plane=MIDDLE, brain=None):
    brain = np.ones(hu.shape, dtype=bool) if brain is None else brain
    return make_picture(hu, geometry, brain=brain, plane=plane, setting=setting)


def test_a_mirrored_head_gives_swapped_places_and_mirrored_tiles():
    hu, where = noise(), places((0, 20, 10), (1, 33, 28), (2, 0, 2))
    picture, other = made(hu), made(np.ascontiguousarray(hu[:, :, ::-1]))
    across, inside = mirrored_places(picture, where)
    assert inside.all()
    np.testing.assert_array_equal(across, [(0, 20, 46), (1, 33, 28), (2, 0, 54)])
    own, swapped = cut_tiles(picture, where), cut_tiles(other, across)
    np.testing.assert_allclose(swapped, own[..., ::-1], atol=1e-4)
    opposite = cut_tiles(picture, across)
    np.testing.assert_allclose(opposite[:, 1], own[:, 0, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(opposite[:, 2], -own[:, 2, :, ::-1], atol=1e-4)
    np.testing.assert_array_equal(picture.brain, other.brain)


def tilted():
    """Return a stack leaning by a quarter of a millimetre a millimetre, and a plane a little askew."""
    origins = np.array([-41.0, -45.0, 0.0]) + np.arange(8)[:, None] * np.array([0.0, 1.25, 5.0])
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (90, 84))
    normal = np.array([1.0, 0.05, 0.0])
    return geometry, Midplane(normal / np.linalg.norm(normal), 2.0)


def test_what_lies_across_in_a_tilted_scan():
    geometry, plane = tilted()
    hu = np.full(geometry.shape_zyx, 35, dtype=np.float32)
    hu[4, 40:48, 12:20] = 60
    picture = made(hu, geometry=geometry, plane=plane)
    where = places((4, 40, 12))
    (centre,) = tile_centres_mm(picture, where)
    np.testing.assert_allclose(centre, [-41 + 15.5, -45 + 5 + 43.5, 20])
    (across,), (inside,) = mirrored_places(picture, where)
    assert inside
    reflected = centre - 2 * (centre @ plane.normal - plane.offset_mm) * plane.normal
    np.testing.assert_allclose(tile_centres_mm(picture, across[None])[0], reflected, atol=0.75)
    mirror = picture.channels[1][tuple(slice(a, a + n) for a, n in zip(across, (1, 8, 8), strict=True))]
    assert mirror.mean() > picture.channels[1].mean() + 0.9
    (back,), _ = mirrored_places(picture, across[None])
    assert np.abs(back - where).max() <= 1


def test_a_mirrored_place_beyond_the_picture_is_told():
    picture = replace(made(noise()), plane=Midplane(np.array([1.0, 0.0, 0.0]), -10.0))
    across, inside = mirrored_places(picture, places((0, 0, 5), (0, 0, 50)))
    np.testing.assert_array_equal(across, [(0, 0, 31), (0, 0, -14)])
    np.testing.assert_array_equal(inside, [True, False])


def test_tiles_are_as_long_as_said_or_fit_the_picture():
    def side(rows, columns, setting, spacing=(1.0, 1.0)):
        return tile_side_px(Geometry.regular((2, rows, columns), (5.0, *spacing)), setting)

    assert side(512, 512, PAPER) == 16  # 512 = 32 x 16
    assert side(510, 510, PAPER) == 15  # 15 and 17 divide it: the smaller
    assert side(400, 420, PAPER) == 20
    assert side(361, 361, PAPER) == 19
    assert side(512, 512, EVERYDAY, (0.4379, 0.4379)) == 18  # 18.3
    assert side(256, 256, EVERYDAY, (0.8, 1.2)) == 8
    assert side(20, 20, EVERYDAY, (30.0, 30.0)) == 1


@pytest.mark.parametrize(
    ("count", "spacing", "slab", "expected"),
    [
        (30, 1.25, 5.0, [(1 + 4 * k, 5 + 4 * k) for k in range(7)]),  # two left over, one at each end
        (10, 2.5, 5.0, [(2 * k, 2 * k + 2) for k in range(5)]),
        (4, 3.6, 5.0, [(k, k + 1) for k in range(4)]),
        (4, 1.25, None, [(k, k + 1) for k in range(4)]),
        (3, 1.0, 5.0, [(0, 3)]),
    ],
)
def test_which_slices_are_averaged(count, spacing, slab, expected):
    geometry = Geometry.regular((count, 4, 4), (spacing, 1.0, 1.0))
    slabs = slabs_of(geometry, slab)
    assert [(part.start, part.stop) for part in slabs] == expected
    middles = [spacing * (first + last - 1) / 2 for first, last in expected]
    np.testing.assert_allclose(slab_geometry(geometry, slabs).origins_mm[:, 2], middles)
    means = slab_means(np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32), slabs)
    np.testing.assert_allclose(means[:, 0, 0], np.array(middles) / spacing)


def test_slabs_in_a_picture():
    geometry = Geometry.regular((9, 40, 40), (1.25, 1.0, 1.0))
    hu = np.repeat(np.array([20, 30, 30, 30, 30, 40, 40, 40, 40], np.float32), 1600).reshape(9, 40, 40)
    brain = np.zeros(hu.shape, dtype=bool)
    brain[:6] = True  # two of the second slab's four: half
    picture = made(hu, setting=ONE, geometry=geometry, brain=brain)
    assert picture.source_slices.tolist() == [1, 5]
    assert picture.brain.all()
    np.testing.assert_allclose(np.diff(picture.channels[0][:, 5, 5]), [0.5])  # 10 HU


def test_shares_are_those_counted_pixel_by_pixel():
    random = np.random.default_rng(3)
    mask = random.random((4, 23, 19)) < 0.4
    where = np.column_stack([random.integers(0, 4, 200), random.integers(-9, 25, 200), random.integers(-9, 21, 200)])
    padded = np.pad(mask, ((0, 0), (20, 20), (20, 20)))
    counted = [padded[k, row + 20 : row + 27, column + 20 : column + 27].sum() / 49 for k, row, column in where]
    np.testing.assert_allclose(tile_shares(mask, where, 7), counted)


def test_the_grid_takes_the_tiles_that_are_half_brain():
    brain = np.zeros((2, 20, 24), dtype=bool)
    brain[1, 4:12, 4:12] = True
    picture = picture_of(np.zeros((1, 2, 20, 24)), ONE, 8, brain=brain)
    assert tile_grid(picture).size == 0  # a quarter of each of four
    half = tile_grid(picture, overlap=0.5).tolist()
    assert half == [[1, 0, 4], [1, 4, 0], [1, 4, 4], [1, 4, 8], [1, 8, 4]]
    brain[0] = True
    whole = tile_grid(picture)
    assert whole.tolist() == [[0, row, column] for row in (0, 8) for column in (0, 8, 16)]
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match="overlap"):
            tile_grid(picture, overlap=wrong)


def test_grey_values():
    hu = np.full(SHAPE, 35, dtype=np.float32)
    hu[:, :2], hu[:, 2:4], hu[:, 4:6] = -1000, 40, 300
    brain = np.zeros(SHAPE, dtype=bool)
    brain[:, 10:] = True
    centred = made(hu, setting=ONE, brain=brain)
    np.testing.assert_allclose(centred.channels[0, 0, [0, 2, 4, 20], 0], [-1.75, 0.25, 2.25, 0])
    assert centred.beyond == -1.75
    pictures = made(hu, setting=replace(PAPER, strip=False), brain=brain)
    np.testing.assert_allclose(pictures.channels[0, 0, [0, 2, 4], 0], [0, 0.5, 1], atol=1 / 255)
    assert pictures.beyond == 0
    np.testing.assert_allclose(pictures.channels * 255, np.rint(pictures.channels * 255), atol=1e-4)


def test_settings_and_brains_that_make_no_sense():
    with pytest.raises(ValueError, match="mirrored"):
        replace(EVERYDAY, mirror=False)
    with pytest.raises(ValueError, match="field"):
        replace(EVERYDAY, field_tiles=0.5)
    with pytest.raises(ValueError, match="more than 0"):
        replace(EVERYDAY, tile_mm=-1.0)
    with pytest.raises(ValueError, match="grey"):
        TileSetting(**{**vars(PAPER), "grey": "pink"})
    with pytest.raises(ValueError, match="empty"):
        made(noise(), brain=np.zeros(SHAPE, dtype=bool))
    with pytest.raises(ValueError, match="voxel"):
        replace(EVERYDAY, differences=((0.0, 4.0),))
    assert TileSetting(**{**vars(EVERYDAY), "differences": [[3, 4], [6, 6], [14, 9]]}) == EVERYDAY  # as JSON holds it
    assert (PAPER.channels, ONE.channels, SMALL.channels) == (1, 1, 5)


def test_wide_means_over_blocks_are_those_over_pixels():
    """Tissue that fills a part of the plane, of values of SD 1; blocks of 3 and of 7 pixels."""
    random = np.random.default_rng(0)
    weight = np.zeros((3, 150, 131), dtype=np.float32)
    weight[:, 20:130, 15:120] = random.random((3, 110, 105)) > 0.2
    values = weight * random.standard_normal(weight.shape, dtype=np.float32)
    for sd in (12.5, 28.5):
        sums, share = (ndimage.gaussian_filter(image, (1.0, sd, sd)) for image in (values, weight))
        exact, found = sums / share, mean_about(values, weight, (1.0, sd, sd))
        inside = weight > 0
        assert np.abs((found - exact)[inside]).max() < 0.1 * exact[inside].std()


def test_tiles_beyond_every_edge_are_cut():
    """A tile is that of a wider picture with air around it."""
    channels = noise()[None] / 20
    wider = np.pad(channels, [(0, 0), (0, 0), (40, 40), (40, 40)], constant_values=-2.0)
    where = places((0, 0, 0), (1, 52, 0), (2, 30, 56), (0, 20, 20))
    found = cut_tiles(picture_of(channels, ONE, 8), where, margin_px=4)
    expected = cut_tiles(picture_of(wider, ONE, 8), where + np.array([0, 40, 40]), margin_px=4)
    np.testing.assert_array_equal(found, expected)

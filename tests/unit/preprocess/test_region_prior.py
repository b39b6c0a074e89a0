"""The atlas's regions as log-odds: where they are, and what is not known."""

import numpy as np
import pytest
from scipy import ndimage

from infarct.anatomy import REGIONS, region_label
from infarct.atlas import load_atlas
from infarct.preprocess.region_prior import DOUBT, region_prior

LEAST = np.log(DOUBT / (1 + DOUBT))


def test_the_middle_of_a_region_has_the_best_odds_of_it_on_either_side() -> None:
    """Truth: the atlas itself. The middle is the voxel farthest from the region's surface."""
    atlas = load_atlas()
    for number, region in enumerate(REGIONS):
        depth = ndimage.distance_transform_edt(atlas.aspects_labels == region_label(region, "left"))
        middle = np.unravel_index(depth.argmax(), depth.shape)
        point = atlas.geometry.index_to_world(np.array(middle)).astype(np.float32)
        sides = np.stack([point, point * np.array([-1, 1, 1], np.float32)], axis=-1)[:, None, None]
        odds = region_prior(sides)[1:, 0, 0]
        np.testing.assert_array_equal(odds[:, 0], odds[:, 1])
        assert odds[:, 0].argmax() == number
        assert odds[number, 0] > LEAST + 2  # thin regions lose most of their share to what lies around


def test_odds_are_those_of_shares_by_hand() -> None:
    """In the very middle of M5, more than two SD deep, nearly all is M5; far from any region nothing is."""
    atlas = load_atlas()
    depth = ndimage.distance_transform_edt(atlas.aspects_labels == region_label("M5", "left"))
    middle = np.unravel_index(depth.argmax(), depth.shape)
    place = atlas.geometry.index_to_world(np.array(middle)).astype(np.float32).reshape(3, 1, 1, 1)
    found = region_prior(place).ravel()[1:]
    assert found[REGIONS.index("M5")] > np.log(0.9 / 0.1)
    far = np.array([5.0, -90.0, 70.0], np.float32).reshape(3, 1, 1, 1)
    assert region_prior(far).ravel()[1:] == pytest.approx([LEAST] * 10, abs=1e-3)


def test_outside_the_atlas_there_is_no_region_and_where_nothing_is_known_no_odds() -> None:
    points = np.array([[500.0, 0, 0], [0, -500, 0], [0, 0, 500], [0, 0, 0]], np.float32).T.reshape(3, 1, 1, 4)
    found = region_prior(points)[:, 0, 0]
    assert found.dtype == np.float32
    assert not found[0].any()
    np.testing.assert_allclose(found[1:, :3], LEAST, atol=1e-3)
    assert not found[:, 3].any()


def test_the_picture_is_the_template_in_the_window_of_the_images() -> None:
    """Deep in the ventricles and in white matter, and in bone, which is brighter than the window."""
    atlas = load_atlas()
    for mask, low, high in ((atlas.ventricles, 0.15, 0.6), (atlas.subcortical, 0.9, 1.3), (atlas.skull, 1.9, 2.0)):
        depth = ndimage.distance_transform_edt(mask)
        place = np.unravel_index(depth.argmax(), depth.shape)
        point = atlas.geometry.index_to_world(np.array(place)).astype(np.float32).reshape(3, 1, 1, 1)
        assert low < float(region_prior(point)[0, 0, 0, 0]) <= high

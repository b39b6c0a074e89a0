"""The input of the cascade: shrinking, coordinates, classes."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES, region_label
from infarct.preprocess.cascade_input import (
    CascadeInput,
    CascadeSetting,
    Shrinking,
    atlas_map,
    channels_of,
    class_of_label,
    coordinates,
    place_channels,
    shrunk,
)
from infarct.preprocess.region_prior import region_prior
from infarct.volume import Geometry

SETTING = CascadeSetting((1, 3, 3), (4, 8, 8), (4, 8, 8))


def given(shape: tuple[int, int, int], to_atlas: np.ndarray | None = None) -> CascadeInput:
    image = np.random.default_rng(0).uniform(0, 2, shape).astype(np.float32)
    return CascadeInput(image, np.ones(shape, dtype=bool), to_atlas, (5.0, 1.5, 1.5))


def test_shrinking_by_hand() -> None:
    """Six columns by four: one of padding at either end makes eight, so two blocks; five rows by two make three."""
    image = np.arange(30, dtype=np.float32).reshape(1, 5, 6)
    how = Shrinking.of((1, 5, 6), (1, 2, 4))
    assert how.padding == ((0, 0), (0, 1), (1, 1))
    means = how.means(image)
    assert means.shape == (1, 3, 2)
    assert means[0, 0, 0] == pytest.approx((0 + 1 + 2 + 6 + 7 + 8) / 8)
    assert means[0, 2, 1] == pytest.approx((27 + 28 + 29) / 8)
    np.testing.assert_array_equal(how.offset, [0, 0.5, 0.5])


@pytest.mark.parametrize("shape", [(4, 10, 12), (5, 11, 14), (3, 9, 16)])
@pytest.mark.parametrize("factor", [(1, 3, 3), (2, 3, 3), (1, 2, 2)])
def test_the_shrunk_head_is_still_symmetric(shape: tuple[int, int, int], factor: tuple[int, int, int]) -> None:
    """Mirroring and shrinking change places; each coarse voxel keeps its place in the atlas."""
    matrix = np.array([[0.0, 0.1, 1.4, -3.0], [0.3, 1.6, 0.2, 1.0], [5.0, 0.2, 0.0, 2.0]])
    head = given(shape, matrix)
    mirrored = CascadeInput(head.image[:, :, ::-1], head.inside, None, head.spacing_mm_zyx)
    one, how = shrunk(head, factor)
    other, _ = shrunk(mirrored, factor)
    np.testing.assert_allclose(other.image, one.image[:, :, ::-1], atol=1e-6)
    assert one.spacing_mm_zyx == tuple(step * f for step, f in zip(head.spacing_mm_zyx, factor, strict=True))
    assert one.to_atlas is not None
    coarse = np.array([1, 2, 1])
    fine = coarse * np.array(factor) + how.offset
    np.testing.assert_allclose(one.to_atlas @ [*coarse, 1], matrix @ [*fine, 1])


def test_a_box_keeps_its_place_in_the_atlas() -> None:
    matrix = np.array([[0.0, 0.1, 1.4, -3.0], [0.3, 1.6, 0.2, 1.0], [5.0, 0.2, 0.0, 2.0]])
    part = given((4, 10, 12), matrix).cut((slice(1, 3), slice(2, 10), slice(5, 9)))
    assert part.image.shape == part.inside.shape == (2, 8, 4)
    assert part.to_atlas is not None
    np.testing.assert_allclose(part.to_atlas @ [1, 2, 3, 1], matrix @ [2, 4, 8, 1])
    assert given((4, 10, 12)).cut((slice(1, 3), slice(2, 10), slice(5, 9))).to_atlas is None


def test_labels_are_those_in_the_middle_of_a_block() -> None:
    labels = np.zeros((1, 6, 6), np.uint8)
    labels[0, 1, 4] = 7
    assert Shrinking.of((1, 6, 6), (1, 3, 3)).centres(labels).tolist() == [[[0, 7], [0, 0]]]


def test_the_map_to_the_atlas_takes_the_side_from_the_plane() -> None:
    """A grid turned by 90 degrees about z; its registration doubles lengths and is off by 4 mm along the atlas's x."""
    directions = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    grid = Geometry.regular((3, 4, 6), (5, 2, 1), origin_mm=(10, 20, 30), directions=directions)
    scan_to_atlas = np.diag([2.0, 2, 2, 1]) @ np.block([[directions.T, np.zeros((3, 1))], [np.zeros((1, 3)), 1]])
    scan_to_atlas[:3, 3] = 4, 5, 6
    matrix = atlas_map(grid, scan_to_atlas)
    assert matrix @ [0, 0, 0, 1] == pytest.approx([-5, *(scan_to_atlas @ [10, 20, 30, 1])[1:3]])
    assert matrix @ [2, 3, 5, 1] == pytest.approx([5, *(scan_to_atlas @ [*grid.index_to_world([2, 3, 5]), 1])[1:3]])


def test_coordinates_by_hand() -> None:
    matrix = np.array([[0, 0, 50.0, -25], [0, 20, 0, 10], [100, 0, 0, -100]])
    found = coordinates(matrix, (2, 1, 2))
    assert found[0].tolist() == [[[-0.25, 0.25]], [[-0.25, 0.25]]]
    np.testing.assert_allclose(found[1], 0.1)
    assert found[2, :, 0, 0].tolist() == [-1, 0]
    assert not coordinates(None, (2, 1, 2)).any()


def test_channels_are_as_many_as_the_setting_says() -> None:
    plain = replace(SETTING, coordinates=False, prior=False, sided=True)
    alone = replace(SETTING, coordinates=False)
    head = given((2, 3, 4), np.eye(3, 4))
    for setting, channels, outputs in ((SETTING, 15, 12), (alone, 12, 12), (plain, 1, 22)):
        assert (len(channels_of(head, setting)), setting.in_channels, setting.out_channels) == (
            channels,
            channels,
            outputs,
        )


def test_what_lies_on_both_sides_looks_alike_unless_sides_have_outputs() -> None:
    matrix = np.array([[0, 0, 50.0, -25], [0, 20, 0, 10], [100, 0, 0, -100]])
    parts = coordinates(matrix, (2, 1, 2))
    unsided = np.concatenate(place_channels(parts, SETTING))
    np.testing.assert_array_equal(unsided, unsided[..., ::-1])
    np.testing.assert_allclose(unsided[3:], region_prior(100 * parts))
    (sided,) = place_channels(parts, replace(SETTING, prior=False, sided=True))
    np.testing.assert_array_equal(sided, parts)


def test_classes_of_labels() -> None:
    table = class_of_label(sided=False)
    for number, region in enumerate(REGIONS, start=1):
        assert [table[region_label(region, side)] for side in SIDES] == [number, number]
    assert class_of_label(sided=True).tolist() == list(range(21))


def test_wrong_settings_are_refused() -> None:
    for values in ({"factor_zyx": (0, 1, 1)}, {"reach_mm": -1.0}):
        with pytest.raises(ValueError, match="or more"):
            CascadeSetting(
                **{"factor_zyx": (1, 1, 1), "coarse_tile_zyx": (1, 1, 1), "fine_tile_zyx": (1, 1, 1), **values}
            )  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no sides"):
        replace(SETTING, sided=True)

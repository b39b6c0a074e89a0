"""Which tiles are drawn, and how they vary."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_tiles import TINY, blob_picture, tiny_localize, write_tiles
from scipy import ndimage

from infarct.preprocess.tile_input import cut_tiles, tile_grid
from infarct.training.augment import smeared
from infarct.training.localize_data import (
    TileDataset,
    TileDraw,
    balanced_rows,
    drawn_variation,
    plain_tiles,
    varied,
)
from infarct.training.localize_recipe import TileVariation
from infarct.training.recipe import Implants
from infarct.training.tile_store import StoredTiles, open_tiles, read_tile_index

AS_IT_IS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredTiles:
    folder = write_tiles(tmp_path_factory.mktemp("tiles") / "cases")
    return open_tiles(read_tile_index(folder), "train")


def numbered(stored: StoredTiles) -> StoredTiles:
    """Return tiles that each hold the number of their row alone."""
    tiles = np.broadcast_to(np.arange(len(stored.infarct), dtype=np.float16)[:, None, None, None], stored.tiles.shape)
    return replace(stored, tiles=tiles)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_batches_are_balanced(stored: StoredTiles, share: float) -> None:
    recipe = tiny_localize(variation=TileVariation(), both_healthy_share=share, implants=Implants())
    items = TileDataset(numbered(stored), recipe).__getitems__(list(range(600)))
    rows = np.array([int(item["tiles"][0, 0, 0]) for item in items])
    infarct = np.array([float(item["infarct"]) for item in items])
    np.testing.assert_array_equal(infarct, np.tile([1.0, 0.0], 300))
    np.testing.assert_array_equal(stored.infarct[rows], infarct > 0)
    healthy = stored.from_healthy[rows[1::2]].mean()
    assert healthy == share if share in (0, 1) else abs(healthy - share) < 4 * math.sqrt(share * (1 - share) / 300)
    assert set(rows[::2]) == set(np.flatnonzero(stored.infarct))


def test_blobs_make_infarct_of_healthy_tiles(stored: StoredTiles) -> None:
    """With nothing but blobs every tile comes from a healthy one; those with a blob of their own are darker for it."""
    flat = replace(stored, tiles=np.zeros(stored.tiles.shape, dtype=np.float16))
    deep = Implants(share=1.0, volume_ml=(2.0, 10.0), depth=(0.3, 0.4))
    recipe = tiny_localize(variation=TileVariation(), implants=deep)
    items = TileDataset(flat, recipe).__getitems__(list(range(40)))
    infarct = np.array([float(item["infarct"]) for item in items])
    middle = np.array([float(item["tiles"][0].median()) for item in items])
    assert (infarct[1::2] == 0).all()
    assert infarct[::2].mean() > 0.5
    assert middle[infarct > 0].max() < -0.05
    again = TileDataset(flat, recipe)[6]
    assert (again["tiles"] == items[6]["tiles"]).all()


def test_a_kind_that_is_not_there_is_replaced(stored: StoredTiles) -> None:
    only = replace(numbered(stored), from_healthy=np.zeros(len(stored.infarct), dtype=bool))
    recipe = tiny_localize(variation=TileVariation(), both_healthy_share=1.0, implants=Implants())
    assert TileDataset(only, recipe)[1]["infarct"] == 0


def test_a_tile_depends_on_its_number_alone(stored: StoredTiles) -> None:
    data = TileDataset(stored, tiny_localize())
    together = data.__getitems__([3, 4, 5])
    for number, item in zip((3, 4, 5), together, strict=True):
        assert torch.equal(data[number]["tiles"], item["tiles"])
    assert not torch.equal(data[3]["tiles"], TileDataset(stored, tiny_localize(seed=8))[3]["tiles"])


def test_what_does_not_vary_is_the_tile_without_its_margin(stored: StoredTiles) -> None:
    wide = np.asarray(stored.tiles[:5], dtype=np.float32)
    draws = [TileDraw(row, AS_IT_IS, 0.0, 0.0, None) for row in range(5)]
    np.testing.assert_allclose(varied(wide, draws, TINY), wide[..., 4:-4, 4:-4], atol=1e-4)
    np.testing.assert_array_equal(plain_tiles(stored, np.arange(5), TINY), wide[..., 4:-4, 4:-4])


def test_plain_tiles_are_what_the_system_cuts() -> None:
    """A margin only adds to a tile."""
    picture, _ = blob_picture(3, ill=True)
    places = tile_grid(picture)[::5]
    wide = cut_tiles(picture, places, margin_px=4)
    np.testing.assert_allclose(wide[..., 4:-4, 4:-4], cut_tiles(picture, places), atol=1e-5)


def test_shift_flip_and_turn_by_hand() -> None:
    """x of a pixel is its column: shifted by 3 columns and -2 rows, mirrored, turned, made half as wide."""
    size = TINY.size_px
    y, x = np.mgrid[-19.5:20, -19.5:20].astype(np.float32)
    wide = np.broadcast_to(np.stack([x, y, x + 100 * y]), (4, 3, 40, 40)).copy()
    matrices = ([[1, 0, 3], [0, 1, -2]], [[-1, 0, 0], [0, 1, 0]], [[0, -1, 0], [1, 0, 0]], [[0.5, 0, 0], [0, 0.5, 0]])
    draws = [TileDraw(0, np.array(matrix, dtype=float), 0.0, 0.0, None) for matrix in matrices]
    found = varied(wide, draws, TINY).numpy()
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    expected = ((column + 3, row - 2), (-column, row), (-row, column), (column / 2, row / 2))
    for tile, (xs, ys) in zip(found, expected, strict=True):
        np.testing.assert_allclose(tile, np.stack([xs, ys, xs + 100 * ys]), atol=2e-3)


def test_tone_spares_the_level_of_the_difference() -> None:
    wide = np.full((1, 3, 40, 40), 2.0, dtype=np.float32)
    found = varied(wide, [TileDraw(0, AS_IT_IS, 0.5, 0.25, None)], TINY).numpy()
    np.testing.assert_allclose(found[0, :, 0, 0], [3.25, 3.25, 3.0], rtol=1e-6)


def test_noise_of_the_difference_is_that_of_the_sides_smoothed() -> None:
    """As strong as `make_picture` leaves it in a large picture, also at the edges of a tile."""
    random = np.random.default_rng(1)
    wide = np.zeros((300, 3, 40, 40), dtype=np.float32)
    noise = random.standard_normal((300, 2, 32, 32), dtype=np.float32)
    own, mirror, difference = (
        varied(wide, [TileDraw(0, AS_IT_IS, 0, 0, part) for part in noise], TINY).numpy().swapaxes(0, 1)
    )
    picture = smeared(smeared(random.standard_normal((1, 2, 600, 600), dtype=np.float32), 2), 3)[0]
    assert abs(own[:, 5:-5, 5:-5].std() / picture.std() - 1) < 0.02
    sides = 20 / 3 * (picture[0] - picture[1])  # the difference in units of 3 HU
    expected = ndimage.gaussian_filter(sides, 3.0 * 2)[30:-30, 30:-30].std()  # half mm pixels
    for part in (difference[:, :8, :8], difference[:, 12:20, 12:20]):
        assert abs(part.std() / expected - 1) < 0.1
    assert abs(np.corrcoef(own.ravel(), mirror.ravel())[0, 1]) < 0.01
    smooth = ndimage.gaussian_filter(own - mirror, (0, 6, 6))[:, 14:18, 14:18]
    assert np.corrcoef(smooth.ravel(), difference[:, 14:18, 14:18].ravel())[0, 1] > 0.98


def test_draws_keep_their_limits() -> None:
    variation = TileVariation(0.5, 3, 0.5, 10.0, 0.1, contrast=0.2, offset=0.3)
    draws = [drawn_variation(0, variation, TINY, random=np.random.default_rng(n)) for n in range(400)]
    matrices = np.array([draw.affine[:, :2] for draw in draws])
    shifts = np.array([draw.affine[:, 2] for draw in draws])
    sizes = np.abs(np.linalg.det(matrices)) ** 0.5
    angles = np.degrees(np.arctan2(matrices[:, 0, 1], matrices[:, 1, 1]))
    assert set(shifts.ravel()) == set(range(-3, 4))
    assert 0.9 <= sizes.min() < 0.92
    assert 1.08 < sizes.max() <= 1.1
    assert 9 < np.abs(angles).max() <= 10
    assert abs((sizes == 1).mean() - 0.5) < 0.1
    assert abs((np.linalg.det(matrices) < 0).mean() - 0.5) < 0.1
    assert max(abs(draw.contrast) for draw in draws) <= 0.2
    assert all(draw.noise is None for draw in draws)


def test_balanced_rows_by_hand() -> None:
    """All of two infarct tiles, and of six others the first and the fourth."""
    infarct = np.array([0, 0, 1, 0, 0, 1, 0, 0], dtype=bool)
    np.testing.assert_array_equal(balanced_rows(infarct), [0, 2, 4, 5])
    assert len(balanced_rows(np.ones(3, dtype=bool))) == 0


def test_a_store_can_be_mapped(tmp_path: Path) -> None:
    stored = open_tiles(read_tile_index(write_tiles(tmp_path / "cases")), "train")
    assert isinstance(stored.tiles, np.memmap)

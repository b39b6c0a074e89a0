"""Patches that come as pictures are found where they were cut."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import PAPER, cut_tiles, make_picture, tile_grid
from infarct.systems.patch_matching import find_patch
from infarct.volume import resample_mask
from plain_head import PlainPatient

SLICE = np.random.default_rng(4).normal(30, 5, (90, 120)).astype(np.float32)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (31, 77), (74, 104)])
def test_a_patch_lies_where_it_was_cut(row: int, column: int) -> None:
    found = find_patch(SLICE[row : row + 16, column : column + 16], SLICE, side_px=16)
    assert (found.row, found.column) == (row, column)
    assert found.correlation == pytest.approx(1, abs=1e-4)


def test_other_grey_values_and_some_noise_do_not_mislead() -> None:
    noise = np.random.default_rng(5).normal(0, 2, (18, 18)).astype(np.float32)
    found = find_patch((SLICE[40:58, 9:27] + noise) * 7 - 100, SLICE, side_px=18)
    assert (found.row, found.column) == (40, 9)
    assert 0.8 < found.correlation < 0.99


def test_the_papers_patches_of_a_scan_are_found(left_patient: PlainPatient, left_head: Head) -> None:
    """Tiles of 15 to 22 pixels, resized to 140 for the network, are where the grid put them."""
    scan = left_patient.scan
    brain = resample_mask(left_head.brain, left_head.geometry, scan.geometry)
    picture = make_picture(
        scan.hu, scan.geometry, brain=brain, plane=left_head.midplane, setting=replace(PAPER, strip=False)
    )
    places = tile_grid(picture)
    chosen = places[np.random.default_rng(0).permutation(len(places))[:25]]
    for (k, row, column), tile in zip(chosen, cut_tiles(picture, chosen), strict=True):
        assert tile.shape == (1, 140, 140)
        found = find_patch(tile[0], picture.channels[0, k], side_px=picture.tile_px)
        assert (found.row, found.column) == (row, column)
        assert found.correlation > 0.9


def test_patches_that_cannot_be_found_are_refused() -> None:
    for patch, side_px in ((SLICE[:10, :12], 10), (SLICE[:10, :10], 12), (SLICE[:10, :10], 1), (SLICE[:90, :90], 0)):
        with pytest.raises(BadRequest):
            find_patch(patch, SLICE, side_px=side_px)
    with pytest.raises(BadRequest, match="one grey value"):
        find_patch(np.full((20, 20), 3, dtype=np.float32), SLICE, side_px=16)
    with pytest.raises(BadRequest, match="at most as large"):
        find_patch(SLICE[:60, :60], SLICE[:40], side_px=50)

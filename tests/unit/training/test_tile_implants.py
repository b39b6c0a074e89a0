"""Blobs in tiles: where they lie, what is called infarct, and that the difference of the sides follows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from infarct.preprocess.tile_input import EVERYDAY
from infarct.training.implants import DARKEST
from infarct.training.recipe import Implants
from infarct.training.tile_implants import Where, middle_of, with_tile_implant
from infarct.types import Float32Array

SEEN = replace(EVERYDAY, differences=((3.0, 0.0),))
SIDE = EVERYDAY.size_px + 8
PIXEL_MM = EVERYDAY.field_tiles * 8.0 / EVERYDAY.size_px
LARGE = Implants(share=1.0, volume_ml=(2.0, 10.0), depth=(0.2, 0.4))
SMALL = replace(LARGE, volume_ml=(0.1, 0.3))


def tile(seed: int = 0) -> Float32Array:
    """Tissue with noise in both images, and their smoothed difference."""
    images = np.random.default_rng(seed).normal(0, 0.2, (2, SIDE, SIDE)).astype(np.float32)
    return np.stack([*images, difference_of(images)])


def difference_of(images: Float32Array) -> Float32Array:
    """The smoothed difference, of 3 HU where the images are of 20."""
    return np.asarray(ndimage.gaussian_filter(20 / 3 * (images[0] - images[1]), 3.0 / PIXEL_MM, mode="nearest"))


def implanted(where: Where, implants: Implants = LARGE, *, seed: int = 0) -> Float32Array:
    """The first blob of some that falls as it should."""
    random = np.random.default_rng(seed)
    found = (with_tile_implant(tile(seed), SEEN, implants, where=where, random=random) for _ in range(20))
    return next(one for one in found if one is not None)


def test_the_middle_is_the_tile() -> None:
    """12 pixels of 48 are a quarter of the field."""
    inside = middle_of(SIDE, EVERYDAY)
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 33, 22, 33)
    assert inside.sum() == 144


@pytest.mark.parametrize("seed", range(4))
def test_a_blob_of_its_own_darkens_the_tile(seed: int) -> None:
    before, after = tile(seed), implanted("own", seed=seed)
    inside = middle_of(SIDE, EVERYDAY)
    lost = before[0] - after[0]
    assert (lost >= -1e-6).all()
    assert np.median(lost[inside]) > 0.05
    assert (after[1] == before[1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_blob_across_darkens_the_mirrored_tile_alone(seed: int) -> None:
    before, after = tile(seed), implanted("mirrored", seed=seed)
    inside = middle_of(SIDE, EVERYDAY)
    assert (after[0] == before[0]).all()
    assert np.median((before[1] - after[1])[inside]) > 0.05
    assert np.median((after[2] - before[2])[inside]) > 0.15  # the own side is the brighter one now


@pytest.mark.parametrize("seed", range(4))
def test_a_blob_beside_leaves_the_tile_without_infarct(seed: int) -> None:
    before, after = tile(seed), implanted("beside", SMALL, seed=seed)
    lost = before[0] - after[0]
    inside = middle_of(SIDE, EVERYDAY)
    assert (lost[inside] < 0.5 * SMALL.depth[1]).all()  # no more than the soft edge of a blob
    assert lost[~inside].max() > 0.08


@pytest.mark.parametrize("where", ["own", "mirrored", "beside"])
def test_the_difference_is_that_of_the_images(where: Where) -> None:
    after = implanted(where, SMALL if where == "beside" else LARGE)
    assert after[2] == pytest.approx(difference_of(after), abs=1e-3)


def test_slices_around_dilute_a_flat_blob_and_hardly_a_tall_one() -> None:
    """Of a blob of a slice's height a Gaussian of as much sees 38 %, of one four times as tall 95 %."""
    both = replace(EVERYDAY, differences=((3.0, 0.0), (3.0, 5.0)))
    cases: tuple[tuple[float, Where, float], ...] = ((0.05, "beside", 0.383), (4 / 3 * np.pi, "mirrored", 0.954))
    for volume_ml, where, share in cases:
        exact = Implants(share=1.0, volume_ml=(volume_ml, volume_ml), depth=(0.3, 0.3))
        wide = np.zeros((4, SIDE, SIDE), dtype=np.float32)
        random = np.random.default_rng(3)
        found = (with_tile_implant(wide, both, exact, where=where, random=random) for _ in range(400))
        after = next(one for one in found if one is not None)
        assert np.abs(after[2]).max() > 0.15
        assert after[3] == pytest.approx(share * after[2], abs=1e-2)


def test_nothing_becomes_darker_than_water() -> None:
    dark = tile()
    dark[0, :, :4] = -2.5  # darker already, as air is: it stays as it is
    random = np.random.default_rng(0)
    deep = replace(LARGE, depth=(3.0, 3.0))
    found = [with_tile_implant(dark, SEEN, deep, where="own", random=random) for _ in range(20)]
    after = next(one for one in found if one is not None)
    assert (after[0] >= np.minimum(dark[0], DARKEST)).all()
    assert (after[0, :, :4] == -2.5).all()


def test_bone_and_fluid_take_no_blob() -> None:
    random = np.random.default_rng(0)
    for grey in (2.0, -1.6):
        assert with_tile_implant(tile() * 0 + grey, EVERYDAY, LARGE, where="own", random=random) is None

"""Blobs put into pairs: one side, its own half, and affected from a tenth of the region on."""

import numpy as np
import pytest

from infarct.preprocess.region_input import RegionSetting
from infarct.training.pair_implants import with_pair_implant
from infarct.training.recipe import Implants
from infarct.types import BoolArray, Float32Array

SETTING = RegionSetting("test", (5.0, 1.5, 1.5), (7, 40, 36))
CLEAR = Implants(share=1.0, volume_ml=(6.0, 6.0), depth=(0.4, 0.4))
WELL = np.zeros(2, dtype=bool)
OWN = np.repeat([[False] * 10 + [True] * 26], 2, axis=0)


def quiet_pair() -> Float32Array:
    """Return grey patches of both sides with the same box of 5 x 12 x 12 voxels as region."""
    pair = np.zeros((4, *SETTING.patch_zyx), dtype=np.float32)
    pair[1::2, 1:6, 14:26, 14:26] = 1
    return pair


def implanted(seed: int, implants: Implants = CLEAR, own: BoolArray = OWN) -> tuple[Float32Array, BoolArray]:
    random = np.random.default_rng(seed)
    return with_pair_implant(quiet_pair(), WELL, own, SETTING, implants, random=random)


@pytest.mark.parametrize("seed", range(6))
def test_one_side_gets_it_and_the_truth_is_the_tenth_of_the_region(seed: int) -> None:
    before = quiet_pair()
    after, affected = implanted(seed)
    changed = [bool((after[2 * place] != before[2 * place]).any()) for place in range(2)]
    assert sum(changed) == 1
    np.testing.assert_array_equal(after[1::2], before[1::2])
    place = changed.index(True)
    region = before[2 * place + 1] > 0
    filled = (after[2 * place][region] < -0.2).mean()  # half of the depth
    if abs(filled - 0.1) > 0.06:  # the texture decides between
        assert affected[place] == (filled > 0.1)
    assert not affected[1 - place]


def test_blobs_in_and_beside_the_region_are_told_apart() -> None:
    calls = [implanted(seed)[1].any() for seed in range(60)]
    assert 0.5 < np.mean(calls) < 0.98


def test_none_crosses_the_midsagittal_plane() -> None:
    for seed in range(10):
        after, _ = implanted(seed, Implants(share=1.0, volume_ml=(60.0, 60.0), depth=(0.4, 0.4)))
        assert not after[::2, :, :, :10].any()


def test_affected_sides_stay_affected_and_the_pair_itself_stays() -> None:
    pair, ill = quiet_pair(), np.array([True, True])
    _, affected = with_pair_implant(pair, ill, OWN, SETTING, CLEAR, random=np.random.default_rng(0))
    assert affected.all()
    np.testing.assert_array_equal(pair, quiet_pair())


def test_without_tissue_nothing_changes() -> None:
    pair = quiet_pair()
    pair[::2] = 0.9  # bone
    after, affected = with_pair_implant(pair, WELL, OWN, SETTING, CLEAR, random=np.random.default_rng(0))
    assert after is pair
    assert not affected.any()

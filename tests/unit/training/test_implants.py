"""Blobs put into prepared cases: what darkens, what is labelled, and what stays."""

from dataclasses import replace

import numpy as np
import pytest
from prepared_blobs import SPACING_MM, blob_case, stored, tiny_recipe

from infarct.training.cases import ACUTE, BRAIN, OLD
from infarct.training.implants import with_implant, without_faint
from infarct.training.recipe import Beginning, Implants, Sampling
from infarct.training.sampler import PatchDataset
from infarct.training.store import StoredCase

SHAPE = (10, 40, 36)
CLEAR = Implants(share=1.0, volume_ml=(8.0, 8.0), depth=(0.5, 0.5), crossing=0.0)


def quiet_case() -> StoredCase:
    """Return a brain of zeros in a box of air, with a strip of old infarct."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:-1, 4:-4, 4:-4] = BRAIN
    labels[1:-1, 4:6, 4:-4] = OLD
    own = np.where(labels > 0, 0.0, -1.5).astype(np.float32)
    return stored(np.stack([own, own[:, :, ::-1]]), labels)


def implanted(seed: int, setting: Implants = CLEAR) -> StoredCase:
    return with_implant(quiet_case(), setting, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_labelled_is_darker_and_of_the_wanted_size(seed: int) -> None:
    before, after = quiet_case(), implanted(seed)
    darker = (before.channels[0].astype(float) - after.channels[0])[after.labels == ACUTE]
    assert darker.mean() == pytest.approx(0.42, abs=0.1)  # half of its soft edge belongs to the blob
    assert darker.min() > 0
    assert (after.labels == ACUTE).sum() * after.voxel_ml == pytest.approx(8.0, rel=0.35)
    untouched = (after.labels == BRAIN) & (after.channels[0] == before.channels[0])
    assert untouched.sum() > 0.5 * (after.labels == BRAIN).sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_mirror_image_shows_it_on_the_other_side(seed: int) -> None:
    after = implanted(seed)
    np.testing.assert_array_equal(after.channels[1], after.channels[0][:, :, ::-1])
    sides = {bool(x < SHAPE[2] // 2) for x in np.nonzero(after.labels == ACUTE)[2]}
    assert len(sides) == 1  # none crosses the midline here


def test_only_tissue_is_changed_and_old_infarcts_stay_old() -> None:
    before = quiet_case()
    before.channels[0, :, 20:24] = -1.2  # fluid
    after = with_implant(before, replace(CLEAR, volume_ml=(200.0, 200.0)), np.random.default_rng(0))
    for kept in (before.labels != BRAIN, np.broadcast_to(before.channels[0] == np.float16(-1.2), SHAPE)):
        np.testing.assert_array_equal(after.labels[kept], before.labels[kept])
        np.testing.assert_array_equal(after.channels[0][kept], before.channels[0][kept])


def test_the_case_itself_stays_as_it_was() -> None:
    case = quiet_case()
    with_implant(case, CLEAR, np.random.default_rng(0))
    np.testing.assert_array_equal(case.channels, quiet_case().channels)
    np.testing.assert_array_equal(case.labels, quiet_case().labels)


def test_counts_follow_the_labels() -> None:
    after = implanted(2)
    expected = [[int((plane == value).sum()) for plane in after.labels] for value in range(4)]
    np.testing.assert_array_equal(after.counts, expected)


def test_a_case_without_tissue_stays() -> None:
    case = stored(np.full((2, *SHAPE), -1.5, np.float32), np.zeros(SHAPE, np.uint8))
    assert with_implant(case, CLEAR, np.random.default_rng(0)) is case


def test_patches_of_a_dataset_get_their_share() -> None:
    cases = [blob_case(seed, lesion=False, shape=(8, 32, 28)) for seed in range(3)]
    recipe = tiny_recipe(implants=replace(CLEAR, share=0.5, volume_ml=(4.0, 20.0)))
    dataset = PatchDataset(cases, recipe)
    assert 0.15 < np.mean([bool((dataset[k]["labels"] == ACUTE).any()) for k in range(60)]) < 0.6
    again = PatchDataset(cases, recipe)
    assert all(bool((dataset[k]["channels"] == again[k]["channels"]).all()) for k in range(4))
    plain = PatchDataset(cases, tiny_recipe(implants=Implants()))
    assert not any(bool((plain[k]["labels"] == ACUTE).any()) for k in range(30))


def test_the_first_patches_are_of_the_beginning() -> None:
    cases = [blob_case(seed, lesion=False, shape=(8, 32, 28)) for seed in range(3)]
    setting = replace(CLEAR, volume_ml=(4.0, 20.0))
    recipe = tiny_recipe(implants=Implants(), beginning=Beginning(patches=20, implants=setting))
    shown = [bool((PatchDataset(cases, recipe)[k]["labels"] == ACUTE).any()) for k in range(40)]
    assert np.mean(shown[:20]) > 0.5
    assert not any(shown[20:])


def test_what_is_faint_comes_after_the_beginning() -> None:
    labels = np.full(SHAPE, BRAIN, np.uint8)
    labels[3:6, 10:20, 4:12] = ACUTE
    own = np.where(labels == ACUTE, -0.1, 0.0).astype(np.float32)
    cases = [stored(np.stack([own, own[:, :, ::-1]]), labels)]
    recipe = tiny_recipe(beginning=Beginning(patches=10, faintest=0.2), sampling=Sampling(lesion=1.0, brain=0.01))
    shown = [bool((PatchDataset(cases, recipe)[k]["labels"] == ACUTE).any()) for k in range(20)]
    assert not any(shown[:10])
    assert np.mean(shown[10:]) > 0.5


@pytest.mark.parametrize(("depth", "counts"), [(0.04, False), (0.06, True)])
def test_faint_infarcts_do_not_count(depth: float, counts: bool) -> None:
    labels = np.full(SHAPE, BRAIN, np.uint8)
    labels[3:6, 10:20, 4:12] = ACUTE
    labels[0, 0] = OLD
    own = np.where(labels == ACUTE, -depth, 0.0).astype(np.float32)
    case = without_faint(stored(np.stack([own, own[:, :, ::-1]]), labels), 0.05)
    assert (case.labels == ACUTE).any() == counts
    assert (case.labels == OLD).sum() == SHAPE[2]
    assert case.counts[ACUTE].any() == counts
    assert case.counts.sum() == labels.size


def test_one_channel_or_no_limit_leaves_all() -> None:
    case = blob_case(0, lesion=True)
    assert without_faint(case, 0.0) is case
    one = replace(case, channels=case.channels[:1])
    assert without_faint(one, 9.0) is one
    assert case.spacing_mm_zyx == SPACING_MM

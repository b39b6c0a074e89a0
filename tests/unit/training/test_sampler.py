"""Which patches are seen: shares, borders, small cases, and that a patch depends on the seed and its number alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from prepared_blobs import blob_case, stored, tiny_recipe

from infarct.training.recipe import Sampling
from infarct.training.sampler import PatchDataset, StepSampler, patch_start

WEIGHTED = Sampling(lesion=0.5, brain=0.5)


def shares(case_lesion: bool, sampling: Sampling, count: int = 600) -> dict[int, float]:
    """Return how often the centre of a patch of one voxel has each label."""
    case = blob_case(3, lesion=case_lesion)
    random = np.random.default_rng(0)
    seen = Counter(int(case.labels[patch_start(case, (1, 1, 1), sampling, random)]) for _ in range(count))
    return {label: seen[label] / count for label in range(4)}


def test_half_lesion_half_brain_as_in_the_paper() -> None:
    found = shares(True, WEIGHTED)
    assert found[0] == found[3] == 0
    assert found[2] == pytest.approx(0.5, abs=0.07)


def test_a_case_without_lesion_gives_brain() -> None:
    assert shares(False, WEIGHTED) == {0: 0, 1: 1, 2: 0, 3: 0}


def test_background_and_old_infarcts_where_wanted() -> None:
    found = shares(True, Sampling(lesion=0.2, brain=0.2, background=0.2, old=0.2))
    assert all(share == pytest.approx(0.25, abs=0.06) for share in found.values())


def test_a_case_of_nothing_that_has_a_weight_gives_anything() -> None:
    empty = stored(np.zeros((1, 3, 4, 5), np.float32), np.zeros((3, 4, 5), np.uint8))
    start = patch_start(empty, (1, 1, 1), WEIGHTED, np.random.default_rng(0))
    assert all(0 <= place < length for place, length in zip(start, (3, 4, 5), strict=True))


def test_all_voxels_of_a_label_are_drawn_alike() -> None:
    labels = np.ones((3, 4, 4), np.uint8)
    wanted = [(0, 1, 2), (0, 3, 3), (2, 0, 0), (2, 2, 1)]
    for voxel in wanted:
        labels[voxel] = 2
    case = stored(np.zeros((1, 3, 4, 4), np.float32), labels)
    random = np.random.default_rng(1)
    seen = Counter(patch_start(case, (1, 1, 1), Sampling(lesion=1, brain=0), random) for _ in range(800))
    assert sorted(seen) == wanted
    assert all(count == pytest.approx(200, abs=50) for count in seen.values())


@pytest.mark.parametrize("kind", ["weighted", "uniform"])
def test_patches_stay_inside_and_reach_every_border(kind: str) -> None:
    case = blob_case(4, lesion=True, shape=(6, 12, 10))
    size = (4, 8, 8)
    random = np.random.default_rng(2)
    sampling = Sampling(kind=kind, lesion=0, brain=0.5, background=0.5)  # type: ignore[arg-type]
    starts = np.array([patch_start(case, size, sampling, random) for _ in range(400)])
    np.testing.assert_array_equal(starts.min(axis=0), 0)
    np.testing.assert_array_equal(starts.max(axis=0), np.array(case.labels.shape) - size)


def test_uniform_places_are_alike() -> None:
    case = blob_case(4, lesion=True, shape=(6, 8, 8))
    random = np.random.default_rng(3)
    starts = [patch_start(case, (4, 8, 8), Sampling(kind="uniform"), random)[0] for _ in range(900)]
    assert all(count == pytest.approx(300, abs=60) for count in Counter(starts).values())


def test_a_small_case_lies_in_the_middle() -> None:
    case = blob_case(5, lesion=True, shape=(5, 7, 10))
    start = patch_start(case, (8, 7, 8), WEIGHTED, np.random.default_rng(4))
    assert start[:2] == (-1, 0)
    recipe = tiny_recipe(patch_zyx=(8, 7, 8), augmentation=replace(tiny_recipe().augmentation, flip_chance=0))
    patch = PatchDataset([case], replace(recipe, augmentation=type(recipe.augmentation)()))[0]
    assert not patch["labels"][0].any()
    assert not patch["channels"][:, 0].any()
    assert not patch["channels"][:, 6:].any()
    assert patch["channels"][:, 1:6].any()


def test_a_patch_depends_on_seed_and_number_alone() -> None:
    cases = [blob_case(seed, lesion=seed % 2 == 0) for seed in range(3)]
    recipe = tiny_recipe()
    forwards = [PatchDataset(cases, recipe)[number] for number in range(5)]
    dataset = PatchDataset(cases, recipe)
    backwards = [dataset[number] for number in reversed(range(5))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert all(a[key].equal(b[key]) for key in ("channels", "labels"))
    other = PatchDataset(cases, replace(recipe, seed=8))[0]
    assert not other["channels"].equal(forwards[0]["channels"])


def test_a_round_takes_each_case_once() -> None:
    """Each case is filled with its own number."""
    cases = [stored(np.full((1, 4, 4, 4), n, np.float32), np.ones((4, 4, 4), np.uint8)) for n in range(5)]
    plain = tiny_recipe(patch_zyx=(2, 2, 2), augmentation=type(tiny_recipe().augmentation)())
    dataset = PatchDataset(cases, plain)
    seen = [int(dataset[number]["channels"][0, 0, 0, 0]) for number in range(32 * 5)]
    rounds = [tuple(seen[first : first + 5]) for first in range(0, len(seen), 5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in rounds)
    assert len(set(rounds)) > 10


def test_devices_share_the_patches_of_a_step() -> None:
    steps = [list(StepSampler(4, 2, first_step=1, device=device, devices=3)) for device in range(3)]
    assert steps[0] == [[6, 7], [12, 13], [18, 19]]
    assert sorted(number for device in steps for step in device for number in step) == list(range(6, 24))
    assert len(StepSampler(4, 2, first_step=1)) == 4

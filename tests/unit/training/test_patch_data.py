"""Which patches are drawn, and how they vary."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from prepared_patches import blob_head, tiny_patches, write_patches

from infarct.errors import BadRequest
from infarct.preprocess.patch_input import BEFORE_PX, cut_patches
from infarct.training.patch_cases import BRAIN, DARK, DENSE, INFARCT, OLD, STAINED, TISSUE
from infarct.training.patch_data import (
    HardPlaces,
    PatchDataset,
    drawn_evenly,
    drawn_turns,
    hard_places,
    has_target,
    is_alike,
    is_other,
    is_wanted,
    other_places,
    region_of,
    rim_of,
    turned_patches,
    varied_patches,
)
from infarct.training.patch_recipe import PatchVariation
from infarct.training.patch_store import PatchCase, load_patch_cases, read_patch_index
from infarct.types import Float32Array

PLAIN = PatchVariation()
AS_IT_IS = np.eye(2)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[PatchCase]:
    """Return a severe, an intermediate and a subtle infarct, the first two with blood, blood alone, and nothing."""
    index = read_patch_index(write_patches(tmp_path_factory.mktemp("patches") / "cases"))
    return load_patch_cases(index, index.of("train"))


def numbered(cases: list[PatchCase]) -> list[PatchCase]:
    """Return cases whose pictures hold the number of the case, and of the voxel in its slice."""
    told = []
    for number, case in enumerate(cases):
        y, x = np.mgrid[: case.marks.shape[1], : case.marks.shape[2]]
        images = np.stack(np.broadcast_arrays(np.float32(number), 100 * y + x + np.zeros(case.marks.shape)))
        told.append(replace(case, images=images.astype(np.float32)))
    return told


def heads_of(patches: Float32Array) -> list[int]:
    return [int(patch[1, BEFORE_PX, BEFORE_PX]) for patch in patches]


def test_what_counts_by_hand() -> None:
    """Fluid, tissue, infarct, blood in an infarct, blood in tissue, blood in fluid, outside."""
    marks = np.array([BRAIN, BRAIN | TISSUE, *[BRAIN | TISSUE | INFARCT] * 2, BRAIN | TISSUE, BRAIN, 0], np.uint8)
    blood = np.array([0, 0, 0, 5, 1, 2, 0], np.uint8)
    assert is_wanted(marks, blood, "volumetry").tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert is_other(marks, blood, "volumetry").tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert is_wanted(marks, blood, "hemorrhage").tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert is_other(marks, blood, "hemorrhage").tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert region_of(marks, "volumetry").tolist() == [0, 1, 1, 1, 1, 0, 0]
    assert region_of(marks, "hemorrhage").tolist() == [1, 1, 1, 1, 1, 1, 0]
    alike = np.array([DENSE, STAINED, DARK, OLD], np.uint8)
    assert is_alike(alike, "hemorrhage").tolist() == [1, 1, 0, 0]
    assert is_alike(alike, "volumetry").tolist() == [0, 0, 1, 1]


def test_each_network_has_heads_of_its_class(cases: list[PatchCase]) -> None:
    meant = {name: [has_target(case, name, "volumetry") for case in cases] for name in ("severe", "subtle", "single")}
    assert meant == {
        "severe": [True, False, False, False, False],
        "subtle": [False, False, True, False, False],
        "single": [True, True, True, False, False],
    }
    blood = [has_target(case, "hemorrhage", "hemorrhage") for case in cases]
    assert blood == [True, True, False, True, False]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_items_are_balanced_and_of_the_right_heads(cases: list[PatchCase], system: str, share: float) -> None:
    recipe = tiny_patches(system, apart_share=share, hard_share=0.0, variation=PLAIN)
    told = numbered(cases)
    data = PatchDataset(told, recipe)
    homes = {"severe": {0}, "intermediate": {1}, "subtle": {2}, "hemorrhage": {0, 1, 3}}
    apart = {3, 4} if system == "volumetry" else {2, 4}
    elsewhere = []
    for number in range(40):
        item = data[number]
        assert set(item) == set(recipe.networks)
        for network, part in item.items():
            patches, wanted = part["patches"].numpy(), part["wanted"].numpy()
            assert patches.shape == (8, 6, 19, 19)
            assert wanted.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
            homes_here = heads_of(patches)
            ill, other = set(homes_here[:4]), set(homes_here[4:])
            assert len(ill) == len(other) == 1
            assert ill <= homes[network]
            assert other <= apart or other == ill
            elsewhere.append(other != ill)
            for patch, is_it in zip(patches, wanted, strict=True):
                case = told[int(patch[1, BEFORE_PX, BEFORE_PX])]
                y, x = divmod(int(patch[4, BEFORE_PX, BEFORE_PX]), 100)
                kind = is_wanted if is_it else is_other
                assert kind(case.marks, case.blood, recipe.system)[:, y, x].any()  # type: ignore[arg-type]
    assert np.mean(elsewhere) == (share if share in (0, 1) else pytest.approx(share, abs=0.15))


def test_a_round_takes_each_head_once(cases: list[PatchCase]) -> None:
    told = numbered(cases)
    data = PatchDataset(told, tiny_patches("hemorrhage", variation=PLAIN))
    seen = [heads_of(data[number]["hemorrhage"]["patches"].numpy())[0] for number in range(9)]
    for first in (0, 3, 6):
        assert sorted(seen[first : first + 3]) == [0, 1, 3]


def test_an_item_depends_on_its_number_alone(cases: list[PatchCase]) -> None:
    varied = PatchVariation(0.5, 20.0, 0.1, 0.1, 0.1)
    data = PatchDataset(cases, tiny_patches(variation=varied))
    before = [data[number] for number in (3, 4, 5)]
    again = PatchDataset(cases, tiny_patches(variation=varied))
    for number, item in zip((5, 4, 3), before[::-1], strict=True):
        for network, part in item.items():
            assert torch.equal(again[number][network]["patches"], part["patches"])
    other = PatchDataset(cases, tiny_patches(variation=varied, seed=8))
    assert not torch.equal(other[3]["severe"]["patches"], before[0]["severe"]["patches"])


def test_only_what_is_wanted_varies_in_the_paper(cases: list[PatchCase]) -> None:
    """The other patches are cut as in use."""
    paper = PatchVariation(flip_chance=1.0, rotation_deg=180.0, wanted_only=True)
    told = numbered(cases)
    part = PatchDataset(told, tiny_patches(variation=paper, apart_share=0.0))[2]["severe"]
    for patch, is_it in zip(part["patches"].numpy(), part["wanted"].numpy(), strict=True):
        y, x = divmod(int(patch[4, BEFORE_PX, BEFORE_PX]), 100)
        plain = cut_patches(told[0].images, np.array([[1, y, x]]))[0]
        assert np.array_equal(patch[4], plain[4]) == (not is_it)


def test_a_turn_of_nothing_is_the_patch_as_it_is_cut(cases: list[PatchCase]) -> None:
    places = np.argwhere(np.ones(cases[0].marks.shape, dtype=bool))[::37]
    turns = np.broadcast_to(AS_IT_IS, (len(places), 2, 2))
    np.testing.assert_array_equal(turned_patches(cases[0].images, places, turns), cut_patches(cases[0].images, places))


def test_turns_by_hand() -> None:
    """A quarter turn takes what lies one row behind to where one column behind was; a flip reverses columns."""
    images = np.arange(900, dtype=np.float32).reshape(1, 1, 30, 30)
    places = np.array([[0, 15, 15]] * 2)
    turns = np.array([[[0.0, 1.0], [-1.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]])
    quarter, flipped = turned_patches(images, places, turns)
    plain = cut_patches(images, places[:1])[0]
    np.testing.assert_array_equal(quarter, plain[:, :, ::-1].swapaxes(1, 2))
    assert quarter[1, 9, 10] == images[0, 0, 16, 15]
    np.testing.assert_array_equal(flipped, plain[:, :, ::-1])


def test_a_flipped_patch_is_that_of_the_flipped_head() -> None:
    """Of a head that is flipped as a whole, the patch at the mirrored place; its mirrored image comes along."""
    picture, _ = blob_head(3, infarct="severe")
    columns = picture.hu.shape[2]
    whole = picture.images[:, :, :, ::-1]  # the plane lies in the middle
    places = np.array([[1, 20, 30], [0, 25, 12], [2, 15, 24]])
    across = places.copy()
    across[:, 2] = columns - 1 - places[:, 2]
    flip = np.broadcast_to(np.diag([1.0, -1.0]), (3, 2, 2))
    np.testing.assert_array_equal(turned_patches(picture.images, places, flip), cut_patches(whole, across))
    np.testing.assert_allclose(whole, picture.images[::-1], atol=1e-4)


def test_drawn_turns_keep_their_limits() -> None:
    turns = drawn_turns(600, PatchVariation(0.3, 25.0), random=np.random.default_rng(1))
    flipped = np.linalg.det(turns) < 0
    angles = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    np.testing.assert_allclose(np.abs(np.linalg.det(turns)), 1)
    assert flipped.mean() == pytest.approx(0.3, abs=0.06)
    assert 24 < np.abs(angles).max() <= 25
    np.testing.assert_array_equal(drawn_turns(2, PLAIN, random=np.random.default_rng(1)), [AS_IT_IS] * 2)


def test_tone_and_noise(cases: list[PatchCase]) -> None:
    flat = replace(cases[0], images=np.full(cases[0].images.shape, 2.0, dtype=np.float16))
    places = np.flatnonzero(flat.marks & BRAIN > 0)[::9].astype(np.int32)
    random = np.random.default_rng(1)
    tones = varied_patches(flat, places, PatchVariation(contrast=0.5, offset=0.25), random=random)
    assert (tones == tones[:, :1, :1, :1]).all()
    levels = tones[:, 0, 0, 0]
    assert 0.75 <= levels.min() < 0.95
    assert 3.05 < levels.max() <= 3.25
    noise = varied_patches(flat, places, PatchVariation(noise_sd=0.3), random=random) - 2
    sds = noise.std(axis=(1, 2, 3))
    assert sds.max() < 0.32
    assert sds.min() < 0.05
    assert abs(np.corrcoef(noise[:, 1].ravel(), noise[:, 4].ravel())[0, 1]) < 0.02


def test_hard_ones_are_the_share_asked_for(cases: list[PatchCase]) -> None:
    recipe = tiny_patches("hemorrhage", hard_share=0.25, rim_share=0.5)
    random = np.random.default_rng(0)
    alike, rim = np.arange(1000, 1010, dtype=np.int32), np.arange(2000, 2010, dtype=np.int32)
    found = other_places(cases[4], HardPlaces(alike, rim), 40, recipe, random=random)
    assert len(found) == 40
    assert np.isin(found[:10], alike).all()
    assert np.isin(found[10:30], rim).all()
    assert is_other(cases[4].marks.ravel()[found[30:]], cases[4].blood.ravel()[found[30:]], "hemorrhage").all()
    assert len(other_places(cases[4], HardPlaces(alike[:0], rim[:0]), 40, recipe, random=random)) == 40


def test_rim_by_hand() -> None:
    """A square of 13 mm in the corner of a picture: inside it 4 mm to each side are rim, the picture's edge too."""
    region = np.zeros((2, 20, 40), dtype=bool)
    region[1, :13, :26] = True
    rim = rim_of(region, (1.0, 0.5))
    assert rim.sum() == 13 * 26 - 5 * 10
    assert not rim[1, 4:9, 8:18].any()
    assert not rim[0].any()


def test_hard_places_are_no_blood(cases: list[PatchCase]) -> None:
    case = cases[3]
    found = hard_places(case, tiny_patches("hemorrhage", hard_share=0.5, rim_share=0.5))
    for places in (found.alike, found.rim):
        assert is_other(case.marks.ravel()[places], case.blood.ravel()[places], "hemorrhage").all()
    assert len(found.rim)
    none = hard_places(case, tiny_patches("hemorrhage", hard_share=0.0))
    assert not len(none.alike)
    assert not len(none.rim)


def test_others_are_drawn_evenly_even_where_there_are_few(cases: list[PatchCase]) -> None:
    few = np.zeros_like(cases[0].marks)
    few.reshape(-1)[[7, 500]] = BRAIN | TISSUE
    case = replace(cases[0], marks=few, blood=np.zeros_like(few))
    found = drawn_evenly(case, 60, "volumetry", random=np.random.default_rng(0))
    assert set(found.tolist()) == {7, 500}
    with pytest.raises(ValueError, match="nothing but"):
        drawn_evenly(replace(case, marks=0 * few), 3, "volumetry", random=np.random.default_rng(0))


def test_a_network_without_heads_is_refused(cases: list[PatchCase]) -> None:
    with pytest.raises(BadRequest, match="look for: subtle"):
        PatchDataset([cases[0], cases[1]], tiny_patches())


def test_heads_without_any_are_not_needed(cases: list[PatchCase]) -> None:
    """As in the paper, whose patients all have an infarct."""
    data = PatchDataset(cases[:3], tiny_patches(apart_share=1.0))
    assert data[0]["severe"]["patches"].shape == (8, 6, 19, 19)

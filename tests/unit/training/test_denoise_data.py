"""Recipes for DnCNN, its prepared pairs, and what its training sees."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from prepared_slices import SHAPE, slice_pair, tiny_denoise, write_pairs

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks.dncnn import BLIND, DnCnnConfig
from infarct.phantom import Patient, draw
from infarct.phantom.patient import Protocol
from infarct.preprocess.window import LOCALIZE
from infarct.training.cases import Order
from infarct.training.denoise_cases import _prepare, around, load_pairs, read_pair_index
from infarct.training.denoise_data import PatchDataset, drawn_patch, with_noise
from infarct.training.denoise_recipe import DENOISE_PRESETS, DenoiseRecipe, denoise_recipe_of


@pytest.mark.parametrize("recipe", DENOISE_PRESETS.values(), ids=DENOISE_PRESETS)
def test_recipes_survive_json(recipe: DenoiseRecipe) -> None:
    data = json.loads(json.dumps(recipe.as_data()))
    assert denoise_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert not recipe.is_told_by({**data, "seed": 1})


def test_the_paper_preset_is_the_published_one() -> None:
    paper = DENOISE_PRESETS["paper"]
    assert DnCnnConfig(**paper.network_config) == BLIND
    assert (paper.batch, paper.patch_px, paper.steps) == (128, 50, 50 * 3_000)


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"noise_factor": (0.0, 1.0)}, {"noise_factor": (2.0, 1.0)}, {"network_config": {"in_channels": 2}}],
)
def test_refuses_recipes_that_make_no_training(wrong: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        tiny_denoise(**wrong)
    with pytest.raises(BadRequest, match="no recipe"):
        denoise_recipe_of({"name": "tiny"})


def test_patches_are_places_of_both_slices_alike() -> None:
    """With the noise a function of the place, each patch tells where it was cut, and how it was turned."""
    clean = np.arange(2 * 40 * 36, dtype=np.int16).reshape(SHAPE)
    pair = replace(slice_pair(0), clean=clean, noisy=clean + 7)
    seen = set()
    for number in range(40):
        a, b = drawn_patch(pair, 10, np.random.default_rng(number))
        assert a.shape == (10, 10)
        np.testing.assert_array_equal(b - a, 7)
        corner = int(a.min())
        k, row, column = (int(part) for part in np.unravel_index(corner, SHAPE))
        np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(clean[k, row : row + 10, column : column + 10], None))
        seen.add((k, bool(a[0, 0] == corner)))
    assert len(seen) == 4, "both slices, turned and not"


def test_a_slice_smaller_than_a_patch_goes_on_as_at_its_border() -> None:
    a, _ = drawn_patch(slice_pair(0), 60, np.random.default_rng(0))
    assert a.shape == (60, 60)
    assert a.max() == 900


def test_noise_grows_by_a_factor_and_the_window_cuts_it() -> None:
    """10 HU of noise on 30 HU, twice: 50 HU; at 110 HU the window ends at 115, so 5 of the 20 HU are left."""
    clean, noisy = np.array([[30, 110]], np.int16), np.array([[40, 120]], np.int16)
    np.testing.assert_allclose(with_noise(clean, noisy, 2.0), [[50, 130]])
    recipe = tiny_denoise(patch_px=1, noise_factor=(2.0, 2.0))
    pair = replace(slice_pair(0), clean=clean[None], noisy=noisy[None])
    found = {float(item["noise"]) for item in map(PatchDataset([pair], recipe).__getitem__, range(20))}
    assert sorted(found) == pytest.approx([5 / 150, 20 / 150], abs=1e-6)


def test_items_depend_on_seed_and_number_alone() -> None:
    cases = [slice_pair(seed) for seed in range(3)]
    one, other = PatchDataset(cases, tiny_denoise()), PatchDataset(cases, tiny_denoise(seed=1))
    for number in (0, 5, 11):
        a, b = one[number], PatchDataset(cases, tiny_denoise())[number]
        assert a["noisy"].shape == a["noise"].shape == (1, 20, 20)
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert not torch.equal(a["noisy"], other[number]["noisy"])


def test_cases_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read_pair_index(write_pairs(tmp_path / "cases"))
    for gigabytes in (6.0, 0.0):
        monkeypatch.setattr("infarct.training.denoise_cases.MEMORY_GB", gigabytes)
        case = load_pairs(index, index.of("train"))[1]
        assert isinstance(case.clean, np.memmap) == (gigabytes == 0)
        np.testing.assert_array_equal(case.clean, slice_pair(1).clean)
        np.testing.assert_array_equal(case.noisy, slice_pair(1).noisy)
    np.savez(tmp_path / "cases" / "0.npz", clean=np.zeros((1, 2, 2)), noisy=np.zeros((1, 2, 2)))
    with pytest.raises(UnreadableInput, match="wrong shape"):
        load_pairs(index, index.of("train"))
    (tmp_path / "cases" / "0.npz").write_bytes(b"no archive")
    with pytest.raises(UnreadableInput, match="damaged"):
        load_pairs(index, index.of("train"))


def test_a_patient_is_scanned_twice_and_cut_around_the_brain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in scans a box of brain; noise is its SD everywhere, so the pair differs by the protocol's."""
    inside = torch.zeros((5, 80, 90), dtype=torch.bool)
    inside[1:4, 30:60, 5:50] = True
    asked: list[Protocol] = []

    def scans(_: Patient, protocols: Sequence[Protocol]) -> list[SimpleNamespace]:
        asked.extend(protocols)
        hu = torch.arange(90.0).expand(5, 80, 90)
        return [SimpleNamespace(hu=hu + round(p.noise_hu), truth={"intracranial": inside}) for p in protocols]

    monkeypatch.setattr("infarct.training.denoise_cases.render_scans", scans)
    plan = tiny_denoise().phantoms
    order = Order("hyperacute", 4, "train")
    _prepare(order, folder=tmp_path, plan=plan)
    own = draw("hyperacute", 4, "train").acute
    assert asked == [replace(own, gaps_mm=(12.0,)), replace(own, gaps_mm=(12.0,), noise_hu=0.0)]
    with np.load(tmp_path / order.file) as stored:
        clean, noisy = stored["clean"], stored["noisy"]
    assert clean.shape == (3, 75, 75), "25 pixels around, as far as there are any"
    np.testing.assert_array_equal(clean[0, 0], np.arange(75))
    np.testing.assert_array_equal(noisy - clean, round(own.noise_hu))
    assert around(inside.numpy()) == (slice(1, 4), slice(5, 85), slice(0, 75))
    assert plan.setting == LOCALIZE

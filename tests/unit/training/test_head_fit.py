"""Training the 3D network on whole heads: what it is shown, what comes out and what is refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_patches import TINY_PICTURES, write_patches
from scipy.special import expit

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.runtime import make_engine
from infarct.systems import hemorrhage, volumetry
from infarct.systems.patch_maps import chances_of, marked
from infarct.training.fit import BEST, Machine, fit
from infarct.training.head_recipe import (
    OTHER,
    UNET_HEMORRHAGE,
    UNET_VOLUMETRY,
    HeadRecipe,
    head_recipe_of,
    is_head_recipe,
)
from infarct.training.head_recipe import WANTED as LOOKED_FOR
from infarct.training.head_task import pooled, pooled_case
from infarct.training.module import begin_with, fresh
from infarct.training.patch_data import region_of
from infarct.training.patch_finish import export_patches, finish_patches
from infarct.training.patch_recipe import CPU_VOLUMETRY
from infarct.training.patch_scores import JudgedCase, PatchPoint, masks_of
from infarct.training.patch_store import PatchCase, load_patch_cases, read_patch_index
from infarct.training.recipe import Augmentation, Schedule
from infarct.training.task import sha256_of
from infarct.weights import WeightSet, load_weights, save_weights

QUIET = Machine(accelerator="cpu", devices=1, log_every=1, quiet=True)
TINY = replace(
    UNET_VOLUMETRY,
    network_config={**UNET_VOLUMETRY.network_config, "base": 2, "strides": ((1, 2, 2),), "smooth": ((3, 3, 3),)},
    patch_zyx=(4, 20, 20),
    steps=4,
    schedule=Schedule("cosine", floor=1e-5, warm_up=1),
    phantoms=replace(UNET_VOLUMETRY.phantoms, setting=TINY_PICTURES),
    augmentation=Augmentation(flip_chance=0.5),
    average_decay=0.5,
    validate_every=2,
    checkpoint_every=2,
)


@pytest.fixture(autouse=True)
def without_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch calibrate: a conversion takes seconds."""
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patches(tmp_path_factory.mktemp("patches") / "cases")


@pytest.fixture(scope="module")
def heads(cases: Path) -> list[PatchCase]:
    index = read_patch_index(cases)
    return load_patch_cases(index, index.of("train"))


@pytest.mark.parametrize("recipe", [UNET_VOLUMETRY, UNET_HEMORRHAGE, TINY], ids=["volumetry", "hemorrhage", "tiny"])
def test_a_recipe_survives_json(recipe: HeadRecipe) -> None:
    data = json.loads(json.dumps(recipe.as_data()))
    assert head_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert is_head_recipe(data)
    assert not replace(recipe, seed=99).is_told_by(data)
    assert not is_head_recipe(CPU_VOLUMETRY.as_data())


def test_refuses_what_is_no_recipe() -> None:
    with pytest.raises(BadRequest, match="no recipe"):
        head_recipe_of({"name": "unet"})
    with pytest.raises(BadRequest, match="one target"):
        replace(TINY, pool_px=0)
    with pytest.raises(BadRequest, match="system of a recipe"):
        replace(TINY, system="segment")  # type: ignore[arg-type]


def test_squares_are_averaged_by_hand() -> None:
    image = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    np.testing.assert_allclose(pooled(image, 2), [[[3, 5], [13, 15]]])


def test_what_a_head_shows(heads: list[PatchCase]) -> None:
    """The infarct of the first head without its blood, which is not judged; blood alone; each on its own side."""
    infarct, blood = (pooled_case(heads[0], system, side=2) for system in ("volumetry", "hemorrhage"))
    assert infarct.channels.shape == (2, *infarct.labels.shape)
    assert infarct.spacing_mm_zyx == (5.0, 2.0, 2.0)
    for told in (infarct, blood):
        np.testing.assert_array_equal(told.counts[:, 0], np.bincount(told.labels[0].ravel(), minlength=4))
    own = infarct.channels[0].astype(np.float32)
    dense = blood.labels == LOOKED_FOR
    assert own[infarct.labels == LOOKED_FOR].mean() < own[infarct.labels == OTHER].mean() < own[dense].mean()
    assert not infarct.labels[dense].any()
    columns = [np.argwhere(case.labels == LOOKED_FOR)[:, 2].mean() for case in (infarct, blood)]
    middle = (infarct.labels.shape[2] - 1) / 2
    assert (columns[0] - middle) * (columns[1] - middle) < 0
    true = (heads[0].blood > 0).sum() / 4
    assert abs(dense.sum() / true - 1) < 0.3  # squares that are half blood


@pytest.fixture(scope="module")
def trained(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unet") / "out"
    fit(TINY, cases, output, machine=QUIET)
    return output


def test_the_weights_are_calibrated(cases: Path, trained: Path, tmp_path: Path) -> None:
    made = finish_patches(trained, cases, name="volumetry-unet")
    weights = load_weights(save_weights(made, tmp_path / "w.safetensors"))
    assert (weights.system, weights.network) == ("volumetry", "pooled_unet")
    settings = weights.settings
    assert settings["input"] == asdict(TINY_PICTURES)
    assert (settings["outputs"], settings["tile_zyx"]) == (["single"], [4, 40, 40])
    assert settings["calibrated_on"] == "5 phantoms"
    assert weights.card["metrics"]["validation_after_calibration"][0]["heads"] == 3
    assert weights.card["training"]["patches_seen"] == 2 * weights.card["training"]["steps"]


def test_the_engine_judges_as_the_network_that_was_trained(cases: Path, trained: Path) -> None:
    """A head smaller than a box, in its middle: the mean of both ways."""
    state = torch.load(trained / BEST, weights_only=True)["state_dict"]
    network = build(TINY.network, TINY.network_config)
    network.load_state_dict(
        {
            key.removeprefix("average.module."): part.half().float()
            for key, part in state.items()
            if "average.module" in key
        }
    )
    index = read_patch_index(cases)
    case = load_patch_cases(index, index.of("validation"))[0]
    region = region_of(case.marks, "volumetry")
    weights = replace(finish_patches(trained, cases, name="tiny"))
    config = volumetry.config_of(
        {**weights.settings, "tile_zyx": [4, *(2 * -(-n // 2) for n in region.shape[1:])]}, weights.network_config
    )
    assert config.tile_zyx is not None
    chances = chances_of(make_engine(weights, device="cpu", threads=1), case.images, region, config)
    tile = np.zeros((1, 2, *config.tile_zyx), dtype=np.float32)
    z, y, x = ((size - length) // 2 for size, length in zip(config.tile_zyx, region.shape, strict=True))
    box = slice(z, z + region.shape[0]), slice(y, y + region.shape[1]), slice(x, x + region.shape[2])
    tile[0][:, *box] = case.images
    with torch.no_grad():
        both = [
            torch.nn.functional.interpolate(
                network(torch.nn.functional.avg_pool3d(torch.from_numpy(part), (1, 2, 2))),
                size=list(config.tile_zyx),
                mode="trilinear",
                align_corners=False,
            ).numpy()[0, 0]
            for part in (tile, tile[..., ::-1].copy())
        ]
    expected = (expit(both[0]) + expit(both[1][..., ::-1])) / 2
    np.testing.assert_allclose(chances[0], np.where(region, expected[*box], 0), atol=2e-3)


@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_the_systems_make_the_masks_that_were_chosen(system: str, cases: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, system=system)  # type: ignore[arg-type]
    fit(recipe, cases, tmp_path / "out", machine=QUIET)
    weights = finish_patches(tmp_path / "out", cases, name="tiny")
    read = {"volumetry": volumetry.config_of, "hemorrhage": hemorrhage.config_of}[system]
    config = read(weights.settings, weights.network_config)
    index = read_patch_index(cases)
    case = load_patch_cases(index, index.of("validation"))[0]
    region = region_of(case.marks, recipe.system)
    chances = chances_of(make_engine(weights, device="cpu", threads=1), case.images, region, config)
    judged = JudgedCase(case, chances.astype(np.float16))
    point = PatchPoint(config.thresholds, config.least_ml, config.smooth_mm)
    rounded = judged.probabilities.astype(np.float32)
    np.testing.assert_array_equal(
        marked(rounded, region, case.geometry, config), masks_of(judged, point, recipe.system)
    )


@pytest.mark.parametrize("tile", [[0, 4, 4], [4, 4], [4, 4, 4096], ["a", 1, 1], None])
def test_weights_with_impossible_boxes_are_refused(cases: Path, trained: Path, tile: object) -> None:
    weights: WeightSet = finish_patches(trained, cases, name="tiny")
    with pytest.raises(BadRequest, match="setting"):
        volumetry.config_of({**weights.settings, "tile_zyx": tile}, weights.network_config)


def test_refuses_heads_that_do_not_fit(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="not the pictures"):
        fit(UNET_VOLUMETRY, cases, tmp_path / "out", machine=QUIET)


def test_refuses_heads_with_nothing_to_find(tmp_path: Path) -> None:
    folder = write_patches(tmp_path / "cases", training=5)
    index = json.loads((folder / "cases.json").read_text())
    index["cases"] = [case for case in index["cases"] if case["role"] == "validation" or case["preset"] == "healthy"]
    (folder / "cases.json").write_text(json.dumps(index))
    with pytest.raises(BadRequest, match="looks for"):
        fit(TINY, folder, tmp_path / "out", machine=QUIET)


def test_learns_what_is_plain(tmp_path: Path) -> None:
    """Dark discs are found in heads that were not trained on."""
    folder = write_patches(tmp_path / "cases", training=10, validation=5)
    recipe = replace(TINY, steps=60, learning_rate=1e-2, average_decay=0.8, validate_every=30)
    fit(recipe, folder, tmp_path / "out", machine=QUIET)
    weights = finish_patches(tmp_path / "out", folder, name="tiny")
    assert weights.card["metrics"]["validation_after_calibration"][0]["mean_dice"] > 0.6


def test_begins_with_weights_that_infarct_wrote(cases: Path, trained: Path, tmp_path: Path) -> None:
    """The first step's learning rate is next to nothing, so what comes out is what went in."""
    weights = export_patches(trained / BEST, name="before")
    path = save_weights(weights, tmp_path / "before.safetensors")
    recipe = replace(
        TINY, steps=1, learning_rate=1e-12, schedule=Schedule("cosine", floor=0.0), pretrained_sha256=sha256_of(path)
    )
    fit(recipe, cases, tmp_path / "out", machine=QUIET, pretrained=path)
    after = finish_patches(tmp_path / "out", cases, name="after")
    assert after.card["recipe"]["pretrained_sha256"] == recipe.pretrained_sha256
    for name, values in weights.tensors.items():
        np.testing.assert_allclose(after.tensors[name], values, atol=1e-6)
    for wrong in (None, cases / "cases.json"):
        with pytest.raises(BadRequest, match="not those"):
            fit(recipe, cases, tmp_path / "other", machine=QUIET, pretrained=wrong)
    with pytest.raises(BadRequest, match="another network"):
        begin_with(fresh("se_res_unet", {**TINY.network_config, "base": 4}, 0), path)
    assert not (tmp_path / "other").exists()

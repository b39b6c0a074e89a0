import json
from dataclasses import replace
from pathlib import Path

import pytest

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks import build
from infarct.networks.transfer import TransferNetwork
from infarct.training.localize_recipe import (
    CPU_LOCALIZE,
    LOCALIZE_PRESETS,
    PAPER_LOCALIZE,
    TileVariation,
    localize_recipe_of,
)
from infarct.training.module import rate_of
from infarct.training.recipe import PRESETS
from infarct.training.task import sha256_of


@pytest.mark.parametrize("name", list(LOCALIZE_PRESETS))
def test_a_recipe_survives_json(name: str) -> None:
    recipe = LOCALIZE_PRESETS[name]
    data = json.loads(json.dumps(recipe.as_data()))
    assert localize_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert not replace(recipe, seed=99).is_told_by(data)
    if name in ("cpu", "smoke"):
        assert isinstance(build(recipe.network, recipe.network_config), TransferNetwork)


def test_the_recipes_have_the_names_of_the_other_systems() -> None:
    assert list(LOCALIZE_PRESETS) == list(PRESETS)


def test_the_published_training() -> None:
    """Tuned VGG16 at 140 pixels, one channel; Adam at a constant 1e-3, 160,000 tiles, normal ones mirrored."""
    assert {**PAPER_LOCALIZE.network_config} == {"in_channels": 1, "size_px": 140}
    factor = rate_of(PAPER_LOCALIZE)
    assert {factor(step) for step in (0, 1, 9_999, 19_999)} == {1.0}
    assert PAPER_LOCALIZE.steps * PAPER_LOCALIZE.patches_a_step == 160_000
    assert (PAPER_LOCALIZE.learning_rate, PAPER_LOCALIZE.loss) == (1e-3, "renormalised")
    assert PAPER_LOCALIZE.both_healthy_share == 0.0
    assert PAPER_LOCALIZE.variation == TileVariation()


def test_what_is_no_recipe_is_refused() -> None:
    data = CPU_LOCALIZE.as_data()
    for wrong in ({}, {**data, "unknown": 1}, {**data, "loss": "dice"}, PRESETS["smoke"].as_data()):
        with pytest.raises(BadRequest):
            localize_recipe_of(wrong)
    for changes in (
        {"batch": 0},
        {"both_healthy_share": 2},
        {"network_config": {"in_channels": 1, "size_px": 48}},
        {"phantoms": PAPER_LOCALIZE.phantoms},
    ):
        with pytest.raises(BadRequest):
            replace(CPU_LOCALIZE, **changes)
    with pytest.raises(BadRequest, match="0 to 4"):
        TileVariation(shift_px=5)
    endless = replace(CPU_LOCALIZE.phantoms, setting=replace(CPU_LOCALIZE.phantoms.setting, tile_mm=None))
    with pytest.raises(BadRequest, match="length"):
        replace(CPU_LOCALIZE, phantoms=endless)


def test_a_recipe_names_the_weights_that_it_begins_with(tmp_path: Path) -> None:
    """The digest is that of the three bytes abc, as FIPS 180-2 prints it."""
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(None) is None
    with pytest.raises(UnreadableInput, match="pretrained"):
        sha256_of(tmp_path / "missing")

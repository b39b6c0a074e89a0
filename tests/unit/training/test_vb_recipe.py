import json
from dataclasses import replace

import pytest

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.training.aspects_recipe import ASPECTS_PRESETS
from infarct.training.recipe import PRESETS
from infarct.training.vb_recipe import PAPER_VB, VB_PRESETS, vb_recipe_of


@pytest.mark.parametrize("name", list(VB_PRESETS))
def test_a_recipe_survives_json(name: str) -> None:
    recipe = VB_PRESETS[name]
    data = json.loads(json.dumps(recipe.as_data()))
    assert vb_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert not replace(recipe, seed=99).is_told_by(data)
    assert build("vb_net", recipe.network_config)
    if name != "gpu":
        assert recipe.patches_a_step == 4


def test_the_recipes_have_the_names_of_the_other_systems_and_their_cases() -> None:
    """Cases that were prepared for DA-Net serve here too."""
    assert list(VB_PRESETS) == list(PRESETS)
    for name, recipe in VB_PRESETS.items():
        assert recipe.phantoms.setting == ASPECTS_PRESETS[name].phantoms.setting


def test_the_published_network_draws_twenty_regions_from_the_image_alone() -> None:
    config = PAPER_VB.network_config
    assert (config["in_channels"], config["out_channels"], config["normalisation"]) == (1, 22, "batch")
    assert config["strides"] == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    assert not PAPER_VB.loss.inside_skull


def test_what_is_no_recipe_is_refused() -> None:
    data = PAPER_VB.as_data()
    for wrong in ({}, {**data, "unknown": 1}, {**data, "cascade": {}}, ASPECTS_PRESETS["smoke"].as_data()):
        with pytest.raises(BadRequest):
            vb_recipe_of(wrong)
    with pytest.raises(BadRequest, match="1 or more"):
        replace(PAPER_VB, batch=0)
    with pytest.raises(BadRequest, match="do not fit"):
        replace(PAPER_VB, network_config={**PAPER_VB.network_config, "out_channels": 21})

import json
from dataclasses import replace

import pytest

from infarct.anatomy import REGIONS
from infarct.errors import BadRequest
from infarct.networks import build
from infarct.training.aspects_recipe import ASPECTS_PRESETS, PAPER_ASPECTS, TOGETHER, aspects_recipe_of
from infarct.training.module import rate_of
from infarct.training.recipe import PRESETS


@pytest.mark.parametrize("name", list(ASPECTS_PRESETS))
def test_a_recipe_survives_json(name: str) -> None:
    recipe = ASPECTS_PRESETS[name]
    data = json.loads(json.dumps(recipe.as_data()))
    assert aspects_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert not replace(recipe, seed=99).is_told_by(data)
    assert {region for group in recipe.groups.values() for region in group} == set(REGIONS)
    if name != "paper":
        assert build("da_net", recipe.network_config)


def test_the_recipes_have_the_names_of_the_other_system() -> None:
    assert list(ASPECTS_PRESETS) == list(PRESETS)


def test_what_is_no_recipe_is_refused() -> None:
    data = PAPER_ASPECTS.as_data()
    for wrong in ({}, {**data, "unknown": 1}, {**data, "groups": {"all": ["M7"]}}, PRESETS["smoke"].as_data()):
        with pytest.raises(BadRequest):
            aspects_recipe_of(wrong)
    for changes in ({"batch": 0}, {"groups": {"a": ("C",), "b": ("C",)}}, {"groups": {"a": ()}}, {"infarct_share": 2}):
        with pytest.raises(BadRequest):
            replace(PAPER_ASPECTS, **changes)  # type: ignore[arg-type]


def test_the_published_rate_falls_by_three_tenths_every_six_epochs() -> None:
    factor, epoch = rate_of(PAPER_ASPECTS), 139
    assert PAPER_ASPECTS.learning_rate == 6e-5
    assert [round(factor(step), 4) for step in (0, 6 * epoch - 1, 6 * epoch, 12 * epoch)] == [1, 1, 0.7, 0.49]
    assert PAPER_ASPECTS.augmentation.shift_mm / PAPER_ASPECTS.phantoms.setting.spacing_mm_zyx[2] == 5


def test_the_ablation_is_data() -> None:
    recipe = replace(PAPER_ASPECTS, groups=dict(TOGETHER), class_weights=False, attention_weight=0.0)
    without = replace(recipe, network_config={**recipe.network_config, "difference": False})
    assert aspects_recipe_of(json.loads(json.dumps(without.as_data()))) == without
    assert (PAPER_ASPECTS.patches_a_step, recipe.patches_a_step) == (120, 60)

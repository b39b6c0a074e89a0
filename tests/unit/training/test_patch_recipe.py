import json
from dataclasses import replace

import pytest

from infarct.errors import BadRequest
from infarct.measure.severity import SEVERITIES
from infarct.networks import build
from infarct.networks.patch_cnn import PatchCnn
from infarct.phantom import draw
from infarct.preprocess.patch_input import PAPER_PATCHES
from infarct.training.module import rate_of
from infarct.training.patch_recipe import (
    CPU_VOLUMETRY,
    HEMORRHAGE_PRESETS,
    PAPER_VOLUMETRY,
    VOLUMETRY_PRESETS,
    PatchRecipe,
    as_single,
    patch_recipe_of,
)
from infarct.training.recipe import PRESETS

EVERY = [*VOLUMETRY_PRESETS.values(), *HEMORRHAGE_PRESETS.values()]


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: f"{recipe.system}-{recipe.name}")
def test_a_recipe_survives_json(recipe: PatchRecipe) -> None:
    data = json.loads(json.dumps(recipe.as_data()))
    assert patch_recipe_of(data) == recipe
    assert recipe.is_told_by(data)
    assert not replace(recipe, seed=99).is_told_by(data)
    assert isinstance(build("patch_cnn", recipe.network_config), PatchCnn)


def test_the_recipes_have_the_names_of_the_other_systems() -> None:
    assert list(VOLUMETRY_PRESETS) == [*PRESETS, "single"]
    assert list(HEMORRHAGE_PRESETS) == list(PRESETS)
    assert {recipe.system for recipe in HEMORRHAGE_PRESETS.values()} == {"hemorrhage"}


def test_the_published_training() -> None:
    """Three networks at full width on the scan's own pixels, 570 scans; only infarct patches vary."""
    assert PAPER_VOLUMETRY.networks == ("severe", "intermediate", "subtle")
    assert PAPER_VOLUMETRY.network_config == {"images": 1, "width": 1.0, "outputs": 1}
    assert PAPER_VOLUMETRY.phantoms.setting == PAPER_PATCHES
    assert [(share.preset, share.train) for share in PAPER_VOLUMETRY.phantoms.shares] == [("followup", 570)]
    assert PAPER_VOLUMETRY.variation.wanted_only
    assert (PAPER_VOLUMETRY.apart_share, PAPER_VOLUMETRY.hard_share) == (0.0, 0.0)
    assert {rate_of(PAPER_VOLUMETRY)(step) for step in (0, 9_999)} == {1.0}


def test_the_single_network_sees_as_many_patches() -> None:
    single = as_single(CPU_VOLUMETRY)
    assert single.networks == ("single",)
    assert single.steps * single.patches_a_step == CPU_VOLUMETRY.steps * CPU_VOLUMETRY.patches_a_step
    assert single.phantoms == CPU_VOLUMETRY.phantoms


def test_one_folder_of_heads_serves_both_systems() -> None:
    assert HEMORRHAGE_PRESETS["cpu"].phantoms == VOLUMETRY_PRESETS["cpu"].phantoms


def test_the_smallest_plans_show_what_each_network_looks_for() -> None:
    """Infarcts of every class, some of them to validate; blood to train on and to validate."""
    (infarcts, _) = VOLUMETRY_PRESETS["smoke"].phantoms.shares
    classes = {draw("followup", index, "train").stratum["severity"] for index in range(infarcts.train)}
    assert classes == set(SEVERITIES)
    assert len({draw("followup", index, "validation").stratum["severity"] for index in range(infarcts.validation)}) > 1
    (mimics, _) = HEMORRHAGE_PRESETS["smoke"].phantoms.shares
    for role, count in (("train", mimics.train), ("validation", mimics.validation)):
        bleeds = [bleed.kind for index in range(count) for bleed in draw("mimics", index, role).confounders.bleeds]  # type: ignore[arg-type]
        assert set(bleeds) - {"staining"}


@pytest.mark.parametrize(
    "changes",
    [
        {"networks": ()},
        {"networks": ("severe", "severe")},
        {"networks": ("hemorrhage",)},
        {"system": "localize"},
        {"patches_a_head": 1},
        {"batch": 0},
        {"apart_share": 1.5},
        {"hard_share": -0.1},
    ],
)
def test_refuses_what_makes_no_training(changes: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        replace(PAPER_VOLUMETRY, **changes)  # type: ignore[arg-type]


def test_refuses_other_data() -> None:
    data = PAPER_VOLUMETRY.as_data()
    for wrong in ({**data, "phantoms": {}}, {**data, "more": 1}, {}, {**data, "variation": {"x": 1}}):
        with pytest.raises(BadRequest, match="no recipe"):
            patch_recipe_of(wrong)

"""The rows of the segment paper's ablation: each changes what it says, and nothing else."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest

from infarct.networks.se_res_unet import SeResUnetConfig
from infarct.preprocess.segment_input import EVERYDAY
from infarct.reproduce.segment_rows import FULL_MODEL, FULL_PAPER, REDUCED_PAPER, Row, study_of
from infarct.training.recipe import CPU_RECIPE, PAPER_RECIPE, Augmentation, Beginning, Implants, Recipe

CHANGED = {
    "preprocessing": {"phantoms"},
    "+ weighted sampler": {"sampling"},
    "+ residual connections": {"network_config"},
    "+ squeeze and excitation": {"network_config"},
    "+ standardisation": {"phantoms"},
    FULL_MODEL: {"loss"},
    "+ mirrored channel": {"network_config", "phantoms"},
    "default recipe, no implants": {"augmentation"},
    "default recipe": {"implants", "beginning"},
}
PUBLISHED = [0.508, 0.511, 0.547, 0.574, 0.612, None, 0.628, None, None, None, None]


def differing(one: Recipe, other: Recipe) -> set[str]:
    return {part.name for part in fields(Recipe) if getattr(one, part.name) != getattr(other, part.name)}


def rows_of(*, reduced: bool) -> dict[str, Row]:
    return {row.name: row for row in study_of(reduced=reduced).rows}


@pytest.mark.parametrize("reduced", [True, False])
def test_each_row_changes_what_it_names(reduced: bool) -> None:
    rows = study_of(reduced=reduced).rows
    assert [row.published for row in rows] == PUBLISHED
    for before, after in pairwise(rows):
        if after.name in CHANGED:
            assert differing(before.recipe, after.recipe) == CHANGED[after.name], after.name
    assert [row.name for row in rows if row.everywhere] == ["no preprocessing"]


@pytest.mark.parametrize("reduced", [True, False])
def test_rows_cost_the_same_and_see_the_same_patients(reduced: bool) -> None:
    recipes = [row.recipe for row in study_of(reduced=reduced).rows]
    for part in ("steps", "batch", "seed", "precision", "overlap", "validation_cases"):
        assert len({getattr(recipe, part) for recipe in recipes}) == 1, part
    assert recipes[0].validation_cases == 0, "held-out patients choose nothing"
    assert len({replace(recipe.phantoms, setting=EVERYDAY) for recipe in recipes}) == 1
    assert len({recipe.network_config["base"] for recipe in recipes}) == 1


def test_the_full_row_is_the_paper_s_recipe() -> None:
    full = rows_of(reduced=False)[FULL_MODEL].recipe
    assert differing(full, PAPER_RECIPE) <= {"phantoms", "validation_cases", "network_config"}
    assert SeResUnetConfig(**full.network_config) == SeResUnetConfig(**PAPER_RECIPE.network_config)
    assert replace(full.phantoms.setting, name="paper") == PAPER_RECIPE.phantoms.setting
    assert study_of(reduced=False).folds == 5
    assert study_of(reduced=False).patient_count == 81


def test_the_reduced_rows_keep_the_paper_s_optimiser() -> None:
    full, reduced = rows_of(reduced=False)[FULL_MODEL].recipe, rows_of(reduced=True)[FULL_MODEL].recipe
    for part in ("optimiser", "weight_decay", "batch", "sampling", "augmentation", "loss", "clip_norm"):
        assert getattr(full, part) == getattr(reduced, part), part
    assert study_of(reduced=True).folds is None
    rates = {(row.recipe.learning_rate, row.recipe.schedule) for row in study_of(reduced=True).rows}
    assert rates == {(REDUCED_PAPER.learning_rate, REDUCED_PAPER.schedule)}
    mm = [size * step for size, step in zip(reduced.patch_zyx, (5.0, 2.0, 2.0), strict=True)]
    assert mm == pytest.approx([64] * 3, rel=0.1), "the paper's 128 voxels of 0.5 mm"


def test_the_last_rows_are_our_default() -> None:
    rows = rows_of(reduced=True)
    own = rows["default recipe"].recipe
    assert own.phantoms.setting == EVERYDAY
    for part in (
        "loss",
        "sampling",
        "augmentation",
        "implants",
        "faintest",
        "beginning",
        "average_decay",
        "optimiser",
        "weight_decay",
        "clip_norm",
        "targets",
    ):
        assert getattr(own, part) == getattr(CPU_RECIPE, part), part
    bare = rows["default recipe, not augmented, no implants"].recipe
    assert (bare.augmentation, bare.implants) == (Augmentation(), Implants())
    assert rows["default recipe, no implants"].recipe == replace(own, implants=Implants(), beginning=Beginning())
    whole = rows_of(reduced=False)["default recipe"].recipe
    assert (whole.patch_zyx, whole.steps) == (CPU_RECIPE.patch_zyx, FULL_PAPER.steps)


def test_grids_of_the_reduced_rows_differ_by_whole_voxels() -> None:
    settings = {row.setting for row in study_of(reduced=True).rows}
    assert {setting.spacing_mm_zyx for setting in settings} == {(5.0, 2.0, 2.0)}
    for setting in settings:
        assert (setting.margin_mm - EVERYDAY.margin_mm) % 10 == 0

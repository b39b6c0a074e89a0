"""The rows of the experiments on DA-Net: each changes what it says, and nothing else."""

from dataclasses import fields, replace
from typing import get_args

import pytest

from infarct.anatomy import REGIONS
from infarct.networks.da_net import DaNetConfig
from infarct.phantom import Split
from infarct.reproduce.aspects_rows import FULL_MODEL, OTHER_SEED, AspectsRow, reduced_recipe, study_of
from infarct.training.aspects_recipe import ASPECTS_PRESETS, AspectsRecipe, aspects_recipe_of
from infarct.training.cases import PhantomShare, Role, orders_of

CHANGED = {
    FULL_MODEL: set(),
    "without the difference branch": {"network_config"},
    "without the attention loss": {"attention_weight"},
    "without class weights": {"class_weights"},
    "one model for all regions": {"groups", "batch"},
    OTHER_SEED: {"seed"},
    "1/8 of the patients": {"phantoms"},
    "1/4 of the patients": {"phantoms"},
    "1/2 of the patients": {"phantoms"},
}


def rows_of(*, reduced: bool) -> dict[str, AspectsRow]:
    return {row.name: row for row in study_of(reduced=reduced).rows}


@pytest.mark.parametrize("reduced", [True, False])
def test_each_row_leaves_one_part_out(reduced: bool) -> None:
    rows = rows_of(reduced=reduced)
    full = rows[FULL_MODEL].recipe
    found = {
        name: {
            part.name for part in fields(AspectsRecipe) if getattr(row.recipe, part.name) != getattr(full, part.name)
        }
        for name, row in rows.items()
    }
    assert found == CHANGED
    alone = DaNetConfig(**rows["without the difference branch"].recipe.network_config)
    assert alone == replace(DaNetConfig(**full.network_config), difference=False)
    together = rows["one model for all regions"].recipe
    assert list(together.groups.values()) == [REGIONS]
    assert together.patches_a_step == full.patches_a_step
    assert rows["without the attention loss"].recipe.attention_weight == 0
    assert not rows["without class weights"].recipe.class_weights
    assert all(aspects_recipe_of(row.recipe.as_data()) == row.recipe for row in rows.values())


@pytest.mark.parametrize("reduced", [True, False])
def test_the_curve_has_fewer_of_the_same_patients(reduced: bool) -> None:
    study = study_of(reduced=reduced)
    assert study.curve[-1] == study.ablation[0]
    plans = [row.recipe.phantoms for row in study.curve]
    orders = [set(orders_of(plan.shares)) for plan in plans]
    assert orders[0] < orders[1] < orders[2] < orders[3]
    full = plans[-1].shares
    for plan, part in zip(plans, (8, 4, 2, 1), strict=True):
        assert [share.train for share in plan.shares] == [share.train // part for share in full]
        assert [share.validation for share in plan.shares] == [share.validation for share in full]
    assert study.patient_count == len(orders[-1]) + (75 if reduced else 150)


def test_no_plan_of_a_training_holds_patients_to_test_on() -> None:
    for reduced in (True, False):
        for row in study_of(reduced=reduced).rows:
            assert {order.role for order in orders_of(row.recipe.phantoms.shares)} == {"train", "validation"}
    assert "test" not in {part.name for part in fields(PhantomShare)}
    assert set(get_args(Role)) <= set(get_args(Split)), "a role names the split whose patients are drawn"


def test_recipes_are_the_presets() -> None:
    paper = ASPECTS_PRESETS["paper"]
    assert rows_of(reduced=False)[FULL_MODEL].recipe == replace(paper, validate_every=paper.steps)
    cpu, reduced = ASPECTS_PRESETS["cpu"], reduced_recipe()
    same = {part.name for part in fields(AspectsRecipe) if getattr(cpu, part.name) == getattr(reduced, part.name)}
    other = {part.name for part in fields(AspectsRecipe)} - same
    assert other == {"name", "steps", "schedule", "average_decay", "phantoms"}
    study = study_of(reduced=True)
    assert study.note.startswith("Recipe 'reduced': 120 phantom patients to train on, 48 others")
    assert "200 steps of 16 pairs" in study.note

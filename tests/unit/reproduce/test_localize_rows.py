"""What the rows of the localize paper's experiments train with: budgets are equal, inputs and splits as they should."""

import math
from dataclasses import replace

import pytest

from infarct.networks.registry import NETWORKS as REGISTERED
from infarct.reproduce.localize_rows import (
    FOLDS,
    INPUT_ROWS,
    MODELS,
    NETWORKS,
    TRIALS,
    Split,
    TileStudy,
    drawn_trial,
    study_of,
)
from infarct.training.localize_recipe import PAPER_LOCALIZE
from infarct.training.tile_store import is_seen_in


@pytest.fixture(params=[True, False])
def study(request: pytest.FixtureRequest) -> TileStudy:
    return study_of(reduced=request.param)


def test_six_networks_at_two_sizes_with_the_same_budget(study: TileStudy) -> None:
    rows = study.of("models")
    assert {(row.recipe.network, row.recipe.phantoms.setting.size_px) for row in rows} == {
        (network, size_px) for network in NETWORKS for size_px in ((80, 128) if study.name == "reduced" else (140, 224))
    }
    assert len({(r.recipe.steps, r.recipe.batch, r.recipe.learning_rate, r.split) for r in rows}) == 1
    for row in rows:
        setting = row.recipe.phantoms.setting
        assert (setting.tile_mm, setting.strip, setting.grey, setting.channels) == (None, True, "pictures", 1)
        assert row.table == MODELS
        REGISTERED[row.recipe.network].config(**row.recipe.network_config)  # large enough for its convolutions
    assert {row.published for row in rows if row.recipe.network == "vgg16"} == {0.69, 0.55}


def test_trials_see_as_many_tiles_and_none_that_is_tested(study: TileStudy) -> None:
    first, *drawn = (row for row in study.of("search") if row.table == TRIALS)
    assert len(drawn) + 1 == (8 if study.name == "reduced" else 20)
    assert (first.recipe.learning_rate, first.recipe.optimiser) == (1e-3, "adam")
    budget = first.recipe.steps * first.recipe.batch
    for row in drawn:
        assert row.recipe.steps * row.recipe.batch == budget
        assert 1e-4 <= row.recipe.learning_rate <= 10**-2.5
        assert row.recipe.schedule.floor == row.recipe.learning_rate
        assert all(0.1 <= share <= 0.6 for share in row.recipe.network_config["dropout"])
        assert row.split == Split(5, 0, choice=1)
        REGISTERED["vgg16"].config(**row.recipe.network_config)
    assert len({row.recipe.learning_rate for row in drawn}) == len(drawn)
    assert {row.recipe.optimiser for row in drawn} == {"adam", "adamw"}
    assert drawn_trial(first.recipe, 1) == drawn[0].recipe, "the same number, the same values"


def test_inputs_grow_and_are_all_prepared(study: TileStudy) -> None:
    rows = [row for row in study.of("search") if row.table == INPUT_ROWS]
    settings = [row.recipe.phantoms.setting for row in rows]
    assert [setting.channels for setting in settings] == [1, 1, 1, 2, 5]
    assert [setting.field_tiles for setting in settings] == [1, 1, 4, 4, 4]
    assert [setting.strip for setting in settings] == [True, False, False, False, False]
    assert len({(one.tile_mm, one.slab_mm, one.size_px) for one in settings}) == 1, "the same tiles"
    assert len({row.recipe.steps * row.recipe.batch for row in rows}) == 1
    for row in study.rows:
        setting = row.recipe.phantoms.setting
        assert sum(is_seen_in(setting, stored) for stored in study.settings) == 1
    assert not study.settings[0].strip, "tiles are chosen in heads with their bone"


def test_every_fold_is_held_out_once_for_both_inputs(study: TileStudy) -> None:
    rows = study.of("crossval")
    count = 4 if study.name == "reduced" else 20
    assert [row.split for row in rows] == 2 * [Split(count, fold) for fold in range(count)]
    assert {row.table for row in rows} == {FOLDS}
    assert len({row.name for row in study.rows}) == len(study.rows)


def test_the_full_size_is_the_papers() -> None:
    study = study_of(reduced=False)
    recipe = study.of("crossval")[0].recipe
    same = replace(PAPER_LOCALIZE, phantoms=recipe.phantoms, validate_every=recipe.validate_every)
    assert recipe == same
    assert study.patient_count == 517
    assert math.isclose(study.patient_count * study.plan.tiles_a_case, 41_827, rel_tol=0.02)

"""The paper's numbers, and recipes that go through JSON."""

import json

import pytest
import torch
from prepared_blobs import tiny_recipe

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.preprocess.segment_input import PAPER
from infarct.training.module import rate_of
from infarct.training.recipe import PRESETS, Augmentation, Sampling, recipe_of


def test_paper_preset() -> None:
    """Segment paper, sections 2.1 to 2.5."""
    paper = PRESETS["paper"]
    assert paper.patch_zyx == (128, 128, 128)
    assert (paper.batch, paper.steps, paper.optimiser) == (2, 40_000, "adam")
    assert (paper.learning_rate, paper.weight_decay) == (1e-4, 1e-5)
    assert paper.sampling == Sampling("weighted", lesion=0.5, brain=0.5, background=0.0, old=0.0)
    assert (paper.loss.weighted, paper.loss.reduction, paper.loss.inside_brain) == (True, "mean", False)
    assert (paper.loss.bce_weight, paper.loss.dice_weight) == (1, 1)
    assert paper.augmentation == Augmentation()
    assert not paper.augmentation.moves
    assert (paper.implants.share, paper.faintest) == (0, 0)
    assert (paper.average_decay, paper.clip_norm, paper.overlap) == (None, None, 0.25)
    assert paper.phantoms.setting == PAPER
    rate = rate_of(paper)
    rates = [paper.learning_rate * rate(step) for step in (0, 4_999, 5_000, 10_000, 15_000, 20_000, 39_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 1.25e-5, 1.25e-5])


def test_cosine_rises_then_falls_to_its_floor() -> None:
    recipe = tiny_recipe(steps=1_000)
    rates = [recipe.learning_rate * rate_of(recipe)(step) for step in range(1_001)]
    assert rates[0] == pytest.approx(recipe.learning_rate / 3, rel=1e-3)
    assert rates[2] == pytest.approx(recipe.learning_rate, rel=1e-3)
    assert rates[500] == pytest.approx((recipe.learning_rate + recipe.schedule.floor) / 2, rel=1e-3)
    assert rates[1000] == pytest.approx(recipe.schedule.floor)
    assert rates[2:] == sorted(rates[2:], reverse=True)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_fit_their_parts_and_survive_json(name: str) -> None:
    recipe = PRESETS[name]
    assert recipe.name == name
    assert recipe_of(json.loads(json.dumps(recipe.as_data()))) == recipe
    assert recipe.network_config["in_channels"] == recipe.phantoms.setting.channels
    assert recipe.steps % recipe.validate_every == 0
    with torch.device("meta"):
        network = build(recipe.network, recipe.network_config)
        patch = torch.empty((1, recipe.phantoms.setting.channels, *recipe.patch_zyx))
    assert network(patch).shape == (1, len(recipe.targets), *recipe.patch_zyx)


def test_refuses_what_is_no_recipe() -> None:
    data = PRESETS["cpu"].as_data()
    for wrong in ({}, {**data, "colour": 1}, {**data, "loss": {"weighted": True, "depth": 2}}, {**data, "loss": 3}):
        with pytest.raises(BadRequest, match="no recipe"):
            recipe_of(wrong)
    with pytest.raises(BadRequest, match="one target"):
        recipe_of({**data, "targets": [2]})
    with pytest.raises(BadRequest, match="1 or more"):
        recipe_of({**data, "batch": 0})

"""Training the segmentation: what is taken from its prepared cases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infarct.errors import BadRequest
from infarct.training.cases import ACUTE, OLD, Prepared
from infarct.training.implants import without_faint
from infarct.training.module import CaseFeed, SegmentationModule
from infarct.training.recipe import Recipe
from infarct.training.sampler import PatchDataset
from infarct.training.store import CaseIndex, load_cases, read_index
from infarct.training.task import Made, Task, check_pretrained, check_roles, evenly


def segment_task(recipe: Recipe, cases: Path, pretrained: Path | None = None) -> Task:
    """Return the training by ``recipe`` on the prepared cases in a folder; ``pretrained`` as the recipe tells.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they, or the pretrained weights, do not fit
    the recipe.
    """
    check_pretrained(recipe.pretrained_sha256, pretrained)
    index = read_index(cases)
    training, validation = index.of("train"), index.of("validation")
    check_roles(training, validation)
    channels = 2 if index.setting.get("mirror") else 1
    if recipe.network_config.get("in_channels", 1) != channels:
        raise BadRequest(f"the prepared cases have {channels} channels, which the recipe {recipe.name!r} does not take")
    counts = {
        "training_cases": len(training),
        "training_cases_with_acute": sum(case.voxels[ACUTE] > 0 for case in training),
        "training_cases_with_old": sum(case.voxels[OLD] > 0 for case in training),
        "validation_cases": len(validation),
    }
    return Task(cases, index.setting, counts, lambda about, workers: _made(recipe, index, pretrained, about, workers))


def positive_share(cases: Sequence[Prepared], recipe: Recipe) -> tuple[float, ...]:
    """Return the share of voxels of all cases that each output should mark: of the brain's where only it counts."""
    totals = [sum(case.voxels[value] for case in cases) for value in range(4)]
    among = sum(totals[1:] if recipe.loss.inside_brain else totals)
    return tuple(totals[target] / among for target in recipe.targets)


def _made(recipe: Recipe, index: CaseIndex, pretrained: Path | None, about: dict[str, Any], workers: int) -> Made:
    training = index.of("train")
    validation = load_cases(index, evenly(index.of("validation"), recipe.validation_cases))
    module = SegmentationModule(
        recipe,
        positive_share=positive_share(training, recipe),
        validation=validation,
        about=about,
        pretrained=pretrained,
    )
    visible = [without_faint(case, recipe.faintest) for case in load_cases(index, training)]
    return module, CaseFeed(recipe, PatchDataset(visible, recipe), validation=len(validation), workers=workers)

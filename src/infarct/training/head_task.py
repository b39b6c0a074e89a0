"""Training the 3D network on whole heads: what is taken from the heads prepared for the patch CNNs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from infarct.errors import BadRequest
from infarct.training.head_recipe import OTHER, WANTED, HeadRecipe
from infarct.training.module import CaseFeed, SegmentationModule
from infarct.training.patch_data import is_other, is_wanted
from infarct.training.patch_recipe import PatchSystem
from infarct.training.patch_store import PatchCase, PatchIndex, load_patch_cases
from infarct.training.patch_task import heads_for
from infarct.training.sampler import PatchDataset
from infarct.training.store import LABELS, StoredCase
from infarct.training.task import Made, Task, check_pretrained, evenly
from infarct.types import Float32Array


def head_task(recipe: HeadRecipe, cases: Path, pretrained: Path | None = None) -> Task:
    """Return the training by ``recipe`` on the prepared heads in a folder; ``pretrained`` as the recipe tells.

    Raises `UnreadableInput` where there are none, and `BadRequest` where they, or the pretrained weights, do not fit
    the recipe.
    """
    check_pretrained(recipe.pretrained_sha256, pretrained)
    index = heads_for(cases, recipe.phantoms)
    setting = asdict(index.setting)
    return Task(cases, setting, index.counts, lambda about, workers: _made(recipe, index, pretrained, about, workers))


def pooled_case(case: PatchCase, system: PatchSystem, *, side: int) -> StoredCase:
    """Return a head with its pixels averaged in squares of ``side`` pixels, and what most of a square is.

    Rows and columns at the far edges that fill no square are left out.
    """
    wanted, other = (
        pooled(found(case.marks, case.blood, system).astype(np.float32), side) for found in (is_wanted, is_other)
    )
    labels = np.where(wanted + other > 0.5, np.where(wanted >= other, WANTED, OTHER), 0).astype(np.uint8)
    row_mm, column_mm = case.geometry.pixel_spacing_mm_yx
    return StoredCase(
        id=case.id,
        channels=np.stack([pooled(image.astype(np.float32), side) for image in case.images]).astype(np.float16),
        labels=labels,
        spacing_mm_zyx=(case.geometry.spacing_mm_zyx[0], row_mm * side, column_mm * side),
        counts=np.stack([np.bincount(plane.ravel(), minlength=LABELS) for plane in labels], axis=1),
    )


def pooled(image: Float32Array, side: int) -> Float32Array:
    """Return the means of squares of ``side`` pixels of ``image`` (float32, (z, y, x))."""
    z, y, x = image.shape
    rows, columns = y // side, x // side
    squares = image[:, : rows * side, : columns * side].reshape(z, rows, side, columns, side)
    return np.asarray(squares.mean(axis=(2, 4)), dtype=np.float32)


def _made(recipe: HeadRecipe, index: PatchIndex, pretrained: Path | None, about: dict[str, Any], workers: int) -> Made:
    training, validation = (
        _pooled_cases(index, chosen, recipe)
        for chosen in (index.of("train"), evenly(index.of("validation"), recipe.validation_cases))
    )
    counts = np.sum([case.counts.sum(axis=1) for case in training], axis=0)
    if not counts[WANTED]:
        raise BadRequest("no head to train on shows what the network looks for")
    share = float(counts[WANTED] / (counts[WANTED] + counts[OTHER]))
    module = SegmentationModule(
        recipe, positive_share=(share,), validation=validation, about=about, pretrained=pretrained
    )
    return module, CaseFeed(recipe, PatchDataset(training, recipe), validation=len(validation), workers=workers)


def _pooled_cases(index: PatchIndex, cases: Sequence[Any], recipe: HeadRecipe) -> list[StoredCase]:
    """Return prepared heads, averaged one by one: as they are stored they take four times the memory."""
    return [
        pooled_case(head, recipe.system, side=recipe.pool_px)
        for case in cases
        for head in load_patch_cases(index, [case])
    ]

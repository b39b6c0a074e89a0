"""The loss of the cascade against one worked out voxel by voxel, and what must not count."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from infarct.training.vb_losses import region_loss
from infarct.training.vb_recipe import RegionLoss

ROOM = (2, 3, 4)


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits of three classes and the brain for two patches, classes of which 2 is absent, and the brain."""
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(0, 2, (2, 4, *ROOM)).astype(np.float32))
    classes = torch.from_numpy(random.integers(0, 2, (2, *ROOM)))
    inside = torch.from_numpy(random.random((2, *ROOM)) < 0.7)
    return logits, classes * inside, inside


@pytest.mark.parametrize("inside_skull", [True, False])
def test_the_loss_voxel_by_voxel(inside_skull: bool) -> None:
    logits, classes, inside = example()
    part = region_loss(logits, classes, inside, RegionLoss(inside_skull, dice_weight=2.0, brain_weight=3.0))
    chance = softmax(logits[:, :3].double().numpy(), axis=1)
    brain = expit(logits[:, 3].double().numpy())
    entropy, weights, shared, squares = 0.0, 0.0, 0.0, 0.0
    outline, brain_shared, brain_squares = 0.0, 0.0, 0.0
    for n, z, y, x in np.ndindex(2, *ROOM):
        within, true = bool(inside[n, z, y, x]), int(classes[n, z, y, x])
        if within or not inside_skull:
            entropy -= math.log(chance[n, true, z, y, x])
            weights += 1
            shared += chance[n, 1, z, y, x] * (true == 1)
            squares += chance[n, 1, z, y, x] ** 2 + (true == 1)
        p = brain[n, z, y, x]
        outline -= math.log(p if within else 1 - p)
        brain_shared += p * within
        brain_squares += p**2 + within
    dice = 1 - (2 * shared + 1) / (squares + 1)
    brain_loss = outline / inside.numel() + 1 - (2 * brain_shared + 1) / (brain_squares + 1)
    found = [float(value) for value in (part.cross_entropy, part.dice, part.brain, part.total)]
    expected = [entropy / weights, dice, brain_loss, entropy / weights + 2 * dice + 3 * brain_loss]
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_lies_outside_the_skull_teaches_regions_nothing() -> None:
    logits, classes, inside = example()
    logits.requires_grad_()
    region_loss(logits, classes, inside, RegionLoss()).total.backward()  # type: ignore[no-untyped-call]
    gradient = logits.grad
    assert gradient is not None
    assert gradient.movedim(1, -1)[~inside][:, :3].abs().max() == 0
    assert gradient.movedim(1, -1)[~inside][:, 3].abs().min() > 0


def test_a_perfect_answer_costs_nothing() -> None:
    _, classes, inside = example()
    one_hot = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1)
    logits = 100 * (torch.cat([one_hot, inside[:, None]], dim=1).float() - 0.5)
    assert float(region_loss(logits, classes, inside, RegionLoss()).total) == pytest.approx(0, abs=1e-4)

"""The loss of the cascade: cross-entropy and soft Dice over the regions, and both for the brain.

The brain has an output of its own, so that regions and brain do not compete; it counts everywhere, the regions inside
the skull only (`RegionLoss`): in a trial, air in the loss made a region network call everything background.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from infarct.training.losses import soft_dice_loss
from infarct.training.vb_recipe import RegionLoss

EPSILON = 1.0


@dataclass(frozen=True)
class RegionLossParts:
    """The loss and what it is made of: scalars; ``brain`` is cross-entropy and Dice together."""

    total: Tensor
    cross_entropy: Tensor
    dice: Tensor
    brain: Tensor


def region_loss(logits: Tensor, classes: Tensor, inside: Tensor, setting: RegionLoss) -> RegionLossParts:
    """Return the loss of ``logits`` (n, k + 1, z, y, x): k classes, of which each voxel is one, then the brain.

    ``classes`` (int64, (n, z, y, x)) are the true ones, 0 where there is no region; ``inside`` (bool) is the brain.
    Sums are in float32 whatever the precision of the logits; Dice is over the batch, of the regions that it shows.
    """
    logits = logits.float()
    regions, brain = logits[:, :-1], logits[:, -1:]
    counted = (inside if setting.inside_skull else torch.ones_like(inside)).float()
    entropy = functional.cross_entropy(regions, classes, reduction="none") * counted
    entropy = entropy.sum() / counted.sum().clamp(min=1.0)
    wanted = functional.one_hot(classes, regions.shape[1]).movedim(-1, 1)[:, 1:].float()
    found = torch.softmax(regions, dim=1)[:, 1:] * counted[:, None]
    dice = soft_dice_loss(found, wanted * counted[:, None], over="batch", epsilon=EPSILON, absent_counts=False)
    target = inside[:, None].float()
    outline = functional.binary_cross_entropy_with_logits(brain, target)
    outline = outline + soft_dice_loss(torch.sigmoid(brain), target, over="batch", epsilon=EPSILON)
    total = entropy + setting.dice_weight * dice + setting.brain_weight * outline
    return RegionLossParts(total, entropy, dice, outline)

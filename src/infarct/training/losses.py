"""The loss of the segment paper (section 2.4): weighted binary cross-entropy and soft Dice, on logits.

Each output of the network is judged by itself; the Dice losses of the outputs are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from infarct.training.recipe import LossSetting


@dataclass(frozen=True)
class LossParts:
    """The loss and what it is made of: scalars, ``total = bce_weight * bce + dice_weight * dice``."""

    total: Tensor
    bce: Tensor
    dice: Tensor


def targets_of(labels: Tensor, values: Sequence[int]) -> Tensor:
    """Return labels (n, z, y, x) as float32 targets (n, k, z, y, x): 1 where the label is the output's value."""
    return torch.stack([labels == value for value in values], dim=1).float()


def segmentation_loss(
    logits: Tensor, targets: Tensor, *, counted: Tensor, positive_share: Tensor, setting: LossSetting
) -> LossParts:
    """Return the loss of ``logits`` against ``targets`` of 0 and 1, both (n, k, z, y, x).

    ``counted`` (bool, (n, z, y, x)) says which voxels count; ``positive_share`` (k,) is the share of positive voxels
    in all training images. Sums are in float32 whatever the precision of the logits.
    """
    logits, weight = logits.float(), counted[:, None].float()
    bce = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weight
    if setting.weighted:
        bce = bce * class_weights(targets, positive_share)
    total = bce.sum()
    if setting.reduction == "mean":
        total = total / (weight.sum() * logits.shape[1]).clamp(min=1.0)
    dice = soft_dice_loss(
        torch.sigmoid(logits) * weight,
        targets * weight,
        over=setting.dice_over,
        epsilon=setting.epsilon,
        absent_counts=setting.absent_counts,
    )
    return LossParts(setting.bce_weight * total + setting.dice_weight * dice, total, dice)


def class_weights(targets: Tensor, positive_share: Tensor) -> Tensor:
    """Return w = (N0 y + N1 (1 - y)) / N for ``targets`` y (n, k, z, y, x); ``positive_share`` (k,) is N1 / N."""
    share = positive_share.to(targets)[None, :, None, None, None]
    return targets * (1 - share) + (1 - targets) * share


def soft_dice_loss(
    probabilities: Tensor, targets: Tensor, *, over: str, epsilon: float, absent_counts: bool = True
) -> Tensor:
    """Return 1 - (2 sum(p y) + e) / (sum(p p) + sum(y y) + e), the mean over outputs (and patches).

    ``probabilities`` and ``targets`` are (n, k, z, y, x); the sums run over the whole batch where ``over`` is "batch",
    over each patch where it is "patch". A sum without positives falls only where probabilities near 0; the mean leaves
    it out unless ``absent_counts``, and is 0 where nothing is left.
    """
    axes = (0, 2, 3, 4) if over == "batch" else (2, 3, 4)
    shared = (probabilities * targets).sum(axes)
    positives = (targets * targets).sum(axes)
    squares = (probabilities * probabilities).sum(axes) + positives
    losses = 1 - (2 * shared + epsilon) / (squares + epsilon)
    if absent_counts:
        return losses.mean()
    present = (positives > 0).to(losses)
    return (losses * present).sum() / present.sum().clamp(min=1.0)

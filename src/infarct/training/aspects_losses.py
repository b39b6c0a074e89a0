"""The loss of the ASPECTS paper (Cao et al. 2022, section 2.5): weighted cross-entropy and attention to the region."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from infarct.networks.da_net import attention_of, logits_of


@dataclass(frozen=True)
class AspectsLossParts:
    """The loss and what it is made of: scalars, ``total = bce + attention_weight * attention``."""

    total: Tensor
    bce: Tensor
    attention: Tensor


def aspects_loss(
    cams: Tensor, affected: Tensor, *, masks: Tensor, positive_share: float | None, attention_weight: float = 1.0
) -> AspectsLossParts:
    """Return the loss of a `DaNet`'s answer ``cams`` (n, 2, z', y', x').

    ``affected`` (n, 2) is 1 for affected regions and 0 for others; ``masks`` (n, 2, z, y, x) are the regions in the
    patches. For ``positive_share`` see `class_weighted_bce`. The paper adds the two parts without a weight.
    """
    bce = class_weighted_bce(logits_of(cams), affected, positive_share=positive_share)
    attention = attention_loss(attention_of(cams, masks.shape[2:]), masks)
    return AspectsLossParts(bce + attention_weight * attention, bce, attention)


def class_weighted_bce(logits: Tensor, affected: Tensor, *, positive_share: float | None) -> Tensor:
    """Return the mean of w_i times the binary cross-entropy, w_i = #(y_k != y_i) / N; both tensors of one shape.

    ``positive_share`` is the share of positives among the N samples of the training set; None: all weights are 1.
    """
    labels = affected.float()
    weights = None if positive_share is None else class_weights(labels, positive_share)
    return functional.binary_cross_entropy_with_logits(logits.float(), labels, weight=weights)


def class_weights(labels: Tensor, positive_share: float) -> Tensor:
    """Return the share of samples with the other label, for each of ``labels``: 1 for positive, 0 for negative."""
    return torch.where(labels > 0, 1 - positive_share, positive_share)


def attention_loss(attention: Tensor, masks: Tensor) -> Tensor:
    """Return the mean squared difference of ``attention`` (0 to 1) and the regions' ``masks``, both (n, 2, z, y, x)."""
    return functional.mse_loss(attention.float(), masks.float())

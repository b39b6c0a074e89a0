"""The loss of the ASPECTS paper against values worked out by hand."""

import math

import pytest
import torch

from infarct.training.aspects_losses import aspects_loss, attention_loss, class_weighted_bce, class_weights


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def two_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits of the probabilities .8, .4 and .2, .1, and the truth 1, 0 and 0, 0."""
    logits = torch.tensor([[logit(0.8), logit(0.4)], [logit(0.2), logit(0.1)]])
    return logits, torch.tensor([[1, 0], [0, 0]])


def test_weighted_cross_entropy_by_hand() -> None:
    """A quarter is positive: it weighs .75, the others .25."""
    logits, affected = two_pairs()
    loss = class_weighted_bce(logits, affected, positive_share=0.25)
    expected = -(0.75 * math.log(0.8) + 0.25 * (math.log(0.6) + math.log(0.8) + math.log(0.9))) / 4
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_without_weights_it_is_plain_cross_entropy() -> None:
    logits, affected = two_pairs()
    expected = -(math.log(0.8) + math.log(0.6) + math.log(0.8) + math.log(0.9)) / 4
    assert float(class_weighted_bce(logits, affected, positive_share=None)) == pytest.approx(expected, rel=1e-5)


def test_the_weight_is_the_share_of_samples_with_the_other_label() -> None:
    """As printed: w_i is how many y_k are not y_i, over N."""
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    printed = torch.tensor([float((labels != label).sum()) / 10 for label in labels])
    torch.testing.assert_close(class_weights(labels, 0.3), printed)


def test_both_classes_weigh_the_same_in_all() -> None:
    labels = (torch.arange(100) < 17).float()
    weights = class_weights(labels, 0.17)
    torch.testing.assert_close((weights * labels).sum(), (weights * (1 - labels)).sum())


def test_attention_by_hand() -> None:
    """Differences of .5, 0, 1 and .2 in one of two sides; the other is met exactly."""
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 1, 2, 2)
    attention = torch.tensor([0.5, 1.0, 1.0, 0.2, 1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 1, 2, 2)
    assert float(attention_loss(attention, masks)) == pytest.approx((0.25 + 1 + 0.04) / 8)
    assert float(attention_loss(attention, masks > 0)) == pytest.approx((0.25 + 1 + 0.04) / 8)


def one_pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return maps of two voxels: evidence 3 and -1 (logit 1), -2 and 0 (logit -1), the truth 1 and 0, and masks."""
    cams = torch.tensor([3.0, -1.0, -2.0, 0.0]).reshape(1, 2, 1, 1, 2)
    masks = torch.tensor([1.0, 0.0, 1.0, 1.0]).reshape(1, 2, 1, 1, 2)
    return cams, torch.tensor([[1.0, 0.0]]), masks


def test_the_whole_loss_by_hand() -> None:
    """Both sides are right with probability sigmoid(1); attention is 1, 1/3 and 1, 0 where 1, 0 and 1, 1 is wanted."""
    cams, affected, masks = one_pair()
    parts = aspects_loss(cams, affected, masks=masks, positive_share=0.3, attention_weight=2.0)
    bce = (0.7 + 0.3) / 2 * math.log(1 + math.exp(-1))
    attention = (1 / 9 + 1) / 4
    assert float(parts.bce) == pytest.approx(bce, rel=1e-5)
    assert float(parts.attention) == pytest.approx(attention, rel=1e-5)
    assert float(parts.total) == pytest.approx(bce + 2 * attention, rel=1e-5)


def test_without_attention_only_the_answers_count() -> None:
    cams, affected, masks = one_pair()
    parts = aspects_loss(cams, affected, masks=masks, positive_share=None, attention_weight=0.0)
    assert float(parts.total) == float(parts.bce)


def test_swapping_the_sides_changes_nothing() -> None:
    cams, affected, masks = one_pair()
    settings = {"positive_share": 0.3, "attention_weight": 1.0}
    parts = aspects_loss(cams, affected, masks=masks, **settings)
    other = aspects_loss(cams.flip(1), affected.flip(1), masks=masks.flip(1), **settings)
    torch.testing.assert_close(other.total, parts.total)


def test_evidence_outside_the_region_is_driven_down() -> None:
    """Whatever it says: descending the attention loss shrinks -1.5 and 1 outside and grows .5 inside."""
    cams = torch.tensor([2.0, 0.5, -1.5, 1.0]).reshape(1, 1, 1, 1, 4).repeat(1, 2, 1, 1, 1).requires_grad_()
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 1, 4).repeat(1, 2, 1, 1, 1)
    affected = torch.tensor([[1.0, 0.0]])
    aspects_loss(cams, affected, masks=masks, positive_share=None).attention.backward()
    assert cams.grad is not None
    step = -cams.grad[0, 0].flatten()
    assert step[1] > 0
    assert step[2] > 0
    assert step[3] < 0


def test_gradient_of_attention_against_finite_differences() -> None:
    """In float32, with steps large enough for it."""
    generator = torch.Generator().manual_seed(0)
    cams = torch.randn((1, 2, 2, 2, 2), generator=generator).requires_grad_()
    masks = (torch.rand((1, 2, 2, 4, 4), generator=generator) > 0.5).float()
    affected = torch.tensor([[1.0, 0.0]])

    def loss(values: torch.Tensor) -> torch.Tensor:
        return aspects_loss(values, affected, masks=masks, positive_share=0.2).total

    (gradient,) = torch.autograd.grad(loss(cams), cams)
    for place in range(cams.numel()):
        step = torch.zeros(cams.numel())
        step[place] = 1e-3
        with torch.no_grad():
            change = (loss(cams + step.reshape(cams.shape)) - loss(cams - step.reshape(cams.shape))) / 2e-3
        assert float(change) == pytest.approx(float(gradient.flatten()[place]), abs=2e-3)


def test_half_precision_is_taken_as_float32() -> None:
    cams, affected, masks = one_pair()
    whole = aspects_loss(cams, affected, masks=masks, positive_share=0.3)
    half = aspects_loss(cams.bfloat16(), affected, masks=masks.bool(), positive_share=0.3)
    assert half.total.dtype == torch.float32
    torch.testing.assert_close(half.total, whole.total)

"""The loss against values worked out by hand, finite differences, and MONAI's Dice."""

import math

import pytest
import torch
from monai.losses import DiceLoss

from infarct.training.losses import class_weights, segmentation_loss, soft_dice_loss, targets_of
from infarct.training.recipe import LossSetting

PAPER = LossSetting(weighted=True)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def four_voxels() -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits of probabilities .8, .4, .2, .1 and the truth 1, 0, 1, 0: (1, 1, 1, 2, 2)."""
    logits = torch.tensor([logit(p) for p in (0.8, 0.4, 0.2, 0.1)]).reshape(1, 1, 1, 2, 2)
    return logits, torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 1, 2, 2)


def everywhere(logits: torch.Tensor) -> torch.Tensor:
    return torch.ones((len(logits), *logits.shape[2:]), dtype=torch.bool)


def test_weighted_loss_by_hand() -> None:
    """Positives are a quarter of all training voxels: they weigh .75, the others .25."""
    logits, truth = four_voxels()
    parts = segmentation_loss(
        logits, truth, counted=everywhere(logits), positive_share=torch.tensor([0.25]), setting=PAPER
    )
    bce = -(0.75 * math.log(0.8) + 0.25 * math.log(0.6) + 0.75 * math.log(0.2) + 0.25 * math.log(0.9)) / 4
    dice = 1 - 2 * (0.8 + 0.2) / (0.64 + 0.16 + 0.04 + 0.01 + 2)
    assert float(parts.bce) == pytest.approx(bce, rel=1e-5)
    assert float(parts.dice) == pytest.approx(dice, rel=1e-4)
    assert float(parts.total) == pytest.approx(bce + dice, rel=1e-4)


def test_the_printed_sum_is_the_mean_times_the_voxels() -> None:
    logits, truth = four_voxels()
    rest = {"counted": everywhere(logits), "positive_share": torch.tensor([0.25])}
    mean = segmentation_loss(logits, truth, **rest, setting=PAPER)  # type: ignore[arg-type]
    summed = segmentation_loss(logits, truth, **rest, setting=LossSetting(True, reduction="sum"))  # type: ignore[arg-type]
    assert float(summed.bce) == pytest.approx(4 * float(mean.bce))
    assert float(summed.dice) == pytest.approx(float(mean.dice))


def test_only_counted_voxels_count() -> None:
    """Leaving out the second row is the same as not having it."""
    logits, truth = four_voxels()
    counted = everywhere(logits)
    counted[:, :, 1] = False
    share = torch.tensor([0.25])
    masked = segmentation_loss(logits, truth, counted=counted, positive_share=share, setting=PAPER)
    top = logits[..., :1, :], truth[..., :1, :]
    alone = segmentation_loss(*top, counted=everywhere(top[0]), positive_share=share, setting=PAPER)
    torch.testing.assert_close(masked.total, alone.total)


def test_without_weights_it_is_plain_cross_entropy() -> None:
    logits, truth = four_voxels()
    parts = segmentation_loss(
        logits, truth, counted=everywhere(logits), positive_share=torch.tensor([0.25]), setting=LossSetting(False)
    )
    expected = -(math.log(0.8) + math.log(0.6) + math.log(0.2) + math.log(0.9)) / 4
    assert float(parts.bce) == pytest.approx(expected, rel=1e-5)


def test_weights_of_two_outputs() -> None:
    targets = torch.tensor([1.0, 0.0, 0.0, 1.0]).reshape(1, 2, 1, 1, 2)
    weights = class_weights(targets, torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(weights.flatten(), torch.tensor([0.9, 0.1, 0.3, 0.7]))


def test_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 2, 2, 3, 2), generator=generator, dtype=torch.float64, requires_grad=True)
    truth = (torch.rand(logits.shape, generator=generator) > 0.6).double()
    counted = torch.rand((2, 2, 3, 2), generator=generator) > 0.3

    def loss(values: torch.Tensor) -> torch.Tensor:
        """Return the loss in float64, which `segmentation_loss` would round."""
        weight = counted[:, None].double()
        bce = torch.nn.functional.binary_cross_entropy_with_logits(values, truth, reduction="none") * weight
        mean = (bce * class_weights(truth, torch.tensor([0.2, 0.1]))).sum() / (weight.sum() * 2)
        return mean + soft_dice_loss(torch.sigmoid(values) * weight, truth * weight, over="batch", epsilon=1e-5)

    assert torch.autograd.gradcheck(loss, (logits,))
    (exact,) = torch.autograd.grad(loss(logits), logits)
    ours = logits.detach().float().requires_grad_()
    parts = segmentation_loss(
        ours, truth.float(), counted=counted, positive_share=torch.tensor([0.2, 0.1]), setting=PAPER
    )
    (gradient,) = torch.autograd.grad(parts.total, ours)
    torch.testing.assert_close(gradient.double(), exact, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("over", ["batch", "patch"])
def test_dice_agrees_with_monai(over: str) -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand((3, 2, 2, 4, 5), generator=generator)
    truth = (torch.rand(probabilities.shape, generator=generator) > 0.7).float()
    monai = DiceLoss(squared_pred=True, batch=over == "batch", smooth_nr=0.3, smooth_dr=0.3)
    expected = monai(probabilities, truth)
    torch.testing.assert_close(soft_dice_loss(probabilities, truth, over=over, epsilon=0.3), expected)


def test_dice_without_positives_falls_with_the_probabilities() -> None:
    truth = torch.zeros((1, 1, 2, 2, 2))
    losses = [float(soft_dice_loss(torch.full_like(truth, p), truth, over="batch", epsilon=1.0)) for p in (0.5, 0.1, 0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == 0


def test_dice_of_an_absent_output_can_be_left_out() -> None:
    """Two outputs and two patches: only the first output of the second patch has anything to mark."""
    generator = torch.Generator().manual_seed(2)
    probabilities = torch.rand((2, 2, 2, 3, 4), generator=generator, requires_grad=True)
    truth = torch.zeros_like(probabilities)
    truth[1, 0, 0] = 1
    alone = soft_dice_loss(probabilities[1:, :1], truth[1:, :1], over="patch", epsilon=1.0)
    found = soft_dice_loss(probabilities, truth, over="patch", epsilon=1.0, absent_counts=False)
    torch.testing.assert_close(found, alone)
    (gradient,) = torch.autograd.grad(found, probabilities)
    assert not gradient[0].any()
    assert not gradient[:, 1].any()
    batch = soft_dice_loss(probabilities, truth, over="batch", epsilon=1.0, absent_counts=False)
    torch.testing.assert_close(batch, soft_dice_loss(probabilities[:, :1], truth[:, :1], over="batch", epsilon=1.0))
    nothing = torch.zeros_like(truth)
    assert soft_dice_loss(probabilities, nothing, over="batch", epsilon=1.0, absent_counts=False) == 0


def test_half_precision_logits_are_summed_in_float32() -> None:
    """A sum over 4,096 voxels would stop growing in bfloat16 after a few hundred."""
    logits = torch.zeros((1, 1, 16, 16, 16), dtype=torch.bfloat16)
    truth = torch.zeros(logits.shape)
    parts = segmentation_loss(
        logits,
        truth,
        counted=everywhere(logits),
        positive_share=torch.tensor([0.1]),
        setting=LossSetting(False, reduction="sum"),
    )
    assert float(parts.bce) == pytest.approx(4096 * math.log(2), rel=1e-5)


def test_targets_by_label_value() -> None:
    labels = torch.tensor([0, 1, 2, 3], dtype=torch.uint8).reshape(1, 1, 1, 4)
    targets = targets_of(labels, (2, 3))
    assert targets.shape == (1, 2, 1, 1, 4)
    assert targets.flatten().tolist() == [0, 0, 1, 0, 0, 0, 0, 1]

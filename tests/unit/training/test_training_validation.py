"""Whole cases scored while training: Dice, false volume, and what chooses the best checkpoint."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from prepared_blobs import blob_case, tiny_recipe
from torch import Tensor, nn

from infarct.training.validation import THRESHOLDS, CaseScore, ModuleEngine, score_case, summary_of

CPU = torch.device("cpu")


class Threshold(nn.Module):
    """Calls acute what is darker than half a unit below the brain, sure of it; never old."""

    def forward(self, channels: Tensor) -> Tensor:
        acute = torch.where(channels[:, :1] < -0.5, 9.0, -9.0)
        return torch.cat([acute, torch.full_like(acute, -9.0)], dim=1)


def score(*, lesion: bool) -> tuple[CaseScore, float, float]:
    """Return the score of a case, and Dice and marked volume worked out voxel by voxel."""
    case = blob_case(11, lesion=lesion)
    engine = ModuleEngine(Threshold(), device=CPU, precision="fp32")
    found = score_case(engine, case, recipe=tiny_recipe(), loss=lambda logits, _: logits[:, 0].exp().mean())
    marked = (case.channels[0] < -0.5) & (case.labels > 0)
    truth = case.labels == 2
    dice = 2 * (marked & truth).sum() / max(marked.sum() + truth.sum(), 1)
    return found, float(dice), marked.sum() * 0.02


def test_dice_and_volume_of_a_case() -> None:
    found, dice, marked_ml = score(lesion=True)
    assert found.dice == pytest.approx([dice] * len(THRESHOLDS))  # the network is sure of all
    assert 0.5 < dice < 1
    assert found.marked_ml == pytest.approx([marked_ml] * len(THRESHOLDS))
    assert found.loss > 0


def test_a_case_without_a_lesion_has_no_dice() -> None:
    found, _, marked_ml = score(lesion=False)
    assert found.dice is None
    assert found.marked_ml == pytest.approx([marked_ml] * len(THRESHOLDS))


def test_a_case_without_a_lesion_in_which_nothing_is_marked() -> None:
    case = blob_case(11, lesion=False)
    case = replace(case, channels=np.zeros_like(case.channels))
    engine = ModuleEngine(Threshold(), device=CPU, precision="fp32")
    found = score_case(engine, case, recipe=tiny_recipe(), loss=lambda logits, _: logits[:, 0].exp().mean())
    assert found.dice is None
    assert found.marked_ml == (0.0,) * len(THRESHOLDS)


def at_thresholds(**values: float) -> tuple[float, ...]:
    """Return a value for each threshold: ``t4`` is that at 0.4, 0 where none is given."""
    return tuple(values.get(f"t{round(10 * threshold)}", 0.0) for threshold in THRESHOLDS)


def test_summary_by_hand() -> None:
    """0.4 has the best Dice, 0.1 a better one that costs more in false volume than it gains."""
    scores = [
        CaseScore(at_thresholds(t1=0.65, t4=0.6, t5=0.1), at_thresholds(t4=9.0), 1.0),
        CaseScore(at_thresholds(t1=0.45, t4=0.4, t5=0.3), at_thresholds(t4=1.0), 2.0),
    ]
    scores += [CaseScore(None, at_thresholds(t1=ml + 20, t4=ml), 3.0) for ml in (0.0, 2.0, 50.0)]
    summary = summary_of(scores)
    assert summary["val_threshold"] == 0.4
    assert summary["val_dice"] == pytest.approx(0.5)
    assert summary["val_false_ml"] == 2.0
    assert summary["val_loss"] == pytest.approx(2.4)
    assert summary["val_score"] == pytest.approx(0.5 - 0.02)
    assert summary_of(scores[:2])["val_score"] == pytest.approx(0.55)
    assert summary_of(scores[2:])["val_score"] == 0.0  # nothing marked at the highest


def test_bf16_validation_stays_close() -> None:
    torch.manual_seed(0)
    module = nn.Conv3d(2, 2, 3, padding=1)
    batch = np.random.default_rng(0).normal(size=(1, 2, 4, 8, 8)).astype(np.float32)
    exact, rough = (ModuleEngine(module, device=CPU, precision=kind).run(batch) for kind in ("fp32", "bf16"))  # type: ignore[arg-type]
    assert exact.dtype == rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.05)
    assert not np.array_equal(rough, exact)
    assert math.isfinite(float(exact.sum()))

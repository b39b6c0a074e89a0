"""Our batch normalisation against torch's."""

import torch

from infarct.networks.batch_norm import BatchNorm


def test_it_trains_and_infers_as_torchs() -> None:
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm3d(3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameters in zip(ours.parameters(), theirs.parameters(), strict=True):
            values = torch.randn(3, generator=generator)
            for parameter in parameters:
                parameter.copy_(values)
    for _ in range(3):
        batch = 2 + 3 * torch.randn((2, 3, 4, 5, 6), generator=generator)
        torch.testing.assert_close(ours(batch), theirs(batch))
    torch.testing.assert_close(ours.eval()(batch), theirs.eval()(batch))


def test_all_it_keeps_is_floating_point() -> None:
    assert set(BatchNorm(3).state_dict()) == {"weight", "bias", "mean", "variance"}
    assert all(values.is_floating_point() for values in BatchNorm(3).state_dict().values())

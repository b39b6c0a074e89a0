"""Our batch normalisation against torch's."""

import torch

from infarct.networks.batch_norm import BatchNorm, with_unit_variance


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


def test_unit_variance_changes_no_answer() -> None:
    """Deviations of 1e-3 to 1e4, whose squares float16 cannot hold."""
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(BatchNorm(4, epsilon=1e-3), torch.nn.Conv2d(4, 2, 1), BatchNorm(2)).eval()
    sizes = torch.tensor([1e-3, 1.0, 300.0, 1e4])
    first = network[0]
    assert isinstance(first, BatchNorm)
    with torch.no_grad():
        first.variance.copy_(sizes**2)
        first.mean.copy_(sizes)
        first.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        batch = sizes[:, None, None] * (1 + torch.randn((5, 4, 3, 3), generator=generator))
        before = network(batch)
        with_unit_variance(network)
        torch.testing.assert_close(network(batch), before)
    assert torch.equal(first.variance, torch.ones(4))
    assert all(values.half().isfinite().all() for values in network.state_dict().values())

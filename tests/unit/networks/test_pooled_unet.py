import numpy as np
import pytest
import torch
from torch import nn

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.networks.pooled_unet import PooledUnet, PooledUnetConfig

SMALL = PooledUnetConfig(base=2, strides=((1, 2, 2),), smooth=((3, 3, 3),))


class Middle(nn.Module):
    """Stands for the U-Net: hands on the first image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1]


def test_pools_and_interpolates_by_hand() -> None:
    """A slope of 1 a pixel stays one between the middles of the squares."""
    network = PooledUnet(SMALL)
    network.unet = Middle()  # type: ignore[assignment]
    slope = torch.arange(8.0).expand(1, 2, 2, 4, 8)
    answer = network(slope)
    assert answer.shape == (1, 1, 2, 4, 8)
    np.testing.assert_allclose(answer[0, 0, 1, 2, 1:7], np.arange(1, 7), atol=1e-6)
    np.testing.assert_allclose(answer[0, 0, 1, 2, [0, 7]], [0.5, 6.5], atol=1e-6)


def test_is_the_unet_on_averaged_pixels() -> None:
    torch.manual_seed(0)
    network = PooledUnet(SMALL).eval()
    images = torch.randn(1, 2, 4, 16, 16)
    means = images.reshape(1, 2, 4, 8, 2, 8, 2).mean(dim=(4, 6))
    with torch.no_grad():
        coarse = network.unet(means)
        fine = network(images)
    np.testing.assert_allclose(
        fine.reshape(4, 8, 2, 8, 2).mean(dim=(2, 4))[:, 1:-1, 1:-1],
        _blurred(coarse[0, 0].numpy())[:, 1:-1, 1:-1],
        atol=1e-5,
    )


def _blurred(image: np.ndarray) -> np.ndarray:
    """Return what squares of 2 interpolated pixels hold in the mean: 3/4 of the middle, 1/8 of each neighbour."""
    for axis in (1, 2):
        image = 0.75 * image + 0.125 * (np.roll(image, 1, axis) + np.roll(image, -1, axis))
    return image


def test_refuses_sizes_it_cannot_pool() -> None:
    with pytest.raises(ValueError, match="multiples of 2"):
        PooledUnet(SMALL)(torch.zeros(1, 2, 4, 15, 16))


@pytest.mark.parametrize(
    "config", [{"pool_px": 0}, {"pool_px": 9}, {"images": 3}, {"base": 0}, {"smooth": ((2, 2, 2),)}]
)
def test_refuses_what_makes_no_network(config: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        build("pooled_unet", config)


def test_one_image_is_not_compared() -> None:
    network = build("pooled_unet", {"images": 1, "base": 2, "strides": [[1, 2, 2]]})
    assert network(torch.zeros(1, 1, 4, 8, 8)).shape == (1, 1, 4, 8, 8)

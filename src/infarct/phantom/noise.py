"""Quantum noise: its spectrum in the plane, its correlation between slices, and where in the head it is strong.

Filtered back-projection turns white noise of the detector into noise whose power is the ramp times the squared
modulation of the kernel (Riederer, Pelc and Chesler, Phys Med Biol 1978;23:446), over a coarse part that clinical
images always hold (interpolation, adaptive filters). Iterative and learned reconstructions remove more of the fine
part than of the coarse one: lower, blotchier noise (Solomon and Samei, Med Phys 2014;41:091908).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom import rays
from infarct.phantom.grid import rng
from infarct.phantom.patient import Protocol, Reconstruction
from infarct.phantom.response import frequencies, kernel_mtf, slice_correlation
from infarct.types import Float64Array
from infarct.volume import Geometry

COARSE_SHARE: Final[dict[Reconstruction, float]] = {"fbp": 0.52, "iterative": 0.56, "deep": 0.6}
"""Share of the variance in the coarse part of the spectrum."""
COARSE_PER_MM: Final[dict[Reconstruction, float]] = {"fbp": 0.14, "iterative": 0.14, "deep": 0.14}
"""Frequency at which the coarse part has fallen to 1/e."""
DENOISED_CUTOFF: Final[dict[Reconstruction, float]] = {"fbp": 1.0, "iterative": 0.92, "deep": 0.8}
"""Factor on the kernel's frequencies in the fine part of the noise; edges of the anatomy keep the kernel's."""
THICKNESS_POWER: Final[dict[Reconstruction, float]] = {"fbp": 0.5, "iterative": 0.35, "deep": 0.2}
"""SD falls with this power of thickness: 0.5 counts photons; non-linear reconstructions work harder on thin slices."""
WATER_PER_MM: Final = 0.019
"""Attenuation of water at 120 kVp (70 keV)."""
LEVELLING: Final = 0.5
"""Share of the attenuation's effect that shaped filters and tube current modulation leave."""
CONTRAST_HU: Final = 6.0
"""SD within 3 mm at which half of a learned reconstruction's noise has the texture of the kernel."""


def noise_sd_hu(noise_5mm_hu: float, thickness_mm: float, reconstruction: Reconstruction) -> float:
    """Return the noise SD in slices of ``thickness_mm`` at the dose that gives ``noise_5mm_hu`` in 5 mm."""
    thinness: float = (5.0 / thickness_mm) ** THICKNESS_POWER[reconstruction]
    return noise_5mm_hu * thinness


def noise_power(protocol: Protocol, geometry: Geometry) -> Tensor:
    """Return the noise power spectrum in mid brain, (rows, columns) as `torch.fft.fft2` orders it.

    HU^2 a bin; the sum is the variance, ``protocol.noise_hu`` squared. Slices are correlated by `slice_correlation`.
    """
    return _power(protocol, geometry, geometry.size_yx, "cpu") * protocol.noise_hu**2


def _power(protocol: Protocol, geometry: Geometry, size_yx: tuple[int, int], device: torch.device | str) -> Tensor:
    """Return the spectrum of variance 1 at the bins of a full FFT."""
    frequency = frequencies(size_yx, geometry.pixel_spacing_mm_yx, device, half=False)
    kind = protocol.reconstruction
    fine = frequency * torch.square(kernel_mtf(frequency / DENOISED_CUTOFF[kind], protocol))
    coarse = torch.exp(-torch.square(frequency / COARSE_PER_MM[kind]))
    share = COARSE_SHARE[kind]
    return (1 - share) * fine / fine.sum() + share * coarse / coarse.sum()


@dataclass(frozen=True, eq=False)
class Grain:
    """How to make the noise of a stack, any run of slices at a time, always the same.

    ``amplitude`` (rows, columns / 2 + 1) is the root of half the power of the bins of a real FFT, ``mixing`` (z, z) a
    lower triangle whose rows mix independent slices into correlated ones, ``reach`` how far below the diagonal it goes.
    """

    seeds: tuple[int, ...]
    amplitude: Tensor
    mixing: Tensor
    reach: int

    def fields(self, first: int, last: int, columns: int) -> Tensor:
        """Return the noise of slices ``first`` to ``last``, SD 1, (slices, rows, columns)."""
        start = max(first - self.reach, 0)
        independent = torch.stack([self._field(seed, columns) for seed in self.seeds[start:last]])
        if self.reach == 0:
            return independent
        mixed: Tensor = torch.tensordot(self.mixing[first:last, start:last], independent, dims=1)
        return mixed

    def _field(self, seed: int, columns: int) -> Tensor:
        generator = torch.Generator(device=self.amplitude.device).manual_seed(seed)
        white = torch.randn((*self.amplitude.shape, 2), generator=generator, device=self.amplitude.device)
        along_rows = torch.fft.ifft(torch.view_as_complex(white) * self.amplitude, dim=0, norm="forward")
        field: Tensor = torch.fft.irfft(along_rows, n=columns, dim=1, norm="forward")
        return field


def grain(protocol: Protocol, geometry: Geometry, device: torch.device | str, *, name: str = "noise") -> Grain:
    """Return the noise of the protocol's reconstruction; another ``name`` gives independent noise."""
    power = _power(protocol, geometry, geometry.size_yx, device)
    columns = geometry.size_yx[1]
    half = power[:, : columns // 2 + 1] / 2
    half[:, 0] *= 2  # of these columns a real FFT keeps the real part alone
    if columns % 2 == 0:
        half[:, -1] *= 2
    mixing, reach = _mixing(slice_correlation(protocol, geometry))
    seeds = rng(protocol.seed, name).integers(2**62, size=len(mixing))
    return Grain(
        seeds=tuple(int(seed) for seed in seeds),
        amplitude=torch.sqrt(half),
        mixing=torch.from_numpy(mixing).to(device=device, dtype=torch.float32),
        reach=reach,
    )


def _mixing(correlation: Float64Array) -> tuple[Float64Array, int]:
    """Return the lower triangle whose rows make slices of this correlation, and how far it reaches."""
    z = np.arange(len(correlation))
    reach = int(np.abs(z[:, None] - z[None, :])[correlation > 0].max())
    return np.asarray(np.linalg.cholesky(correlation + 1e-6 * np.eye(len(z)))), reach


def noise_gain(hu: Tensor, brain: Tensor) -> Tensor:
    """Return by how much the noise SD differs from mid brain, (z, y, x) on the rays' raster.

    ``hu`` and ``brain`` (share of the intracranial space) lie on that raster. The variance at a voxel is the mean over
    the rays through it of the inverse number of their photons, levelled by `LEVELLING`. 1 is the root mean square over
    the brain in the middle third of the slices that hold any.
    """
    path = rays.project((hu + 1000).clamp(0, 4000) * (WATER_PER_MM / 1000))
    variance = rays.smear(torch.exp(LEVELLING * path))
    share = brain.sum(dim=(1, 2))
    levels = torch.nonzero(share > 0.05 * share.max().clamp(min=1e-3))[:, 0]
    if len(levels) == 0:
        return torch.ones_like(hu)
    third = len(levels) // 3
    middle = levels[third : len(levels) - third]
    reference = (variance[middle] * brain[middle]).sum() / brain[middle].sum()
    return torch.sqrt(variance / reference)


def contrast_share(hu: Tensor) -> Tensor:
    """Return how much contrast there is within 3 mm of each voxel, 0-1, for slices (z, y, x) on the rays' raster."""
    shown = hu.clamp(0, 80)[:, None]
    mean, mean_of_squares = (
        functional.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False)[:, 0]
        for values in (shown, torch.square(shown))
    )
    variance = (mean_of_squares - torch.square(mean)).clamp(min=0)
    return variance / (variance + CONTRAST_HU**2)

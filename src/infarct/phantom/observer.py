"""The ideal observer: how detectable a lesion of known place and shape is against all that hides it.

The detectability index d' is the signal-to-noise ratio of the best linear test (Barrett and Myers, Foundations of Image
Science, 2004, chapter 13): d'^2 = s' K^-1 s with the expected difference image s and the covariance K of what hides it.
K is taken as stationary in a slice, so that it is diagonal in the plane's Fourier domain, times a correlation between
slices. With a d' of 1 the ill scan of a pair is told from the healthy one in 76 of 100 cases, with 3 in 98.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.phantom.noise import noise_power
from infarct.phantom.patient import Protocol
from infarct.phantom.response import frequencies, kernel_mtf, slice_correlation, subslices
from infarct.types import Float64Array
from infarct.volume import Geometry

ROUNDING_HU2: Final = 1 / 12
"""Variance that whole HU add as white noise; no frequency is free of it."""
SIDES_HU2_MM2: Final = 79.0
SIDES_EXPONENT: Final = 2.65
SIDES_DEPTH_MM: Final = 6.2
"""Healthy sides differ, parenchyma against parenchyma, with the power ``SIDES_HU2_MM2 * (f / SIDES_PER_MM) **
-SIDES_EXPONENT`` in a thin slice; between planes the difference is alike by ``exp(-distance / SIDES_DEPTH_MM)``.
Measured in healthy phantoms by `tools/measure_anatomy_power.py` (8 heads, fitted from 0.03 to 0.2 per mm)."""
SIDES_PER_MM: Final = 0.1
SIDES_LOWEST_PER_MM: Final = 1 / 60
"""The power rises no further below this frequency: a hemisphere is not much wider than half its wavelength."""
MARGIN_MM: Final = 15.0
"""Around a signal this much of a slice counts; noise farther away tells nothing about the noise inside."""


@dataclass(frozen=True, eq=False)
class Background:
    """What hides a lesion: ``power`` in HU^2 a bin of `torch.fft.fft2`, (rows, columns), whose sum is the variance in a
    slice, and ``slices``, the covariance between slices against that variance, (z, z)."""

    power: Tensor
    slices: Float64Array


def detectability(signal_hu: Tensor, protocol: Protocol, geometry: Geometry, *, anatomical: bool) -> float:
    """Return d' of an expected difference image (z, y, x) on ``geometry``; 0 where there is no difference.

    With quantum noise alone the healthy scan of the same head is known. With ``anatomical`` the observer has but the
    other side of the head to compare: twice the quantum noise, and the differences of healthy sides.
    """
    found = torch.nonzero(signal_hu)
    if len(found) == 0:
        return 0.0
    cropped, around = _cropped(signal_hu, geometry, found)
    correlation = slice_correlation(protocol, around)
    rows, columns = around.size_yx
    quantum = noise_power(protocol, around) + ROUNDING_HU2 / (rows * columns)
    if not anatomical:
        return prewhitened(cropped, Background(quantum, correlation))
    sides = Background(anatomy_power(protocol, around), anatomy_slices(protocol, around))
    return prewhitened(cropped, Background(2 * quantum, correlation), sides)


def prewhitened(signal_hu: Tensor, noise: Background, anatomy: Background | None = None) -> float:
    """Return d' of a signal (z, y, x) in noise, and in an anatomy of its own spectrum and correlation between slices.

    Both correlations are brought to diagonal form at once, so each frequency of each mixed slice stands for itself.
    """
    whitening = np.linalg.inv(np.linalg.cholesky(noise.slices + 1e-6 * np.eye(len(noise.slices))))
    shares = np.zeros(len(whitening))
    if anatomy is not None:
        shares, vectors = np.linalg.eigh(whitening @ anatomy.slices @ whitening.T)
        whitening = vectors.T @ whitening
    mixed = torch.tensordot(torch.from_numpy(whitening).to(signal_hu), signal_hu, dims=1)
    total = 0.0
    for plane, share in zip(mixed, shares.clip(min=0).tolist(), strict=True):
        power = noise.power if anatomy is None else noise.power + share * anatomy.power
        total += float((torch.fft.fft2(plane, norm="forward").abs().square() / power.to(plane.device)).sum())
    return math.sqrt(total)


def anatomy_power(protocol: Protocol, geometry: Geometry) -> Tensor:
    """Return the power spectrum of the difference between healthy sides in a thin slice, under the kernel.

    HU^2 a bin, (rows, columns) as `torch.fft.fft2` orders it.
    """
    frequency = frequencies(geometry.size_yx, geometry.pixel_spacing_mm_yx, half=False)
    density = SIDES_HU2_MM2 * (frequency.clamp(min=SIDES_LOWEST_PER_MM) / SIDES_PER_MM) ** -SIDES_EXPONENT
    (rows, columns), (sy, sx) = geometry.size_yx, geometry.pixel_spacing_mm_yx
    return density * torch.square(kernel_mtf(frequency, protocol)) / (rows * sy * columns * sx)


def anatomy_slices(protocol: Protocol, geometry: Geometry) -> Float64Array:
    """Return the covariance between slices of the difference between healthy sides, against that of a thin slice."""
    offsets, weights = subslices(protocol.thickness_mm)
    planes = geometry.slice_positions_mm[:, None] + offsets
    apart = np.abs(planes[:, :, None, None] - planes)
    return np.asarray(np.einsum("isjt,s,t->ij", np.exp(-apart / SIDES_DEPTH_MM), weights, weights), dtype=np.float64)


def _cropped(signal_hu: Tensor, geometry: Geometry, found: Tensor) -> tuple[Tensor, Geometry]:
    """Return the part of a signal around its non-zero voxels (n, 3), with a margin, and a geometry of that size."""
    spacing = (float(np.diff(geometry.slice_positions_mm).min()) if len(signal_hu) > 1 else 1.0,)
    parts = []
    for axis, step in enumerate((*spacing, *geometry.pixel_spacing_mm_yx)):
        margin = int(np.ceil(MARGIN_MM / step))
        low, high = int(found[:, axis].min()) - margin, int(found[:, axis].max()) + margin + 1
        parts.append(slice(max(low, 0), min(high, signal_hu.shape[axis])))
    cropped = signal_hu[tuple(parts)]
    size_yx = (cropped.shape[1], cropped.shape[2])
    origins = geometry.origins_mm[parts[0]]
    return cropped, Geometry(origins, geometry.x_direction, geometry.y_direction, geometry.pixel_spacing_mm_yx, size_yx)

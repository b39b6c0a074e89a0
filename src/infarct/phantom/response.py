"""How a scanner blurs: the reconstruction kernel in the plane, the slice profile along the normal.

Frequencies are in line pairs per mm. The kernels are Hann windows on the ramp of filtered back-projection, with
cut-offs so that the modulation falls to one half at 3.3, 4.35 and 5.7 line pairs per cm; the sharp one raises the
middle frequencies. Kernels for the brain lie at 3 to 4.5 line pairs per cm.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.phantom.patient import Kernel, Protocol
from infarct.types import Float64Array
from infarct.volume import Geometry

CUTOFF_PER_MM: Final[dict[Kernel, float]] = {"soft": 0.66, "standard": 0.87, "sharp": 1.05}
"""Where the modulation of a kernel reaches zero."""
BOOST: Final[dict[Kernel, float]] = {"soft": 0.0, "standard": 0.0, "sharp": 0.3}
"""By how much a kernel raises the frequencies around `BOOST_PER_MM`."""
BOOST_PER_MM: Final = 0.35
SUBSLICE_MM: Final = 1.0
"""About how far apart the planes lie whose mean is a slice."""


def frequencies(
    size_yx: tuple[int, int], spacing_mm_yx: tuple[float, float], device: torch.device | str = "cpu", *, half: bool
) -> Tensor:
    """Return the frequency of each bin of a 2D FFT; ``half`` for the bins of a real one, (rows, columns / 2 + 1)."""
    columns = torch.fft.rfftfreq if half else torch.fft.fftfreq
    fy = torch.fft.fftfreq(size_yx[0], d=spacing_mm_yx[0], device=device)
    fx = columns(size_yx[1], d=spacing_mm_yx[1], device=device)
    return torch.hypot(fy[:, None], fx[None, :])


def kernel_mtf(frequency: Tensor, protocol: Protocol) -> Tensor:
    """Return the modulation transfer of the protocol's kernel at these frequencies; 1 at zero."""
    scaled = frequency / protocol.kernel_sharpness
    window = 0.5 * (1 + torch.cos(torch.pi * torch.clamp(scaled / CUTOFF_PER_MM[protocol.kernel], max=1.0)))
    hump = torch.square(scaled / BOOST_PER_MM)
    return window * (1 + BOOST[protocol.kernel] * hump * torch.exp(1 - hump))


def edge_mm(thickness_mm: float) -> float:
    """Return over which length the slice profile rises: the detector's row of about 1 mm, and a tenth of the slice."""
    return min(thickness_mm, 1.0 + 0.1 * thickness_mm)


def slice_profile(offset_mm: Float64Array, thickness_mm: float) -> Float64Array:
    """Return the sensitivity at distances from the centre of a slice: a trapezoid whose full width at half is it."""
    edge = edge_mm(thickness_mm)
    return np.clip((thickness_mm + edge) / (2 * edge) - np.abs(offset_mm) / edge, 0.0, 1.0)


def subslices(thickness_mm: float) -> tuple[Float64Array, Float64Array]:
    """Return the offsets in mm of the planes that make up a slice, and their weights, which add up to 1."""
    support_mm = thickness_mm + edge_mm(thickness_mm)
    count = max(2, round(support_mm / SUBSLICE_MM))
    offsets = (np.arange(count, dtype=np.float64) + 0.5 - count / 2) * (support_mm / count)
    weights = slice_profile(offsets, thickness_mm)
    return offsets, np.asarray(weights / weights.sum(), dtype=np.float64)


def slice_correlation(protocol: Protocol, geometry: Geometry) -> Float64Array:
    """Return how the noise of any two slices is correlated, (z, z): by how much their profiles overlap."""
    fine_mm = protocol.thickness_mm / 200
    reach = int(np.ceil((protocol.thickness_mm + edge_mm(protocol.thickness_mm)) / (2 * fine_mm)))
    offsets = np.arange(-reach, reach + 1, dtype=np.float64) * fine_mm
    profile = slice_profile(offsets, protocol.thickness_mm)
    overlap = np.correlate(profile, profile, mode="full")[2 * reach :]
    positions = geometry.slice_positions_mm
    apart = np.abs(positions[:, None] - positions[None, :])
    return np.asarray(np.interp(apart, np.arange(len(overlap)) * fine_mm, overlap / overlap[0], right=0.0))

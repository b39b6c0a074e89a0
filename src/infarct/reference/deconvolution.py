"""Flow, volume and delay from a raw CT perfusion scan: block-circulant deconvolution with automatic vessels.

Tissue enhancement is the arterial enhancement convolved with flow times the residue. Wu (Magn Reson Med 2003;50:164)
pads both with zeros to twice their length and inverts the convolution as a circulant matrix by truncated SVD: the flow
then does not depend on whether the artery is seen before or after the tissue. The singular vectors of a circulant
matrix are Fourier waves and its singular values the magnitudes of its first column's Fourier transform, so the
truncated SVD is done here, exactly, by dropping frequencies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from infarct.errors import StepFailed
from infarct.types import BoolArray, Flag, Float32Array, Float64Array
from infarct.volume import Geometry, resample

IntArray: TypeAlias = npt.NDArray[np.intp]
"""Indices of voxels or frames."""

LARGE_VESSEL_HEMATOCRIT: Final = 0.45
SMALL_VESSEL_HEMATOCRIT: Final = 0.25
"""Contrast agent stays in the plasma, of which small vessels hold more (Fieselmann, Int J Biomed Imaging
2011:467563)."""
TISSUE_DENSITY_G_ML: Final = 1.04
TRUNCATION: Final = 0.20
"""Singular values below this share of the largest are dropped. Wu took 10 % for the circulant matrix at an SNR of 20;
tissue in CT perfusion is noisier, and a maximum rises with noise where flow is lowest (docs/reference.md)."""
STEP_S: Final = 1.0
"""Frames are interpolated to this interval: scanners take 1 to 3 s, some change it during the scan."""
WORK_PIXEL_MM: Final = 1.7
WORK_SLICE_MM: Final = 3.0
"""Finest spacings of the maps: finer frames are averaged, which takes noise away and bounds the memory."""
SMOOTHING_MM: Final = 3.5
"""SD of the smoothing of the frames in plane, inside the brain, before the deconvolution."""
VESSEL_SMOOTHING_MM: Final = 0.8
BLOCK: Final = 20_000
"""Curves deconvolved at a time: about 50 MB."""
LATEST_S: Final = 30.0
EARLIEST_S: Final = -5.0
"""Delays against the artery at which the residue's maximum is looked for."""
MIN_FRAMES: Final = 8
MIN_SPAN_S: Final = 20.0
MIN_PEAK_HU: Final = 30.0
"""Vessels that enhance less than this show no bolus."""
NOISE_RATIO: Final = 8.0
"""A vessel's peak in baseline SDs."""
BONE_HU: Final = 120.0
"""Denser than any tissue or blood before the bolus."""
VESSEL_SHARE: Final = 0.4
"""Vessels reach this share of the highest enhancement."""
VESSEL_VOXELS: Final = 12
"""Voxels that an arterial or a venous curve is averaged over."""
EARLY_S: Final = 1.5
"""Arteries are within this of the earliest vessels' arrival."""
VENOUS_DELAY_S: Final = 1.5
"""Veins fill later than the artery by at least this."""
MAX_VENOUS_RATIO: Final = 3.0
"""Partial volume that makes an artery's area smaller than a vein's by more than this is not believed."""
CUT_OFF_SHARE: Final = 0.4
"""An arterial or venous curve that ends above this share of its peak was cut off."""


@dataclass(frozen=True, eq=False)
class DynamicScan:
    """A CT perfusion scan: ``frame(i)`` is frame i in HU, float32 (z, y, x) on ``geometry``, taken at ``times_s[i]``.

    Frames are asked for one at a time, so that a scan need not fit into memory as a whole.

    Raises `ValueError` where the times do not rise.
    """

    frame: Callable[[int], Float32Array]
    geometry: Geometry
    times_s: Float64Array

    def __post_init__(self) -> None:
        if len(self.times_s) < 2 or np.diff(self.times_s).min() <= 0:
            raise ValueError("the times of the frames must rise")


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames on the work grid: ``hu`` (float32, (t, z, y, x)) on ``geometry`` at ``times_s`` (t,)."""

    hu: Float32Array
    geometry: Geometry
    times_s: Float64Array


@dataclass(frozen=True, eq=False)
class Vessel:
    """A vessel: its enhancement in HU (t,) on the even time grid, the mean of ``voxels`` (n, 3 as z, y, x)."""

    curve_hu: Float64Array
    voxels: IntArray


@dataclass(frozen=True, eq=False)
class Deconvolved:
    """Maps, float32 (z, y, x) on ``geometry``, 0 outside the brain: the result of `deconvolve`.

    ``cbf`` in ml/100 g/min, ``cbv`` in ml/100 g, ``mtt_s`` and ``tmax_s`` in s; ``tmax_s`` counts from the artery.
    ``vein`` is None where none was found; ``arterial_scale`` is what the artery was multiplied by for it.
    """

    geometry: Geometry
    cbf: Float32Array
    cbv: Float32Array
    mtt_s: Float32Array
    tmax_s: Float32Array
    artery: Vessel
    vein: Vessel | None
    arterial_scale: float
    flags: tuple[Flag, ...]


def gather(scan: DynamicScan) -> Frames:
    """Return the frames averaged onto a grid of at least 1.7 x 1.7 x 3 mm.

    Raises `StepFailed` where there are too few frames for a bolus.
    """
    if len(scan.times_s) < MIN_FRAMES or scan.times_s[-1] - scan.times_s[0] < MIN_SPAN_S:
        raise StepFailed(
            f"the perfusion scan has {len(scan.times_s)} frames over {scan.times_s[-1] - scan.times_s[0]:.0f} s; at "
            f"least {MIN_FRAMES} over {MIN_SPAN_S:.0f} s are needed"
        )
    sz, sy, sx = scan.geometry.spacing_mm_zyx
    grid = scan.geometry.regridded((max(sz, WORK_SLICE_MM), max(sy, WORK_PIXEL_MM), max(sx, WORK_PIXEL_MM)))
    hu = np.empty((len(scan.times_s), *grid.shape_zyx), dtype=np.float32)
    for index in range(len(hu)):
        hu[index] = resample(scan.frame(index), scan.geometry, grid, antialias=True)
    return Frames(hu, grid, scan.times_s)


def baseline(frames: Frames) -> tuple[Float32Array, int]:
    """Return the mean of the frames before the bolus, (z, y, x) in HU, and how many these are.

    The bolus has come where the 99.5th percentile of the enhancement since the first frame rises above a tenth of its
    maximum; at least one frame counts as before.
    """
    sample = frames.hu[:, :, ::2, ::2]
    soft = (sample[0] > 0) & (sample[0] < BONE_HU)
    if not soft.any():
        raise StepFailed("the perfusion scan holds no soft tissue")
    rise = np.array([float(np.percentile(frame[soft] - sample[0][soft], 99.5)) for frame in sample])
    rise -= rise[1 : max(3, len(rise) // 10)].min()  # noise has a percentile too
    arrived = np.flatnonzero(rise > 0.1 * rise.max())
    count = max(int(arrived[arrived > 0][0]) if (arrived > 0).any() else 1, 1)
    count = max(count - 1, 1)  # the frame before the rise may hold its foot
    return frames.hu[:count].mean(axis=0, dtype=np.float32), count


def deconvolve(frames: Frames, brain: BoolArray) -> Deconvolved:
    """Return the perfusion of ``brain`` (bool, (z, y, x), on the frames' grid).

    Raises `StepFailed` where the brain is empty or no bolus passes.
    """
    if not brain.any():
        raise StepFailed("the perfusion scan does not overlap with the brain in the CT")
    before, count = baseline(frames)
    soft = brain & (before > -20) & (before < BONE_HU)
    grid_s = np.arange(0.0, frames.times_s[-1] - frames.times_s[0] + 1e-6, STEP_S)
    to_even = _interpolation(frames.times_s - frames.times_s[0], grid_s)
    artery, vein = _vessels(frames, before, soft, count, to_even)
    scale = _arterial_scale(artery, vein)
    arterial = artery.curve_hu * scale
    maps = {name: np.zeros(brain.shape, dtype=np.float32) for name in ("cbf", "cbv", "tmax")}
    for place, curves in _tissue_curves(frames, before, soft):
        flow, volume, delay_s = perfusion_of(curves @ to_even.T, arterial, step_s=STEP_S)
        for name, values in (("cbf", flow), ("cbv", volume), ("tmax", delay_s)):
            maps[name][place] = values
    mtt_s = np.divide(60 * maps["cbv"], maps["cbf"], out=np.zeros_like(maps["cbf"]), where=maps["cbf"] > 0)
    return Deconvolved(
        geometry=frames.geometry,
        cbf=maps["cbf"],
        cbv=maps["cbv"],
        mtt_s=mtt_s,
        tmax_s=maps["tmax"],
        artery=artery,
        vein=vein,
        arterial_scale=scale,
        flags=_bolus_flags(artery, vein),
    )


def perfusion_of(
    tissue_hu: Float64Array, arterial_hu: Float64Array, *, step_s: float, truncation: float = TRUNCATION
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return CBF (ml/100 g/min), CBV (ml/100 g) and Tmax (s) of enhancement curves.

    ``tissue_hu`` (n, t) and ``arterial_hu`` (t,) lie on one time grid of ``step_s``. CBF is the maximum of the
    deconvolved curve, CBV the ratio of the areas, Tmax the delay of the maximum, 0 where the tissue comes first.
    Plasma against blood and tissue density make both (1 - 0.45) / (1 - 0.25) / 1.04 g/ml = 0.705 of the bare ratio.
    """
    factor = (1 - LARGE_VESSEL_HEMATOCRIT) / (1 - SMALL_VESSEL_HEMATOCRIT) / TISSUE_DENSITY_G_ML
    response = impulse_response(tissue_hu, arterial_hu, step_s=step_s, truncation=truncation)
    length, frames = response.shape[1], len(arterial_hu)
    first = -min(round(-EARLIEST_S / step_s), length - frames - 1)
    lags = np.arange(first, min(round(LATEST_S / step_s), frames - 1) + 1)
    window = response[:, lags]  # negative lags stand at the end of the circle
    peak = window.argmax(axis=1)
    height = np.maximum(window[np.arange(len(window)), peak], 0)
    delay_s = np.maximum((lags[peak] + _vertex(window, peak)) * step_s, 0)
    volume = np.maximum(tissue_hu.sum(axis=1) / arterial_hu.sum(), 0)
    return 6000 * factor * height, 100 * factor * volume, delay_s


def impulse_response(
    tissue_hu: Float64Array, arterial_hu: Float64Array, *, step_s: float, truncation: float
) -> Float64Array:
    """Return flow times residue in 1/s, (n, 2 t or more): lag 0 first, negative lags at the end.

    The truncated inverse of the block-circulant matrix of the artery (see the module's text).
    """
    length = fft.next_fast_len(2 * len(arterial_hu), real=True)
    spectrum = fft.rfft(arterial_hu, length) * step_s
    magnitude = np.abs(spectrum)
    kept = magnitude > truncation * magnitude.max()
    inverse = np.divide(np.conj(spectrum), magnitude**2, out=np.zeros_like(spectrum), where=kept)
    return np.asarray(fft.irfft(fft.rfft(tissue_hu, length, axis=1) * inverse, length, axis=1))


def _vertex(window: Float64Array, peak: IntArray) -> Float64Array:
    """Return where, in steps from each row's ``peak``, the parabola through it and its neighbours has its top."""
    rows = np.arange(len(window))
    inner = (peak > 0) & (peak < window.shape[1] - 1)
    at = np.clip(peak, 1, window.shape[1] - 2)
    below, top, above = window[rows, at - 1], window[rows, at], window[rows, at + 1]
    bend = below - 2 * top + above
    offset = np.divide(below - above, 2 * bend, out=np.zeros_like(top), where=bend < 0)
    return np.where(inner, np.clip(offset, -0.5, 0.5), 0.0)


def _interpolation(times_s: Float64Array, grid_s: Float64Array) -> Float64Array:
    """Return the matrix (grid, frames) that interpolates linearly from ``times_s`` to ``grid_s``."""
    return np.stack([np.interp(grid_s, times_s, unit) for unit in np.eye(len(times_s))], axis=1)


def _tissue_curves(
    frames: Frames, before: Float32Array, soft: BoolArray
) -> Iterator[tuple[tuple[IntArray, IntArray, IntArray], Float64Array]]:
    """Yield places (an index) and smoothed enhancement curves (n, t) of ``soft``, some slices at a time."""
    for k in np.flatnonzero(soft.any(axis=(1, 2))):
        smooth = _smoothed(frames.hu[:, k] - before[k], soft[k], frames.geometry, SMOOTHING_MM)
        rows, columns = np.nonzero(soft[k])
        curves = smooth[:, rows, columns].T.astype(np.float64)
        for first in range(0, len(curves), BLOCK):
            part = slice(first, first + BLOCK)
            yield (np.full(len(rows[part]), k), rows[part], columns[part]), curves[part]


def _smoothed(rise: Float32Array, inside: BoolArray, geometry: Geometry, sigma_mm: float) -> Float32Array:
    """Return frames of a slice (t, y, x) smoothed in plane over what is ``inside`` (y, x) only."""
    sigma = [sigma_mm / mm for mm in geometry.pixel_spacing_mm_yx]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(rise * inside, (0.0, *sigma))
    return np.asarray(total / np.maximum(weight, np.float32(1e-3)), dtype=np.float32)


def _vessels(
    frames: Frames, before: Float32Array, soft: BoolArray, count: int, to_even: Float64Array
) -> tuple[Vessel, Vessel | None]:
    """Return the artery and the vein that the curves of the brightest voxels show."""
    voxels, curves = _bright_curves(frames, before, soft, count)
    even = curves @ to_even.T
    arrival_s, width_s = _arrival_s(even), _width_s(even)
    peak = even.max(axis=1)
    early = arrival_s <= np.percentile(arrival_s, 5) + EARLY_S
    # High, narrow and early, as arteries are before partial volume and dispersion.
    score = np.where(early, peak / np.maximum(width_s, STEP_S), 0.0)
    chosen = np.argsort(-score, kind="stable")[: min(VESSEL_VOXELS, int(early.sum()))]
    artery = Vessel(even[chosen].mean(axis=0), voxels[chosen])
    late = arrival_s >= float(arrival_s[chosen].mean()) + VENOUS_DELAY_S
    late &= peak >= 0.5 * peak[chosen].mean()
    if late.sum() < VESSEL_VOXELS:
        return artery, None
    wide = np.argsort(-np.where(late, even.sum(axis=1), 0.0), kind="stable")[:VESSEL_VOXELS]
    return artery, Vessel(even[wide].mean(axis=0), voxels[wide])


def _bright_curves(frames: Frames, before: Float32Array, soft: BoolArray, count: int) -> tuple[IntArray, Float64Array]:
    """Return voxels (n, 3) and enhancement curves (n, t) of what enhances as vessels do.

    Raises `StepFailed` where nothing does.
    """
    places, curves = [], []
    for k in np.flatnonzero(soft.any(axis=(1, 2))):
        smooth = _smoothed(frames.hu[:, k] - before[k], soft[k], frames.geometry, VESSEL_SMOOTHING_MM)
        bright = soft[k] & (smooth.max(axis=0) >= MIN_PEAK_HU)
        rows, columns = np.nonzero(bright)
        places.append(np.stack([np.full(len(rows), k), rows, columns], axis=1))
        curves.append(smooth[:, rows, columns].T)
    every, rise = np.concatenate(places), np.concatenate(curves).astype(np.float64)
    if len(rise) < VESSEL_VOXELS:
        raise StepFailed("no vessel of the perfusion scan enhances: it shows no bolus of contrast agent")
    peak = rise.max(axis=1)
    quiet = np.std(rise[:, :count], axis=1) if count > 2 else np.zeros(len(rise))
    top = float(np.sort(peak)[-VESSEL_VOXELS:].mean())
    kept = (peak >= VESSEL_SHARE * top) & (peak >= NOISE_RATIO * quiet)
    if kept.sum() < VESSEL_VOXELS:
        raise StepFailed("no vessel of the perfusion scan stands out of the noise: it shows no bolus of contrast agent")
    return every[kept], rise[kept]


def _arrival_s(curves: Float64Array) -> Float64Array:
    """Return when each curve (n, t) passes half of its peak on the way up, in s."""
    half = curves.max(axis=1, keepdims=True) / 2
    after = np.maximum((curves >= half).argmax(axis=1), 1)
    rows = np.arange(len(curves))
    low, high = curves[rows, after - 1], curves[rows, after]
    part = np.divide(half[:, 0] - low, high - low, out=np.zeros_like(low), where=high > low)
    return np.asarray((after - 1 + np.clip(part, 0, 1)) * STEP_S)


def _width_s(curves: Float64Array) -> Float64Array:
    """Return how long each curve (n, t) stays above half of its peak, in s."""
    return np.asarray((curves >= curves.max(axis=1, keepdims=True) / 2).sum(axis=1) * STEP_S)


def _arterial_scale(artery: Vessel, vein: Vessel | None) -> float:
    """Return by how much partial volume makes the artery too low: by its area against that of a wide vein."""
    if vein is None:
        return 1.0
    return float(np.clip(vein.curve_hu.sum() / artery.curve_hu.sum(), 1.0, MAX_VENOUS_RATIO))


def _bolus_flags(artery: Vessel, vein: Vessel | None) -> tuple[Flag, ...]:
    flags = []
    if vein is None:
        words = "No vein was found in the perfusion scan: flow and volume are too high if the artery is a thin one."
        flags.append(Flag("vein_not_found", "warning", words))
    curves = [vessel.curve_hu for vessel in (artery, vein) if vessel is not None]
    ends = max(float(curve[-3:].mean() / curve.max()) for curve in curves)
    if ends > CUT_OFF_SHARE:
        words = f"The perfusion scan ends while vessels hold {100 * ends:.0f} % of their peak: late tissue is cut off."
        flags.append(Flag("bolus_cut_off", "warning", words, 100 * ends))
    return tuple(flags)

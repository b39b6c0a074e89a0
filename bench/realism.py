"""What a head CT looks like, in numbers: measured the same way on real scans and on phantoms.

Everything here reads a `Scan` and its prepared `Head` (brain mask, registration and midsagittal plane found by the
analysis itself), never a phantom's truth. Pixels are those of the scan's own slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.anatomy import SIDES, region_label
from infarct.atlas import load_atlas
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import mirrored
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, Scan, resample_mask, volume_ml

MEDIAN_PX: Final = 7
BACKGROUND_PX: Final = 6.0
"""Median filter and Gaussian of the reference figures."""
PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)

LARGE_SHARE: Final = 0.5
"""Brain slices hold at least this share of the largest slice's brain."""
BASE_SHARE: Final = 0.28
"""Upper slices lie above this share of the brain's height: over the petrous bones and their dark band."""
RIM_MM: Final = 3.0
"""Left out along the skull: the median filter carries bone this far in."""
FLAT_DEPTH_PX: Final = 10.0
FLAT_HU: Final = (20.0, 50.0)
FLAT_GRADIENT: Final = 2.0
EDGE_PX: Final = 2.0
"""Flat brain: see `flat_brain`.

The reference figures come without their rule. This one, `BASE_SHARE` and the pairing of `row_correlation` were picked
among several thousand so that the one real scan at hand gives its printed SD (4.5 HU) and autocorrelation (.78, .44,
.32). Other sensible rules on its upper slices give an SD of 3.7-5.3 HU and .70-.82, .19-.49, -.01-.31: stricter
flatness lowers all; with the lower slices, which are thinner, no rule tried gives the printed figures. The percentiles'
slices and rim are our choice too: over all slices up to the skull p99 of that scan is 101 instead of 49 HU, p50 32
instead of 30.
"""

LAG_PX: Final = 16
"""Longest lag of the autocovariance from which the noise power spectrum is made."""
SPECTRUM_EDGES: Final = np.arange(0.0, 1.05, 0.05)
"""Bins of spatial frequency, cycles/mm."""
BANDS: Final = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.6), (0.6, 1.0))

FLUID_HU: Final = 17.0
"""Half-way between fluid and brain, after smoothing."""
VENTRICLE_REACH_MM: Final = 8.0
DEEP_MM: Final = 5.0
SMOOTHINGS_MM: Final = (3.0, 8.0)
"""Gaussians under which brain is compared with itself and with the other side."""
BONE_HU: Final = 300.0
SKULL_REACH_MM: Final = 25.0
RAYS: Final = 120
RAY_STEP_MM: Final = 0.25
WALL_SHARE: Final = 0.85
"""Slices with this share of the largest brain area cut the vault nearly at right angles."""
AIR_DISTANCE_MM: Final = 15.0
LOWEST_AIR_HU: Final = -1100.0
RIM_BAND_MM: Final = (3.0, 6.0)
INNER_BAND_MM: Final = (12.0, 25.0)
"""Depths below the skull between which brain is compared: beam hardening and blurred bone brighten the rim."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in one scan: figures by name, and the noise power by bin of `SPECTRUM_EDGES` (sum 1)."""

    values: dict[str, float]
    spectrum: Float64Array


def measure(scan: Scan, head: Head) -> Measured:
    """Return all measures of a scan, from its own pixels and the brain mask of its prepared head."""
    hu, geometry = scan.hu, scan.geometry
    brain = resample_mask(head.brain, head.geometry, geometry)
    slices = upper_slices(brain, geometry)
    whole = large_slices(brain)
    calm = np.zeros_like(hu)
    for k in np.flatnonzero(whole | slices):
        calm[k] = ndimage.median_filter(hu[k], MEDIAN_PX)
    values = _percentiles(calm, brain & whole[:, None, None], geometry)
    values |= _rim(calm, brain & slices[:, None, None], geometry)
    values |= _texture(hu, brain & slices[:, None, None], geometry)
    noise, spectrum = _noise(hu[slices], brain[slices], calm[slices], geometry.pixel_spacing_mm_yx[1])
    values |= noise | _volumes(head) | _contrast(head) | _asymmetry(head)
    values |= _skull(hu, brain, slices, geometry) | _air(hu, geometry)
    return Measured(values, spectrum)


def large_slices(brain: BoolArray) -> BoolArray:
    """Return the slices (z,) with at least half of the largest brain area."""
    areas = brain.sum(axis=(1, 2))
    return np.asarray(areas >= max(LARGE_SHARE * areas.max(), 1))


def upper_slices(brain: BoolArray, geometry: Geometry) -> BoolArray:
    """Return those of the large slices (z,) that lie above the lowest 28 % of the brain's height."""
    found = np.flatnonzero(brain.any(axis=(1, 2)))
    if len(found) == 0:
        return np.zeros(len(brain), dtype=bool)
    positions = geometry.slice_positions_mm
    low, high = positions[found[0]], positions[found[-1]]
    return np.asarray(large_slices(brain) & (positions > low + BASE_SHARE * (high - low)))


def in_plane_depth(mask: BoolArray, spacing_yx: Sequence[float] = (1.0, 1.0)) -> Float32Array:
    """Return how deep each voxel lies in ``mask`` (z, y, x), slice by slice, in the unit of ``spacing_yx``."""
    depth = [ndimage.distance_transform_edt(plane, sampling=spacing_yx) for plane in mask]
    return np.asarray(depth, dtype=np.float32)


def smoothed(hu: Float32Array, sigma_px: float) -> Float32Array:
    """Return ``hu`` (z, y, x) under a Gaussian in plane."""
    return np.asarray(ndimage.gaussian_filter(hu, (0.0, sigma_px, sigma_px)), dtype=np.float32)


def smoothed_within(hu: Float32Array, part: BoolArray, sigma_mm: float, spacing_yx: Sequence[float]) -> Float32Array:
    """Return the mean of ``hu`` (z, y, x) over ``part`` under a Gaussian in plane: no bone leaks in. 0 outside it."""
    sigmas = (0.0, *(sigma_mm / spacing for spacing in spacing_yx))
    weight = ndimage.gaussian_filter(part.astype(np.float32), sigmas)
    total = ndimage.gaussian_filter(np.where(part, hu, np.float32(0)), sigmas)
    return np.where(part, total / np.maximum(weight, np.float32(1e-3)), np.float32(0)).astype(np.float32)


def flat_brain(hu: Float32Array, brain: BoolArray, calm: Float32Array) -> BoolArray:
    """Return flat brain (bool, (z, y, x)), where the residual against a Gaussian of 6 px is mostly noise.

    At least 10 px inside ``brain``; median-filtered (``calm``) and Gaussian-filtered HU within 20-50, which leaves out
    fluid, its borders and calcification; gradient (on HU clipped to 0-80, Gaussian of 2 px) below 2 HU/px.
    """
    background = smoothed(hu, BACKGROUND_PX)
    clipped = np.clip(hu, 0, 80)
    steep = np.stack([ndimage.gaussian_gradient_magnitude(plane, EDGE_PX) for plane in clipped])
    flat = (in_plane_depth(brain) > FLAT_DEPTH_PX) & (steep < FLAT_GRADIENT)
    for values in (calm, background):
        flat &= (values > FLAT_HU[0]) & (values < FLAT_HU[1])
    return np.asarray(flat)


def row_correlation(residual: Float32Array, flat: BoolArray, lag_px: int) -> float:
    """Return the correlation of flat pixels of ``residual`` with the pixel ``lag_px`` to their right, flat or not."""
    here = flat[..., :-lag_px]
    first, second = residual[..., :-lag_px][here], residual[..., lag_px:][here]
    power = float(np.mean(np.square(first, dtype=np.float64)))
    return float(np.mean(first * second, dtype=np.float64)) / power if power else float("nan")


def autocovariance(residual: Float32Array, flat: BoolArray) -> Float64Array:
    """Return the mean product of pairs of flat pixels at lags of -16 to 16 px: (33, 33) as (y, x)."""
    centred = np.where(flat, residual - residual[flat].mean(), 0.0)
    rows, columns = residual.shape[1:]
    size = (transform_size(rows + LAG_PX), transform_size(columns + LAG_PX))
    products, pairs = np.zeros(size), np.zeros(size)
    for values, mask in zip(centred, flat, strict=True):
        products += np.fft.irfft2(np.abs(np.fft.rfft2(values, size)) ** 2, size)
        pairs += np.fft.irfft2(np.abs(np.fft.rfft2(mask.astype(np.float64), size)) ** 2, size)
    lags = np.arange(-LAG_PX, LAG_PX + 1)
    window = np.ix_(lags, lags)
    return np.asarray(products[window] / np.maximum(pairs[window], 1.0))


def transform_size(count: int) -> int:
    """Return the next multiple of 64: a length that Fourier transforms are quick on."""
    return -(-count // 64) * 64


def power_spectrum(covariance: Float64Array, pixel_mm: float) -> Float64Array:
    """Return the share of the noise power in each bin of `SPECTRUM_EDGES`: of the plane, not per unit of frequency.

    ``covariance`` is from `autocovariance`; it is tapered by a Hann window, which blurs the spectrum by about
    0.1 cycles/mm. What lies beyond the last edge is left out of the sum.
    """
    taper = np.hanning(2 * LAG_PX + 3)[1:-1]
    size = 8 * LAG_PX
    padded = np.zeros((size, size))
    padded[: 2 * LAG_PX + 1, : 2 * LAG_PX + 1] = covariance * np.outer(taper, taper)
    power = np.fft.fft2(np.roll(padded, (-LAG_PX, -LAG_PX), axis=(0, 1))).real.clip(min=0)
    frequency = np.fft.fftfreq(size, pixel_mm)
    radius = np.hypot(frequency[:, None], frequency)
    share, _ = np.histogram(radius, SPECTRUM_EDGES, weights=power)
    return np.asarray(share / share.sum())


def skull_thickness_mm(hu: Float32Array, brain: BoolArray, spacing_mm_yx: tuple[float, float]) -> Float64Array:
    """Return the thickness of bone (above 300 HU, diploe included) along rays from the brain's centre in one slice.

    ``hu`` and ``brain`` are (y, x). From the first to the last bone within 25 mm outside of the brain, NaN on a ray
    without bone.
    """
    sy, sx = spacing_mm_yx
    centre = np.array(ndimage.center_of_mass(brain)) * (sy, sx)
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    reach_mm = np.arange(0.0, 140.0, RAY_STEP_MM)
    y, x = (centre[:, None, None] + reach_mm * np.stack([np.sin(angles), np.cos(angles)])[..., None]) / [
        [[sy]],
        [[sx]],
    ]
    inside = ndimage.map_coordinates(brain.astype(np.float32), [y, x], order=1) > 0.5
    along = ndimage.map_coordinates(hu, [y, x], order=1, cval=-1000.0)
    thickness = np.full(RAYS, np.nan)
    for ray in range(RAYS):
        if not inside[ray].any():
            continue
        edge = int(np.flatnonzero(inside[ray])[-1])
        steps = int(SKULL_REACH_MM / RAY_STEP_MM)
        bone = np.flatnonzero(along[ray, max(edge - 8, 0) : edge + steps] > BONE_HU)
        if len(bone):
            thickness[ray] = (bone[-1] - bone[0]) * RAY_STEP_MM
    return thickness


def _percentiles(calm: Float32Array, brain: BoolArray, geometry: Geometry) -> dict[str, float]:
    inner = in_plane_depth(brain, geometry.pixel_spacing_mm_yx) > RIM_MM
    found = np.percentile(calm[inner], PERCENTILES)
    shares = {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, found, strict=True)}
    fluid = (inner & (calm < FLUID_HU)).sum(axis=(1, 2)) @ geometry.slice_voxel_ml
    return shares | {"fluid_pct": float(100 * fluid / (inner.sum(axis=(1, 2)) @ geometry.slice_voxel_ml))}


def _rim(calm: Float32Array, brain: BoolArray, geometry: Geometry) -> dict[str, float]:
    """Return the upper quartile of HU just below the skull less that farther in: quartiles, for sulci are dark."""
    depth_mm = in_plane_depth(brain, geometry.pixel_spacing_mm_yx)
    rim, inner = (
        float(np.percentile(calm[(depth_mm > low) & (depth_mm <= high)], 75))
        for low, high in (RIM_BAND_MM, INNER_BAND_MM)
    )
    return {"rim": rim - inner}


def _noise(
    hu: Float32Array, brain: BoolArray, calm: Float32Array, pixel_mm: float
) -> tuple[dict[str, float], Float64Array]:
    flat = flat_brain(hu, brain, calm)
    residual = hu - smoothed(hu, BACKGROUND_PX)
    spectrum = power_spectrum(autocovariance(residual, flat), pixel_mm)
    found = {"residual_sd": float(residual[flat].std())}
    found |= {f"lag{lag}": row_correlation(residual, flat, lag) for lag in (1, 2, 3)}
    middles = (SPECTRUM_EDGES[1:] + SPECTRUM_EDGES[:-1]) / 2
    for low, high in BANDS:
        found[f"band{low}-{high}"] = float(100 * spectrum[(middles > low) & (middles < high)].sum())
    found["mean_frequency"] = float(middles @ spectrum)
    found["flat_pct"] = float(100 * flat.sum() / brain.sum())
    return found, spectrum


def _texture(hu: Float32Array, brain: BoolArray, geometry: Geometry) -> dict[str, float]:
    """Return the SD of brain (20-50 HU, 5 mm inside) under Gaussians of 3 and 8 mm."""
    spacing = geometry.pixel_spacing_mm_yx
    depth_mm = in_plane_depth(brain, spacing)
    deep = depth_mm > DEEP_MM
    found = {}
    for sigma_mm in SMOOTHINGS_MM:
        blurred = smoothed_within(hu, depth_mm > RIM_MM, sigma_mm, spacing)
        tissue = deep & (blurred > FLAT_HU[0]) & (blurred < FLAT_HU[1])
        found[f"texture{sigma_mm:.0f}mm"] = float(blurred[tissue].std())
    return found


def _volumes(head: Head) -> dict[str, float]:
    """Return intracranial volume, and fluid near the atlas's ventricles (NaN where the registration failed)."""
    found = {"intracranial_ml": volume_ml(head.brain, head.geometry), "ventricles_ml": float("nan")}
    near = _from_atlas(head, load_atlas().ventricles)
    if near is not None:
        reach = ndimage.distance_transform_edt(~near, sampling=head.geometry.spacing_mm_zyx) <= VENTRICLE_REACH_MM
        fluid = head.brain & reach & (smoothed(head.hu, 1.0) < FLUID_HU)
        found["ventricles_ml"] = volume_ml(np.asarray(fluid), head.geometry)
    return found


def _from_atlas(head: Head, mask: BoolArray) -> BoolArray | None:
    """Return a mask of the atlas on the head's grid."""
    if not head.registration.is_reliable:
        return None
    return resample_mask(mask, load_atlas().geometry, head.geometry, transform=head.registration.scan_to_atlas)


@cache
def _nuclei_and_white() -> tuple[BoolArray, BoolArray]:
    """Return the lentiform nuclei and the deep white matter of the atlas, eroded: a misfit of 2 mm does not matter."""
    atlas = load_atlas()
    lentiform, capsule = (
        np.isin(atlas.aspects_labels, [region_label(name, side) for side in SIDES]) for name in ("L", "IC")
    )
    white = (atlas.white > 0.95) & atlas.subcortical & ~capsule
    inner = [ndimage.distance_transform_edt(mask) > 2.5 for mask in (lentiform, white)]
    return np.asarray(inner[0]), np.asarray(inner[1])


def _contrast(head: Head) -> dict[str, float]:
    """Return the median of the lentiform nuclei less that of deep white matter in HU, fluid left out."""
    tissue = head.brain & (smoothed(head.hu, 1.0) > FLAT_HU[0])
    medians = []
    for mask in _nuclei_and_white():
        found = _from_atlas(head, mask)
        if found is None or (found & tissue).sum() < 50:
            return {"nuclei_white": float("nan")}
        medians.append(float(np.median(head.hu[found & tissue])))
    return {"nuclei_white": medians[0] - medians[1]}


def _asymmetry(head: Head) -> dict[str, float]:
    """Return the SD of the difference between the sides, smoothed in plane, 5 mm inside on both sides.

    ``asymmetry`` counts what is brain (20-50 HU) on both sides, ``asymmetry_all`` fluid as well, after 3 mm;
    ``asymmetry8mm`` is the first after 8 mm.
    """
    spacing = head.geometry.pixel_spacing_mm_yx
    depth_mm = in_plane_depth(head.brain, spacing)
    deep = depth_mm > DEEP_MM
    other = mirrored(deep.astype(np.float32), head.geometry, head.midplane, fill=0.0) > 0.5
    part = deep & other & head.midplane.left_mask(head.geometry)
    found = {}
    for sigma_mm in SMOOTHINGS_MM:
        own = smoothed_within(head.hu, depth_mm > RIM_MM, sigma_mm, spacing)
        mirror = mirrored(own, head.geometry, head.midplane)
        tissue = part & (np.minimum(own, mirror) > FLAT_HU[0]) & (np.maximum(own, mirror) < FLAT_HU[1])
        found[f"asymmetry{sigma_mm:.0f}mm"] = float((own - mirror)[tissue].std())
        if sigma_mm == SMOOTHINGS_MM[0]:
            found["asymmetry_all"] = float((own - mirror)[part].std())
    return found


def _skull(hu: Float32Array, brain: BoolArray, slices: BoolArray, geometry: Geometry) -> dict[str, float]:
    """Return median and 99th percentile of the vault's bone, and its median thickness."""
    areas = brain.sum(axis=(1, 2))
    spacing = geometry.pixel_spacing_mm_yx
    bone: list[Float32Array] = []
    thickness: list[Float64Array] = []
    for k in np.flatnonzero(slices):
        around = ndimage.distance_transform_edt(~brain[k], sampling=spacing) <= SKULL_REACH_MM
        bone.append(hu[k][around & ~brain[k] & (hu[k] > BONE_HU)])
        if areas[k] >= WALL_SHARE * areas.max():
            thickness.append(skull_thickness_mm(hu[k], brain[k], spacing))
    values = np.concatenate(bone)
    return {
        "bone_p50": float(np.median(values)),
        "bone_p99": float(np.percentile(values, 99)),
        "skull_mm": float(np.nanmedian(np.concatenate(thickness))),
    }


def _air(hu: Float32Array, geometry: Geometry) -> dict[str, float]:
    """Return mean and SD of air at least 15 mm from whatever is denser than -900 HU; constant padding is left out."""
    spacing = geometry.pixel_spacing_mm_yx
    samples: list[Float32Array] = []
    for plane in hu[:: max(len(hu) // 8, 1)]:
        solid = ndimage.median_filter(plane, 3) > -900
        clear = ndimage.distance_transform_edt(~solid, sampling=spacing) > AIR_DISTANCE_MM
        lowest = ndimage.minimum_filter(plane, 5)
        padded = (lowest == ndimage.maximum_filter(plane, 5)) | (lowest < LOWEST_AIR_HU)
        samples.append(plane[clear & ~padded])
    air = np.concatenate(samples)
    if len(air) < 1000:
        return {"air_mean": float("nan"), "air_sd": float("nan")}
    return {"air_mean": float(air.mean()), "air_sd": float(air.std())}

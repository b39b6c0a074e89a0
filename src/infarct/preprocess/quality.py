"""Doubts about a scan, as coded flags; the report shows them before any answer."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.preprocess.head import Head
from infarct.preprocess.midplane import midplane_of
from infarct.types import BoolArray, Flag, Float32Array
from infarct.volume import Scan, volume_ml

MAX_SPACING_MM: Final = 6.0
MIN_TILT_DEG: Final = 1.0
BRAIN_HU: Final = (26.0, 42.0)
"""Median density of a brain; real 5 mm scans measure 33 to 35."""
MIN_COVERED: Final = 0.95
MAX_NOISE_HU: Final = 6.0
"""On the working grid, where 5 mm scans of usual dose measure 3 to 4.5 HU."""
METAL_HU: Final = 2500.0
METAL_ML: Final = 0.05
CONTRAST_HU: Final = 90.0
CONTRAST_FROM_SKULL_MM: Final = 4.0
CONTRAST_ML: Final = 8.0
"""Enhanced vessels and sinuses of a head hold more than this; unenhanced ones none (blood is 40-70 HU)."""
BLOOD_HU: Final = 50.0
CALCIFIED_HU: Final = 130.0
"""No blood is as dense as this."""
CALCIFIED_REACH_MM: Final = 4.0
"""A calcification blurs its surroundings this far."""
BLOOD_ML: Final = 1.0
BLOOD_FROM_BONE_MM: Final = 6.5
RIM_MM: Final = (2.0, 9.0)
"""Distances from bone at which blood along the skull is looked for."""
RIM_HU: Final = 52.0
RIM_CONTRAST_HU: Final = 12.0
RIM_ML: Final = 5.0
BLOOD_FROM_MIDLINE_MM: Final = 5.0
"""Falx and sagittal sinus lie there."""
BLOOD_THICKNESS_MM: Final = 6.0
"""Tentorium and vessels are dense but thin; a bleed of 1 ml is thicker than this."""
BLOOD_EXCESS_HU: Final = 20.0
"""A bleed is denser than its mirror image by this in the median; calcified pallida and cupped cortex are not."""
BILATERAL_ML: Final = 2.0
BILATERAL_HU: Final = 57.0
"""From this size and median density on blood may lie on both sides."""
OPEN_SKULL_SHARE: Final = 0.04
SKULL_REACH_MM: Final = 16.0
ADULT_YEARS: Final = 18
MIDLINE_OFF_DEG: Final = 5.0
MIDLINE_OFF_MM: Final = 6.0
_GRAVITY: Final = {"critical": 0, "warning": 1, "info": 2}
STREAK_RATIO: Final = 1.6
"""Noise of the worst tenth of slices against the median slice."""


def scan_flags(scan: Scan) -> tuple[Flag, ...]:
    """Return the flags that need no anatomy: geometry and acquisition, with those of the reader first."""
    geometry = scan.geometry
    flags = list(scan.flags)
    gaps = np.diff(geometry.slice_positions_mm)
    if gaps.max() > MAX_SPACING_MM:
        message = f"Slices stand up to {gaps.max():.1f} mm apart; small lesions can be missed."
        flags.append(Flag("slice_spacing_large", "warning", message, float(gaps.max())))
    if not geometry.is_even:
        message = f"Slices are unevenly spaced, {gaps.min():.1f} to {gaps.max():.1f} mm; volumes allow for it."
        flags.append(Flag("slice_spacing_uneven", "warning", message, float(np.ptp(gaps))))
    if geometry.tilt_deg > MIN_TILT_DEG:
        message = f"The gantry was tilted by {geometry.tilt_deg:.1f} degrees; positions allow for it."
        flags.append(Flag("gantry_tilt", "info", message, geometry.tilt_deg))
    age = scan.acquisition.patient_age_years
    if age is not None and age < ADULT_YEARS:
        message = "The patient is under 18 years old; nothing here was made for children."
        flags.append(Flag("age_under_18", "critical", message))
    return tuple(flags)


def head_flags(scan: Scan, head: Head) -> tuple[Flag, ...]:
    """Return the flags that need the prepared head: coverage, registration, midline, noise, density, skull."""
    checks = (
        _coverage(head),
        _registration(head),
        _midline(head),
        _density(head),
        _noise(head),
        _streaks(head),
        _metal(scan),
        _contrast(head),
        skull_flag(scan, head),
    )
    return tuple(flag for flag in checks if flag is not None)


def hyperdense_mask(head: Head) -> BoolArray:
    """Return what looks like blood in the brain: bool (z, y, x) on the head's working grid.

    Voxels above 50 HU after smoothing, more than 6.5 mm from bone and 5 mm from the midline (falx, sagittal sinus), in
    clumps thicker than 6 mm (tentorium and vessels are thin) away from calcifications. A clump is far denser than its
    mirror image, unless it is 2 ml large and very dense: calcified pallida, and cortex that cupping brightens, are
    alike on both sides. Along the skull, where partial volume with bone looks the same, less excess is enough for large
    collections; along the midline nothing counts.
    """
    geometry = head.geometry
    sy, sx = geometry.pixel_spacing_mm_yx
    smooth, other = (
        ndimage.gaussian_filter(np.clip(hu, 0, 120), (0.0, 1.5 / sy, 1.5 / sx)) for hu in (head.hu, head.mirrored_hu)
    )
    excess_hu = smooth - other
    edge = skull_of(head)
    edge = edge if edge.any() else ~head.brain
    from_bone_mm = ndimage.distance_transform_edt(~edge, sampling=geometry.spacing_mm_zyx)
    off_midline = np.abs(head.midplane.distance_mm(geometry)) > BLOOD_FROM_MIDLINE_MM
    inner = head.brain & off_midline & (from_bone_mm > BLOOD_FROM_BONE_MM)
    from_calcium_mm = ndimage.distance_transform_edt(head.hu < CALCIFIED_HU, sampling=geometry.spacing_mm_zyx)
    dense = inner & (smooth >= BLOOD_HU) & (from_calcium_mm > CALCIFIED_REACH_MM)
    rim = _rim_blood(head, smooth, excess_hu, from_bone_mm)
    dense |= rim
    thick = np.stack(
        [ndimage.distance_transform_edt(plane, sampling=(sy, sx)) > BLOOD_THICKNESS_MM / 2 for plane in dense]
    )
    components, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(head.hu.shape, dtype=bool)
    labels = np.arange(1, count + 1)
    thickest = ndimage.maximum(thick, components, labels)
    sizes_ml = np.bincount(components.ravel())[1:] * geometry.slice_voxel_ml[0]
    one_sided = ndimage.median(excess_hu, components, labels) >= BLOOD_EXCESS_HU
    along_skull = ndimage.mean(rim, components, labels) > 0.5
    large = (sizes_ml >= BILATERAL_ML) & (ndimage.median(smooth, components, labels) >= BILATERAL_HU)
    bloody = np.isin(components, labels[(thickest > 0) & (one_sided | along_skull | large)])
    return np.asarray(bloody, dtype=np.bool_)


def _rim_blood(head: Head, smooth: Float32Array, excess_hu: Float32Array, from_bone_mm: Float32Array) -> BoolArray:
    """Return dense collections along the skull of one side: bool (z, y, x)."""
    rim = head.brain & (from_bone_mm > RIM_MM[0]) & (from_bone_mm <= RIM_MM[1])
    dense = rim & (smooth >= RIM_HU) & (smooth <= CALCIFIED_HU) & (excess_hu >= RIM_CONTRAST_HU)
    components, _ = ndimage.label(dense)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray((sizes * head.geometry.slice_voxel_ml[0] >= RIM_ML)[components] & dense)


def skull_of(head: Head) -> BoolArray:
    """Return the largest piece of bone; calcifications inside the brain are others."""
    components, count = ndimage.label(head.hu > 160)
    if count == 0:
        return np.zeros(head.hu.shape, dtype=bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == sizes.argmax())


def _coverage(head: Head) -> Flag | None:
    share = head.registration.covered_share
    if share >= MIN_COVERED:
        return None
    message = f"Only {100 * share:.0f} % of the brain lies inside the scan; what is outside cannot be judged."
    return Flag("coverage_incomplete", "warning", message, 100 * share)


def _registration(head: Head) -> Flag | None:
    if head.registration.is_reliable:
        return None
    message = "The head could not be matched to the atlas; regions, territories and ASPECTS are not reliable."
    return Flag("registration_poor", "critical", message, head.registration.overlap_dice)


def _midline(head: Head) -> Flag | None:
    start = midplane_of(head.registration.atlas_to_scan)
    angle = float(np.degrees(np.arccos(np.clip(start.normal @ head.midplane.normal, -1, 1))))
    centre = head.geometry.index_to_world(np.argwhere(head.brain).mean(axis=0))
    shift = abs(float(centre @ (start.normal - head.midplane.normal)) - start.offset_mm + head.midplane.offset_mm)
    if angle <= MIDLINE_OFF_DEG and shift <= MIDLINE_OFF_MM:
        return None
    message = (
        f"Two estimates of the midsagittal plane differ by {angle:.1f} degrees and {shift:.1f} mm: the comparison of "
        "the sides may be off."
    )
    return Flag("midline_uncertain", "critical", message, angle)


def _density(head: Head) -> Flag | None:
    middle_hu = head.noise.brain_hu
    if BRAIN_HU[0] <= middle_hu <= BRAIN_HU[1]:
        return None
    message = f"The brain measures {middle_hu:.0f} HU in the median, not 26 to 42: wrong scale, or all of it is ill."
    return Flag("brain_density_unusual", "critical", message, middle_hu)


def _noise(head: Head) -> Flag | None:
    if head.noise.sd_hu <= MAX_NOISE_HU:
        return None
    message = f"Noise is high, {head.noise.sd_hu:.1f} HU per voxel; small differences cannot be seen."
    return Flag("noise_high", "warning", message, head.noise.sd_hu)


def _streaks(head: Head) -> Flag | None:
    """Compare slices: streaks and motion roughen some of them, quantum noise all."""
    roughness: list[float] = []
    for hu, brain in zip(head.hu, head.brain, strict=True):
        deep = ndimage.binary_erosion(brain, iterations=6)
        if deep.sum() < 2000:
            continue
        residual = np.clip(hu, 0, 80) - ndimage.gaussian_filter(np.clip(hu, 0, 80), 3.0)
        roughness.append(float(1.4826 * np.median(np.abs(residual[deep]))))
    if len(roughness) < 5:
        return None
    ratio = float(np.percentile(roughness, 90) / max(np.median(roughness), 0.1))
    if ratio <= STREAK_RATIO:
        return None
    message = f"Some slices are {ratio:.1f} times as rough as the others: motion or streaks."
    return Flag("motion_or_streaks", "warning", message, ratio)


def _metal(scan: Scan) -> Flag | None:
    size_ml = volume_ml(scan.hu > METAL_HU, scan.geometry)
    if size_ml < METAL_ML:
        return None
    message = f"{size_ml:.1f} ml of metal in the scan; its streaks can hide or feign lesions."
    return Flag("metal", "warning", message, size_ml)


def _contrast(head: Head) -> Flag | None:
    spacing = head.geometry.spacing_mm_zyx
    closed = [ndimage.binary_fill_holes(ndimage.binary_closing(plane, iterations=4)) for plane in head.brain]
    inner = ndimage.distance_transform_edt(np.stack(closed), sampling=spacing) > CONTRAST_FROM_SKULL_MM
    size_ml = volume_ml(inner & (head.hu > CONTRAST_HU), head.geometry)
    if size_ml < CONTRAST_ML:
        return None
    message = f"{size_ml:.0f} ml inside the skull are denser than {CONTRAST_HU:.0f} HU: contrast agent suspected."
    return Flag("contrast_suspected", "critical", message, size_ml)


def skull_flag(scan: Scan, head: Head) -> Flag | None:
    """Return the flag of a missing or open skull: brain surface in the upper half of the head without bone near it."""
    if any(flag.code == "skull_stripped" for flag in scan.flags):
        return None
    spacing = head.geometry.spacing_mm_zyx
    surface = head.brain & ~ndimage.binary_erosion(head.brain)
    upper = np.zeros_like(surface)
    levels = np.flatnonzero(head.brain.any(axis=(1, 2)))
    upper[levels[len(levels) // 2] : levels[-1]] = True
    to_bone_mm = ndimage.distance_transform_edt(head.hu <= 160, sampling=spacing)
    considered = surface & upper
    share = float((to_bone_mm[considered] > SKULL_REACH_MM).mean()) if considered.any() else 0.0
    if head.skull_closed and share <= OPEN_SKULL_SHARE:
        return None
    message = "Part of the skull is missing or open; the brain mask and the volumes near it are not reliable."
    return Flag("skull_defect", "critical", message, share)


def unique_flags(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return the flags with each code once, the gravest before the lighter."""
    by_code: dict[str, Flag] = {}
    for flag in sorted(flags, key=lambda flag: _GRAVITY[flag.severity]):
        by_code.setdefault(flag.code, flag)
    return tuple(by_code.values())

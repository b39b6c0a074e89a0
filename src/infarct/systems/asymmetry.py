"""The baseline that trained systems must beat: each side of the brain against the other.

Ischemic tissue takes up water and darkens; the other side of the same brain, scanned at the same time, is the best
reference there is. A difference of 2 HU between mirrored regions marks early infarction best in published
measurements; here it must also stand out of the scan's own noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from scipy import ndimage, stats

from infarct.anatomy import Side
from infarct.findings import Aspects, Infarct, Lesion, OldInfarct
from infarct.preprocess.head import Head, mirrored_mask
from infarct.systems.lesions import at_least, describe, grown, pieces, side_of
from infarct.systems.regions import (
    Contrast,
    Judged,
    MeasuredRegion,
    RegionConfig,
    SideRule,
    dense_tissue,
    measure_regions,
    region_findings,
    score,
)
from infarct.types import BoolArray, Float32Array

METHOD: Final = "asymmetry"
VENTRICLE_REACH_MM: Final = 2.0


@dataclass(frozen=True)
class AsymmetryConfig:
    """Numbers of the baseline; saved with every result.

    ``affected_hu`` and ``noise_ratio``: a region counts as affected when it is darker than its mirror image by this
    much and by this many standard errors. ``normal_variation_hu``: how much normal sides differ (SD, our guess), which
    keeps the probability from being more certain than anatomy allows. ``regions``: how they are measured.

    The ``cluster_*`` fields are those of the whole-brain map: smoothing, closing of sulci, darkness, the most that a
    voxel counts (smoothing would widen what is very dark), smallest volume, distances kept from skull and midline.
    ``core_smoothing_mm``: broader smoothing, after which the core of a cluster must stand out of the noise.
    ``old_hu`` and ``old_rim_mm``: what is darker than this looks like CSF, so old, and so does the rim around it.
    """

    affected_hu: float = 2.0
    noise_ratio: float = 3.0
    normal_variation_hu: float = 1.0
    regions: RegionConfig = field(default_factory=RegionConfig)
    cluster_smoothing_mm: float = 3.0
    core_smoothing_mm: float = 6.0
    cluster_closing_mm: float = 3.0
    cluster_hu: float = 3.0
    cluster_limit_hu: float = 8.0
    cluster_min_ml: float = 1.0
    cluster_rim_mm: float = 5.0
    cluster_midline_mm: float = 4.0
    old_hu: float = 16.0
    old_rim_mm: float = 5.0


@dataclass(frozen=True, eq=False)
class AsymmetryResult:
    """Findings of the baseline and its maps, (z, y, x) on the head's working grid."""

    aspects: Aspects
    infarct: Infarct
    old_infarct: OldInfarct
    infarct_mask: BoolArray
    old_infarct_mask: BoolArray
    side_difference_hu: Float32Array


def compare_sides(
    head: Head,
    config: AsymmetryConfig | None = None,
    *,
    symptomatic_side: Side | None = None,
    side_rule: SideRule = "evidence",
) -> AsymmetryResult:
    """Return what differs between the two sides of a head.

    ``symptomatic_side`` is the side of the brain whose ASPECTS is asked for; where it is None, ``side_rule`` decides.
    """
    config = config or AsymmetryConfig()
    difference = side_difference(head, config)
    clusters = _clusters(head, difference, config)
    old = np.zeros(head.brain.shape, dtype=bool)
    acute = np.zeros_like(old)
    lesions: list[Lesion] = []
    for cluster, stage in _staged(clusters, head, config):
        lesion = describe(cluster, stage, head)
        lesions.append(lesion)
        (old if stage == "old" else acute)[cluster] = True
    measured = measure_regions(head, old, config.regions)
    regions = region_findings(measured, judge(measured, config))
    recent = tuple(lesion for lesion in lesions if lesion.stage != "old")
    past = tuple(lesion for lesion in lesions if lesion.stage == "old")
    return AsymmetryResult(
        aspects=score(regions, method=METHOD, symptomatic_side=symptomatic_side, side_rule=side_rule),
        infarct=Infarct(
            method=METHOD,
            volume_ml=sum(lesion.volume_ml for lesion in recent),
            side=side_of(recent),
            lesions=recent,
        ),
        old_infarct=OldInfarct(volume_ml=sum(lesion.volume_ml for lesion in past), lesions=past),
        infarct_mask=acute,
        old_infarct_mask=old,
        side_difference_hu=difference,
    )


def side_difference(head: Head, config: AsymmetryConfig) -> Float32Array:
    """Return each voxel's HU less its mirror's (float32, (z, y, x)), smoothed in plane, 0 outside the brain.

    Sulci are closed first: a sulcus on one side only is no lesion. Ventricles and blood of either side are left out:
    a bleed must not make the healthy side look dark.
    """
    sy, sx = head.geometry.pixel_spacing_mm_yx
    ventricles = head.fluid | mirrored_mask(head.fluid, head.geometry, head.midplane)
    valid = head.brain & mirrored_mask(head.brain, head.geometry, head.midplane)
    valid &= ~grown(ventricles, head, VENTRICLE_REACH_MM) & ~dense_tissue(head, config.regions)
    closed = [_sulci_closed(hu, head, config) for hu in (head.hu, head.mirrored_hu)]
    limit = np.float32(config.cluster_limit_hu)
    raw = np.where(valid, np.clip(closed[0] - closed[1], -limit, limit), np.float32(0))
    sigma = (0.0, config.cluster_smoothing_mm / sy, config.cluster_smoothing_mm / sx)
    weight = ndimage.gaussian_filter(valid.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(raw, sigma) / np.maximum(weight, np.float32(0.05))
    return np.where(valid, smooth, np.float32(0)).astype(np.float32)


def judge(measured: Sequence[MeasuredRegion], config: AsymmetryConfig) -> tuple[Judged | None, ...]:
    """Return the baseline's answer to measured regions: affected where much darker than noise and habit allow."""
    return tuple(_judged(region.contrast, config) if region.contrast else None for region in measured)


def _judged(contrast: Contrast, config: AsymmetryConfig) -> Judged:
    margin_hu = contrast.darker_hu - config.affected_hu
    return Judged(
        probability=float(stats.norm.cdf(margin_hu / np.hypot(contrast.error_hu, config.normal_variation_hu))),
        affected=contrast.darker_hu >= max(config.affected_hu, config.noise_ratio * contrast.error_hu),
    )


def _sulci_closed(hu: Float32Array, head: Head, config: AsymmetryConfig) -> Float32Array:
    """Return ``hu`` slightly smoothed, clipped to fluid and blood, with what is darker and narrow filled."""
    sy, sx = head.geometry.pixel_spacing_mm_yx
    calm = ndimage.gaussian_filter(np.clip(hu, 0.0, config.regions.tissue_hu[1]), (0.0, 1.0 / sy, 1.0 / sx))
    reach = config.cluster_closing_mm
    rows, columns = (np.arange(-int(reach / mm), int(reach / mm) + 1) * mm for mm in (sy, sx))
    disk = np.hypot(rows[:, None], columns) <= reach
    return np.asarray(ndimage.grey_closing(calm, footprint=disk[None]), dtype=np.float32)


def _clusters(head: Head, difference: Float32Array, config: AsymmetryConfig) -> list[BoolArray]:
    """Return the connected dark clusters, largest first.

    Each grows, as far as tissue stays darker by ``cluster_hu``, from a core that stands out of the noise after broader
    smoothing and holds the smallest volume by itself.
    """
    spacing = head.geometry.spacing_mm_zyx
    inner = ndimage.distance_transform_edt(head.brain, sampling=spacing) > config.cluster_rim_mm
    inner &= np.abs(head.midplane.distance_mm(head.geometry)) > config.cluster_midline_mm
    sy, sx = head.geometry.pixel_spacing_mm_yx
    broad_mm = config.core_smoothing_mm
    further = np.sqrt(broad_mm**2 - config.cluster_smoothing_mm**2)
    broad = ndimage.gaussian_filter(difference, (0.0, further / sy, further / sx))
    noise_hu = np.sqrt(2) * head.noise.smoothed_sd_hu(broad_mm)
    smallest = config.cluster_min_ml / head.geometry.slice_voxel_ml[0]
    dark = inner & (difference <= -config.cluster_hu)
    cores = at_least(dark & (broad <= -max(config.cluster_hu, config.noise_ratio * noise_hu)), smallest)
    return list(pieces(ndimage.binary_propagation(cores, mask=dark)))


def _staged(
    clusters: list[BoolArray], head: Head, config: AsymmetryConfig
) -> list[tuple[BoolArray, Literal["old", "undetermined"]]]:
    """Return the clusters with their stage, largest first; what looks like CSF is taken out with its rim, as old.

    The rim of an old infarct is dark by itself and by partial volume: it must not be called acute.
    """
    sy, sx = head.geometry.pixel_spacing_mm_yx
    calm = ndimage.gaussian_filter(head.hu, (0.0, 1.5 / sy, 1.5 / sx))
    smallest = config.cluster_min_ml / head.geometry.slice_voxel_ml[0]
    staged: list[tuple[BoolArray, Literal["old", "undetermined"]]] = []
    for cluster in clusters:
        past = cluster & grown(at_least(cluster & (calm < config.old_hu), smallest), head, config.old_rim_mm)
        staged += [(past, "old")] if past.any() else []
        components, count = ndimage.label(at_least(cluster & ~past, smallest))
        staged += [(components == index, "undetermined") for index in range(1, count + 1)]
    return sorted(staged, key=lambda pair: -int(pair[0].sum()))

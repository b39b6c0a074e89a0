"""The baseline that trained systems must beat: each side of the brain against the other.

Ischemic tissue takes up water and darkens; the other side of the same brain, scanned at the same time, is the best
reference there is. A difference of 2 HU between mirrored regions marks early infarction best in published
measurements; here it must also stand out of the scan's own noise.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import ndimage, stats

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.findings import Aspects, Infarct, Lesion, OldInfarct, RegionFinding
from infarct.preprocess.head import Head, mirrored_mask
from infarct.systems.lesions import at_least, describe, pieces, side_of
from infarct.types import BoolArray, Float32Array
from infarct.volume import volume_ml

METHOD: Final = "asymmetry"
VENTRICLE_REACH_MM: Final = 2.0
BLOOD_DEPTH_MM: Final = 4.0
"""Nearer to the skull, partial volume with bone is as dense as blood."""
BLOOD_REACH_MM: Final = 6.0


@dataclass(frozen=True)
class AsymmetryConfig:
    """Numbers of the baseline; saved with every result.

    ``affected_hu`` and ``noise_ratio``: a region counts as affected when it is darker than its mirror image by this
    much and by this many standard errors. ``normal_variation_hu``: how much normal sides differ (SD, our guess), which
    keeps the probability from being more certain than anatomy allows. ``tissue_hu``: what counts as brain, between
    CSF and blood. ``dense_hu``: what is denser after smoothing is left out on both sides. ``min_tissue_share``: part
    of a region that must be brain on both sides for it to be judged. ``trim``: share of voxels cut from each end of a
    robust mean.

    The ``cluster_*`` fields are those of the whole-brain map: smoothing, closing of sulci, darkness, the most that a
    voxel counts (smoothing would widen what is very dark), smallest volume, distances kept from skull and midline.
    ``core_smoothing_mm``: broader smoothing, after which the core of a cluster must stand out of the noise.
    ``old_hu`` and ``old_rim_mm``: what is darker than this looks like CSF, so old, and so does the rim around it.
    """

    affected_hu: float = 2.0
    noise_ratio: float = 3.0
    normal_variation_hu: float = 1.0
    tissue_hu: tuple[float, float] = (15.0, 55.0)
    dense_hu: float = 48.0
    min_tissue_share: float = 0.3
    trim: float = 0.2
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
    head: Head, config: AsymmetryConfig | None = None, *, symptomatic_side: Side | None = None
) -> AsymmetryResult:
    """Return what differs between the two sides of a head.

    ``symptomatic_side`` is the side of the brain whose ASPECTS is asked for; None scores the side with the greater
    evidence.
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
    blood = _bloody(head, config)
    regions = tuple(_region(region, side, head, old, blood, config) for side in SIDES for region in REGIONS)
    recent = tuple(lesion for lesion in lesions if lesion.stage != "old")
    past = tuple(lesion for lesion in lesions if lesion.stage == "old")
    return AsymmetryResult(
        aspects=score(regions, symptomatic_side=symptomatic_side, config=config),
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
    valid &= ~_grown(ventricles, head, VENTRICLE_REACH_MM) & ~_bloody(head, config)
    closed = [_sulci_closed(hu, head, config) for hu in (head.hu, head.mirrored_hu)]
    limit = np.float32(config.cluster_limit_hu)
    raw = np.where(valid, np.clip(closed[0] - closed[1], -limit, limit), np.float32(0))
    sigma = (0.0, config.cluster_smoothing_mm / sy, config.cluster_smoothing_mm / sx)
    weight = ndimage.gaussian_filter(valid.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(raw, sigma) / np.maximum(weight, np.float32(0.05))
    return np.where(valid, smooth, np.float32(0)).astype(np.float32)


def score(regions: tuple[RegionFinding, ...], *, symptomatic_side: Side | None, config: AsymmetryConfig) -> Aspects:
    """Return the ASPECTS of twenty judged regions: ten less the affected ones, per side.

    The symptomatic side is scored if given, otherwise the one with the greater evidence (difference times volume over
    its affected regions). A score is null where a region of the scored side cannot be judged.
    """
    by_side = {side: [finding for finding in regions if finding.side == side] for side in SIDES}
    evidence = {side: sum(_evidence(finding, config) for finding in by_side[side]) for side in SIDES}
    stronger: Side = "right" if evidence["right"] > evidence["left"] else "left"
    scored: Side = symptomatic_side or stronger
    affected = {side: sum(finding.affected is True for finding in by_side[side]) for side in SIDES}
    unjudged = {side: sum(finding.affected is None for finding in by_side[side]) for side in SIDES}
    points = {side: 10 - affected[side] if unjudged[side] == 0 else None for side in SIDES}
    nothing = symptomatic_side is None and affected["left"] == affected["right"] == 0
    ranged = SIDES if nothing else (scored,)
    return Aspects(
        score=None if nothing and None in points.values() else points[scored],
        score_min=min(10 - affected[side] - unjudged[side] for side in ranged),
        score_max=10 - affected[scored],
        side="none" if nothing else scored,
        side_rule="symptomatic" if symptomatic_side else "evidence",
        left_score=points["left"],
        right_score=points["right"],
        method=METHOD,
        regions=regions,
    )


def _evidence(finding: RegionFinding, config: AsymmetryConfig) -> float:
    if not finding.affected or finding.mean_hu is None or finding.contralateral_mean_hu is None:
        return 0.0
    return max(finding.contralateral_mean_hu - finding.mean_hu, config.affected_hu) * finding.volume_ml


def _region(
    region: Region, side: Side, head: Head, old: BoolArray, blood: BoolArray, config: AsymmetryConfig
) -> RegionFinding:
    """Return one region against the same place on the other side; old lesions and blood take no part.

    A region that an old lesion has taken is not affected: an old infarct deducts no point.
    """
    own = head.aspects_regions == region_label(region, side)
    low, high = config.tissue_hu
    paired = own & head.brain & ~old & ~blood
    for hu in (head.hu, head.mirrored_hu):
        paired &= (hu > low) & (hu < high)
    size_ml = volume_ml(own, head.geometry)
    whole = head.region_ml[region_label(region, side)] / head.geometry.slice_voxel_ml[0]
    if not own.any() or paired.sum() < max(config.min_tissue_share * max(own.sum(), whole), 20):
        return RegionFinding(
            region=region,
            side=side,
            affected=False if (own & old).sum() > own.sum() / 2 else None,
            probability=None,
            volume_ml=size_ml,
            mean_hu=None,
            contralateral_mean_hu=None,
            net_water_uptake_pct=None,
            evaluable=False,
        )
    mean_hu = float(stats.trim_mean(head.hu[paired], config.trim))
    other_hu = float(stats.trim_mean(head.mirrored_hu[paired], config.trim))
    sy, sx = head.geometry.pixel_spacing_mm_yx
    error_hu = np.sqrt(2) * head.noise.standard_error_hu(float(paired.sum() * sy * sx))
    darker_hu = other_hu - mean_hu
    return RegionFinding(
        region=region,
        side=side,
        affected=bool(darker_hu >= max(config.affected_hu, config.noise_ratio * error_hu)),
        probability=float(
            stats.norm.cdf((darker_hu - config.affected_hu) / np.hypot(error_hu, config.normal_variation_hu))
        ),
        volume_ml=size_ml,
        mean_hu=mean_hu,
        contralateral_mean_hu=other_hu,
        net_water_uptake_pct=100 * darker_hu / other_hu,
        evaluable=True,
    )


def _sulci_closed(hu: Float32Array, head: Head, config: AsymmetryConfig) -> Float32Array:
    """Return ``hu`` slightly smoothed, clipped to fluid and blood, with what is darker and narrow filled."""
    sy, sx = head.geometry.pixel_spacing_mm_yx
    calm = ndimage.gaussian_filter(np.clip(hu, 0.0, config.tissue_hu[1]), (0.0, 1.0 / sy, 1.0 / sx))
    reach = config.cluster_closing_mm
    rows, columns = (np.arange(-int(reach / mm), int(reach / mm) + 1) * mm for mm in (sy, sx))
    disk = np.hypot(rows[:, None], columns) <= reach
    return np.asarray(ndimage.grey_closing(calm, footprint=disk[None]), dtype=np.float32)


def _bloody(head: Head, config: AsymmetryConfig) -> BoolArray:
    """Return dense tissue of either side, and what it may blur: bool (z, y, x)."""
    sy, sx = head.geometry.pixel_spacing_mm_yx
    deep = ndimage.distance_transform_edt(head.brain, sampling=head.geometry.spacing_mm_zyx) > BLOOD_DEPTH_MM
    dense = np.zeros_like(head.brain)
    for hu in (head.hu, head.mirrored_hu):
        calm = ndimage.gaussian_filter(np.clip(hu, 0.0, 100.0), (0.0, 2.0 / sy, 2.0 / sx))
        dense |= deep & (calm > config.dense_hu)
    return _grown(dense, head, BLOOD_REACH_MM)


def _grown(mask: BoolArray, head: Head, reach_mm: float) -> BoolArray:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=head.geometry.spacing_mm_zyx) <= reach_mm)


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
        past = cluster & _grown(at_least(cluster & (calm < config.old_hu), smallest), head, config.old_rim_mm)
        staged += [(past, "old")] if past.any() else []
        components, count = ndimage.label(at_least(cluster & ~past, smallest))
        staged += [(components == index, "undetermined") for index in range(1, count + 1)]
    return sorted(staged, key=lambda pair: -int(pair[0].sum()))

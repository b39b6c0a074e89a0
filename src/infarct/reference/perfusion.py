"""Core, penumbra and ASPECTS from CT perfusion maps: the reference standard of the aspects paper.

Core is tissue whose blood flow is below 30 % of the other side's (aspects paper, 3.1; Campbell, Stroke 2011;42:3435),
and an ASPECTS region is positive where core fills more than 10 % of it. The paper leaves open what "the other side" is:
here the mean flow of the same tissue around the mirrored place. Only ratios of CBF and CBV count, so maps may be in any
unit; Tmax and MTT are in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.atlas import Atlas
from infarct.errors import StepFailed
from infarct.preprocess.head import Head, mirrored_mask
from infarct.preprocess.midplane import mirrored
from infarct.reference.alignment import Alignment, align
from infarct.reference.pieces import grown, local_mean, pieces
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume import Geometry, resample, volume_ml


@dataclass(frozen=True)
class PerfusionConfig:
    """Settings of the reference standard.

    ``core_share`` (of the other side's CBF), ``delayed_s`` (Tmax) and ``positive_share`` (of a region) are the paper's
    and the field's; the rest is ours. ``tissue_hu`` parts tissue from fluid and blood on the CT smoothed by
    ``calm_mm``. ``vessel_ratio`` times the median CBF or CBV is a vessel. ``reference_mm`` is the SD of the smoothing
    of the other side, which never counts for less than ``least_reference`` of its tissue's mean. Dark clusters of at
    least ``old_ml`` that the other side lacks are old infarcts, with ``old_rim_mm`` around them. Smaller pieces than
    ``core_min_ml`` and ``delayed_min_ml`` are noise; gaps up to ``gap_mm`` in what is left are sulci and vessels. A
    region of which less than ``judged_share`` is imaged is not judged.
    """

    core_share: float = 0.30
    delayed_s: float = 6.0
    positive_share: float = 0.10
    tissue_hu: tuple[float, float] = (15.0, 55.0)
    calm_mm: float = 1.5
    vessel_ratio: float = 2.5
    reference_mm: float = 8.0
    least_reference: float = 0.5
    old_ml: float = 1.0
    old_rim_mm: float = 5.0
    core_min_ml: float = 0.5
    delayed_min_ml: float = 3.0
    gap_mm: float = 3.0
    judged_share: float = 0.5


@dataclass(frozen=True, eq=False)
class FlowMaps:
    """Perfusion maps, float32 (z, y, x) on ``geometry``, 0 where nothing was measured.

    ``cbf`` in ml/100 g/min, ``cbv`` in ml/100 g, ``tmax_s`` in s; None where there is no such map.

    Raises `ValueError` where a map does not fit the geometry.
    """

    geometry: Geometry
    cbf: Float32Array
    cbv: Float32Array | None = None
    tmax_s: Float32Array | None = None

    def __post_init__(self) -> None:
        for values in (self.cbf, self.cbv, self.tmax_s):
            if values is not None and values.shape != self.geometry.shape_zyx:
                raise ValueError(f"a map of shape {values.shape} does not fit a geometry of {self.geometry.shape_zyx}")

    @property
    def measured(self) -> BoolArray:
        """Where any map holds a value, bool (z, y, x)."""
        maps = (values for values in (self.cbf, self.cbv, self.tmax_s) if values is not None)
        return np.asarray(np.any([values > 0 for values in maps], axis=0))


@dataclass(frozen=True)
class RegionCore:
    """One ASPECTS region: its volume, the share of it that was imaged, and the share of that which is core.

    ``affected`` and ``core_share`` are None where too little of it was imaged.
    """

    region: Region
    side: Side
    volume_ml: float
    imaged_share: float
    core_share: float | None
    affected: bool | None


@dataclass(frozen=True)
class SideScore:
    """ASPECTS of a side: None where a region could not be judged, which leaves the range from ``least`` to ``most``."""

    side: Side
    score: int | None
    least: int
    most: int


@dataclass(frozen=True, eq=False)
class PerfusionReference:
    """What perfusion says, (z, y, x) on the head's working grid.

    ``core`` and ``penumbra`` (Tmax above 6 s, core included; None without Tmax) are bool, ``relative_cbf`` (float32) is
    NaN where tissue was not judged. ``mismatch_ml`` is the penumbra without the core, ``mismatch_ratio`` penumbra
    over core, None without core. ``regions`` is empty where the head could not be matched to the atlas.
    """

    alignment: Alignment
    core: BoolArray
    penumbra: BoolArray | None
    relative_cbf: Float32Array
    core_ml: float
    penumbra_ml: float | None
    mismatch_ml: float | None
    mismatch_ratio: float | None
    imaged_brain_share: float
    regions: tuple[RegionCore, ...]
    scores: tuple[SideScore, ...]


def flow_maps(
    geometry: Geometry,
    *,
    cbf: Float32Array | None = None,
    cbv: Float32Array | None = None,
    mtt_s: Float32Array | None = None,
    tmax_s: Float32Array | None = None,
) -> FlowMaps:
    """Return maps with the CBF, which follows from CBV and MTT (s) where it is not given: CBF = 60 CBV / MTT.

    Values that are not finite or below 0, as software marks what it did not measure, become 0.

    Raises `ValueError` without CBF and without one of CBV and MTT.
    """
    cbv, mtt_s, tmax_s = (None if values is None else _cleaned(values) for values in (cbv, mtt_s, tmax_s))
    if cbf is None:
        if cbv is None or mtt_s is None:
            raise ValueError("CBF follows from CBV and MTT: both are needed where it is not given")
        cbf = np.divide(60 * cbv, mtt_s, out=np.zeros_like(cbv), where=mtt_s > 0)
    return FlowMaps(geometry, _cleaned(cbf), cbv, tmax_s)


def _cleaned(values: Float32Array) -> Float32Array:
    return np.where(np.isfinite(values) & (values > 0), values, np.float32(0)).astype(np.float32)


def read_perfusion(
    head: Head,
    maps: FlowMaps,
    atlas: Atlas,
    config: PerfusionConfig | None = None,
    *,
    alignment: Alignment | None = None,
) -> PerfusionReference:
    """Return core, penumbra and ASPECTS of a head from its perfusion maps.

    The maps are aligned to the CT unless ``alignment`` says how they lie. Grey and white matter are told apart by
    ``atlas``, where the head was matched to it.

    Raises `StepFailed` where the maps are empty or do not overlap with the brain.
    """
    config = config or PerfusionConfig()
    alignment = alignment or align_maps(head, maps)
    on_ct = _carried(maps, head.geometry, alignment.ct_to_image)
    tissue, mended = _judged_tissue(head, on_ct, config)
    if not tissue.any():
        raise StepFailed("the perfusion maps hold no brain tissue of the CT")
    reference_cbf = _other_side(head, on_ct.cbf, tissue, _grey_share(head, atlas), config)
    relative = np.where(tissue, on_ct.cbf / np.maximum(reference_cbf, 1e-6), np.float32(np.nan)).astype(np.float32)
    core, penumbra = _lesions(head, relative, on_ct, mended, config)
    core_ml = volume_ml(core, head.geometry)
    penumbra_ml = None if penumbra is None else volume_ml(penumbra, head.geometry)
    regions = judge_regions(core, on_ct.imaged, head.aspects_regions, head.geometry, whole_ml=head.region_ml)
    return PerfusionReference(
        alignment=alignment,
        core=core,
        penumbra=penumbra,
        relative_cbf=relative,
        core_ml=core_ml,
        penumbra_ml=penumbra_ml,
        mismatch_ml=None if penumbra_ml is None else penumbra_ml - core_ml,
        mismatch_ratio=None if penumbra_ml is None or core_ml == 0 else penumbra_ml / core_ml,
        imaged_brain_share=volume_ml(head.brain & on_ct.imaged, head.geometry) / volume_ml(head.brain, head.geometry),
        regions=regions,
        scores=tuple(score_side(regions, side) for side in SIDES) if regions else (),
    )


def align_maps(head: Head, maps: FlowMaps) -> Alignment:
    """Return where maps lie in the CT: flow against density, both 0 outside the brain.

    Raises `StepFailed` where the maps are empty or do not overlap with the brain.
    """
    density = np.where(head.brain, np.clip(head.hu, 0.0, 50.0), np.float32(0)).astype(np.float32)
    flow = maps.cbf
    if flow.any():
        flow = np.minimum(flow, np.float32(2.5) * np.median(flow[flow > 0]))
    return align(density, head.brain, head.geometry, image=flow, geometry=maps.geometry)


@dataclass(frozen=True, eq=False)
class _OnCt:
    """Maps on the head's grid: NaN-free, with the voxels that the maps' field covers and those that hold a value."""

    cbf: Float32Array
    cbv: Float32Array | None
    tmax_s: Float32Array | None
    imaged: BoolArray
    measured: BoolArray


def _carried(maps: FlowMaps, geometry: Geometry, ct_to_image: Float64Array) -> _OnCt:
    """Return the maps on ``geometry``; a value is the mean of the measured voxels around it, not of the gaps."""
    measured = maps.measured
    weight = resample(measured.astype(np.float32), maps.geometry, geometry, transform=ct_to_image, fill=-1.0)

    def onto(values: Float32Array) -> Float32Array:
        total = resample(values, maps.geometry, geometry, transform=ct_to_image, fill=0.0)
        return np.where(weight > 0.1, total / np.maximum(weight, np.float32(0.1)), np.float32(0))

    return _OnCt(
        cbf=onto(maps.cbf),
        cbv=None if maps.cbv is None else onto(maps.cbv),
        tmax_s=None if maps.tmax_s is None else onto(maps.tmax_s),
        imaged=weight >= 0,
        measured=weight >= 0.5,
    )


def _judged_tissue(head: Head, maps: _OnCt, config: PerfusionConfig) -> tuple[BoolArray, BoolArray]:
    """Return the tissue whose flow counts, and where gaps of a lesion may be mended: bool (z, y, x).

    Left out of the first: fluid and blood by density, vessels by flow and volume, old infarcts, and what the maps lack.
    The second holds sulci and vessels too, but neither ventricles nor old infarcts.
    """
    sy, sx = head.geometry.pixel_spacing_mm_yx
    calm = ndimage.gaussian_filter(np.clip(head.hu, 0.0, 100.0), (0.0, config.calm_mm / sy, config.calm_mm / sx))
    low, high = config.tissue_hu
    solid = head.brain & (calm > low) & (calm < high)
    old = old_infarcts(head, calm, config)
    tissue = solid & maps.measured & ~old
    for values in (maps.cbf, maps.cbv):
        if values is not None and (values[tissue] > 0).any():
            tissue &= values <= config.vessel_ratio * np.median(values[tissue & (values > 0)])
    return tissue, head.brain & maps.imaged & ~old & ~_wide(head, calm < low, config)


def old_infarcts(head: Head, calm_hu: Float32Array, config: PerfusionConfig) -> BoolArray:
    """Return healed infarcts with their rim: clusters as dark as fluid where the other side has tissue.

    ``calm_hu`` is the smoothed CT (float32, (z, y, x)); the result is bool on the head's grid.
    """
    low = config.tissue_hu[0]
    other = mirrored(calm_hu, head.geometry, head.midplane, fill=0.0)
    inner = ndimage.distance_transform_edt(head.brain, sampling=head.geometry.spacing_mm_zyx) > config.old_rim_mm
    dark = inner & (calm_hu < low) & (other > low + 5.0) & mirrored_mask(head.brain, head.geometry, head.midplane)
    cores = pieces(dark, config.old_ml, head.geometry)
    return head.brain & grown(cores, config.old_rim_mm, head.geometry)


def _wide(head: Head, fluid: BoolArray, config: PerfusionConfig) -> BoolArray:
    """Return fluid that is wider than the gaps to be mended: ventricles and cisterns."""
    sampling = head.geometry.pixel_spacing_mm_yx
    wide = [ndimage.distance_transform_edt(plane, sampling=sampling) > config.gap_mm for plane in fluid]
    return fluid & grown(np.stack(wide), config.gap_mm + 1.0, head.geometry)


def _grey_share(head: Head, atlas: Atlas) -> Float32Array:
    """Return the share of grey matter in each voxel's tissue by the atlas, 0-1; one half without a match to it.

    By the atlas and not by density: both sides get the same tissue, and an infarct makes grey matter look white.
    """
    if not head.registration.is_reliable:
        return np.full(head.hu.shape, 0.5, dtype=np.float32)
    to_atlas = head.registration.scan_to_atlas
    grey, white = (
        resample(values, atlas.geometry, head.geometry, transform=to_atlas, fill=0.0, antialias=True)
        for values in (atlas.grey, atlas.white)
    )
    return np.where(grey + white > 0.1, grey / np.maximum(grey + white, np.float32(0.1)), np.float32(0.5))


def _other_side(
    head: Head, cbf: Float32Array, tissue: BoolArray, grey: Float32Array, config: PerfusionConfig
) -> Float32Array:
    """Return the flow that each voxel's tissue has around the mirrored place, float32 (z, y, x).

    Grey and white matter's flow are means over the mirrored neighbourhood, weighted by nearness and by how pure the
    tissue is; a voxel expects them by its own share of grey matter.
    """
    left = head.midplane.left_mask(head.geometry)
    expected = np.zeros(cbf.shape, dtype=np.float32)
    for share in (grey, 1 - grey):
        weight = np.where(tissue, np.square(share), np.float32(0))
        if not weight.any():
            continue
        usual = max(float((cbf * weight)[half].sum() / max(weight[half].sum(), 1e-6)) for half in (left, ~left))
        local = local_mean(cbf, weight, head.geometry, config.reference_mm, usual)
        other = mirrored(local, head.geometry, head.midplane, fill=usual)
        expected += share * np.maximum(other, np.float32(config.least_reference * usual))
    return expected


def _lesions(
    head: Head, relative: Float32Array, maps: _OnCt, mended: BoolArray, config: PerfusionConfig
) -> tuple[BoolArray, BoolArray | None]:
    """Return core and penumbra, without specks and with their sulci closed."""
    low_flow = np.nan_to_num(relative, nan=1.0) < config.core_share
    if maps.tmax_s is None:
        return _whole(low_flow, config.core_min_ml, mended, head.geometry, config), None
    late = np.isfinite(relative) & (maps.tmax_s > config.delayed_s)
    penumbra = _whole(late, config.delayed_min_ml, mended, head.geometry, config)
    core = _whole(low_flow & penumbra, config.core_min_ml, mended, head.geometry, config)
    return core, penumbra | core


def _whole(
    mask: BoolArray, least_ml: float, mended: BoolArray, geometry: Geometry, config: PerfusionConfig
) -> BoolArray:
    """Return the pieces of ``mask`` of at least a volume, narrow gaps closed slice by slice inside ``mended``."""
    kept = pieces(mask, least_ml, geometry)
    sampling, reach_mm = geometry.pixel_spacing_mm_yx, config.gap_mm
    margin = [int(np.ceil(reach_mm / mm)) + 1 for mm in sampling]
    closed = np.zeros_like(kept)
    for k in np.flatnonzero(kept.any(axis=(1, 2))):
        padded = np.pad(kept[k], [(m, m) for m in margin])
        near = ndimage.distance_transform_edt(~padded, sampling=sampling) <= reach_mm
        filled = ndimage.distance_transform_edt(near, sampling=sampling) > reach_mm
        closed[k] = filled[margin[0] : -margin[0], margin[1] : -margin[1]]
    return kept | (closed & mended)


def judge_regions(
    core: BoolArray,
    imaged: BoolArray,
    labels: LabelArray,
    geometry: Geometry,
    *,
    whole_ml: Sequence[float] | None = None,
    config: PerfusionConfig | None = None,
) -> tuple[RegionCore, ...]:
    """Return the twenty regions by the share of core in them, right before left; empty without labels.

    ``core`` and ``imaged`` (bool) and ``labels`` (uint8, right 1-10, left 11-20), all (z, y, x), lie on ``geometry``.
    ``whole_ml`` is the volume of each label value, with what lies outside the scan. A region is positive where more
    than 10 % of its imaged part is core (aspects paper, 3.1), and not judged where less than half of it is imaged.
    """
    if not labels.any():
        return ()
    config = config or PerfusionConfig()
    return tuple(
        _judged_region(region, side, core, imaged, labels, geometry, whole_ml, config)
        for side in SIDES
        for region in REGIONS
    )


def _judged_region(
    region: Region,
    side: Side,
    core: BoolArray,
    imaged: BoolArray,
    labels: LabelArray,
    geometry: Geometry,
    whole_ml: Sequence[float] | None,
    config: PerfusionConfig,
) -> RegionCore:
    label = region_label(region, side)
    own = labels == label
    size_ml = max(volume_ml(own, geometry), whole_ml[label] if whole_ml else 0.0)
    seen_ml = volume_ml(own & imaged, geometry)
    seen_share = min(seen_ml / size_ml, 1.0) if size_ml > 0 else 0.0
    if seen_ml == 0 or seen_share < config.judged_share:
        return RegionCore(region, side, size_ml, seen_share, None, None)
    share = volume_ml(own & imaged & core, geometry) / seen_ml
    return RegionCore(region, side, size_ml, seen_share, share, share > config.positive_share)


def score_side(regions: Sequence[RegionCore], side: Side) -> SideScore:
    """Return the ASPECTS of a side: ten less its positive regions."""
    own = [region for region in regions if region.side == side]
    affected = sum(region.affected is True for region in own)
    unjudged = sum(region.affected is None for region in own)
    most = len(REGIONS) - affected
    return SideScore(side, most if unjudged == 0 else None, most - unjudged, most)

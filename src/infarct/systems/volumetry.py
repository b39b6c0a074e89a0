"""Infarct volume in follow-up CT by three networks, each for another darkness: prepare, predict, interpret.

All three run on every scan in one pass; the infarct is what any of them marks, with the parenchymal blood in it and
beside it. Source: the volumetry paper (DOI 10.1136/neurintsurg-2019-015471). Ours: smoothing and a least size of
pieces, old infarcts left out, and the classes of blood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import ndimage

from infarct.anatomy import MarkedSide, Side
from infarct.errors import StepFailed
from infarct.findings import FollowupInfarct
from infarct.measure.severity import SEVERITIES, followup_class, infarct_mean_hu
from infarct.preprocess.followup_region import followup_region
from infarct.preprocess.head import Head
from infarct.preprocess.midline_shift import MidlineShift, measure_midline_shift
from infarct.preprocess.patch_input import PatchPicture
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.blood_types import BLOOD_LABELS, carried_types
from infarct.systems.heidelberg import heidelberg_classes
from infarct.systems.hemorrhage import HemorrhageResult
from infarct.systems.lesions import ONE_SIDED_SHARE, pieces
from infarct.systems.patch_maps import PatchConfig, chances_of, drawn_on_source, marked, patch_config, picture_of
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, resample_mask, volume_ml
from infarct.weights import WeightSet, load_for

SYSTEM: Final = "volumetry"
SINGLE: Final = ("single",)
"""Output of the paper's comparison: one network for infarcts of any darkness."""
OUTPUTS: Final = (SEVERITIES, SINGLE)
BESIDE_MM: Final = 5.0
"""Parenchymal blood this near to the infarct counts to it."""
OLD_HU: Final = 14.0
"""An old infarct is darker than this in the mean: no infarct of the paper's first two weeks is."""
BLOOD_LABEL: Final = len(SEVERITIES) + 1
"""Labels are 1 severe, 2 intermediate, 3 subtle and 4 hemorrhage; where several hold, the last."""

VolumetryConfig = PatchConfig


@dataclass(frozen=True, eq=False)
class Volumetry:
    """Weights on an engine, ready to read scans."""

    weights: WeightSet
    engine: Engine
    config: VolumetryConfig


@dataclass(frozen=True, eq=False)
class FollowupMarks:
    """What is marked in a scan; arrays are (z, y, x) on the grid of ``picture``.

    ``masks`` (bool, (k, z, y, x)) are what each network marks, without blood and old infarct; ``blood`` (bool) is the
    blood that counts to the infarct, ``types`` (uint8, as of `blood_types`) all blood. ``probabilities`` (float32,
    (k, z, y, x)) are raw. ``old_ml`` is what was left out as an old infarct. ``midline`` is None where it could not be
    measured.
    """

    picture: PatchPicture
    probabilities: Float32Array
    masks: BoolArray
    blood: BoolArray
    types: LabelArray
    old_ml: float
    midline: MidlineShift | None

    @property
    def tissue(self) -> BoolArray:
        """The infarct without blood: what any network marks."""
        return np.asarray(self.masks.any(axis=0))

    @property
    def infarct(self) -> BoolArray:
        """The infarct with the blood that counts to it."""
        return self.tissue | self.blood


@dataclass(frozen=True, eq=False)
class VolumetryResult:
    """Findings, and the masks behind them."""

    followup: FollowupInfarct
    marks: FollowupMarks


def load_volumetry(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Volumetry:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    return Volumetry(
        loaded,
        make_engine(loaded, device=device, precision=precision, engine=engine, cache=cache, threads=threads),
        config_of(loaded.settings, loaded.network_config),
    )


def config_of(settings: Mapping[str, Any], network_config: Mapping[str, Any]) -> VolumetryConfig:
    """Return the settings that are stored with the weights.

    Raises `BadRequest` where they are not complete, out of range, or do not fit the network.
    """
    return patch_config(settings, network_config, OUTPUTS)


def measure_followup(
    scan: Scan, head: Head, volumetry: Volumetry, blood: HemorrhageResult, *, old: BoolArray | None = None
) -> VolumetryResult:
    """Return the follow-up infarct of a prepared head.

    ``blood`` is what `hemorrhage` found in it, ``old`` (bool, (z, y, x), on the head's working grid) what may be old
    infarcts: those as dark as fluid are left out.

    Raises `StepFailed` where part of the skull is missing or open, or none of the brain is in the scan.
    """
    picture = picture_of(scan, head, volumetry.config.input)
    region = followup_region(scan, head, picture.hu, picture.geometry)
    probabilities = chances_of(volumetry.engine, picture.images, region, volumetry.config)
    masks = marked(probabilities, region, picture.geometry, volumetry.config)
    past = _past(old, head, picture.geometry)
    old_ml = volume_ml(masks.any(axis=0) & past, picture.geometry)
    mask = resample_mask(blood.mask, blood.geometry, picture.geometry)
    types = carried_types(blood.on_head, head.geometry, mask, picture.geometry)
    masks &= ~(past | mask)
    marks = FollowupMarks(
        picture=picture,
        probabilities=probabilities,
        masks=masks,
        blood=blood_of_infarct(types, np.asarray(masks.any(axis=0)), picture.geometry),
        types=types,
        old_ml=old_ml,
        midline=_midline(head),
    )
    return VolumetryResult(_followup(marks, head, volumetry), marks)


def blood_of_infarct(types: LabelArray, infarct: BoolArray, geometry: Geometry) -> BoolArray:
    """Return the pieces of parenchymal blood in the ``infarct`` or within 5 mm of it, bool (z, y, x).

    ``types`` (uint8, as of `blood_types`) and ``infarct`` (bool, without blood) are (z, y, x) on ``geometry``.
    """
    parenchymal = types == BLOOD_LABELS["parenchymal"]
    if not (infarct.any() and parenchymal.any()):
        return np.zeros_like(infarct)
    near = ndimage.distance_transform_edt(~infarct, sampling=geometry.spacing_mm_zyx) <= BESIDE_MM
    components, count = ndimage.label(parenchymal, np.ones((3, 3, 3)))
    reached = np.zeros(count + 1, dtype=bool)
    reached[np.unique(components[near & parenchymal])] = True
    return np.asarray(reached[components] & parenchymal)


def label_map(result: VolumetryResult) -> LabelArray:
    """Return the infarct on the scan's own slices and pixels: 1 severe, 2 intermediate, 3 subtle, 4 hemorrhage, 0 else.

    Blood covers subtle, that intermediate, and that severe, as in the paper's pictures. What a single network marks is
    of the class of its mean density.
    """
    marks = result.marks
    labels = np.zeros(marks.picture.source.shape_zyx, dtype=np.uint8)
    for label, mask in zip(_labels(result), marks.masks, strict=True):
        labels[drawn_on_source(marks.picture, mask)] = label
    labels[drawn_on_source(marks.picture, marks.blood)] = BLOOD_LABEL
    return labels


def _labels(result: VolumetryResult) -> tuple[int, ...]:
    if len(result.marks.masks) == len(SEVERITIES):
        return tuple(range(1, BLOOD_LABEL))
    mean_hu = result.followup.mean_hu
    return (1 if mean_hu is None else 1 + SEVERITIES.index(followup_class(mean_hu)),)


def _past(old: BoolArray | None, head: Head, geometry: Geometry) -> BoolArray:
    """Return the old infarcts that are as dark as fluid, bool (z, y, x), on ``geometry``."""
    dark = np.zeros(head.hu.shape, dtype=bool)
    for piece in pieces(old) if old is not None else ():
        if float(head.hu[piece].mean()) < OLD_HU:
            dark |= piece
    return resample_mask(dark, head.geometry, geometry)


def _midline(head: Head) -> MidlineShift | None:
    try:
        return measure_midline_shift(head)
    except StepFailed:
        return None


def _followup(marks: FollowupMarks, head: Head, volumetry: Volumetry) -> FollowupInfarct:
    """Return the findings of what is marked."""
    geometry, tissue, hu = marks.picture.geometry, marks.tissue, marks.picture.hu
    side = side_of_mask(marks.infarct, head, geometry)
    midline = marks.midline if marks.midline is not None and marks.midline.is_reliable else None
    towards: Side | None = None
    if midline is not None:
        towards = "left" if midline.shift_mm > 0 else "right"
    away = midline is not None and {side, towards} == {"left", "right"}
    volumes = (volume_ml(mask, geometry) for mask in marks.masks)
    by_output = dict(zip(volumetry.config.outputs, volumes, strict=True))
    return FollowupInfarct(
        method=volumetry.weights.network,
        volume_ml=volume_ml(marks.infarct, geometry),
        without_blood_ml=volume_ml(tissue, geometry),
        severe_ml=by_output.get("severe"),
        intermediate_ml=by_output.get("intermediate"),
        subtle_ml=by_output.get("subtle"),
        hemorrhage_ml=volume_ml(marks.blood, geometry),
        growth_ml=None,
        midline_shift_mm=abs(midline.shift_mm) if midline is not None else None,
        midline_shift_side=towards,
        side=side,
        mean_hu=infarct_mean_hu(hu, tissue, marks.blood) if tissue.any() else None,
        heidelberg=heidelberg_classes(
            hu,
            marks.types,
            marks.blood,
            marks.infarct,
            geometry,
            shift_away_mm=abs(midline.shift_mm) if midline is not None and away else 0.0,
        ),
    )


def side_of_mask(mask: BoolArray, head: Head, geometry: Geometry) -> MarkedSide:
    """Return the side that holds nearly all of ``mask`` (bool, (z, y, x), on ``geometry``)."""
    whole_ml = volume_ml(mask, geometry)
    if not whole_ml:
        return "none"
    left_share = volume_ml(mask & head.midplane.left_mask(geometry), geometry) / whole_ml
    if left_share >= ONE_SIDED_SHARE:
        return "left"
    return "right" if left_share <= 1 - ONE_SIDED_SHARE else "both"

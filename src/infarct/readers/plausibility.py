"""Is it Hounsfield units, and is it a head? Measured on a coarse copy, so that it costs little on any scan."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from infarct.errors import NotHeadCT
from infarct.types import BoolArray, Flag, Float32Array
from infarct.volume import Geometry

COARSE_MM = 2.0
"""Spacing of the coarse copy."""
MIN_HEAD_MM, MAX_HEAD_MM = 100.0, 260.0
"""Widths of the largest cross-section of a head, infants to large adults with ears and nose."""
MIN_BRAIN_MM = 80.0
"""Shortest width of the largest cross-section of a brain alone."""
BRAIN_HU = (0.0, 65.0)
"""Grey and white matter, cerebrospinal fluid and edema."""
MIN_BRAIN_SHARE = 0.4
"""Least share of brain-like voxels within the head's cross-sections."""
BONE_HU, TISSUE_HU = 300.0, -200.0
MIN_RING_SHARE, MIN_BONE_SHARE = 0.5, 0.03
"""Least share of directions in which the skull is met, half of it missing included, and of bone in a cross-section."""
MAX_LUNG_SHARE = 0.12
"""Most lung-like voxels (-950 to -500 HU) within the outline of a head: sinuses and mastoid cells."""
AIR_HU, AIR_TOLERANCE_HU = -1000.0, 40.0
MIN_AIR_SHARE = 0.02
"""Least share of air in a scan whose background is air; sinuses alone hold less."""
PICTURE_MAX = 255.0
HIGHEST_HU = 3095.0
"""Top of the 12-bit range; metal reaches beyond it on extended scales only."""


@dataclass(frozen=True)
class Signs:
    """What tells a head: widths of the largest cross-section, shares of its voxels, HU of its middle."""

    width_mm: float
    length_mm: float
    brain_share: float
    bone_share: float
    lung_share: float
    ring_share: float
    middle_hu: float
    spread_hu: float


def head_flags(hu: Float32Array, geometry: Geometry) -> list[Flag]:
    """Return flags about the range of the HU; refuse what are no HU or no head.

    Raises `NotHeadCT` with one line that says what was found.
    """
    low, high = float(hu.min()), float(hu.max())
    if high - low < 20:
        raise NotHeadCT(f"the voxels hold {low:.0f} to {high:.0f} only: there is no image of a head")
    coarse = _coarse(hu, geometry)
    clipped = low >= 0
    tissue = _tissue(coarse)
    stripped = not clipped_at_top(hu, high) and float((coarse > BONE_HU).sum()) < 2e-3 * max(int(tissue.sum()), 1)
    signs = _signs(coarse, tissue, geometry)
    _refuse_unless_hu(low, high, signs)
    _refuse_unless_head(signs, stripped=stripped, clipped=clipped)
    return _range_flags(low, high, clipped=clipped, stripped=stripped, hu=hu)


def air_flags(raw_hu: Float32Array) -> list[Flag]:
    """Return a flag where the air around the head is far from -1000 HU; ``raw_hu`` before air is settled.

    A constant under -1024 HU is padding outside the field of view and does not count.
    """
    air = raw_hu[raw_hu < TISSUE_HU]
    if air.size < 0.02 * raw_hu.size:
        return []
    lowest = float(air.min())
    if lowest < -1024:
        air = air[air > lowest]
    if air.size < 0.02 * raw_hu.size:
        return []
    middle = float(np.median(air))
    if abs(middle - AIR_HU) <= AIR_TOLERANCE_HU:
        return []
    words = f"Air around the head measures {middle:.0f} HU, not about -1000: the rescaling may be wrong."
    return [Flag("hu_offset_suspected", "critical", words, middle)]


def clipped_at_top(hu: Float32Array, high: float) -> bool:
    """Tell whether many voxels share the highest value, as after a window was applied."""
    sample = hu[:, ::2, ::2]
    return float((sample >= high - 1e-3).mean()) > 2e-3


def _coarse(hu: Float32Array, geometry: Geometry) -> Float32Array:
    steps = [max(1, int(COARSE_MM // spacing)) for spacing in geometry.spacing_mm_zyx]
    return hu[:: steps[0], :: steps[1], :: steps[2]]


def _tissue(coarse: Float32Array) -> BoolArray:
    if (coarse < TISSUE_HU).mean() < MIN_AIR_SHARE:  # clipped or stripped: the background is one value, the commonest
        values, counts = np.unique(np.round(coarse), return_counts=True)
        return np.asarray(np.abs(coarse - values[counts.argmax()]) > 3)
    return np.asarray(coarse > TISSUE_HU)


def _signs(coarse: Float32Array, tissue: BoolArray, geometry: Geometry) -> Signs:
    """Measure the cross-sections of at least half the largest area; each share is that of the best of them."""
    spacing = [s * max(1, int(COARSE_MM // s)) for s in geometry.pixel_spacing_mm_yx]
    # the head rest hangs on by thin bridges: opening cuts them
    opened = ndimage.binary_opening(tissue, np.ones((1, 3, 3)), iterations=2)
    bodies = [_largest(plane) for plane in opened]
    areas = np.array([np.count_nonzero(body) for body in bodies])
    if areas.max() == 0:
        raise NotHeadCT("no body is seen in the images: there is no head in them")
    rows, columns = np.nonzero(bodies[int(areas.argmax())])
    large = np.flatnonzero(areas >= areas.max() / 2)
    measured = [_measured(coarse[k], np.asarray(ndimage.binary_fill_holes(bodies[k]))) for k in large]
    brain, bone, lung, ring, middle, spread = (np.array(column) for column in zip(*measured, strict=True))
    return Signs(
        width_mm=float(np.ptp(columns) + 1) * spacing[1],
        length_mm=float(np.ptp(rows) + 1) * spacing[0],
        brain_share=float(brain.max()),
        bone_share=float(bone.max()),
        lung_share=float(np.median(lung)),
        ring_share=float(ring.max()),
        middle_hu=float(np.median(middle)),
        spread_hu=float(np.median(spread)),
    )


def _measured(plane: Float32Array, body: BoolArray) -> tuple[float, float, float, float, float, float]:
    """Return the brain, bone, lung and ring shares of a cross-section, and the median and spread of its soft tissue."""
    inside = np.asarray(ndimage.uniform_filter(plane, 3, mode="nearest"))[body]
    soft = inside[(inside > -50) & (inside < 250)]
    return (
        float(((inside > BRAIN_HU[0]) & (inside < BRAIN_HU[1])).mean()),
        float((plane[body] > BONE_HU).mean()),
        float(((inside > -950) & (inside < -500)).mean()),
        _ring_share(plane, body),
        float(np.median(soft if soft.size else inside)),
        float(np.subtract(*np.percentile(soft, [90, 10]))) if soft.size else 0.0,
    )


def _largest(plane: BoolArray) -> BoolArray:
    labels, count = ndimage.label(plane)
    if count == 0:
        return plane
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _ring_share(plane: Float32Array, body: BoolArray) -> float:
    """Return the share of directions, seen from the middle of the body, in which bone is met."""
    centre = np.argwhere(body).mean(axis=0)
    bone = np.argwhere(body & (plane > BONE_HU)) - centre
    if len(bone) == 0:
        return 0.0
    far = np.linalg.norm(bone, axis=1) > 0.25 * np.sqrt(body.sum())
    angles = np.arctan2(bone[far, 0], bone[far, 1])
    return len(np.unique(np.floor((angles + np.pi) / (2 * np.pi) * 35.999))) / 36


def _refuse_unless_hu(low: float, high: float, signs: Signs) -> None:
    if low >= 0 and high <= PICTURE_MAX and signs.middle_hu > BRAIN_HU[1]:
        raise NotHeadCT(
            f"the values run from {low:.0f} to {high:.0f} with a middle of {signs.middle_hu:.0f}: "
            "a windowed picture, not Hounsfield units; pass the original images"
        )
    if low >= -10 and high > 800 and signs.brain_share < MIN_BRAIN_SHARE and signs.middle_hu > 200:
        raise NotHeadCT("the values look like stored numbers, not Hounsfield units: the rescaling is missing")


def _refuse_unless_head(signs: Signs, *, stripped: bool, clipped: bool) -> None:
    small = MIN_BRAIN_MM if stripped else MIN_HEAD_MM
    short, long = sorted((signs.width_mm, signs.length_mm))
    if short < small or long > MAX_HEAD_MM:
        raise NotHeadCT(f"the largest cross-section is {short:.0f} x {long:.0f} mm: too small or too large for a head")
    if signs.lung_share > MAX_LUNG_SHARE:
        raise NotHeadCT("the cross-sections hold as much air as a chest: this is no head")
    if signs.brain_share < MIN_BRAIN_SHARE:
        share = f"{100 * signs.brain_share:.0f} %"
        raise NotHeadCT(f"only {share} of the cross-section has the density of brain (0 to 65 HU): no head in HU")
    if stripped and not 12 < signs.middle_hu < 60:
        raise NotHeadCT(f"there is no bone, and the middle density is {signs.middle_hu:.0f} HU: no head or brain")
    if not stripped and not clipped and min(signs.ring_share / MIN_RING_SHARE, signs.bone_share / MIN_BONE_SHARE) < 1:
        raise NotHeadCT("no skull is seen around the middle of the images: this is no head")


def _range_flags(low: float, high: float, *, clipped: bool, stripped: bool, hu: Float32Array) -> list[Flag]:
    flags = []
    if clipped:
        words = f"The values were cut off below {low:.0f} HU: air and fat cannot be told apart from fluid."
        flags.append(Flag("hu_clipped", "warning", words, low))
    if stripped:
        words = "The skull is not in the images: it was removed before, or the scan holds the brain only."
        flags.append(Flag("skull_stripped", "info", words, None))
    beyond = int((hu > HIGHEST_HU).sum())
    if beyond:
        words = f"{beyond} voxels lie above {HIGHEST_HU:.0f} HU, up to {high:.0f} HU: metal or damaged pixels."
        flags.append(Flag("hu_implausible", "warning", words, high))
    return flags

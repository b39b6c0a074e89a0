"""Lesions described: what every system says of a connected piece of abnormal brain."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from scipy import ndimage, stats

from infarct.anatomy import TERRITORY_LABELS, MarkedSide, Side, Territory
from infarct.findings import Lesion, Stage
from infarct.preprocess.head import Head
from infarct.types import BoolArray, LabelArray
from infarct.volume import volume_ml
from infarct.volume.mask import centroid_mm

ONE_SIDED_SHARE: Final = 0.8
"""Lesions are called one-sided when this share of their volume lies on that side."""
TRIM: Final = 0.2
"""Share of voxels cut from each end of a mean HU."""


def describe(mask: BoolArray, stage: Stage, head: Head, *, probability: float | None = None) -> Lesion:
    """Return what is to be said of one lesion, ``mask`` (bool, (z, y, x)) on the head's working grid, not empty."""
    distance = head.midplane.distance_mm(head.geometry)[mask]
    mean_hu = float(stats.trim_mean(head.hu[mask], TRIM))
    other_hu = float(stats.trim_mean(head.mirrored_hu[mask], TRIM))
    centre = centroid_mm(mask, head.geometry)
    side: Side = "left" if float(np.median(distance)) > 0 else "right"
    return Lesion(
        volume_ml=volume_ml(mask, head.geometry),
        side=side,
        centroid_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        territories=territories_of(head.territories[mask]),
        mean_hu=mean_hu,
        net_water_uptake_pct=100 * (other_hu - mean_hu) / other_hu if other_hu > 0 else None,
        stage=stage,
        probability=probability,
    )


def side_of(lesions: Sequence[Lesion]) -> MarkedSide:
    """Return the side that holds nearly all of the lesions' volume."""
    if not lesions:
        return "none"
    total_ml = sum(lesion.volume_ml for lesion in lesions)
    left_share = sum(lesion.volume_ml for lesion in lesions if lesion.side == "left") / total_ml
    if left_share >= ONE_SIDED_SHARE:
        return "left"
    return "right" if left_share <= 1 - ONE_SIDED_SHARE else "both"


def pieces(mask: BoolArray) -> Iterator[BoolArray]:
    """Yield the connected pieces (over faces) of ``mask`` (bool, (z, y, x)), largest first, one at a time."""
    components, count = ndimage.label(mask)
    voxels = np.bincount(components.ravel(), minlength=count + 1)[1:]
    for index in np.argsort(-voxels, kind="stable"):
        yield components == index + 1


def at_least(mask: BoolArray, smallest: float) -> BoolArray:
    """Return the connected pieces of ``mask`` of at least ``smallest`` voxels, together."""
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= smallest)[components] & mask)


def grown(mask: BoolArray, head: Head, reach_mm: float) -> BoolArray:
    """Return ``mask`` (bool, (z, y, x), on the head's working grid) with all that lies within ``reach_mm`` of it."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=head.geometry.spacing_mm_zyx) <= reach_mm)


def territories_of(labels: LabelArray) -> tuple[Territory, ...]:
    """Return the territories that hold at least a tenth of the labelled voxels (uint8, (n,)), largest share first."""
    counts = {name: int((labels == value).sum()) for name, value in TERRITORY_LABELS.items()}
    total = max(sum(counts.values()), 1)
    kept = [name for name, count in counts.items() if count / total >= 0.1]
    return tuple(sorted(kept, key=lambda name: -counts[name]))

"""Radiomics of a region by the definitions of the IBSI: how bright its voxels are, and how they follow one another.

Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology 2020;295:328, and its reference manual
(arXiv:1612.07003v11). Names are the tags of the IBSI's tables of reference values: ``stat_`` intensity statistics in
HU, ``ih_`` intensity histogram, ``cm_`` grey level co-occurrence, with what the matrices were merged over at their end.

Left out: the energy, which counts pixels and so changes with the field of view; the statistics of the histogram, which
repeat those in HU but for the rounding; the gradients of the histogram, which in a region of few voxels are noise.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray

Merging: TypeAlias = Literal["2D_comb", "2_5D_comb", "3D_comb"]
"""Over what co-occurrences are merged: the directions in a slice, then features are averaged over slices (IBSI SUJT);
the directions in all slices (ZW7Z); the 13 directions of the volume (IAZD)."""
_Levels: TypeAlias = npt.NDArray[np.intp]
"""Grey levels (z, y, x) from 1; 0 lies outside the region."""
_Offset: TypeAlias = tuple[int, int, int]

IN_PLANE: Final[tuple[_Offset, ...]] = ((0, 0, 1), (0, 1, -1), (0, 1, 0), (0, 1, 1))
"""The four directions of a slice, (z, y, x); the opposite ones come with the symmetry of the matrix."""
THROUGH_PLANE: Final[tuple[_Offset, ...]] = tuple((1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))


@dataclass(frozen=True)
class RadiomicsSettings:
    """What counts as brain, how finely HU are told apart, and which voxels are neighbours.

    Voxels outside ``lowest_hu`` to ``highest_hu`` (both included) are left out of the region (IBSI re-segmentation):
    bone, fat and air, but neither CSF nor blood nor their noise. Bins of ``bin_width_hu`` start at ``lowest_hu`` (IBSI
    fixed bin size), so that a grey level means the same HU in every scan; 4 HU are about the noise of a 5 mm slice and
    the depth of an early infarct. Neighbours are ``distance_mm`` apart along each axis of their direction (at least
    one pixel): next pixels of 0.45 mm share most of their noise and would measure the kernel, 2 mm is about the
    thickness of cortex. ``merging`` stays in the slices by default, since the next of 5 mm is no neighbour beside
    pixels of 0.45 mm; one matrix over all slices, since a region's first and last slice hold too few pairs for one
    of their own.
    """

    lowest_hu: float = -20.0
    highest_hu: float = 100.0
    bin_width_hu: float = 4.0
    distance_mm: float = 2.0
    merging: Merging = "2_5D_comb"

    @property
    def grey_levels(self) -> int:
        """The IBSI's N_g: how many bins reach from the lowest to the highest HU, the same in every region."""
        return math.floor((self.highest_hu - self.lowest_hu) / self.bin_width_hu) + 1


DEFAULT: Final = RadiomicsSettings()


def region_features(
    hu: Float32Array, labels: LabelArray, spacing_mm_zyx: Sequence[float], settings: RadiomicsSettings = DEFAULT
) -> dict[int, dict[str, float]]:
    """Return the `features` of every region of a label map (uint8, (z, y, x)) in ``hu``, by label value.

    Regions without two neighbouring voxels in the range of HU have none and are left out.
    """
    found = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        measured = None if box is None else _measured(hu[box], labels[box] == label, spacing_mm_zyx, settings)
        if measured is not None:
            found[label] = measured
    return found


def features(
    hu: Float32Array, mask: BoolArray, spacing_mm_zyx: Sequence[float], settings: RadiomicsSettings = DEFAULT
) -> dict[str, float]:
    """Return the features of a region (bool, (z, y, x)) of ``hu`` by name, always the same names in the same order.

    Correlations are nan where all voxels lie in one bin. Raises `ValueError` where the region does not hold two
    neighbouring voxels in the range of HU.
    """
    box = ndimage.find_objects(mask.view(np.uint8))
    measured = _measured(hu[box[0]], mask[box[0]], spacing_mm_zyx, settings) if box else None
    if measured is None:
        raise ValueError("the region holds no two neighbouring voxels in the range of HU")
    return measured


def _measured(
    hu: Float32Array, mask: BoolArray, spacing_mm_zyx: Sequence[float], settings: RadiomicsSettings
) -> dict[str, float] | None:
    kept = mask & (hu >= settings.lowest_hu) & (hu <= settings.highest_hu)
    levels = np.zeros(hu.shape, dtype=np.intp)
    values = hu[kept].astype(np.float64)
    levels[kept] = np.floor((values - settings.lowest_hu) / settings.bin_width_hu).astype(np.intp) + 1
    textures = [_texture(matrix) for matrix in co_occurrences(levels, spacing_mm_zyx, settings)]
    if not textures:
        return None
    merged = {f"cm_{name}_{settings.merging}": float(np.mean([one[name] for one in textures])) for name in textures[0]}
    return statistics(values) | _histogram(levels[kept], settings.grey_levels) | merged


def statistics(values: Float64Array) -> dict[str, float]:
    """Return the intensity statistics (IBSI UHIW, 3.3 of the manual) of ``values`` (n,), at least one.

    Skewness and kurtosis (excess) are 0 where all values are the same, as the manual says. Ratios to 0 are nan, and so
    is the robust deviation where nothing lies between the 10th and the 90th percentile.
    """
    mean, variance = float(values.mean()), float(values.var())
    p10, p25, median, p75, p90 = (float(v) for v in np.percentile(values, [10, 25, 50, 75, 90]))
    moments = [float(np.mean((values - mean) ** power)) for power in (3, 4)] if variance else [0.0, 3.0]
    scale = variance or 1.0
    trimmed = values[(values >= p10) & (values <= p90)]
    return {
        "stat_mean": mean,
        "stat_var": variance,
        "stat_skew": moments[0] / scale**1.5,
        "stat_kurt": moments[1] / scale**2 - 3.0,
        "stat_median": median,
        "stat_min": float(values.min()),
        "stat_p10": p10,
        "stat_p90": p90,
        "stat_max": float(values.max()),
        "stat_iqr": p75 - p25,
        "stat_range": float(np.ptp(values)),
        "stat_mad": float(np.abs(values - mean).mean()),
        "stat_rmad": float(np.abs(trimmed - trimmed.mean()).mean()) if len(trimmed) else math.nan,
        "stat_medad": float(np.abs(values - median).mean()),
        "stat_cov": _ratio(math.sqrt(variance), mean),
        "stat_qcod": _ratio(p75 - p25, p75 + p25),
        "stat_rms": math.sqrt(float(np.square(values).mean())),
    }


def _histogram(levels: _Levels, grey_levels: int) -> dict[str, float]:
    """Return the features of the intensity histogram (IBSI ZVCW, 3.4); of equal modes, the one nearest the mean."""
    share = np.bincount(levels, minlength=grey_levels + 1)[1:] / len(levels)
    modes = np.flatnonzero(share == share.max()) + 1
    return {
        "ih_mode": float(modes[np.abs(modes - levels.mean()).argmin()]),
        "ih_entropy": _entropy(share),
        "ih_uniformity": float(np.square(share).sum()),
    }


def co_occurrences(
    levels: _Levels, spacing_mm_zyx: Sequence[float], settings: RadiomicsSettings
) -> Iterator[Float64Array]:
    """Yield the symmetric co-occurrence matrices (grey levels, grey levels), as counts, of which features are averaged.

    ``levels`` are grey levels from 1 (intp, (z, y, x)), 0 outside. A matrix without a pair is left out.
    """
    directions = IN_PLANE + THROUGH_PLANE if settings.merging == "3D_comb" else IN_PLANE
    step = [max(1, round(settings.distance_mm / spacing_mm)) for spacing_mm in spacing_mm_zyx]
    offsets = [(z * step[0], y * step[1], x * step[2]) for z, y, x in directions]
    for part in np.split(levels, len(levels)) if settings.merging == "2D_comb" else [levels]:
        pairs = sum((_pairs(part, offset, settings.grey_levels) for offset in offsets), start=np.zeros(()))
        if pairs.any():
            yield pairs + pairs.T


def _pairs(levels: _Levels, offset: _Offset, grey_levels: int) -> Float64Array:
    """Return how often a grey level (row) has another (column) at ``offset``, both inside the region."""
    here = tuple(slice(max(0, -d), max(0, size - max(0, d))) for d, size in zip(offset, levels.shape, strict=True))
    there = tuple(slice(max(0, d), max(0, size + min(0, d))) for d, size in zip(offset, levels.shape, strict=True))
    width = grey_levels + 1
    codes = (levels[here] * width + levels[there]).ravel()
    counts = np.bincount(codes, minlength=width * width).reshape(width, width)
    return counts[1:, 1:].astype(np.float64)


def _texture(counts: Float64Array) -> dict[str, float]:
    """Return the features of a symmetric co-occurrence matrix (IBSI LFYI, 3.6), by tag without ``cm_``."""
    p = counts / counts.sum()
    first, second = _level_grids(len(p))
    gap, centre = np.abs(first - second), float((first * p).sum())
    apart = gap > 0
    deviation = first + second - 2 * centre
    variance = float(((first - centre) ** 2 * p).sum())
    products = float((first * second * p).sum())
    return {
        "joint_max": float(p.max()),
        "joint_avg": centre,
        "joint_var": variance,
        "joint_entr": _entropy(p),
        **_distribution("diff", gap, p),
        **_distribution("sum", first + second, p),
        "energy": float(np.square(p).sum()),
        "contrast": float((gap**2 * p).sum()),
        "dissimilarity": float((gap * p).sum()),
        "inv_diff": float((p / (1 + gap)).sum()),
        "inv_diff_norm": float((p / (1 + gap / len(p))).sum()),
        "inv_diff_mom": float((p / (1 + gap**2)).sum()),
        "inv_diff_mom_norm": float((p / (1 + (gap / len(p)) ** 2)).sum()),
        "inv_var": float((p[apart] / gap[apart] ** 2).sum()),
        "corr": _ratio(products - centre**2, variance),
        "auto_corr": products,
        "clust_tend": float((deviation**2 * p).sum()),
        "clust_shade": float((deviation**3 * p).sum()),
        "clust_prom": float((deviation**4 * p).sum()),
        **_information(p),
    }


def _distribution(name: str, values: _Levels, p: Float64Array) -> dict[str, float]:
    """Return mean, variance and entropy of ``values`` (from 0) that have the shares ``p``, both of one shape."""
    share = np.asarray(np.bincount(values.ravel(), weights=p.ravel()), dtype=np.float64)
    place = np.arange(len(share))
    mean = float(place @ share)
    return {
        f"{name}_avg": mean,
        f"{name}_var": float((place - mean) ** 2 @ share),
        f"{name}_entr": _entropy(share),
    }


def _information(p: Float64Array) -> dict[str, float]:
    """Return both measures of information correlation: how far the matrix is from its margins' product, in bits.

    With symmetric matrices the cross entropy with that product is twice the entropy of the margin, as is the entropy of
    the product itself.
    """
    joint, margin = _entropy(p), _entropy(p.sum(axis=0))
    shared = max(0.0, 2 * margin - joint)
    return {"info_corr1": _ratio(-shared, margin), "info_corr2": math.sqrt(1 - math.exp(-2 * shared))}


@lru_cache(maxsize=4)
def _level_grids(grey_levels: int) -> tuple[_Levels, _Levels]:
    """Return row and column of a matrix as grey levels from 1, each (grey levels, grey levels)."""
    first, second = np.indices((grey_levels, grey_levels)) + 1
    return first, second


def _entropy(share: Float64Array) -> float:
    """Return the entropy of shares that add up to 1, in bits."""
    filled = share[share > 0]
    return abs(float(filled @ np.log2(filled)))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

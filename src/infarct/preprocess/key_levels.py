"""The two slices on which a reader scores ASPECTS."""

import numpy as np

from infarct.anatomy import GANGLIONIC_REGIONS, SIDES, SUPRAGANGLIONIC_REGIONS, Region, region_label
from infarct.types import LabelArray
from infarct.volume import Geometry


def key_slices(regions: LabelArray, geometry: Geometry) -> tuple[int | None, int | None]:
    """Return the ganglionic and the supraganglionic slice index; None where no such region is in the scan.

    ``regions`` holds ASPECTS labels (uint8, (z, y, x)) on ``geometry``. The ganglionic slice shows most of C, I, IC and
    L, each counted as a share of itself, so that small nuclei weigh as much as the cortex; the supraganglionic one most
    of M4-M6, at least 15 mm higher where the scan reaches.
    """
    deep = _shares(regions, GANGLIONIC_REGIONS[:4])
    high = _shares(regions, SUPRAGANGLIONIC_REGIONS)
    ganglionic = int(deep.argmax()) if deep.any() else None
    if not high.any():
        return ganglionic, None
    if ganglionic is not None:
        above = geometry.slice_positions_mm >= geometry.slice_positions_mm[ganglionic] + 15.0
        high = np.where(above, high, 0.0) if (high[above] > 0).any() else high
    return ganglionic, int(high.argmax())


def _shares(regions: LabelArray, names: tuple[Region, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return for each slice the sum over regions of the share of the region that it holds."""
    total = np.zeros(len(regions))
    for side in SIDES:
        for name in names:
            counts = (regions == region_label(name, side)).sum(axis=(1, 2))
            total += counts / max(int(counts.sum()), 1)
    return total

"""How dark a follow-up infarct is: the classes of the volumetry paper (DOI 10.1136/neurintsurg-2019-015471)."""

from typing import Final, Literal, get_args

import numpy as np

from infarct.types import BoolArray, Float32Array

Severity = Literal["severe", "intermediate", "subtle"]
"""Of the drop in density: severe infarcts are the darkest."""
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
SEVERITY_HU: Final[dict[Severity, tuple[float, float]]] = {
    "severe": (14.0, 22.0),
    "intermediate": (22.0, 32.0),
    "subtle": (32.0, 44.0),
}
"""Mean HU of the infarct without blood, half-open: [low, high)."""
DENSEST_HU: Final = 60.0
"""A voxel of an infarct that is denser, and no blood, is partly skull: readers leave it out. One in a hundred is, where
the infarct goes up to the bone, and that raises its mean by 1 to 2 HU.
"""


def infarct_mean_hu(hu: Float32Array, infarct: BoolArray, blood: BoolArray) -> float:
    """Return the mean of ``hu`` (float32) over the ``infarct`` without ``blood`` (bool), all (z, y, x).

    Voxels above `DENSEST_HU` do not count. Where nothing is left it is nan.
    """
    counted = hu[infarct & ~blood & (hu <= DENSEST_HU)]
    return float(counted.mean(dtype=np.float64)) if counted.size else float("nan")


def followup_class(mean_hu: float) -> Severity:
    """Return the class of an infarct by its mean HU without blood; outside of all classes the nearest one.

    Raises `ValueError` for nan.
    """
    if np.isnan(mean_hu):
        raise ValueError("an infarct without a density has no class")
    return next((name for name in SEVERITIES if mean_hu < SEVERITY_HU[name][1]), SEVERITIES[-1])


def in_classes(mean_hu: float) -> bool:
    """Return whether a mean HU lies in one of the classes."""
    return any(low <= mean_hu < high for low, high in SEVERITY_HU.values())

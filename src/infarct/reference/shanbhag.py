"""Shanbhag's threshold, by which the localize paper took infarcts out of DWI (Methods; CVGIP Graph Models 1994;56:414).

A grey level belongs to its class the more, the more of the class lies between it and the threshold: from one half at
the threshold to one at the far end. Each class has the mean of -log of these memberships as its information; the
threshold is where the two classes carry the same.
"""

from typing import Final

import numpy as np

from infarct.types import Float32Array, Float64Array

BINS: Final = 256
"""Grey levels, as in ImageJ, which the paper used, and in ITK."""


def shanbhag_threshold(values: Float32Array, *, bins: int = BINS) -> float:
    """Return the threshold of ``values`` (any shape, unit kept): the centre of the last bin of the darker class.

    Raises `ValueError` where there are fewer than two values that differ.
    """
    if values.size == 0 or float(values.min()) == float(values.max()):
        raise ValueError("a threshold needs at least two values that differ")
    counts, edges = np.histogram(values, bins=bins)
    last = darker_levels(counts)
    return float((edges[last] + edges[last + 1]) / 2)


def darker_levels(counts: Float64Array) -> int:
    """Return the last level of the darker class of a histogram (levels,): the first with the least difference."""
    share = counts / counts.sum()
    up_to = np.cumsum(share)
    candidates = np.flatnonzero((counts.cumsum() > 0) & (counts.cumsum() < counts.sum()))
    differences = [
        abs(_information(share[: t + 1][::-1], up_to[t]) - _information(share[t + 1 :], 1 - up_to[t]))
        for t in candidates
    ]
    return int(candidates[np.argmin(differences)])


def _information(share: Float64Array, whole: float) -> float:
    """Return the information of a class whose levels (levels,) run away from the threshold and sum to ``whole``."""
    between = np.cumsum(share) / whole
    membership = 0.5 + 0.5 * between
    return -float(share @ np.log(membership)) / whole

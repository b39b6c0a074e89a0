"""How the density and the volume of an infarct change with time.

CT density falls in proportion to the water that ischemic tissue takes up: 1.8 HU for 1 % of water in rats, whose
ischemic hemispheres had lost 3.9 HU after 6 h (J Neuroimaging 2004, PMID 14748207). In patients a relative fall of
11.5 %, about 4 HU, separates scans before and after 4.5 h (Minnerup et al., Ann Neurol 2016), and visible infarcts
measured 18.9 +- 6.4 HU at 32 +- 27 h (Peng et al., BMC Med Imaging 2024, doi 10.1186/s12880-024-01340-2).
`MEDIAN_DROP` passes through this range; its exact points, and every other number without a source here, are the
choice of this phantom.
"""

from typing import Final

import numpy as np

from infarct.phantom.patient import Stroke

MEDIAN_DROP: Final[tuple[tuple[float, float], ...]] = (
    (0.0, 0.0),
    (1.5, 0.7),
    (3.0, 2.0),
    (6.0, 4.0),
    (12.0, 5.5),
    (24.0, 8.0),
    (48.0, 11.0),
    (72.0, 13.0),
    (120.0, 14.5),
    (192.0, 15.0),
)
"""Hours from onset and HU below normal of the median infarct without fogging; constant after the last point."""
LOWEST_HU: Final = 13.0
"""Dead but solid tissue is no darker than this in the first three weeks; severe follow-up infarcts start at 14."""
SOFT_HU: Final = 4.0
"""Over this range above `LOWEST_HU` further water counts less and less."""
FOGGING_H: Final = (192.0, 336.0, 504.0)
"""Begin, peak and end of fogging: half of all infarcts turn isodense in the second and third week
(Skriver & Olsen, Neuroradiology 1981;22:61)."""
SWELLING_H: Final = ((0.0, 0.0), (6.0, 0.08), (24.0, 0.5), (48.0, 0.9), (72.0, 1.0), (120.0, 0.95), (336.0, 0.2))
"""Hours and share of the largest swelling, reached at day 3 to 5; over half of the cerebrospinal fluid that swelling
displaces has gone after 24 h, the midline shift comes later (PMC4821820)."""
LARGEST_GAIN: Final = 0.3
"""Relative gain of volume of an infarct with ``Stroke.swelling`` of 1 at the peak."""
PENUMBRA_SHARE: Final = 0.12
"""Drop in penumbra against the infarct's: blood flow there keeps the cells' pumps going, so little water enters."""


def median_drop_hu(hours: float) -> float:
    """Return by how many HU the median infarct lies below normal, without fogging."""
    times, drops = zip(*MEDIAN_DROP, strict=True)
    return float(np.interp(hours, times, drops))


def fogging_share(hours: float) -> float:
    """Return how far fogging has gone, 0-1: it rises from day 8 to day 14 and is over by day 21."""
    begin, peak, end = FOGGING_H
    ramp = np.interp(hours, (begin, peak, end), (0.0, 1.0, 0.0))
    return float(ramp * ramp * (3 - 2 * ramp))


def drop_hu(hours: float, stroke: Stroke, normal_hu: float) -> float:
    """Return the mean drop in HU inside the infarct against tissue of ``normal_hu``, at some hours from onset.

    The median curve times the patient's uptake, less with good collaterals (``collaterals`` 0 none, 1 good: factor
    1.2 to 0.8) and after reperfusion; then bounded so that tissue stays above `LOWEST_HU`; then fogging.
    """
    factor = stroke.uptake * (1.2 - 0.4 * stroke.collaterals)
    if stroke.reperfused:
        factor *= stroke.reperfusion_factor
    drop = _bounded(median_drop_hu(hours) * factor, normal_hu - LOWEST_HU)
    return drop * (1 - stroke.fogging * fogging_share(hours))


def lost_contrast(drop: float) -> float:
    """Return the share of the grey-white contrast that is lost where the mean drop is ``drop`` HU.

    Grey matter takes up water first: at a drop of 4 HU it has lost about 5.2 and white matter 2.5. Both converge at
    11 HU, when nothing but oedema is seen.
    """
    return float(np.clip(drop / 11.0, 0.0, 1.0))


def swelling_gain(stroke: Stroke, hours: float) -> float:
    """Return the relative gain of volume inside the infarct at some hours from onset, 0 to 0.3."""
    times, shares = zip(*SWELLING_H, strict=True)
    return float(np.clip(stroke.swelling, 0, 1) * LARGEST_GAIN * np.interp(hours, times, shares))


def _bounded(drop: float, limit: float) -> float:
    """Return ``drop`` where it stays `SOFT_HU` short of ``limit``, else a value that nears the limit smoothly."""
    knee = max(limit - SOFT_HU, 0.0)
    if drop <= knee:
        return drop
    room = limit - knee
    return float(limit - room * np.exp(-(drop - knee) / room)) if room > 0 else limit

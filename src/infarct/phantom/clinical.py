"""The table of a trial: NIHSS before and after, mRS at 90 days; and two simulated readers of ASPECTS.

Scores are drawn through correlated normal numbers (a Gaussian copula): each keeps its printed distribution while
depending on the infarct's volume, age and side. The weights are the choice of this phantom; the aspects paper (table 3)
prints correlations with the core of -.61 for ASPECTS, and of ASPECTS with mRS of -.24 and with NIHSS of -.20.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from infarct.anatomy import REGIONS, Region
from infarct.phantom.draws import NORMAL, Printed, Quantiles, Stream, normal_score
from infarct.phantom.grid import rng
from infarct.phantom.individuals import Diagnosis, Person
from infarct.phantom.patient import Clinical, Stroke
from infarct.phantom.populations import StrokeSource

NIHSS_MOST: Final = 42
NIHSS: Final[dict[StrokeSource, Quantiles]] = {
    "hyperacute": Quantiles(((0, 0.0), (0.25, 3.0), (0.5, 5.0), (0.75, 9.0), (0.95, 18.0), (1, 28.0))),
    # Aspects paper, table 2: 17 (13-20); table 3: mean 16.96, SD 5.73.
    "aspects": Quantiles(((0, 4.0), (0.05, 8.0), (0.25, 13.0), (0.5, 17.0), (0.75, 20.0), (0.95, 25.0), (1, 34.0))),
    "acute": Quantiles(((0, 0.0), (0.25, 7.0), (0.5, 12.0), (0.75, 18.0), (0.95, 25.0), (1, 36.0))),
    "followup": Quantiles(((0, 4.0), (0.25, 14.0), (0.5, 17.0), (0.75, 20.0), (0.95, 25.0), (1, 36.0))),
}
CHANGE: Final = Quantiles(
    (
        *((0, -20.0), (0.1, -13.0), (0.22, -8.5), (0.3, -7.5), (0.46, -3.5), (0.54, -2.5)),
        *((0.75, 0.0), (0.9, 5.0), (1, 20.0)),
    )
)
"""Change of NIHSS in a day: -3 (-8 to 0), mean after it 13.54 (aspects paper, tables 2 and 3); scores are whole."""
CHANGE_SCALE: Final[dict[StrokeSource, float]] = {"hyperacute": 0.35, "aspects": 1.0, "acute": 0.75, "followup": 1.0}
MRS: Final[dict[StrokeSource, tuple[float, ...]]] = {
    "hyperacute": (0.2, 0.25, 0.2, 0.15, 0.1, 0.04, 0.06),
    # Aspects paper: 3 (1-5), mean 3.14, SD 2.04.
    "aspects": (0.11, 0.195, 0.12, 0.135, 0.13, 0.115, 0.195),
    "acute": (0.1, 0.15, 0.15, 0.16, 0.17, 0.1, 0.17),
    "followup": (0.09, 0.15, 0.15, 0.16, 0.2, 0.07, 0.18),
}
"""Shares of mRS 0 to 6 at 90 days."""
LOG_FINAL_ML: Final[dict[StrokeSource, tuple[float, float]]] = {
    "hyperacute": (1.65, 1.5),
    "aspects": (3.42, 1.1),
    "acute": (4.07, 1.0),
    "followup": (3.7, 1.35),
}
"""Mean and SD of the logarithm of the final volume in ml, rounded, to make scores of volumes."""

NO_STROKE_NIHSS: Final = Quantiles(((0, 0.0), (0.4, 0.0), (0.75, 2.0), (0.95, 6.0), (1, 12.0)))
BLEED_NIHSS: Final = Quantiles(((0, 0.0), (0.25, 3.0), (0.5, 8.0), (0.75, 15.0), (1, 35.0)))
NO_STROKE_MRS: Final = (0.45, 0.25, 0.12, 0.08, 0.06, 0.02, 0.02)
BLEED_MRS: Final = (0.08, 0.12, 0.15, 0.15, 0.18, 0.12, 0.2)


def draw_clinical(
    stream: Stream, person: Person, stroke: Stroke | None, source: StrokeSource, diagnosis: Diagnosis | None
) -> Clinical:
    """Return the clinical table of a patient; ``source`` is the population of the stroke where there is one."""
    evens: tuple[Printed, ...] = ("nihss", "nihss_after", "mrs")
    scores = tuple(normal_score(stream.even(quantity)) for quantity in evens)
    age_score = (person.age - 70.0) / 13.0
    if stroke is None:
        bled = diagnosis in ("parenchymal_bleed", "extra_axial_bleed")
        nihss = round((BLEED_NIHSS if bled else NO_STROKE_NIHSS)(NORMAL.cdf(scores[0])))
        later = max(0, round(nihss * (0.8 + 0.2 * scores[1])))
        mrs_score = 0.4 * scores[0] + 0.4 * age_score + 0.82 * scores[2]
        mrs = _category(BLEED_MRS if bled else NO_STROKE_MRS, mrs_score)
        return Clinical(person.age, person.sex, nihss, min(later, NIHSS_MOST), mrs)
    mean, sd = LOG_FINAL_ML[source]
    size = (math.log(stroke.final_ml) - mean) / sd
    side = 1.0 if stroke.side == "left" else -1.0
    severe = 0.35 * size + 0.15 * side + 0.92 * scores[0]
    worse = 0.45 * size - 0.25 * severe + 0.88 * scores[1]
    disabled = 0.4 * size + 0.3 * age_score + 0.3 * severe + 0.05 * side + 0.72 * scores[2]
    nihss = round(NIHSS[source](NORMAL.cdf(severe)))
    later = round(nihss + CHANGE_SCALE[source] * CHANGE(NORMAL.cdf(worse)))
    return Clinical(
        age=person.age,
        sex=person.sex,
        nihss=nihss,
        nihss_24h=min(max(later, 0), NIHSS_MOST),
        mrs90=_category(MRS[source], disabled),
    )


def _category(shares: tuple[float, ...], score: float) -> int:
    """Return the category that a standard normal score falls into."""
    left = NORMAL.cdf(score) * sum(shares)
    for category, share in enumerate(shares):
        left -= share
        if left < 0:
            return category
    return len(shares) - 1


Decisions = npt.NDArray[np.int64]

SHARE_FULLY_SEEN: Final = 0.5
"""A region is as easy to call when the infarct fills half of it as when it fills all."""
PLAIN_HU: Final = 3.0
"""What readers see grows with the square root of the drop in HU, a drop of this size being seen as it is."""
THRESHOLD_HU: Final = 1.6
READER_BIAS_HU: Final = (0.2, -0.2)
"""Reader 0 calls more readily than reader 1."""
CASE_SD_HU: Final = 0.4
REGION_SD_HU: Final = 0.5
"""What both readers see alike in a scan, or in a region of it, that is no infarct: noise, tilt, leukoaraiosis."""
MOOD_SD_HU: Final = 0.5
DOUBT_SD_HU: Final = 0.7
"""How far one reader's judgement of a scan, and of one region of it, is his own."""


def read_aspects(
    region_core_shares: Mapping[Region, float] | npt.ArrayLike,
    visibility_hu: npt.ArrayLike,
    seed: int,
    reader: Literal[0, 1],
) -> Decisions:
    """Return which of the ten regions of a side a simulated reader calls affected: (10,), 0 or 1, in `REGIONS` order.

    ``region_core_shares`` are the shares (0-1) of the regions that the infarct fills, ``visibility_hu`` (10,) how many
    HU it lies below the other side in each. Both readers of one ``seed`` look at the same scan: part of their error is
    common. The score is 10 less the sum.
    """
    given = region_core_shares
    shares = np.asarray([given[r] for r in REGIONS] if isinstance(given, Mapping) else given, dtype=np.float64)
    dark_hu = np.maximum(np.asarray(visibility_hu, dtype=np.float64), 0.0)
    seen = np.sqrt(PLAIN_HU * dark_hu * np.clip(shares / SHARE_FULLY_SEEN, 0.0, 1.0))
    scan, own = rng(seed, "scan"), rng(seed, "reader", str(reader))
    common = CASE_SD_HU * scan.standard_normal() + REGION_SD_HU * scan.standard_normal(len(REGIONS))
    private = MOOD_SD_HU * own.standard_normal() + DOUBT_SD_HU * own.standard_normal(len(REGIONS))
    return (seen + common + private + READER_BIAS_HU[reader] > THRESHOLD_HU).astype(np.int64)

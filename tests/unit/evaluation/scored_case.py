"""One small head with a region drawn on each side, and a made-up method that scores it."""

from collections.abc import Mapping

import numpy as np

from infarct.anatomy import REGIONS, SIDES, Side, region_label
from infarct.cohorts import AspectsTruth, Case, Clinical, LabelledScan
from infarct.evaluation.aspects import Answer, RegionMaps, Scored
from infarct.findings import Aspects, RegionFinding
from infarct.volume import Acquisition, Geometry, Scan

GEOMETRY = Geometry.regular((12, 48, 48), (5.0, 4.0, 4.0))
GANGLIONIC, SUPRAGANGLIONIC = 3, 8
TRUE_CALLS = ("L", "M5")
"""Affected by core, on the left."""
CALLED = ("M5", "M6")
"""Called by the method, on the left."""


def region_map() -> np.ndarray:
    """Return the labels of L, low, and M5 and M6, high, on either side."""
    labels = np.zeros(GEOMETRY.shape_zyx, dtype=np.uint8)
    for side, columns in (("right", slice(8, 20)), ("left", slice(28, 40))):
        labels[GANGLIONIC, 20:28, columns] = region_label("L", side)  # type: ignore[arg-type]
        labels[SUPRAGANGLIONIC, 12:20, columns] = region_label("M5", side)  # type: ignore[arg-type]
        labels[SUPRAGANGLIONIC, 26:34, columns] = region_label("M6", side)  # type: ignore[arg-type]
    return labels


def scan() -> Scan:
    """Return a block of brain in air, at 100 kVp."""
    hu = np.full(GEOMETRY.shape_zyx, -1000, dtype=np.float32)
    hu[:, 4:44, 4:44] = 35
    return Scan(hu, GEOMETRY, Acquisition(kvp=100.0))


CORE = (False,) * 10 + tuple(region in TRUE_CALLS for region in REGIONS)
TRUTH = AspectsTruth(CORE, (CORE, (False,) * 20), side="left", core_ml=9.0)


def load() -> LabelledScan:
    """Return the scan with its truth."""
    return LabelledScan(scan(), regions=region_map(), aspects=TRUTH)


CASE = Case("scan-1", "patient-1", "acute", load, Clinical(onset_h=2.0, age=70.0, nihss=12))


def findings(side: Side | None = None) -> Aspects:
    """Return what the method says: two regions of the left side, and the left side scored unless told another."""
    regions = tuple(
        RegionFinding(
            region=region, side=here, affected=(called := here == "left" and region in CALLED),
            probability=0.8 if called else 0.2, volume_ml=3, mean_hu=None, contralateral_mean_hu=None,
            net_water_uptake_pct=None, evaluable=True,
        )
        for here in SIDES
        for region in REGIONS
    )  # fmt: skip
    chosen = side or "left"
    points = 8 if chosen == "left" else 10
    return Aspects(
        score=points, score_min=points, score_max=points, side=chosen, side_rule="evidence", left_score=8,
        right_score=10, method="made up", regions=regions,
    )  # fmt: skip


def answer(side: Side | None = None) -> Answer:
    """Return the findings of the one method with the true regions."""
    return answer_of({"asymmetry": findings(side)})


def answer_of(found: Mapping[str, Aspects]) -> Answer:
    """Return what methods found, by their names, with the true regions."""
    return Answer({name: Scored(aspects, 1.5) for name, aspects in found.items()}, RegionMaps({"atlas": region_map()}))

"""ASPECTS of made-up patients, judged by two readers and a system at random: none is perfect, all follow the core."""

import numpy as np

from infarct.anatomy import REGIONS, SIDES, Side
from infarct.evaluation.aspects import FULL_SCORE, AspectsAbout, AspectsResult, RegionResult


def drawn_scores(group: str, count: int, *, healthy: float = 0.0, skill: float = 2.0) -> list[AspectsResult]:
    """Return ``count`` results; a share ``healthy`` has no stroke."""
    return [drawn_score(group, index, healthy=healthy, skill=skill) for index in range(count)]


def drawn_score(group: str, index: int, *, healthy: float = 0.0, skill: float = 2.0) -> AspectsResult:
    """Return one result; about one region in forty cannot be judged."""
    random = np.random.default_rng(index)
    side: Side | None = None if random.random() < healthy else SIDES[index % 2]
    severity = random.beta(1.2, 1.8)
    rows = []
    for here in SIDES:
        for region in REGIONS:
            core = here == side and bool(random.random() < severity)
            signal = skill * core + random.normal(size=3)
            judged = random.random() < 0.975
            rows.append(
                RegionResult(
                    region=region,
                    side=here,
                    core=core,
                    readers=(bool(signal[0] > 1.1), bool(signal[1] > 1.3)),
                    affected=bool(signal[2] > 1.2) if judged else None,
                    probability=float(1 / (1 + np.exp(1.2 - signal[2]))) if judged else None,
                    dice=float(random.uniform(0.5, 0.9)),
                )
            )
    about = AspectsAbout(
        id=f"{group}-{index:04d}",
        patient=f"p{index:04d}",
        group=group,
        side=side,
        kvp=(100.0, 120.0)[index % 2],
        onset_h=float(random.uniform(0.5, 20)) if side else None,
        core_ml=float(40 * severity) if side else None,
        age=float(random.integers(40, 90)),
        nihss=int(random.integers(0, 25)),
        mrs90=int(random.integers(0, 7)),
    )
    return scored(about, tuple(rows))


def scored(about: AspectsAbout, regions: tuple[RegionResult, ...]) -> AspectsResult:
    """Return a result whose scores are those of its regions; the final one is the lower."""
    points: dict[Side, int | None] = {}
    for side in SIDES:
        calls = [one.affected for one in regions if one.side == side]
        points[side] = None if None in calls else FULL_SCORE - sum(map(bool, calls))
    left, right = points["left"], points["right"]
    final = None if left is None or right is None else min(left, right)
    side = "left" if left is not None and right is not None and left < right else "right"
    return AspectsResult(about, regions, final, side, left, right, 3.0)

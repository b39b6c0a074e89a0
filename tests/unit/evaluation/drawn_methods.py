"""Made-up methods on the same made-up patients: what is true and what readers say is the same for all."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from infarct.evaluation.aspects import AspectsResult, ScanResults
from unit.evaluation.drawn_aspects import drawn_scores, scored


def drawn_methods(group: str, count: int, skills: Mapping[str, float], *, healthy: float = 0.0) -> list[ScanResults]:
    """Return ``count`` scans judged by one method for each of ``skills``; one region in fifty it cannot judge."""
    plain = drawn_scores(group, count, healthy=healthy)
    return [
        ScanResults(
            {name: _judged(scan, skill, [index, number]) for number, (name, skill) in enumerate(skills.items())}
        )
        for index, scan in enumerate(plain)
    ]


def _judged(scan: AspectsResult, skill: float, seed: list[int]) -> AspectsResult:
    random = np.random.default_rng(seed)
    rows = []
    for one in scan.regions:
        signal = skill * bool(one.core) + random.normal() - skill / 2
        judged = random.random() < 0.98
        probability = float(1 / (1 + np.exp(-signal))) if judged else None
        rows.append(replace(one, affected=signal > 0 if judged else None, probability=probability))
    return scored(scan.about, tuple(rows))

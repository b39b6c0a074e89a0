"""Classes of a quantity, such as lesion volume or time from onset, for tables by subgroup."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Strata:
    """Half-open classes [low, high) between rising ``bounds``, and one beyond each end; ``unit`` may be empty."""

    name: str
    unit: str
    bounds: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in order, such as "<1 ml", "1-10 ml", ">=10 ml"."""
        inner = [f"{low:g}-{high:g}" for low, high in pairwise(self.bounds)]
        texts = (f"<{self.bounds[0]:g}", *inner, f">={self.bounds[-1]:g}")
        return tuple(f"{text} {self.unit}".rstrip() for text in texts)

    def label(self, value: float | None) -> str:
        """Return the name of the class that holds ``value``; "unknown" for None and nan."""
        if value is None or math.isnan(value):
            return UNKNOWN
        return self.labels[bisect_right(self.bounds, value)]


LESION_VOLUME: Final = Strata("lesion volume", "ml", (1.0, 10.0, 70.0))
"""70 ml is the core volume above which trials of thrombectomy left patients out (DEFUSE 3, EXTEND-IA)."""
ONSET: Final = Strata("time from onset", "h", (3.0, 6.0, 12.0, 24.0))

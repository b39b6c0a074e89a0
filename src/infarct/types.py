"""Array types and the small values that every floor passes on."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
"""Float32 array; volumes are indexed (z, y, x) and hold Hounsfield units where named ``hu``."""
Float64Array: TypeAlias = npt.NDArray[np.float64]
"""Float64 array: coordinates in millimetres, matrices, statistics."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""Bool array; masks are indexed (z, y, x) on a `Scan`'s geometry."""
LabelArray: TypeAlias = npt.NDArray[np.uint8]
"""Label map: uint8, indexed (z, y, x) on a `Scan`'s geometry, 0 is background."""

Severity: TypeAlias = Literal["info", "warning", "critical"]
"""How much a flag matters: told, doubt the numbers, do not use the numbers."""


@dataclass(frozen=True)
class Flag:
    """A coded doubt about a scan or a result; the report shows it first.

    ``code`` is stable and snake_case, ``message`` is one plain sentence, ``value`` is the number that raised
    the flag, in the unit that the message names.
    """

    code: str
    severity: Severity
    message: str
    value: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"the value of flag {self.code} is not finite")

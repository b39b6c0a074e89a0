"""Display and network windows in Hounsfield units."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.types import Float32Array


@dataclass(frozen=True)
class Window:
    """A window: centre and width in HU."""

    center_hu: float
    width_hu: float

    @property
    def low_hu(self) -> float:
        """The density shown black."""
        return self.center_hu - self.width_hu / 2

    @property
    def high_hu(self) -> float:
        """The density shown white."""
        return self.center_hu + self.width_hu / 2

    def apply(self, hu: Float32Array) -> Float32Array:
        """Return ``hu`` (any shape) scaled so that the window spans 0 to 1, clipped; float32."""
        scaled = (hu - np.float32(self.low_hu)) / np.float32(self.width_hu)
        return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)

    def to_uint8(self, hu: Float32Array) -> npt.NDArray[np.uint8]:
        """Return ``hu`` (any shape) as 8-bit grey values, 0 to 255."""
        return np.round(self.apply(hu) * 255).astype(np.uint8)


LOCALIZE: Final = Window(40, 150)
"""C40 W150: the localize paper's 8-bit pictures."""
ASPECTS: Final = Window(30, 50)
"""L30 W50: DA-Net's patches."""
FOLLOWUP: Final = Window(35, 30)
"""L35 W30: the readers' window in the volumetry paper; shows early ischemia."""
SEGMENT: Final = Window(40, 80)
"""0 to 80 HU: the segment paper's clipping, and the usual brain window."""

"""A scan and its masks and maps on the one grid that their NIfTI files share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, resample, resample_labels, resample_mask

AIR_HU = -1000.0
LOWEST_HU = -1024.0
"""Padding lies below; it must not bleed into its neighbours."""


@dataclass(frozen=True, eq=False)
class FileGrid:
    """A scan's own geometry, and the even, upright one of its NIfTI files: the same where it is both already."""

    source: Geometry

    @cached_property
    def target(self) -> Geometry:
        """Geometry of the files."""
        return self.source.rectified()

    @property
    def is_rectified(self) -> bool:
        """Whether the files' grid is another than the scan's."""
        return self.target is not self.source

    def hu(self, hu: Float32Array) -> npt.NDArray[np.int16]:
        """Return a scan in whole HU."""
        if self.is_rectified:
            hu = resample(np.maximum(hu, np.float32(LOWEST_HU)), self.source, self.target, fill=AIR_HU)
        return np.round(hu).astype(np.int16)

    def values(self, values: Float32Array) -> Float32Array:
        """Return a map of densities or probabilities, 0 beyond the scan."""
        return resample(values, self.source, self.target, fill=0.0) if self.is_rectified else values

    def mask(self, mask: BoolArray) -> BoolArray:
        """Return a mask."""
        return resample_mask(mask, self.source, self.target) if self.is_rectified else mask

    def labels(self, labels: LabelArray) -> LabelArray:
        """Return a label map."""
        return resample_labels(labels, self.source, self.target) if self.is_rectified else labels

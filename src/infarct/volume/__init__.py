"""Volumes in Hounsfield units on a geometry that may be tilted and uneven."""

from infarct.volume.geometry import Geometry
from infarct.volume.mask import volume_ml
from infarct.volume.resample import labels_at, resample, resample_labels, resample_mask
from infarct.volume.scan import Acquisition, DicomHeaders, Scan, SliceReference, Source

__all__ = [
    "Acquisition",
    "DicomHeaders",
    "Geometry",
    "Scan",
    "SliceReference",
    "Source",
    "labels_at",
    "resample",
    "resample_labels",
    "resample_mask",
    "volume_ml",
]

"""A head CT as the rest of infarct sees it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from infarct.types import Flag, Float32Array
from infarct.volume.geometry import Geometry


@dataclass(frozen=True)
class Acquisition:
    """How the scan was taken, as far as the source says; None where it does not.

    ``slice_thickness_mm`` is the largest nominal thickness in the series, ``gantry_tilt_deg`` the header's.
    """

    kvp: float | None = None
    manufacturer: str | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    gantry_tilt_deg: float | None = None
    patient_age_years: int | None = None
    contrast_agent: bool | None = None


@dataclass(frozen=True)
class SliceReference:
    """The stored image of one slice: its SOP instance and, for multi-frame objects, the frame (from 1)."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True)
class DicomHeaders:
    """What DICOM objects that are made of a scan take over from its images.

    ``patient_and_study`` is a data set (explicit VR little endian, UTF-8) of the patient and study modules. It names
    the patient: it goes into DICOM objects alone, never into a message, a log or any other file.
    """

    sop_class_uid: str
    frame_of_reference_uid: str
    patient_and_study: bytes = field(repr=False)


@dataclass(frozen=True)
class Source:
    """Where the voxels come from; holds no path, and no patient identifier but in ``headers``, which are never shown.

    ``stored_axes`` says how a stored slice becomes ``hu[k]``: transposed or not, then rows flipped, then columns
    flipped; so that a mask finds its way back onto the source frames. ``headers`` are None unless the source is DICOM.
    """

    kind: Literal["dicom", "nifti", "phantom"]
    series_uid: str | None = None
    study_uid: str | None = None
    series_choice: str = ""
    slices: tuple[SliceReference, ...] = ()
    stored_axes: tuple[bool, bool, bool] = (False, False, False)
    headers: DicomHeaders | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Scan:
    """A head CT: Hounsfield units on a geometry, with its acquisition, source and the reader's doubts.

    ``hu`` is float32 (z, y, x): z inferior to superior, y anterior to posterior, x from the patient's right to
    the left, read-only. Raises `ValueError` where array and geometry do not fit or values are not finite.
    """

    hu: Float32Array
    geometry: Geometry
    acquisition: Acquisition = Acquisition()
    source: Source = Source("phantom")
    flags: tuple[Flag, ...] = field(default=())

    def __post_init__(self) -> None:
        hu = np.ascontiguousarray(self.hu, dtype=np.float32).view()
        if hu.shape != self.geometry.shape_zyx:
            raise ValueError(f"HU of shape {hu.shape} do not fit a geometry of {self.geometry.shape_zyx}")
        if not np.isfinite(hu).all():
            raise ValueError("HU hold values that are not finite")
        directions = self.geometry.directions
        if np.abs(directions).argmax(axis=0).tolist() != [0, 1, 2] or directions.diagonal().min() <= 0:
            raise ValueError("axes must run right to left, anterior to posterior, inferior to superior")
        hu.flags.writeable = False
        object.__setattr__(self, "hu", hu)

    def with_flags(self, *flags: Flag) -> "Scan":
        """Return the scan with further flags."""
        return replace(self, flags=(*self.flags, *flags))

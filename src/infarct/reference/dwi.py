"""The infarct in DWI and ADC on the plain CT: the reference standard of the localize paper.

The paper extracts the infarct "from the DWI/ADC image using the Shanbhag segmentation method" and lets ADC take care of
T2 shine-through; DWI and CT lie less than 14 days apart, without a recurrent ischemic event between them (Methods). Its
mean interval is 7.4 days, and an infarct's ADC is normal after a week: low ADC is asked for in the first five days, and
only told of later, when a person has to confirm the mask.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.errors import BadRequest
from infarct.preprocess.head import Head
from infarct.reference.alignment import Alignment
from infarct.reference.dwi_images import DiffusionImages
from infarct.reference.dwi_lesions import DwiConfig, DwiLesions, find_infarcts
from infarct.reference.dwi_routes import RigidRoute, Route, RouteName, carried_mask, rigid_route, slice_route
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, resample, volume_ml

MAX_INTERVAL_DAYS: Final = 14.0
"""CT and DWI that lie as far apart are left out (localize paper, Methods)."""
AIR_HU: Final = -300.0
SINUS_MM: Final = 25.0
"""Air this near the brain and behind bone is in sinuses and mastoid cells."""


@dataclass(frozen=True)
class Timing:
    """When the DWI was taken: hours from onset, and days from the CT; None where that is not known."""

    hours_from_onset: float | None = None
    days_from_ct: float | None = None


@dataclass(frozen=True, eq=False)
class OnCt:
    """The result on the head's working grid: bool and float32, (z, y, x). ``alignment`` is None slice by slice."""

    geometry: Geometry
    mask: BoolArray
    rejected: BoolArray
    brightness: Float32Array
    adc_um2_s: Float32Array
    route: RouteName
    alignment: Alignment | None
    covered_brain_share: float
    infarct_ml: float


@dataclass(frozen=True, eq=False)
class DwiReference:
    """What DWI and ADC say, on their own grid and, where there is a CT, on its working grid."""

    images: DiffusionImages
    lesions: DwiLesions
    timing: Timing
    infarct_ml: float
    on_ct: OnCt | None


def check_pair(timing: Timing, *, recurrent: bool) -> None:
    """Raise `BadRequest` where the paper's rules leave the pair out."""
    if recurrent:
        raise BadRequest("an ischemic event recurred between CT and DWI: such a pair is left out, as DWI shows both")
    if timing.days_from_ct is not None and timing.days_from_ct >= MAX_INTERVAL_DAYS:
        limit = f"{MAX_INTERVAL_DAYS:g} days or more"
        raise BadRequest(f"CT and DWI lie {timing.days_from_ct:g} days apart: pairs of {limit} are left out")


def read_dwi(
    images: DiffusionImages,
    config: DwiConfig | None = None,
    *,
    timing: Timing,
    head: Head | None = None,
    route: RouteName = "rigid",
) -> DwiReference:
    """Return the infarcts of the images, and where they lie in ``head``, the CT, if there is one.

    Raises `StepFailed` where the images do not overlap with the CT's brain.
    """
    config = config or DwiConfig()
    if head is None:
        found = find_infarcts(images, config, hours=timing.hours_from_onset)
        return DwiReference(images, found, timing, volume_ml(found.mask, images.geometry), None)
    carrier: Route
    if route == "rigid":
        rigid = rigid_route(head, images)
        carrier, alignment, air = rigid, rigid.alignment, _air_on_images(head, images, rigid)
    else:
        carrier, alignment, air = slice_route(head, images), None, None
    found = find_infarcts(images, config, hours=timing.hours_from_onset, air=air)
    on_ct = _on_ct(head, images, found, carrier, route=route, alignment=alignment)
    return DwiReference(images, found, timing, volume_ml(found.mask, images.geometry), on_ct)


def _on_ct(
    head: Head,
    images: DiffusionImages,
    found: DwiLesions,
    carrier: Route,
    *,
    route: RouteName,
    alignment: Alignment | None,
) -> OnCt:
    mask = carried_mask(carrier, found.mask) & head.brain
    imaged = carrier.carried(np.ones(images.geometry.shape_zyx, dtype=np.float32), fill=0.0) > 0.5
    return OnCt(
        geometry=head.geometry,
        mask=mask,
        rejected=carried_mask(carrier, found.rejected) & head.brain,
        brightness=carrier.carried(images.brightness, fill=0.0),
        adc_um2_s=carrier.carried(images.adc_um2_s, fill=0.0),
        route=route,
        alignment=alignment,
        covered_brain_share=volume_ml(head.brain & imaged, head.geometry) / volume_ml(head.brain, head.geometry),
        infarct_ml=volume_ml(mask, head.geometry),
    )


def _air_on_images(head: Head, images: DiffusionImages, rigid: RigidRoute) -> BoolArray:
    """Return the air of sinuses and mastoid cells on the images' grid, bool (z, y, x)."""
    solid = head.hu > AIR_HU
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in solid])
    near = ndimage.distance_transform_edt(~head.brain, sampling=head.geometry.spacing_mm_zyx) <= SINUS_MM
    air = (filled & ~solid & near).astype(np.float32)
    image_to_ct = np.linalg.inv(rigid.alignment.ct_to_image)
    return np.asarray(resample(air, head.geometry, images.geometry, transform=image_to_ct, fill=0.0) >= 0.5)

"""The class that the blood of a scan with an infarct suggests by the Heidelberg bleeding classification.

Source: von Kummer et al., Stroke 2015;46:2981-2986. 1a (HI1): scattered small petechiae, no mass effect. 1b (HI2):
confluent petechiae, no mass effect. 1c (PH1): hematoma within the infarct in less than 30 % of it, no substantive mass
effect. 2 (PH2): hematoma in 30 % or more of it, with obvious mass effect. 3a: parenchymal hematoma remote from it. 3b:
intraventricular, 3c: subarachnoid, 3d: subdural hemorrhage. The bounds that the paper leaves to the reader's eye are
ours; a reader has to confirm what is suggested.
"""

from typing import Final

import numpy as np
from scipy import ndimage

from infarct.findings import Heidelberg
from infarct.preprocess.quality import BLOOD_HU
from infarct.systems.blood_types import BLOOD_LABELS
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, volume_ml

HEMATOMA_SHARE: Final = 0.3
"""Of the infarct, with the blood in it (von Kummer et al. 2015)."""
HEMATOMA_RADIUS_MM: Final = 4.0
"""A hematoma holds a circle of this radius in some slice that is dense throughout; petechiae do not."""
CONFLUENT_ML: Final = 1.0
"""The largest of petechiae that have run together has this volume."""
MASS_ML: Final = 5.0
"""A hematoma of this volume takes room by itself."""
MASS_SHIFT_MM: Final = 3.0
"""As does one from which the midline is shifted by this much."""
REMOTE_ML: Final = 0.5
"""Less, elsewhere, is no bleed of its own."""
PLACES: Final[dict[Heidelberg, int]] = {
    "3b": BLOOD_LABELS["intraventricular"],
    "3c": BLOOD_LABELS["subarachnoid"],
    "3d": BLOOD_LABELS["subdural"],
}


def heidelberg_classes(
    hu: Float32Array,
    types: LabelArray,
    inside: BoolArray,
    infarct: BoolArray,
    geometry: Geometry,
    *,
    shift_away_mm: float = 0.0,
) -> tuple[Heidelberg, ...]:
    """Return the classes that blood suggests, in their order; none without an infarct.

    All arrays are (z, y, x) on ``geometry``: ``hu`` (float32), ``types`` (uint8, as of `blood_types`), ``inside``
    (bool) the blood that counts to the ``infarct`` (bool), which holds it. ``shift_away_mm`` is how far the midline is
    shifted away from the infarct.
    """
    if not infarct.any():
        return ()
    found: list[Heidelberg] = []
    if inside.any():
        found.append(_in_infarct(hu, inside, infarct, geometry, shift_away_mm=shift_away_mm))
    remote = (types == BLOOD_LABELS["parenchymal"]) & ~inside
    found += ["3a"] if volume_ml(remote, geometry) >= REMOTE_ML else []
    found += [name for name, label in PLACES.items() if volume_ml(types == label, geometry) >= REMOTE_ML]
    return tuple(found)


def _in_infarct(
    hu: Float32Array, inside: BoolArray, infarct: BoolArray, geometry: Geometry, *, shift_away_mm: float
) -> Heidelberg:
    if not _is_hematoma(hu, inside, geometry):
        pieces, _ = ndimage.label(inside, np.ones((3, 3, 3)))
        voxels = np.bincount(pieces.ravel())[1:].max()
        return "1b" if voxels * float(np.median(geometry.slice_voxel_ml)) >= CONFLUENT_ML else "1a"
    inside_ml, infarct_ml = volume_ml(inside, geometry), volume_ml(infarct, geometry)
    takes_room = inside_ml >= MASS_ML or shift_away_mm >= MASS_SHIFT_MM
    return "2" if inside_ml >= HEMATOMA_SHARE * infarct_ml and takes_room else "1c"


def _is_hematoma(hu: Float32Array, inside: BoolArray, geometry: Geometry) -> bool:
    """Return whether blood is dense throughout a circle of `HEMATOMA_RADIUS_MM` in some slice."""
    sy, sx = geometry.pixel_spacing_mm_yx
    for plane, blood in zip(hu, inside, strict=True):
        if not blood.any():
            continue
        calm = ndimage.gaussian_filter(np.clip(plane, 0, 120), (1.5 / sy, 1.5 / sx))
        dense = np.pad(blood & (calm >= BLOOD_HU), 1)
        if ndimage.distance_transform_edt(dense, sampling=(sy, sx)).max() > HEMATOMA_RADIUS_MM:
            return True
    return False

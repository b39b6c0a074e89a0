"""Make the shipped head template and its labels from the ICBM 2009a symmetric average brain.

The grey matter, white matter and T1 maps come from the copy that nilearn carries. They are exactly symmetric, so all
work is done on the patient's left half, indexed (z, y, x) with x the distance from the midsagittal plane; the
reader mirrors it. Skull, scalp, face, falx and tentorium are synthetic: the average brain has none.

Coordinates in this file are MNI millimetres as the literature gives them: lateral (distance from the midsagittal
plane), anterior (RAS y) and superior (RAS z).

    python tools/build_atlas.py                              write the asset
    python tools/build_atlas.py --check                      rebuild, compare with the committed asset
    python tools/build_atlas.py --table                      print each region against its target
    python tools/build_atlas.py --montage docs/img/atlas_montage.png
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import matplotlib
import nibabel as nib
import nilearn
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from PIL import Image
from scipy import ndimage
from skimage.morphology import convex_hull_image
from skimage.segmentation import watershed

from infarct.anatomy import REGIONS, TERRITORY_LABELS, region_label
from infarct.atlas.template import (
    ATLAS_FILE,
    CSF_HU,
    FRACTION_STEPS,
    TISSUE_CLASSES,
    WHITE_HU,
    Atlas,
    load_atlas,
)
from infarct.types import BoolArray, Float32Array, LabelArray

matplotlib.use("Agg")

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
FloatArray: TypeAlias = npt.NDArray[np.floating]

SUPERIOR_MM: Final = (-92, 104)
ANTERIOR_MM: Final = (-134, 102)
LATERAL_MM: Final = (0, 94)
"""First and last voxel centre of the half grid: the ICBM field of view stops at the medulla and at the cortex."""
MAP_ORIGIN_RAS: Final = (-98, -134, -72)
BRAIN_FRACTION: Final = 0.5
FORAMEN_MAGNUM_Z: Final = -72
"""Where the average brain ends, and with it the intracranial space."""

DURA_HU: Final = 46.0
TABLE_HU, DIPLOE_HU, BASE_HU = 950.0, 550.0, 750.0
MUSCLE_HU, FAT_HU, AIR_HU = 45.0, -80.0, -1000.0

CAPSULE_WIDTH_MM: Final = 4.5

REGION_COLORS: Final = (
    "deepskyblue",
    "orange",
    "lime",
    "red",
    "violet",
    "yellow",
    "hotpink",
    "mediumpurple",
    "white",
    "aqua",
)
TERRITORY_COLORS: Final = ("red", "royalblue", "limegreen", "purple", "orange", "yellow", "sienna")
MONTAGE_LEVELS_MM: Final = (-60, -44, -28, -12, -6, 0, 6, 12, 18, 24, 36, 56)


@dataclass(frozen=True)
class Maps:
    """The source maps on the half grid, with the coordinates of its voxels (broadcastable to it)."""

    grey: Float32Array
    white: Float32Array
    t1: Float32Array
    lateral: FloatArray
    anterior: FloatArray
    superior: FloatArray

    @property
    def tissue(self) -> Float32Array:
        """Grey and white matter fraction together."""
        return self.grey + self.white

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> BoolArray:
        """Return the ellipsoid at (lateral, anterior, superior) ``centre``."""
        axes = (self.lateral, self.anterior, self.superior)
        parts = (((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True))
        return np.asarray(sum(parts) < 1)

    def at(self, lateral: int, anterior: int, superior: int) -> tuple[int, int, int]:
        """Return the (z, y, x) index of a point."""
        return superior - SUPERIOR_MM[0], ANTERIOR_MM[1] - anterior, lateral - LATERAL_MM[0]


def load_maps() -> Maps:
    """Return nilearn's ICBM maps, cut to the left half and laid onto the half grid."""
    folder = Path(nilearn.__path__[0]) / "datasets" / "data"
    grids = [
        _half_grid(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz") for name in ("gm", "wm", "t1")
    ]
    superior = np.arange(SUPERIOR_MM[0], SUPERIOR_MM[1] + 1.0)[:, None, None]
    anterior = np.arange(ANTERIOR_MM[1], ANTERIOR_MM[0] - 1.0, -1)[None, :, None]
    lateral = np.arange(LATERAL_MM[0], LATERAL_MM[1] + 1.0)[None, None, :]
    return Maps(grids[0], grids[1], grids[2] * np.float32(255), lateral, anterior, superior)


def _half_grid(path: Path) -> Float32Array:
    """Return one map on the half grid: z, y turned to run posterior, x from the midsagittal plane; 0 outside."""
    volume = np.asarray(nib.nifti1.load(path).dataobj)  # type: ignore[no-untyped-call]
    if not np.array_equal(volume, volume[::-1]):
        raise ValueError(f"{path.name} is not symmetric: this is not the symmetric ICBM 2009a average")
    span = [high - low + 1 for low, high in (SUPERIOR_MM, ANTERIOR_MM, LATERAL_MM)]
    volume = volume.astype(np.float32) / np.float32(255)
    grid = np.zeros(span, dtype=np.float32)
    low = [max(mm[0], first) for mm, first in zip((LATERAL_MM, ANTERIOR_MM, SUPERIOR_MM), MAP_ORIGIN_RAS, strict=True)]
    high = [
        min(mm[1], first + count - 1)
        for mm, first, count in zip((LATERAL_MM, ANTERIOR_MM, SUPERIOR_MM), MAP_ORIGIN_RAS, volume.shape, strict=True)
    ]
    x, y, z = (slice(a - o, b - o + 1) for a, b, o in zip(low, high, MAP_ORIGIN_RAS, strict=True))
    grid[
        low[2] - SUPERIOR_MM[0] : high[2] - SUPERIOR_MM[0] + 1,
        ANTERIOR_MM[1] - high[1] : ANTERIOR_MM[1] - low[1] + 1,
        low[0] - LATERAL_MM[0] : high[0] - LATERAL_MM[0] + 1,
    ] = volume[x, y, z].transpose(2, 1, 0)[:, ::-1, :]
    return grid


# Morphology on the half: its results equal those on the whole.


def distance_mm(mask: BoolArray) -> Float32Array:
    """Return the distance of every voxel to ``mask`` (0 inside).

    The mirrored half does not matter: a mirror image is never nearer than its original.
    """
    return np.asarray(ndimage.distance_transform_edt(~mask), dtype=np.float32)


def dilated(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Return all voxels within ``radius_mm`` of the mask."""
    return distance_mm(mask) <= radius_mm


def eroded(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Return the voxels of the mask that lie more than ``radius_mm`` from its outside."""
    return distance_mm(~mask) > radius_mm


def closed(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Return the mask with gaps narrower than twice ``radius_mm`` filled."""
    pad = int(radius_mm) + 2
    padded = np.pad(mask, [(pad, pad), (pad, pad), (0, pad)])
    grown = eroded(dilated(padded, radius_mm), radius_mm)
    return np.asarray(grown[pad:-pad, pad:-pad, :-pad] | mask)


def smoothed(mask: BoolArray, sigma_mm: float) -> BoolArray:
    """Return the mask with its surface smoothed."""
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), sigma_mm, mode=("nearest", "nearest", "mirror"))
    return np.asarray(blurred > 0.5)


def component_at(mask: BoolArray, index: tuple[int, int, int]) -> BoolArray:
    """Return the face-connected component of the mask that holds ``index``."""
    labels, _ = ndimage.label(mask)
    if labels[index] == 0:
        raise ValueError(f"seed {index} lies outside the mask")
    return np.asarray(labels == labels[index])


def largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest face-connected component of the mask."""
    labels, _ = ndimage.label(mask)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return np.asarray(labels == counts.argmax())


def smoothed_labels(labels: LabelArray, within: BoolArray, sigma_mm: float) -> LabelArray:
    """Return the labels with smooth borders: each voxel of ``within`` takes the label that is densest around it."""
    values = np.unique(labels[within])
    modes = ("nearest", "nearest", "mirror")
    density = [
        ndimage.gaussian_filter((within & (labels == v)).astype(np.float32), sigma_mm, mode=modes) for v in values
    ]
    return np.where(within, values[np.argmax(density, axis=0)], 0).astype(np.uint8)


def knots(where: FloatArray, points: list[tuple[float, float]]) -> FloatArray:
    """Return the broken line through ``points`` at ``where``."""
    at, value = zip(*points, strict=True)
    return np.asarray(np.interp(where, at, value))


# Brain, ventricles, cerebellum and brain stem.


def find_ventricles(maps: Maps) -> BoolArray:
    """Return lateral, third and fourth ventricles: fluid inside anatomical envelopes, in one component each."""
    fluid = (maps.tissue < 0.55) | ((maps.t1 < 120) & (maps.tissue < 0.75))
    x, y, z = maps.lateral, maps.anterior, maps.superior
    body = (x <= 24) & (y > -34) & (y < 36) & (z > knots(y, [(-34, 8), (-10, 12), (4, 0), (36, -6)])) & (z < 32)
    trigone = (
        (x > 9) & (x < 38) & (y <= -28) & (y > -80) & (z > -6) & (z < 30) & (z > knots(y, [(-45, 2 - 8), (-28, 4)]))
    )
    temporal = (x > 26) & (x < 44) & (y < -6) & (y > -44) & (z < 6) & (z > -24)
    third = (x <= 4) & (y < 4) & (y > -30) & (z > knots(y, [(-30, 0), (-20, -4), (-8, -12)])) & (z < 12)
    fourth = (x <= knots(z, [(-30, 10), (-20, 4)])) & (y < -33) & (y > -56) & (z < -18) & (z > -46)
    lateral = largest_component(fluid & (body | trigone | temporal))
    return np.asarray(lateral | largest_component(fluid & third) | largest_component(fluid & fourth))


def tentorium_height(maps: Maps) -> FloatArray:
    """Return the height of the tentorium over (y, x), read off the T1 average in sagittal and coronal planes."""
    y, x = maps.anterior, maps.lateral
    midline = knots(y, [(-95, -20), (-75, -9), (-55, 3), (-40, -2), (-28, -8)])
    slope = knots(y, [(-95, 0.05), (-75, 0.25), (-55, 0.58), (-40, 0.68), (-28, 0.66)])
    return np.asarray(midline - slope * np.minimum(x, 60))


def split_at_tentorium(maps: Maps, parenchyma: BoolArray) -> BoolArray:
    """Return the parenchyma below the tentorium and the midbrain's upper end.

    A watershed on the T1 average finds the dark fissure within a few millimetres of the drawn height.
    """
    height = tentorium_height(maps)
    margin_mm = 4.0
    stem_top = stem_position(maps) > 0
    ventral = knots(maps.superior, [(-72, -20), (-50, -16), (-40, -9), (-20, -10), (-14, -11), (0, -14)])
    stem_top &= maps.anterior < ventral
    near_stem = (maps.lateral < 19) & (maps.anterior > -40)
    below = np.where(near_stem, stem_top, (maps.superior < height) & (maps.anterior < -26))
    core = np.where(near_stem, below, (maps.superior < height - margin_mm) & (maps.anterior < -34))
    above = np.where(near_stem, ~stem_top, (maps.superior > height + margin_mm) | (maps.anterior > -20))
    markers = np.where(core & parenchyma, 1, np.where(above & parenchyma, 2, 0))
    elevation = -ndimage.gaussian_filter(maps.t1, 0.7)
    labels = watershed(elevation, markers, mask=parenchyma)  # type: ignore[no-untyped-call]
    return np.asarray(labels == 1)


def stem_position(maps: Maps) -> FloatArray:
    """Return the position along the brain stem in mm, from the midbrain's upper end downwards."""
    return (-(maps.anterior + 24) * 0.36 - (maps.superior + 5) * 0.93) + 0 * maps.lateral


def label_infratentorial(maps: Maps, below: BoolArray) -> LabelArray:
    """Return midbrain, pons, medulla and cerebellum."""
    position = stem_position(maps)
    x, y, z = maps.lateral, maps.anterior, maps.superior
    pons_start, medulla_start = 11.9, 41.5
    half_width = knots(position, [(0, 14), (6, 18), (18, 20), (32, 19), (41, 13), (50, 11), (75, 11)])
    dorsal = knots(z, [(-72, -58), (-50, -48), (-35, -40), (-25, -38), (-15, -41), (0, -41)])
    stem = below & (x < half_width) & (y > dorsal)
    stem = largest_component(ndimage.binary_opening(stem, iterations=1) & below)
    labels = np.where(below, TERRITORY_LABELS["cerebellum"], 0).astype(np.uint8)
    labels[stem & (position < pons_start)] = TERRITORY_LABELS["midbrain"]
    labels[stem & (position >= pons_start)] = TERRITORY_LABELS["pons"]
    labels[stem & (position >= medulla_start)] = TERRITORY_LABELS["medulla"]
    return labels


def label_supratentorial(maps: Maps, above: BoolArray) -> LabelArray:
    """Return ACA, MCA and PCA of the parenchyma above the tentorium."""
    x, y, z = maps.lateral, maps.anterior, maps.superior
    height = z + 0 * x
    # The border between ACA and MCA runs from the frontal horn outwards to the superior frontal sulcus.
    medial = np.maximum(knots(y, [(-60, 16), (-20, 14), (5, 16), (25, 19), (45, 22), (60, 26), (76, 34)]), 0)
    medial = medial + knots(z, [(-30, 0), (10, 0), (40, 4), (60, 10), (84, 22)])
    medial = np.where(z < 20, np.where(y < 8, 7, medial), medial)
    anterior_artery = (x < medial) & (y > knots(z, [(-30, 0), (10, 2), (22, -40), (30, -60), (80, -55)]))
    # The border between MCA and PCA climbs from the inferior temporal sulcus to the parieto-occipital sulcus.
    lateral_limit = knots(y, [(-105, 60), (-80, 46), (-62, 34), (-50, 32), (-30, 30), (0, 22)])
    temporal_floor = knots(y, [(-70, -4), (-45, -12), (-20, -21), (0, -32), (10, -60)])
    temporal = (height < temporal_floor + 0.22 * (45 - x)) & (y < 8)
    occipital = (x < lateral_limit) & (
        y < knots(z, [(-20, -48), (20, -54), (30, -68), (42, -76), (60, -86), (84, -110)])
    )
    thalamic = (
        (x < knots(y, [(-40, 24), (-22, 20), (-14, 15), (-4, 9)]))
        & (y < -4)
        & (y > -56)
        & (z < knots(y, [(-56, 20), (-30, 20), (-4, 18)]))
        & (z > -20)
    )
    hippocampal = (x < 36) & (y < -10) & (z < knots(y, [(-48, 8), (-10, -10)]))
    labels = np.where(above, TERRITORY_LABELS["MCA"], 0).astype(np.uint8)
    labels[above & (temporal | occipital | hippocampal | thalamic)] = TERRITORY_LABELS["PCA"]
    labels[above & anterior_artery & ~thalamic] = TERRITORY_LABELS["ACA"]
    return smoothed_labels(labels, above, 4.0)


# ASPECTS regions.


def capsule_edge(maps: Maps) -> FloatArray:
    """Return the lateral distance of the external capsule, over (z, y), read off the T1 average."""
    y, z = maps.anterior, maps.superior
    bow = np.where(y > -3, 0.0123, 0.0115) * (y + 3) ** 2
    return 33.8 - bow - 0.3 * np.maximum(z - 5, 0)


def label_deep(maps: Maps, parenchyma: BoolArray) -> dict[str, BoolArray]:
    """Return caudate, lentiform nucleus and internal capsule.

    The nuclei are grey; the pallidum is not, so it is what lies between the capsule and the putamen.
    """
    x, y, z = maps.lateral, maps.anterior, maps.superior
    caudate = (maps.grey > 0.5) & (x > 6) & (x < 23) & (y > 3) & (y < 29) & (z > -9) & (z < 22)
    caudate &= x < knots(y, [(-2, 18), (10, 18), (20, 19), (29, 22)]) + np.maximum(-z, 0) * -0.3
    caudate = component_at(ndimage.binary_opening(caudate), maps.at(13, 14, 6))
    edge = capsule_edge(maps)
    thalamus = (maps.white < 0.72) & (x < 21) & (y < knots(z, [(-6, -6), (4, -1), (14, -1)])) & (y > -32)
    thalamus = component_at(thalamus & (z > -8) & (z < 20) & parenchyma, maps.at(10, -16, 8))
    inner = x > knots(y, [(-22, 26), (-14, 24), (0, 19), (10, 19), (18, 18), (24, 21)])
    putamen = (maps.white < 0.72) & (maps.grey > 0.2) & (x < edge + 1.5) & inner & (y > -24)
    putamen &= (y < 22) & (z > knots(y, [(-24, -5), (-5, -9), (10, -12)])) & (z < 16)
    putamen = component_at(ndimage.binary_opening(putamen), maps.at(27, 4, 2))
    to_medial, to_putamen = distance_mm(caudate | thalamus), distance_mm(putamen)
    strip = parenchyma & ~caudate & ~thalamus & ~putamen & (x > 8) & (x < edge - 2) & (y > -18) & (y < 14)
    strip &= (z > -10) & (z < 17) & (to_medial < 14) & (to_putamen < 14)
    pallidal = (to_medial > CAPSULE_WIDTH_MM) & (z < 8) & (z > -9) & (y < 9) & (y > -13)
    lentiform = putamen | (strip & pallidal & (to_putamen < 9))
    # Below the capsule the same strip holds the cerebral peduncle and the ansa lenticularis.
    capsule = strip & ~lentiform & (to_medial < CAPSULE_WIDTH_MM + 1) & (maps.white > 0.62) & (z > -5)
    labels = smoothed_labels((1 * caudate + 2 * lentiform + 3 * capsule).astype(np.uint8), parenchyma, 0.7)
    return {name: largest_component(labels == n) for n, name in enumerate(("C", "L", "IC"), start=1)}


def label_insula(maps: Maps, parenchyma: BoolArray) -> BoolArray:
    """Return the insular ribbon: from the extreme capsule outwards to the Sylvian fissure.

    The fissure is where the T1 average is darkest on the way outwards from the external capsule.
    """
    x, y, z = maps.lateral, maps.anterior, maps.superior
    edge = capsule_edge(maps)
    depth = x - edge
    dark = np.where((depth > 4) & (depth < 13) & (x < 47), ndimage.gaussian_filter(maps.t1, 0.7), np.inf)
    fissure = ndimage.median_filter(dark.argmin(axis=-1), size=5)[..., None]
    ribbon = parenchyma & (depth > 3) & (x <= fissure + 0.5) & (depth < 11)
    height = z + 0.1 * y
    ribbon &= (y > -22) & (y < 22) & (height > -13) & (height < 16)
    return largest_component(ndimage.binary_opening(ribbon))


def label_cortical(maps: Maps, free: BoolArray) -> dict[str, BoolArray]:
    """Return M1 to M6 in ``free``, the MCA parenchyma that no deep region has taken.

    Radiologists tilt their slices, so levels follow z + y/6; both levels are cut by the same two coronal lines.
    """
    x, y, z = maps.lateral, maps.anterior, maps.superior
    height = z + y / 6
    lower = (height > -10.5) & (height <= 17)
    upper = (height > 17) & (height < 52.5)
    edge = capsule_edge(maps)
    # Borders run outwards like spokes: forwards in front of the insula, backwards behind it.
    front_border, back_border = 18 + 0.25 * (x - 42), -24 - 0.2 * (x - 50)
    front = (y >= front_border) & (y < 52)
    middle = (y >= back_border) & (y < front_border)
    back = (y < back_border) & (y > -63 - 0.25 * (x - 50))
    inner_front = knots(y, [(18, 30), (36, 25), (54, 27)])
    inner_back = knots(y, [(-60, 36), (-24, 39)])
    regions = {
        "M1": lower & front & (x > inner_front),
        "M2": lower & middle & (x > edge + 7),
        "M3": lower & back & (x > inner_back),
        "M4": upper & front & (x > inner_front - 4),
        "M5": upper & middle & (x > 31),
        "M6": upper & back & (x > 29),
    }
    labels = sum(
        (np.uint8(n) * (free & mask) for n, mask in enumerate(regions.values(), start=1)), np.zeros_like(free, np.uint8)
    )
    labels = smoothed_labels(labels, free, 2.0)
    return {name: largest_component(labels == n) for n, name in enumerate(regions, start=1)}


def label_aspects(maps: Maps, parenchyma: BoolArray, territories: LabelArray) -> LabelArray:
    """Return the ten regions of the half as 1-10."""
    regions = label_deep(maps, parenchyma)
    taken = regions["C"] | regions["L"] | regions["IC"]
    regions["I"] = label_insula(maps, parenchyma & ~taken)
    taken |= regions["I"]
    regions |= label_cortical(maps, (territories == TERRITORY_LABELS["MCA"]) & ~taken)
    labels = np.zeros(parenchyma.shape, dtype=np.uint8)
    for number, name in enumerate(REGIONS, start=1):
        labels[regions[name] & (maps.lateral > 0)] = number
    return labels


# Head.


def find_intracranial(maps: Maps) -> BoolArray:
    """Return the space inside the dura: the average brain, its sulci and cisterns closed, and the foramen magnum."""
    brain = largest_component(maps.t1 > 0)
    x, y, z = maps.lateral, maps.anterior, maps.superior
    # The vault is convex; at the base the bone follows the hollows between the lobes.
    vault = convex_in_coronal_planes(brain & (z > knots(y, [(-110, -12), (-60, -12), (-20, 0), (60, -5)])))
    inside = smoothed(dilated(closed(brain, 9) | vault, 2.5), 2.0) | brain
    foramen = (x**2 + (y + 48) ** 2 < 16**2) & (z < -60)
    return np.asarray((inside | foramen) & (z >= FORAMEN_MAGNUM_Z))


def convex_in_coronal_planes(mask: BoolArray) -> BoolArray:
    """Return the mask made convex, mirrored half included, in every coronal plane."""
    hull = mask.copy()
    for row in np.flatnonzero(mask.any(axis=(0, 2))):
        plane = mask[:, row]
        whole = np.hstack([plane[:, :0:-1], plane])
        hull[:, row] = convex_hull_image(whole)[:, -mask.shape[2] :]  # type: ignore[no-untyped-call]
    return hull


def find_skull(maps: Maps, inside: BoolArray) -> tuple[BoolArray, Float32Array]:
    """Return the skull and its depth: 0 at the inner, 1 at the outer table."""
    x, y, z = maps.lateral, maps.anterior, maps.superior
    thickness = 6.0 + knots(y, [(-110, 2), (-60, 0.5), (20, 0), (70, 1.5)])
    thickness = thickness - 2.0 * np.exp(-(((y - 5) / 40) ** 2) - ((z + 8) / 25) ** 2) * (x > 45)
    distance = distance_mm(inside)
    depth = (distance / thickness).astype(np.float32)
    # Petrous bone, sphenoid and clivus fill the hollows between the fossae.
    base = closed(inside, 16) & (z < -16)
    skull = ((depth <= 1) | base) & ~inside
    canal = (x**2 + (y + 48) ** 2 < 16**2) & (z < -62)
    skull &= ~canal & (z > -82)
    return skull, depth


def build_head(maps: Maps, inside: BoolArray) -> tuple[LabelArray, Float32Array]:
    """Return tissue classes (air, scalp, skull, subarachnoid) and HU of everything outside the dura."""
    x, y, z = maps.lateral, maps.anterior, maps.superior
    skull, depth = find_skull(maps, inside)
    distance = distance_mm(inside | skull)
    temporalis = 5.0 * np.exp(-(((y - 22) / 25) ** 2) - ((z + 12) / 22) ** 2) * (x > 40)
    scalp_mm = 5.5 + temporalis + knots(y, [(-110, 1.5), (-70, 0)])
    face = ((x / 66) ** 2 + ((y - 28) / knots(z, [(-92, 66), (-40, 66), (-20, 62)])) ** 2 < 1) & (z < -20)
    nose = maps.ellipsoid((0, 90, -56), (12, 12, 20))
    neck = ((x / 60) ** 2 + ((y + 38) / 62) ** 2 < 1) & (z < -50)
    soft = smoothed(closed((distance <= scalp_mm) | face | nose | neck, 10), 3.0) | (distance <= 4)
    tissue = np.zeros(inside.shape, dtype=np.uint8)
    for name, mask in (("scalp", soft), ("skull", skull), ("subarachnoid", inside)):
        tissue[mask] = TISSUE_CLASSES.index(name)
    hu = np.where(soft, MUSCLE_HU, AIR_HU).astype(np.float32)
    to_air = distance_mm(~soft)
    hu[soft & (to_air > 2) & (to_air <= 4) & (distance > 1)] = FAT_HU
    diploe = (depth > 0.3) & (depth < 0.7) & (z > -20)
    hu[skull] = np.where(depth > 1, BASE_HU, np.where(diploe, DIPLOE_HU, TABLE_HU))[skull]
    carve_face(maps, tissue, hu, distance_mm(inside))
    return tissue, hu


def carve_face(maps: Maps, tissue: LabelArray, hu: Float32Array, from_inside_mm: Float32Array) -> None:
    """Put orbits, sinuses, air cells, airway and spinal canal into the head, in place.

    They keep the lower slices from looking like solid bone and muscle; positions are those of a typical adult.
    """
    cavities = (  # centre and radii (lateral, anterior, superior), HU inside, wall of bone
        ((30, 54, -34), (18, 27, 16), FAT_HU, True),
        ((32, 67, -34), (12, 12, 12), 12.0, False),
        ((27, 54, -66), (14, 17, 14), AIR_HU, True),
        ((6, 56, -42), (9, 20, 14), -600.0, False),
        ((7, 18, -39), (9, 11, 9), AIR_HU, False),
        ((52, -36, -52), (7, 10, 10), -350.0, False),
        ((0, 8, -84), (11, 7, 22), AIR_HU, False),
    )
    room = (from_inside_mm > 2.5) & (tissue > 0)
    for centre, radii, value, walled in cavities:
        if walled:
            wall = room & maps.ellipsoid(centre, (radii[0] + 2, radii[1] + 2, radii[2] + 2)) & (maps.anterior < 72)
            tissue[wall], hu[wall] = TISSUE_CLASSES.index("skull"), BASE_HU
        cavity = room & maps.ellipsoid(centre, radii)
        tissue[cavity], hu[cavity] = TISSUE_CLASSES.index("air" if value < -300 else "scalp"), value
    canal = (maps.lateral**2 + (maps.anterior + 48) ** 2 < 12**2) & (maps.superior < FORAMEN_MAGNUM_Z)
    cord = (maps.lateral**2 + (maps.anterior + 48) ** 2 < 6**2) & (maps.superior < FORAMEN_MAGNUM_Z)
    hu[canal], hu[cord] = CSF_HU, WHITE_HU


def find_dura(maps: Maps, inside: BoolArray, territories: LabelArray) -> BoolArray:
    """Return falx and tentorium where they run through fluid or blurred tissue."""
    x, y, z = maps.lateral, maps.anterior, maps.superior
    below_free_edge = ((y - 2) / 52) ** 2 + ((z - 6) / 38) ** 2 < 1
    falx = inside & (x == 0) & ~below_free_edge & (z > knots(y, [(-90, -14), (-50, 14), (0, 14), (60, -12)]))
    cerebellum = territories == TERRITORY_LABELS["cerebellum"]
    cerebrum = (territories > 0) & (territories <= TERRITORY_LABELS["PCA"])
    tentorium = dilated(cerebellum, 1.5) & dilated(cerebrum, 1.5) & inside & (maps.tissue < 0.8) & (x > 0)
    return np.asarray(eroded(inside, 1) & (falx | tentorium))


def split_cortex(maps: Maps, above: BoolArray, inside: BoolArray, deep: BoolArray) -> BoolArray:
    """Return the supratentorial parenchyma within reach of the cortical grey ribbon."""
    grey = above & (maps.grey > 0.5) & ~dilated(deep, 3)
    nucleus = (maps.lateral < 24) & (maps.anterior > -34) & (maps.anterior < 30)
    nucleus = nucleus & (maps.superior > -10) & (maps.superior < 26) & (distance_mm(~inside) > 25)
    return np.asarray(above & (distance_mm(grey & ~nucleus) <= 2.5) & ~deep & ~nucleus)


def build() -> Arrays:
    """Return every array of the asset."""
    maps = load_maps()
    inside = find_intracranial(maps)
    ventricles = find_ventricles(maps)
    parenchyma = largest_component((maps.tissue > BRAIN_FRACTION) & inside & ~ventricles)
    below = split_at_tentorium(maps, parenchyma)
    territories = label_infratentorial(maps, below)
    territories += label_supratentorial(maps, parenchyma & ~below)
    dura = find_dura(maps, inside, territories)
    parenchyma &= ~dura
    territories[dura] = 0
    aspects = label_aspects(maps, parenchyma & ~below, territories)
    # Perforators of the MCA feed the deep regions, whatever lies above and in front of them.
    territories[aspects > 0] = TERRITORY_LABELS["MCA"]
    tissue, hu = build_head(maps, inside)
    deep = np.isin(aspects, [REGIONS.index("C") + 1, REGIONS.index("IC") + 1, REGIONS.index("L") + 1])
    cortical = split_cortex(maps, parenchyma & ~below, inside, deep)
    classes = (
        ("ventricle", ventricles),
        ("infratentorial", parenchyma & below),
        ("subcortical", parenchyma & ~below),
        ("cortical", cortical),
        ("dura", dura),
    )
    for name, mask in classes:
        tissue[mask] = TISSUE_CLASSES.index(name)
    grey, white = (np.where(inside & ~dura, part, 0) for part in (maps.grey, maps.white))
    hu[inside], hu[dura] = 0, DURA_HU
    return {
        "grey": np.rint(grey * FRACTION_STEPS).astype(np.uint8),
        "white": np.rint(white * FRACTION_STEPS).astype(np.uint8),
        "tissue": tissue,
        "aspects": aspects,
        "territories": territories,
        "head_hu": np.rint(hu).astype(np.int16),
        "spacing_mm_zyx": np.ones(3),
        "origin_mm_xyz": np.array([-LATERAL_MM[1], -ANTERIOR_MM[1], SUPERIOR_MM[0]], dtype=np.float64),
    }


# Command.


def digest(arrays: Arrays) -> str:
    """Return the SHA-256 of names, types, shapes and contents, whatever zlib made of them."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def print_table(atlas: Atlas) -> None:
    """Print volume, centroid and 5th and 95th percentiles (lateral, anterior, superior) of the left regions."""
    for name in REGIONS:
        index = np.argwhere(atlas.aspects_labels == region_label(name, "left"))
        points = atlas.geometry.index_to_world(index) * (1, -1, 1)
        low, high = np.percentile(points, [5, 95], axis=0)
        rows = "  ".join(
            np.array2string(row, precision=1, floatmode="fixed") for row in (points.mean(axis=0), low, high)
        )
        print(f"{name:3} {len(index) / 1000:6.1f} ml  {rows}")
    for territory, label in TERRITORY_LABELS.items():
        print(f"{territory:10} {np.count_nonzero(atlas.territories == label) / 1000:7.1f} ml")
    print(f"ventricles {np.count_nonzero(atlas.ventricles) / 1000:7.1f} ml")


def draw_montage(atlas: Atlas, path: Path) -> None:
    """Draw axial levels with region outlines (above) and territories (below); patient's right on picture left."""
    columns = len(MONTAGE_LEVELS_MM) // 2
    figure, axes = plt.subplots(4, columns, figsize=(2.9 * columns, 13.6), facecolor="black")
    for number, level_mm in enumerate(MONTAGE_LEVELS_MM):
        k = round(atlas.geometry.world_to_index((0.0, 0.0, level_mm))[0])
        row, column = 2 * (number // columns), number % columns
        for panel, labels, colors in (
            (axes[row, column], atlas.aspects_labels, REGION_COLORS),
            (axes[row + 1, column], atlas.territories, TERRITORY_COLORS),
        ):
            panel.imshow(atlas.template_hu[k], cmap="gray", vmin=0, vmax=80)
            draw_labels(panel, labels[k], colors, outline=labels is atlas.aspects_labels)
            panel.text(4, 14, "R", color="white")
            panel.text(labels.shape[2] - 14, 14, "L", color="white")
            panel.set_title(f"z = {level_mm:+d} mm", color="white", fontsize=9)
            panel.set_xlim(1, labels.shape[2] - 2)
            panel.set_ylim(228, 6)
            panel.axis("off")
    handles = [
        Line2D([], [], color=color, marker="s", lw=0, label=name)
        for name, color in zip((*REGIONS, *TERRITORY_LABELS), REGION_COLORS + TERRITORY_COLORS, strict=True)
    ]
    figure.legend(handles=handles, ncol=9, loc="lower center", facecolor="black", labelcolor="white", frameon=False)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.98, bottom=0.05, wspace=0.02, hspace=0.08)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=75)
    plt.close(figure)
    # 64 steps a channel are enough to look at and keep the picture small enough for a repository.
    pixels = np.asarray(Image.open(drawn).convert("RGB")) // 4 * 4
    Image.fromarray(pixels).save(path, optimize=True)


def draw_labels(panel: Axes, labels: LabelArray, colors: Sequence[str], *, outline: bool) -> None:
    """Draw one slice of a label map onto ``panel``: outlines (sides share a color) or a translucent wash."""
    for label in np.unique(labels[labels > 0]):
        color = to_rgba(colors[(int(label) - 1) % 10])
        if outline:
            panel.contour(labels == label, levels=[0.5], colors=[color], linewidths=1.0)
        else:
            wash = np.zeros((*labels.shape, 4))
            wash[labels == label] = (*color[:3], 0.4)
            panel.imshow(wash, interpolation="nearest")


def main() -> int:
    """Build, check, or show the atlas; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="rebuild and compare with the committed asset")
    parser.add_argument("--table", action="store_true", help="print volumes and positions of the regions")
    parser.add_argument("--montage", type=Path, help="draw the committed asset into this PNG")
    options = parser.parse_args()
    if options.table or options.montage:
        if options.table:
            print_table(load_atlas())
        if options.montage:
            draw_montage(load_atlas(), options.montage)
        return 0
    arrays = build()
    if options.check:
        with np.load(ATLAS_FILE) as stored:
            same = digest(arrays) == digest({name: stored[name] for name in stored.files})
        print("the asset is up to date" if same else "the asset differs from what this script makes")
        return 0 if same else 1
    ATLAS_FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(ATLAS_FILE, **arrays)  # type: ignore[arg-type]
    print(f"{ATLAS_FILE.name}: {ATLAS_FILE.stat().st_size / 1e6:.2f} MB, sha256 of contents {digest(arrays)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The hyperdense artery sign: the trunk of one middle cerebral artery denser than the other, as by a clot in it.

Looked for in a corridor around the artery's usual course: its densest stretch is compared with that of the other side.
Thick slices spoil it: at 5 mm, an artery of 3 mm fills part of a slice only. Noise adds to the densest stretch of both
sides. A high hematocrit makes both arteries dense, anaemia neither. Calcium in the wall is left out, but blurs what is
next to it. Clots in other arteries are not looked for: the carotid runs in bone, the basilar artery has no other side.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from infarct.anatomy import SIDES, Side, opposite
from infarct.findings import HyperdenseArtery
from infarct.preprocess.head import Head
from infarct.types import BoolArray, Float32Array, Float64Array

TRUNK_MM: Final = ((-10.0, -2.0, -20.0), (-19.0, -5.0, -20.0), (-28.0, -7.0, -20.0), (-36.0, -9.0, -19.0))
"""Right M1 segment in the atlas, LPS mm, drawn along the template's stem of the Sylvian fissure: from beside the optic
chiasm, where the carotid divides, to the limen insulae (Reci and Bexheti, J Neurol Neurol Sci Disord 2019;5:052: 17 to
21 mm long; Dunås et al., Neuroinformatics 2017;15:101 for how far its place varies in MNI space)."""


@dataclass(frozen=True)
class ArteryConfig:
    """Numbers of the sign; saved with every result.

    ``dense_hu`` and ``ratio``: both must be exceeded (Koo et al., Cerebrovasc Dis 2000;10:419). ``calcium_hu``: what is
    denser is calcium or bone, and left out with all within ``calcium_reach_mm``. ``corridor_mm``: how far from its
    usual course the artery is looked for, ``stretch_mm``: length over which its density is taken, both in the atlas.
    ``smoothing_mm``: SD of the Gaussian, in plane, before the densest point of each step is taken. ``min_seen_share``:
    part of the course that must be seen on both sides. All but the first three were set on phantoms for training.
    """

    dense_hu: float = 43.0
    ratio: float = 1.2
    calcium_hu: float = 100.0
    calcium_reach_mm: float = 1.5
    corridor_mm: float = 7.0
    stretch_mm: float = 12.0
    smoothing_mm: float = 1.0
    min_seen_share: float = 0.8


STEP_MM: Final = 2.0
"""Steps along the course, in atlas mm; the nearest one to a voxel is its own."""
LEAST_HU: Final = 1.0
"""Keeps the ratio finite where an artery's place holds fluid or nothing."""
LEAST_VOXELS: Final = 5
"""A step with fewer voxels left is not seen."""


def find_dense_artery(head: Head, config: ArteryConfig | None = None) -> HyperdenseArtery | None:
    """Return what the trunks of the two middle cerebral arteries show; None where they cannot be compared.

    They cannot where the head does not fit the atlas, or too much of the course lies outside the scan or in bone.
    """
    config = config or ArteryConfig()
    if not head.registration.is_reliable:
        return None
    profiles = {side: _profile(head, side, config) for side in SIDES}
    found = {side: _densest_stretch(profiles[side], config) for side in SIDES}
    right, left = found["right"], found["left"]
    if right is None or left is None:
        return None
    return _judged({"right": right, "left": left}, config)


def _judged(mean_hu: dict[Side, float], config: ArteryConfig) -> HyperdenseArtery:
    side: Side = "right" if mean_hu["right"] > mean_hu["left"] else "left"
    dense_hu, other_hu = mean_hu[side], mean_hu[opposite(side)]
    ratio = dense_hu / max(other_hu, LEAST_HU)
    return HyperdenseArtery(
        suspected=dense_hu > config.dense_hu and ratio > config.ratio,
        side=side,
        mean_hu=dense_hu,
        contralateral_mean_hu=other_hu,
        ratio=max(ratio, 1.0),
    )


def _densest_stretch(profile: Float64Array, config: ArteryConfig) -> float | None:
    """Return the highest mean HU over a stretch of a profile; None where too little of it is seen."""
    if np.isfinite(profile).mean() < config.min_seen_share:
        return None
    steps = round(config.stretch_mm / STEP_MM)
    means = np.convolve(profile, np.full(steps, 1 / steps), mode="valid")
    return float(np.nanmax(means)) if np.isfinite(means).any() else None


def _profile(head: Head, side: Side, config: ArteryConfig) -> Float64Array:
    """Return the densest HU across the corridor at each step of the course; NaN where it is not seen."""
    course = _steps(side)
    box = _box(course, head, config)
    hu, usable = _soft_tissue(head.hu[box], head.brain[box], head, config)
    index = np.argwhere(usable)
    if not len(index):
        return np.full(len(course), np.nan)
    world = head.geometry.index_to_world(index + [edge.start for edge in box])
    matrix = head.registration.scan_to_atlas
    atlas_mm = world @ matrix[:3, :3].T + matrix[:3, 3]
    distance_mm, step = cKDTree(course).query(atlas_mm)
    near = distance_mm <= config.corridor_mm
    values = hu[usable][near]
    return np.array([_densest(values[step[near] == number]) for number in range(len(course))])


def _densest(values: Float32Array) -> float:
    return float(values.max()) if len(values) >= LEAST_VOXELS else float("nan")


def _steps(side: Side) -> Float64Array:
    """Return the course of one side as points (n, 3) in atlas LPS mm, a step apart."""
    corners = np.array(TRUNK_MM)
    along_mm = np.r_[0.0, np.cumsum([np.linalg.norm(b - a) for a, b in pairwise(corners)])]
    places = np.arange(0.0, along_mm[-1], STEP_MM)
    course = np.stack([np.interp(places, along_mm, corners[:, axis]) for axis in range(3)], axis=1)
    return course * (-1.0, 1.0, 1.0) if side == "left" else course


def _box(course: Float64Array, head: Head, config: ArteryConfig) -> tuple[slice, slice, slice]:
    """Return the part of the working grid around a course, with room for the smoothing."""
    matrix = head.registration.atlas_to_scan
    index = head.geometry.world_to_index(course @ matrix[:3, :3].T + matrix[:3, 3])
    room = (config.corridor_mm + 4 * config.smoothing_mm) / np.array(head.geometry.spacing_mm_zyx)
    low, high = index.min(axis=0) - room, index.max(axis=0) + room + 1
    ends = zip(low, high, head.geometry.shape_zyx, strict=True)
    z, y, x = (slice(*np.clip((int(a), int(np.ceil(b))), 0, size).tolist()) for a, b, size in ends)
    return z, y, x


def _soft_tissue(
    hu: Float32Array, brain: BoolArray, head: Head, config: ArteryConfig
) -> tuple[Float32Array, BoolArray]:
    """Return HU smoothed in plane without calcium and bone, and where it may be used."""
    spacing = head.geometry.spacing_mm_zyx
    hard = hu > config.calcium_hu
    usable = brain & ~hard
    if hard.any():
        # What is in the slice next to bone may hold some of it: as dense as a clot.
        usable &= ~ndimage.binary_dilation(hard, np.ones((3, 1, 1), dtype=bool))
        usable &= ndimage.distance_transform_edt(~hard, sampling=spacing) > config.calcium_reach_mm
    sigma = (0.0, config.smoothing_mm / spacing[1], config.smoothing_mm / spacing[2])
    weight = ndimage.gaussian_filter(usable.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(usable, hu, np.float32(0)), sigma) / np.maximum(weight, np.float32(0.01))
    return smooth, usable

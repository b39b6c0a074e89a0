"""Rigid alignment of other images to the plain CT: by their headers where that is good, else by what they show."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from infarct.errors import StepFailed
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample
from infarct.volume.mask import centroid_mm

LEVELS_MM: Final = (6.0, 4.0)
"""Grids on which the images are compared, coarse to fine."""
RIM_MM: Final = 9.0
"""Points this far around the brain take part, so that its outline holds the fit."""
BINS: Final = 24
"""Grey levels of each image in their joint histogram."""
SAME_GRID_MM: Final = 0.2
"""Grids whose corners lie nearer than this are one grid; headers are rounded to about 0.01 mm."""
HEADER_OVERLAP: Final = 0.6
"""Share of what is imaged that lies inside the CT's brain by the headers; less means other coordinates."""
STEP_MM: Final = 4.0
"""First step of the search; a turn by `STEP_MM / REACH_MM` moves the brain's surface as far."""
REACH_MM: Final = 60.0
REFINED_STARTS: Final = 3
"""Starts that are refined, where there are several."""
MAX_TRIES: Final = 260
"""Poses tried on each level."""
MIN_GAIN: Final = 0.003
"""A fit must raise the similarity by this much over the headers to be used: smaller gains are noise."""
MIN_SIMILARITY: Final = 1.05
"""Normalised mutual information (1 none, 2 identical) below which the images do not fit each other."""
MIN_POINTS: Final = 500
SEARCH_LIFT_MM: Final = tuple(float(mm) for mm in range(-60, 61, 12))
SEARCH_PITCH_DEG: Final = (-15.0, 0.0, 15.0)
"""Starts where the headers are of no use: heights of the imaged slab, and nods of the head between the scans."""

Method = Literal["same_grid", "header", "rigid"]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where an image lies in the plain CT.

    ``ct_to_image`` is the 4x4 matrix from CT to image LPS mm. ``similarity`` is the normalised mutual information
    under it (1 none, 2 identical), ``turn_deg`` and ``shift_mm`` are what it adds to the headers, the shift at the
    centre of the brain.
    """

    ct_to_image: Float64Array
    method: Method
    similarity: float
    turn_deg: float
    shift_mm: float

    @property
    def is_reliable(self) -> bool:
        """Whether the images fit each other."""
        return self.method == "same_grid" or self.similarity >= MIN_SIMILARITY


def align(
    ct: Float32Array, brain: BoolArray, ct_geometry: Geometry, *, image: Float32Array, geometry: Geometry
) -> Alignment:
    """Return where ``image`` (float32, (z, y, x), on ``geometry``) lies in the CT.

    ``ct`` (float32) holds the values to compare with, ``brain`` (bool) where they count, both (z, y, x) on
    ``ct_geometry``. Both images should be 0 where they show nothing. One grid needs no alignment. Otherwise a turn and
    a shift are searched from the headers' pose (Nelder-Mead, normalised mutual information; Studholme, Pattern Recognit
    1999;32:71), and from a set of heights and nods where the headers do not bring the brains together; the headers
    stand where the search does not improve on them. Deterministic.

    Raises `StepFailed` where the image is empty or does not overlap with the brain in any pose of the search.
    """
    if not (image > 0).any():
        raise StepFailed("the images are empty")
    if same_grid(ct_geometry, geometry):
        return Alignment(np.eye(4), "same_grid", 2.0, 0.0, 0.0)
    levels = [_Pair.at(spacing, ct, brain, ct_geometry, image=image, geometry=geometry) for spacing in LEVELS_MM]
    by_header = overlap_share(image > 0, geometry, brain, ct_geometry) >= HEADER_OVERLAP
    starts = [np.eye(4)] if by_header else _starts(image > 0, geometry, brain, ct_geometry)
    best = _searched(levels, starts)
    found = levels[-1].similarity(best)
    stays = levels[-1].similarity(np.eye(4)) if by_header else 0.0
    if found <= 1.0 and stays <= 1.0:
        raise StepFailed("the images do not overlap with the brain in the CT")
    if by_header and found < stays + MIN_GAIN:
        return Alignment(np.eye(4), "header", stays, 0.0, 0.0)
    centre = centroid_mm(brain, ct_geometry)
    turn_deg = float(np.degrees(Rotation.from_matrix(best[:3, :3]).magnitude()))
    shift_mm = float(np.linalg.norm(best[:3, :3] @ centre + best[:3, 3] - centre))
    return Alignment(best, "rigid", found, turn_deg, shift_mm)


def same_grid(first: Geometry, second: Geometry) -> bool:
    """Tell whether two geometries place every voxel alike."""
    if first.shape_zyx != second.shape_zyx:
        return False
    corners = np.array(list(product(*((0, n - 1) for n in first.shape_zyx))))
    apart = np.linalg.norm(first.index_to_world(corners) - second.index_to_world(corners), axis=1)
    return bool(apart.max() <= SAME_GRID_MM)


def overlap_share(imaged: BoolArray, geometry: Geometry, brain: BoolArray, ct_geometry: Geometry) -> float:
    """Return the share of ``imaged`` (bool, on ``geometry``) that lies in ``brain`` (bool, on ``ct_geometry``)."""
    points = geometry.index_to_world(np.argwhere(imaged)[::7])
    index = np.round(ct_geometry.world_to_index(points)).astype(int)
    inside = ((index >= 0) & (index < brain.shape)).all(axis=1)
    return float(brain[tuple(index[inside].T)].sum() / max(len(points), 1))


def _starts(imaged: BoolArray, geometry: Geometry, brain: BoolArray, ct_geometry: Geometry) -> list[Float64Array]:
    """Return poses that bring the image's centre to the brain's axis, at several heights and nods."""
    centre, target = centroid_mm(imaged, geometry), centroid_mm(brain, ct_geometry)
    starts = []
    for lift_mm, pitch_deg in product(SEARCH_LIFT_MM, SEARCH_PITCH_DEG):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("x", pitch_deg, degrees=True).as_matrix()
        pose[:3, 3] = centre - pose[:3, :3] @ target
        pose[2, 3] += lift_mm
        starts.append(pose)
    return starts


def _searched(levels: "list[_Pair]", starts: Iterable[Float64Array]) -> Float64Array:
    """Return the best pose: the best starts refined on the first level, the best of them on the next."""
    first, *finer = levels
    promising = sorted(starts, key=first.similarity, reverse=True)[:REFINED_STARTS]
    best = max((first.refined(start, step_mm=STEP_MM) for start in promising), key=first.similarity)
    for level in finer:
        best = level.refined(best, step_mm=STEP_MM / 2)
    return best


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both images on one level: points of the CT with their grey levels, and the other image to be sampled."""

    points_mm: Float64Array
    ct_levels: Float64Array
    centre_mm: Float64Array
    image: Float32Array
    geometry: Geometry

    @classmethod
    def at(
        cls,
        spacing_mm: float,
        ct: Float32Array,
        brain: BoolArray,
        ct_geometry: Geometry,
        *,
        image: Float32Array,
        geometry: Geometry,
    ) -> "_Pair":
        grid = ct_geometry.regridded((spacing_mm,) * 3)
        values = resample(ct, ct_geometry, grid, fill=0.0, antialias=True)
        part = resample(brain.astype(np.float32), ct_geometry, grid, fill=0.0) >= 0.5
        if not part.any():
            raise StepFailed("there is no brain to align the images to")
        rim = ndimage.distance_transform_edt(~part, sampling=grid.spacing_mm_zyx) <= RIM_MM
        coarse = geometry.regridded([max(spacing_mm, mm) for mm in geometry.spacing_mm_zyx])
        seen = resample(image, geometry, coarse, fill=0.0, antialias=True)
        # Off the grid: where two grids coincide, interpolation blurs nothing, and the similarity peaks at a false pose.
        scatter = np.random.Generator(np.random.Philox(0)).uniform(-0.5, 0.5, (int(rim.sum()), 3))
        index = np.argwhere(rim) + scatter
        return cls(
            points_mm=grid.index_to_world(index),
            ct_levels=_in_levels(ndimage.map_coordinates(values, index.T, order=1, mode="nearest")),
            centre_mm=centroid_mm(part, grid),
            image=_in_levels(seen).astype(np.float32),
            geometry=coarse,
        )

    def similarity(self, ct_to_image: Float64Array) -> float:
        """Return the normalised mutual information over the points that the image covers; 1 where it covers few."""
        world = self.points_mm @ ct_to_image[:3, :3].T + ct_to_image[:3, 3]
        index = self.geometry.world_to_index(world).T
        last = len(self.image) - 1
        covered = (index[0] >= -0.5) & (index[0] <= last + 0.5)
        if covered.sum() < MIN_POINTS:
            return 1.0
        seen = ndimage.map_coordinates(self.image, index[:, covered], order=1, mode="constant", output=np.float64)
        return _normalised_information(self.ct_levels[covered], seen)

    def refined(self, start: Float64Array, *, step_mm: float) -> Float64Array:
        """Return the pose near ``start`` under which the images agree best."""

        def pose(change: Float64Array) -> Float64Array:
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_rotvec(change[:3] / REACH_MM).as_matrix()
            matrix[:3, 3] = self.centre_mm + change[3:] - matrix[:3, :3] @ self.centre_mm
            return np.asarray(start @ matrix, dtype=np.float64)

        simplex = np.vstack([np.zeros(6), np.eye(6) * step_mm])
        options = {"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-5, "maxfev": MAX_TRIES, "adaptive": True}
        result = optimize.minimize(
            lambda change: -self.similarity(pose(change)), np.zeros(6), method="Nelder-Mead", options=options
        )
        return pose(np.asarray(result.x, dtype=np.float64))


def _in_levels(values: Float32Array) -> Float64Array:
    """Return ``values`` scaled to 0 .. BINS - 1, from 0 to their 99th percentile above 0; what is beyond is held."""
    positive = values[values > 0]
    top = float(np.percentile(positive, 99)) if positive.size else 1.0
    return np.asarray(np.clip(values / top, 0, 1) * (BINS - 1), dtype=np.float64)


def _normalised_information(first: Float64Array, second: Float64Array) -> float:
    """Return (H(a) + H(b)) / H(a, b) of two sets of grey levels; each value counts for its two nearest bins."""
    joint = np.zeros((BINS, BINS))
    whole = [np.minimum(values.astype(np.intp), BINS - 2) for values in (first, second)]
    parts = [values - base for values, base in zip((first, second), whole, strict=True)]
    for up, right in product((0, 1), (0, 1)):
        weights = (parts[0] if up else 1 - parts[0]) * (parts[1] if right else 1 - parts[1])
        place = (whole[0] + up) * BINS + whole[1] + right
        joint += np.bincount(place, weights, minlength=BINS * BINS).reshape(BINS, BINS)
    joint /= joint.sum()
    entropies = [_entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0)), _entropy(joint.ravel())]
    return (entropies[0] + entropies[1]) / entropies[2] if entropies[2] > 0 else 1.0


def _entropy(shares: Float64Array) -> float:
    present = shares[shares > 0]
    return -float(present @ np.log(present))

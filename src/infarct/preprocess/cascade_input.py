"""What the cascade of VB-Nets sees: the head on an upright grid, and where each voxel lies in the atlas.

Source: Cao et al. 2022 (DOI 10.1002/hbm.25845), section 2.3: a coarse network on the downsampled head finds the place,
a fine one draws twenty regions there. The coordinates and the atlas's regions (`region_prior`) are ours. Without
coordinates, and with an output for each side, a network tends to give up and call everything background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.anatomy import REGIONS
from infarct.preprocess.region_prior import PRIOR_CHANNELS, region_prior
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume import Geometry

Zyx = tuple[int, int, int]

COORDINATE_MM: Final = 100.0
"""Atlas coordinates are divided by this."""
GRID_PARTS: Final = 3
"""Coordinates of a voxel."""


@dataclass(frozen=True)
class CascadeSetting:
    """How the cascade is used; saved with the weights.

    The coarse network sees the head shrunk by ``factor_zyx``, in tiles of ``coarse_tile_zyx`` voxels; the fine one sees
    a tile of ``fine_tile_zyx`` of the grid itself around the middle of what the coarse one found; where that is larger,
    several on it and ``reach_mm`` around.
    ``coordinates``: they are channels beside the image. ``prior``: so are the atlas's picture and the log-odds of its
    regions, which come last. ``sided``: an output for each of twenty regions, as published; otherwise ten, and the side
    comes from the midsagittal plane. Probabilities are smoothed by a Gaussian with an SD of ``smoothing_mm``.
    """

    factor_zyx: Zyx
    coarse_tile_zyx: Zyx
    fine_tile_zyx: Zyx
    coordinates: bool = True
    prior: bool = True
    sided: bool = False
    reach_mm: float = 8.0
    smoothing_mm: float = 1.5

    def __post_init__(self) -> None:
        if min(*self.factor_zyx, *self.coarse_tile_zyx, *self.fine_tile_zyx) < 1:
            raise ValueError("factors and tiles are 1 voxel or more")
        if min(self.reach_mm, self.smoothing_mm) < 0:
            raise ValueError("reach and smoothing are 0 mm or more")
        if self.sided and self.prior:
            raise ValueError("the atlas's regions have no sides as channels")

    @property
    def in_channels(self) -> int:
        """Channels of either network."""
        return 1 + GRID_PARTS * self.coordinates + PRIOR_CHANNELS * self.prior

    @property
    def classes(self) -> int:
        """Background and regions; each voxel is one of them."""
        return 1 + len(REGIONS) * (1 + self.sided)

    @property
    def out_channels(self) -> int:
        """The classes, and an output of its own for the brain."""
        return self.classes + 1


@dataclass(frozen=True, eq=False)
class CascadeInput:
    """A head on the fine network's grid; reversing x mirrors it.

    ``image`` is float (z, y, x), 0 (air, and what lies beyond the grid) to 2; ``inside`` (bool) is the intracranial
    region. ``to_atlas`` (float64, (3, 4)) leads from voxel (z, y, x) to x, y and z in the atlas in mm; None where that
    is not known.
    """

    image: npt.NDArray[np.float32 | np.float16]
    inside: BoolArray
    to_atlas: Float64Array | None
    spacing_mm_zyx: tuple[float, float, float]

    def cut(self, box: tuple[slice, slice, slice]) -> "CascadeInput":
        """Return what lies in a box of the grid."""
        to_atlas = self.to_atlas
        if to_atlas is not None:
            corner = [part.start for part in box]
            to_atlas = np.column_stack([to_atlas[:, :3], to_atlas @ [*corner, 1]])
        return CascadeInput(self.image[box], self.inside[box], to_atlas, self.spacing_mm_zyx)


@dataclass(frozen=True)
class Shrinking:
    """How a grid is shrunk: whole blocks of ``factor_zyx`` voxels, after ``padding`` before and after each axis."""

    factor_zyx: Zyx
    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @classmethod
    def of(cls, shape_zyx: Zyx, factor_zyx: Zyx) -> "Shrinking":
        """Return how a grid of ``shape_zyx`` shrinks. Along x both ends are alike, so it stays symmetric (or nearly,
        where an even factor meets an odd size).
        """
        ends = [(0, -length % factor) for length, factor in zip(shape_zyx, factor_zyx, strict=True)]
        columns, factor = shape_zyx[2], factor_zyx[2]
        even = [room for room in range(factor) if (columns + 2 * room) % factor == 0]
        if even:
            ends[2] = (even[0], even[0])
        return cls(factor_zyx, (ends[0], ends[1], ends[2]))

    @property
    def offset(self) -> Float64Array:
        """Fine index = factor * coarse index + this, (3,)."""
        first = [(factor - 1) / 2 - low for factor, (low, _) in zip(self.factor_zyx, self.padding, strict=True)]
        return np.array(first)

    def means(self, image: npt.NDArray[np.float32 | np.float16]) -> Float32Array:
        """Return the mean of each block, float32; zeros lie beyond the image."""
        padded = np.pad(np.asarray(image, dtype=np.float32), self.padding)
        blocks = [part for n, f in zip(padded.shape, self.factor_zyx, strict=True) for part in (n // f, f)]
        return np.asarray(padded.reshape(blocks).mean(axis=(1, 3, 5)), dtype=np.float32)

    def centres(self, labels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return the value in the middle of each block; zeros lie beyond."""
        z, y, x = self.factor_zyx
        return np.pad(labels, self.padding)[z // 2 :: z, y // 2 :: y, x // 2 :: x]

    def carried(self, to_atlas: Float64Array) -> Float64Array:
        """Return the map (3, 4) to the atlas for the voxels of the shrunk grid."""
        scaled = to_atlas[:, :3] * np.array(self.factor_zyx)
        return np.column_stack([scaled, to_atlas[:, :3] @ self.offset + to_atlas[:, 3]])


def shrunk(given: CascadeInput, factor_zyx: Zyx) -> tuple[CascadeInput, Shrinking]:
    """Return the input of the coarse network, and how it was shrunk."""
    z, y, x = given.image.shape
    how = Shrinking.of((z, y, x), factor_zyx)
    sz, sy, sx = (step * factor for step, factor in zip(given.spacing_mm_zyx, factor_zyx, strict=True))
    carried = None if given.to_atlas is None else how.carried(given.to_atlas)
    inside = how.centres(given.inside).astype(bool)
    return CascadeInput(how.means(given.image), inside, carried, (sz, sy, sx)), how


def atlas_map(grid: Geometry, scan_to_atlas: Float64Array) -> Float64Array:
    """Return the map (float64, (3, 4)) from voxels (z, y, x) of an upright grid to the atlas, in mm.

    y and z are the atlas's by ``scan_to_atlas`` (4x4, LPS mm). x is the distance from the middle of the grid, which is
    the midsagittal plane, at the atlas's scale: sides are the plane's, not the registration's.
    """
    corner, *ends = grid.index_to_world(np.vstack([np.zeros(3), np.eye(3)]))
    steps = np.column_stack([end - corner for end in ends])
    matrix = np.column_stack([scan_to_atlas[:3, :3] @ steps, scan_to_atlas[:3, :3] @ corner + scan_to_atlas[:3, 3]])
    step = grid.spacing_mm_zyx[2] * float(np.linalg.norm(scan_to_atlas[0, :3]))
    matrix[0] = 0, 0, step, -step * (grid.size_yx[1] - 1) / 2
    return np.asarray(matrix, dtype=np.float64)


def coordinates(to_atlas: Float64Array | None, shape_zyx: Zyx) -> Float32Array:
    """Return where each voxel lies in the atlas (float32, (3, z, y, x)): x, y, z in units of 100 mm.

    All are 0 where the map is not known.
    """
    if to_atlas is None:
        return np.zeros((GRID_PARTS, *shape_zyx), dtype=np.float32)
    return places(to_atlas / COORDINATE_MM, shape_zyx)


def place_channels(parts: Float32Array, setting: CascadeSetting) -> list[Float32Array]:
    """Return the channels (float32, (c, z, y, x)) that the networks take of `coordinates`; none where they take none.

    x has no sign unless classes have sides, so that both sides look alike.
    """
    taken = []
    if setting.coordinates:
        taken.append(parts if setting.sided else np.concatenate([np.abs(parts[:1]), parts[1:]]))
    if setting.prior:
        taken.append(region_prior(parts * np.float32(COORDINATE_MM)))
    return taken


def places(matrix: Float64Array, shape_zyx: Zyx) -> Float32Array:
    """Return where an affine map (3, 4) takes each voxel (z, y, x) of a grid: float32 (3, z, y, x)."""
    z, y, x = (np.arange(count, dtype=np.float32) for count in shape_zyx)
    rows = matrix.astype(np.float32)
    return np.stack([row[0] * z[:, None, None] + row[1] * y[:, None] + (row[2] * x + row[3]) for row in rows])


def channels_of(given: CascadeInput, setting: CascadeSetting) -> Float32Array:
    """Return the channels of a network (float32, (c, z, y, x)): the image, and of where it lies what they take."""
    z, y, x = given.image.shape
    image = np.asarray(given.image, dtype=np.float32)[None]
    return np.concatenate([image, *place_channels(coordinates(given.to_atlas, (z, y, x)), setting)])


def box_start(middle: Float64Array, shape: Sequence[int], size_zyx: Zyx) -> Zyx:
    """Return where a patch of ``size_zyx`` around a voxel begins. It does not leave the volume of ``shape``, unless
    that is smaller: then the volume stands in the middle of the patch.
    """
    z, y, x = (
        min(max(round(float(place) - (size - 1) / 2), 0), length - size) if length >= size else -((size - length) // 2)
        for place, size, length in zip(middle, size_zyx, shape, strict=True)
    )
    return z, y, x


def class_of_label(*, sided: bool) -> LabelArray:
    """Return the class of each label value 0 to 20 as a table (uint8, (21,))."""
    count = len(REGIONS)
    classes = [0, *range(1, count + 1), *range(1, count + 1)]
    return np.array(range(2 * count + 1) if sided else classes, dtype=np.uint8)

"""From the grid of diffusion images to the CT's: rigidly in three dimensions, or slice by slice as the paper did."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
from scipy import ndimage

from infarct.errors import StepFailed
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane
from infarct.reference.alignment import Alignment, align
from infarct.reference.dwi_images import DiffusionImages
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample

RouteName: TypeAlias = Literal["rigid", "slices"]
ADC_WINDOW_UM2_S: Final = (200.0, 2200.0)
"""ADC is held in here for the alignment: like the CT it parts fluid from tissue, and an infarct hardly shows."""
DENSITY_WINDOW_HU: Final = (0.0, 50.0)
LEAST_SLICE_MM2: Final = 400.0
"""Smaller sections of the brain have no place of their own."""


class Route(Protocol):
    """A way of bringing images to the CT."""

    def carried(self, values: Float32Array, *, fill: float) -> Float32Array:
        """Return ``values`` (float32, (z, y, x), on the images' grid) on the head's grid; ``fill`` where none are."""
        ...


def carried_mask(route: Route, mask: BoolArray) -> BoolArray:
    """Return a mask (bool, (z, y, x)) on the head's grid: where at least half of it, interpolated, is set."""
    return np.asarray(route.carried(mask.astype(np.float32), fill=0.0) >= 0.5)


@dataclass(frozen=True, eq=False)
class RigidRoute:
    """All slices at once, by a turn and a shift."""

    source: Geometry
    target: Geometry
    alignment: Alignment

    def carried(self, values: Float32Array, *, fill: float) -> Float32Array:
        """Return ``values`` on the head's grid."""
        return resample(values, self.source, self.target, transform=self.alignment.ct_to_image, fill=fill)


@dataclass(frozen=True, eq=False)
class SliceMatch:
    """A CT slice and the DWI slice beside it; ``matrix`` (2, 3) takes row and column of the first to the second."""

    ct_slice: int
    image_slice: int
    matrix: Float64Array


@dataclass(frozen=True, eq=False)
class SliceRoute:
    """Slice by slice: the falx upright in both, the brain cropped, one box brought to the other (localize paper)."""

    target: Geometry
    matches: tuple[SliceMatch, ...]

    def carried(self, values: Float32Array, *, fill: float) -> Float32Array:
        """Return ``values`` on the head's grid, bilinearly; slices without a match hold ``fill``."""
        out = np.full(self.target.shape_zyx, fill, dtype=np.float32)
        for match in self.matches:
            plane, matrix = values[match.image_slice], match.matrix
            out[match.ct_slice] = ndimage.affine_transform(
                plane, matrix[:, :2], matrix[:, 2], output_shape=self.target.size_yx, order=1, cval=fill
            )
        return out


def rigid_route(head: Head, images: DiffusionImages) -> RigidRoute:
    """Return the rigid route, found by ADC against density inside both brains.

    Raises `StepFailed` where the two do not overlap.
    """
    density = np.where(head.brain, np.clip(head.hu, *DENSITY_WINDOW_HU), np.float32(0)).astype(np.float32)
    adc = np.where(images.brain, np.clip(images.adc_um2_s, *ADC_WINDOW_UM2_S), np.float32(0)).astype(np.float32)
    found = align(density, head.brain, head.geometry, image=adc, geometry=images.geometry)
    return RigidRoute(images.geometry, head.geometry, found)


def slice_route(head: Head, images: DiffusionImages) -> SliceRoute:
    """Return the slice-by-slice route.

    The paper matched slices by eye, by their order and what they show. Here slices match by their depth under the
    vertex, and no slice is tilted: a head that nods between the scans is not corrected.

    Raises `StepFailed` where no slice matches.
    """
    own, other = (
        _sections(brain, geometry, plane)
        for brain, geometry, plane in (
            (head.brain, head.geometry, head.midplane),
            (images.brain, images.geometry, images.midplane),
        )
    )
    if not own or not other:
        raise StepFailed("no slice of the brain is large enough to be matched")
    depths = np.array([section.depth_mm for section in other])
    reach_mm = images.geometry.spacing_mm_zyx[0]
    matches = []
    for section in own:
        nearest = int(np.abs(depths - section.depth_mm).argmin())
        if abs(depths[nearest] - section.depth_mm) <= reach_mm:
            matches.append(SliceMatch(section.index, other[nearest].index, _between(section, other[nearest])))
    return SliceRoute(head.geometry, tuple(matches))


@dataclass(frozen=True, eq=False)
class _Section:
    """A slice of the brain: its depth under the vertex, and ``to_box`` (2, 3), from row and column to the upright box.

    The box is that of the brain after the falx was turned upright, from -1 to 1 along rows and columns.
    """

    index: int
    depth_mm: float
    to_box: Float64Array


def _sections(brain: BoolArray, geometry: Geometry, plane: Midplane) -> list[_Section]:
    """Return the sections of a brain that are large enough, from below upwards."""
    sy, sx = geometry.pixel_spacing_mm_yx
    large = np.flatnonzero(brain.sum(axis=(1, 2)) * sy * sx >= LEAST_SLICE_MM2)
    if len(large) == 0:
        return []
    top_mm = float(geometry.slice_positions_mm[large[-1]] + geometry.slice_intervals_mm[large[-1]] / 2)
    across = np.array([plane.normal @ geometry.y_direction, plane.normal @ geometry.x_direction])
    across /= np.linalg.norm(across)
    along = np.array([across[1], -across[0]])  # down the falx: to posterior, as rows run
    turned = np.stack([along, across]) * (sy, sx)
    found = []
    for k in large:
        points = np.argwhere(brain[k]) @ turned.T
        low, high = points.min(axis=0), points.max(axis=0)
        half = (high - low) / 2
        to_box = np.column_stack([turned / half[:, None], -(low + high) / 2 / half])
        found.append(_Section(int(k), top_mm - float(geometry.slice_positions_mm[k]), to_box))
    return found


def _between(section: _Section, other: _Section) -> Float64Array:
    """Return the (2, 3) matrix from row and column of one section to those of another, by their boxes."""
    back = np.linalg.inv(other.to_box[:, :2])
    matrix = back @ section.to_box[:, :2]
    shift = back @ (section.to_box[:, 2] - other.to_box[:, 2])
    return np.column_stack([matrix, shift])

"""Resampling in millimetres between any two geometries, tilted and uneven ones included.

Between two slices values are interpolated along the slice normal, the shortest way: in a tilted stack the same row of
two slices lies at two places, and going along the rows would smear anatomy by the tilt.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume.geometry import Geometry


def resample(
    array: Float32Array,
    source: Geometry,
    target: Geometry,
    *,
    transform: npt.ArrayLike | None = None,
    fill: float = -1000.0,
    antialias: bool = False,
) -> Float32Array:
    """Return ``array`` (float32, (z, y, x), on ``source``) on ``target``, linearly interpolated.

    ``transform`` is a 4x4 matrix from target to source LPS mm (identity if None). Half a voxel beyond the
    outermost voxel centres the edge value still holds; farther out stands ``fill``. ``antialias`` smooths
    first along axes on which the target is coarser, by a Gaussian as wide as the coarser voxel.
    """
    if antialias:
        array = _smoothed_for(array, source, target)
    out = np.full(target.shape_zyx, fill, dtype=np.float32)
    for k, plane in _planes(array, source, target, transform, order=1, fill=fill):
        out[k] = plane
    return out


def resample_labels(
    labels: LabelArray, source: Geometry, target: Geometry, *, transform: npt.ArrayLike | None = None
) -> LabelArray:
    """Return a label map (uint8, (z, y, x)) on ``target`` by nearest neighbour; 0 outside."""
    out = np.zeros(target.shape_zyx, dtype=np.uint8)
    for k, plane in _planes(labels, source, target, transform, order=0, fill=0):
        out[k] = plane
    return out


def labels_at(labels: LabelArray, source: Geometry, points_mm: Float64Array) -> LabelArray:
    """Return the label (uint8, (z, y, x), on ``source``) of the voxel nearest to each LPS point (..., 3); 0 outside."""
    return _between_slices(labels, source, points_mm, order=0, fill=0).astype(np.uint8)


def resample_mask(
    mask: BoolArray, source: Geometry, target: Geometry, *, transform: npt.ArrayLike | None = None
) -> BoolArray:
    """Return a mask (bool, (z, y, x)) on ``target``: where at least half of it, linearly interpolated, is set."""
    out = np.zeros(target.shape_zyx, dtype=bool)
    planes = _planes(mask.astype(np.float32), source, target, transform, order=1, fill=0.0)
    for k, plane in planes if mask.any() else ():
        out[k] = plane >= 0.5
    return out


def _smoothed_for(array: Float32Array, source: Geometry, target: Geometry) -> Float32Array:
    ratios = np.array(target.spacing_mm_zyx) / source.spacing_mm_zyx
    sigmas = 0.4 * np.sqrt(np.maximum(ratios**2 - 1, 0))
    if sigmas.max() < 0.2:
        return array
    smooth: Float32Array = ndimage.gaussian_filter(array, sigmas, mode="nearest", output=np.float32, truncate=3)
    return smooth


def _planes(
    array: Float32Array | LabelArray,
    source: Geometry,
    target: Geometry,
    transform: npt.ArrayLike | None,
    *,
    order: int,
    fill: float,
) -> Iterator[tuple[int, Float32Array]]:
    """Yield the index and the values (float32, (y, x)) of each slice of the target that ``array`` reaches."""
    if array.shape != source.shape_zyx:
        raise ValueError(f"array of shape {array.shape} does not fit a geometry of {source.shape_zyx}")
    if transform is None and np.allclose(source.directions, target.directions, atol=1e-7):
        return _planes_parallel(array, source, target, order=order, fill=fill)
    matrix = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    return _planes_freely(array, source, target, matrix, order=order, fill=fill)


def _planes_parallel(
    array: Float32Array | LabelArray, source: Geometry, target: Geometry, *, order: int, fill: float
) -> Iterator[tuple[int, Float32Array]]:
    """Sample where both grids share their axes: slices, rows and columns are then interpolated one by one."""
    last = (target.size_yx[0] - 1, target.size_yx[1] - 1)
    for k in range(target.shape_zyx[0]):
        corners = target.index_to_world([(k, 0, 0), (k, *last)])
        slice_index = source.world_to_index(corners[0])[:1]
        if not -0.5 <= slice_index[0] <= len(array) - 0.5:
            continue
        below, above, part = (neighbour[0] for neighbour in _neighbours(slice_index, len(array), order))
        plane = _plane_parallel(array[below], source.in_plane_index(below, corners), target, order, fill)
        if part > 0:
            upper = _plane_parallel(array[above], source.in_plane_index(above, corners), target, order, fill)
            plane = plane * (1 - part) + upper * part
        yield k, plane


def _plane_parallel(
    plane: Float32Array | LabelArray, corners: Float64Array, target: Geometry, order: int, fill: float
) -> Float32Array:
    """Return one source slice at the target's rows and columns, whose first and last lie at the ``corners``."""
    for axis, count in enumerate(plane.shape):
        position = np.linspace(corners[0, axis], corners[1, axis], target.size_yx[axis])
        inside = (position >= -0.5) & (position <= count - 0.5)
        below, above, part = _neighbours(position, count, order)
        if axis == 0:
            inside, part = inside[:, None], part[:, None]
        lower = plane.take(below, axis)
        plane = lower * (1 - part) + plane.take(above, axis) * part if part.any() else lower
        if not inside.all():
            plane = np.where(inside, plane, np.float32(fill))
    return plane.astype(np.float32)


def _neighbours(
    position: Float64Array, count: int, order: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Float32Array]:
    """Return the indices on both sides of ``position`` and the share of the upper one; edges hold."""
    clipped = np.clip(position if order else np.floor(position + 0.5), 0, count - 1)
    below = np.floor(clipped).astype(np.intp)
    return below, np.minimum(below + 1, count - 1), (clipped - below).astype(np.float32)


def _planes_freely(
    array: Float32Array | LabelArray,
    source: Geometry,
    target: Geometry,
    matrix: Float64Array,
    *,
    order: int,
    fill: float,
) -> Iterator[tuple[int, Float32Array]]:
    """Sample through any affine map, slice by slice of the target."""
    rows, columns = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in target.size_yx), indexing="ij")
    rows, columns = rows[..., None], columns[..., None]
    for k in range(target.shape_zyx[0]):
        corner, down, right = target.index_to_world([(k, 0, 0), (k, 1, 0), (k, 0, 1)]) @ matrix[:3, :3].T
        corner, down, right = (point + matrix[:3, 3] for point in (corner, down, right))
        if source.is_upright and source.is_even:  # then the index too is linear in row and column
            corner, down, right = source.world_to_index([corner, down, right])
            index = corner + rows * (down - corner) + columns * (right - corner)
            yield k, _looked_up(array, index, order, fill)
        else:
            world = corner + rows * (down - corner) + columns * (right - corner)
            yield k, _between_slices(array, source, world, order, fill)


def _between_slices(
    array: Float32Array | LabelArray, source: Geometry, world: Float64Array, order: int, fill: float
) -> Float32Array:
    """Return the values at world points (..., 3), interpolated along the normal between the slices around them."""
    slice_index = source.world_to_index(world)[..., 0]
    in_reach = (slice_index >= -0.5) & (slice_index <= len(array) - 0.5)
    values = np.full(slice_index.shape, fill, dtype=np.float32)
    if in_reach.any():
        below, above, part = _neighbours(slice_index[in_reach], len(array), order)
        lower = _looked_up(array, _on_slice(source, below, world[in_reach]), order, fill)
        upper = _looked_up(array, _on_slice(source, above, world[in_reach]), order, fill)
        values[in_reach] = np.where(part > 0, lower * (1 - part) + upper * part, lower)
    return values


def _on_slice(source: Geometry, slices: npt.NDArray[np.intp], world: Float64Array) -> Float64Array:
    """Return the index (..., 3) of world points carried along the normal onto ``slices``."""
    return np.concatenate([slices[..., None], source.in_plane_index(slices, world)], axis=-1)


def _looked_up(array: Float32Array | LabelArray, index: Float64Array, order: int, fill: float) -> Float32Array:
    """Return the values at fractional indices (..., 3); ``fill`` beyond half a voxel outside the outermost ones."""
    inside = np.ones(index.shape[:-1], dtype=bool)
    for axis, count in enumerate(array.shape):
        inside &= (index[..., axis] >= -0.5) & (index[..., axis] <= count - 0.5)
    values = np.full(inside.shape, fill, dtype=np.float32)
    if not inside.any():
        return values
    values[inside] = ndimage.map_coordinates(array, index[inside].T, order=order, mode="nearest")
    return values

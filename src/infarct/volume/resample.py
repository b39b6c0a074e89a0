"""Resampling in millimetres between any two geometries, tilted and uneven ones included."""

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
    first along axes on which the target is coarser, so that noise falls as it would by averaging.
    """
    if antialias:
        array = _smoothed_for(array, source, target)
    return _sampled(array, source, target, transform, order=1, fill=fill)


def resample_labels(
    labels: LabelArray, source: Geometry, target: Geometry, *, transform: npt.ArrayLike | None = None
) -> LabelArray:
    """Return a label map (uint8, (z, y, x)) on ``target`` by nearest neighbour; 0 outside."""
    return _sampled(labels, source, target, transform, order=0, fill=0).astype(np.uint8)


def resample_mask(
    mask: BoolArray, source: Geometry, target: Geometry, *, transform: npt.ArrayLike | None = None
) -> BoolArray:
    """Return a mask (bool, (z, y, x)) on ``target``: where at least half of it, linearly interpolated, is set."""
    part = _sampled(mask.astype(np.float32), source, target, transform, order=1, fill=0.0)
    return np.asarray(part >= 0.5)


def _smoothed_for(array: Float32Array, source: Geometry, target: Geometry) -> Float32Array:
    ratios = np.array(target.spacing_mm_zyx) / source.spacing_mm_zyx
    sigmas = 0.4 * np.sqrt(np.maximum(ratios**2 - 1, 0))
    if sigmas.max() < 0.2:
        return array
    smooth: Float32Array = ndimage.gaussian_filter(array, sigmas, mode="nearest", output=np.float32, truncate=3)
    return smooth


def _sampled(
    array: Float32Array | LabelArray,
    source: Geometry,
    target: Geometry,
    transform: npt.ArrayLike | None,
    *,
    order: int,
    fill: float,
) -> Float32Array:
    if array.shape != source.shape_zyx:
        raise ValueError(f"array of shape {array.shape} does not fit a geometry of {source.shape_zyx}")
    if transform is None and np.allclose(source.directions, target.directions, atol=1e-7):
        return _sampled_parallel(array, source, target, order=order, fill=fill)
    matrix = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    return _sampled_freely(array, source, target, matrix, order=order, fill=fill)


def _sampled_parallel(
    array: Float32Array | LabelArray, source: Geometry, target: Geometry, *, order: int, fill: float
) -> Float32Array:
    """Sample where both grids share their axes: slices, rows and columns are then interpolated one by one."""
    out = np.full(target.shape_zyx, fill, dtype=np.float32)
    depth, rows, columns = source.shape_zyx
    for k in range(target.shape_zyx[0]):
        first, last = source.world_to_index(
            target.index_to_world([(k, 0, 0), (k, target.size_yx[0] - 1, target.size_yx[1] - 1)])
        )
        if not -0.5 <= first[0] <= depth - 0.5:
            continue
        below, above, part = _neighbours(np.array([first[0]]), depth, order)
        plane = array[below[0]] * (1 - part[0]) + array[above[0]] * part[0] if order else array[below[0]]
        for axis, count in ((0, rows), (1, columns)):
            position = np.linspace(first[axis + 1], last[axis + 1], target.size_yx[axis])
            inside = (position >= -0.5) & (position <= count - 0.5)
            below, above, part = _neighbours(position, count, order)
            weight = part[:, None] if axis == 0 else part
            plane = plane.take(below, axis) * (1 - weight) + plane.take(above, axis) * weight
            keep_shape = inside[:, None] if axis == 0 else inside
            plane = np.where(keep_shape, plane, np.float32(fill))
        out[k] = plane
    return out


def _neighbours(
    position: Float64Array, count: int, order: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Float32Array]:
    """Return the indices on both sides of ``position`` and the share of the upper one; edges hold."""
    clipped = np.clip(position if order else np.floor(position + 0.5), 0, count - 1)
    below = np.floor(clipped).astype(np.intp)
    return below, np.minimum(below + 1, count - 1), (clipped - below).astype(np.float32)


def _sampled_freely(
    array: Float32Array | LabelArray,
    source: Geometry,
    target: Geometry,
    matrix: Float64Array,
    *,
    order: int,
    fill: float,
) -> Float32Array:
    rows, columns = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in target.size_yx), indexing="ij")
    out = np.full(target.shape_zyx, fill, dtype=np.float32)
    limits = np.array(source.shape_zyx)[:, None, None] - 0.5
    for k in range(target.shape_zyx[0]):
        index = _source_index(matrix, source, target, k, rows, columns)
        inside = ((index >= -0.5) & (index <= limits)).all(axis=0)
        if inside.any():
            out[k][inside] = ndimage.map_coordinates(array, index[:, inside], order=order, mode="nearest")
    return out


def _source_index(
    matrix: Float64Array,
    source: Geometry,
    target: Geometry,
    k: int,
    rows: Float64Array,
    columns: Float64Array,
) -> Float64Array:
    """Return the source indices (3, rows, columns) of one target slice."""
    corner, down, right = target.index_to_world([(k, 0, 0), (k, 1, 0), (k, 0, 1)]) @ matrix[:3, :3].T
    corner_world = corner + matrix[:3, 3]
    world = corner_world + rows[..., None] * (down - corner) + columns[..., None] * (right - corner)
    return np.moveaxis(source.world_to_index(world), -1, 0)

"""The CT scanner: a canvas and a protocol become slices of whole HU on a geometry of their own.

The world is LPS mm, as in DICOM; ``world = pose @ head``. `carry` brings the truth the same way.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.phantom import artefacts
from infarct.phantom.canvas import Canvas
from infarct.phantom.grid import Grid, rng
from infarct.phantom.noise import contrast_share, grain, noise_gain
from infarct.phantom.patient import Protocol
from infarct.phantom.planes import CHUNK, Planes, resized
from infarct.types import Float64Array
from infarct.volume import Geometry

PADDING_HU: Final = -2000.0
"""Outside the circle of reconstruction, as one vendor stores it; readers take what lies under -1024 for padding."""
LOWEST_HU: Final = -1024.0
HIGHEST_HU: Final = 3071.0
BELOW_MM: Final = (2.0, 10.0)
"""How far under the foramen magnum the lowest slice lies."""
ABOVE_MM: Final = 3.0
"""How far above the scalp the stack must reach."""
SKIN_HU: Final = -300.0
THINNED: Final = 3
"""Every third voxel along each axis tells how far the head reaches."""
FAR_MM: Final = 200.0
"""Taken for the distance to the skull outside the canvas."""
SHARE_STEPS: Final = 1000
"""Steps in which the share of a mask in a voxel is counted."""
OUTLINE: Final = (0.25, 0.75)
"""Least and greatest share of a voxel at which the outline of a mask may run."""


@dataclass(frozen=True, eq=False)
class Scanned:
    """A scan: ``hu`` float32 (z, y, x), whole numbers, on ``geometry`` (world LPS mm)."""

    hu: Tensor
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Extent:
    """How far the head reaches: points (n, 3) in it and, of these, inside the skull, in LPS mm of the world."""

    head_mm: Float64Array
    skull_mm: Float64Array

    @classmethod
    def of(cls, canvas: Canvas, protocol: Protocol) -> "Extent":
        """Return the extent of a canvas in the protocol's pose."""
        matrix = protocol.pose.matrix()
        found = []
        for mask in (canvas.hu > SKIN_HU, canvas.intracranial):
            index = torch.nonzero(mask[::THINNED, ::THINNED, ::THINNED]).cpu().numpy()[:, ::-1]
            points = index * (THINNED * canvas.grid.spacing_mm) + np.array(canvas.grid.origin_mm)
            found.append(points @ matrix[:3, :3].T + matrix[:3, 3])
        return cls(found[0], found[1])

    def box_above(self, position_mm: float, normal: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the lower and upper corner of what lies above a plane, so that the neck does not count."""
        above = self.head_mm[self.head_mm @ normal >= position_mm]
        return above.min(axis=0), above.max(axis=0)


def scan(canvas: Canvas, protocol: Protocol, device: torch.device | str) -> Scanned:
    """Return the scan of a canvas; the same protocol (its seed included) gives the same bytes on the same device."""
    extent = Extent.of(canvas, protocol)
    geometry = scan_geometry(extent, protocol)
    planes = Planes(canvas.grid, geometry, protocol, device)
    picture = planes.mean(canvas.hu.to(device) + 1000, endless=True) - 1000
    brain = planes.centre(canvas.intracranial.to(device, torch.float32))
    depth_mm = planes.centre(canvas.depth_mm.to(device) + FAR_MM) - FAR_MM
    hu_of_rays, brain_of_rays = (resized(volume, planes.raster, planes.rays) for volume in (picture, brain))
    if protocol.head_rest:
        picture = torch.maximum(picture, _rest_hu(extent, protocol, planes))
    picture += artefacts.cupping(depth_mm, protocol.cupping_hu)
    picture += resized(artefacts.along_rays(hu_of_rays, brain_of_rays, protocol), planes.rays, planes.raster)
    noise = noise_gain(hu_of_rays, brain_of_rays) * protocol.noise_hu
    contrast = contrast_share(hu_of_rays) if protocol.reconstruction == "deep" else None
    return Scanned(_imaged(picture, noise, contrast, protocol, planes), geometry)


def scan_geometry(extent: Extent, protocol: Protocol) -> Geometry:
    """Return the stack of slices: from just below the foramen magnum to above the scalp, centred on the head.

    The table moves along z. A positive tilt raises the front edge of the slices; gaps are along the normal.
    """
    tilt = np.radians(protocol.tilt_deg)
    normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    y_direction = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    random = rng(protocol.seed, "stack")
    lowest_mm = float((extent.skull_mm @ normal).min()) - random.uniform(*BELOW_MM)
    positions_mm = _positions(protocol, lowest_mm, float((extent.head_mm @ normal).max()) + ABOVE_MM)
    low, high = extent.box_above(lowest_mm, normal)
    x_mm, y_mm, _ = (low + high) / 2
    z_mm = (positions_mm - y_mm * normal[1]) / normal[2]
    middles = np.stack([np.full_like(z_mm, x_mm), np.full_like(z_mm, y_mm), z_mm], axis=1)
    half_mm = (protocol.size_px - 1) / 2 * protocol.pixel_mm
    x_direction = np.array([1.0, 0.0, 0.0])
    return Geometry(
        origins_mm=middles - half_mm * (x_direction + y_direction),
        x_direction=x_direction,
        y_direction=y_direction,
        pixel_spacing_mm_yx=(protocol.pixel_mm, protocol.pixel_mm),
        size_yx=(protocol.size_px, protocol.size_px),
    )


def _positions(protocol: Protocol, lowest_mm: float, highest_mm: float) -> Float64Array:
    """Return slice positions from ``lowest_mm`` until ``highest_mm`` is passed; the gap changes on the way."""
    change_mm = lowest_mm + protocol.gap_change * (highest_mm - lowest_mm)
    positions = [lowest_mm]
    while positions[-1] < highest_mm:
        positions.append(positions[-1] + protocol.gaps_mm[0 if positions[-1] < change_mm else -1])
    return np.array(positions)


def render(canvas: Canvas, protocol: Protocol, geometry: Geometry) -> Tensor:
    """Return the canvas on a geometry as the scanner blurs it, in HU, without artefacts or noise: (z, y, x)."""
    planes = Planes(canvas.grid, geometry, protocol, canvas.hu.device)
    return planes.blurred(planes.mean(canvas.hu + 1000, endless=True)) - 1000


def render_difference(difference_hu: Tensor, grid: Grid, geometry: Geometry, protocol: Protocol) -> Tensor:
    """Return a difference of HU (z, y, x) on ``grid``, such as a lesion's, as `render` would show it: (z, y, x)."""
    planes = Planes(grid, geometry, protocol, difference_hu.device)
    box = planes.box(difference_hu)
    shown = torch.zeros(geometry.shape_zyx, device=difference_hu.device)
    if box.first < box.last:
        shown[box.first : box.last] = planes.blurred(planes.mean(difference_hu, box=box)[box.first : box.last])
    return shown


def carry(values: Tensor, grid: Grid, geometry: Geometry, protocol: Protocol) -> Tensor:
    """Return truth (z, y, x) on ``grid`` on the slices of a scan, moved as the head moved; outside the grid it is 0.

    Floats become means over the slice profile. A mask (bool) becomes the voxels that it fills most, about half or more,
    in its own volume. Labels (uint8) are those nearest to the slice's middle.
    """
    planes = Planes(grid, geometry, protocol, values.device)
    box = planes.box(values)
    if values.dtype == torch.uint8:
        return planes.labels(values, box)
    means = planes.mean(values.to(torch.float32), box=box)
    shares = torch.zeros(geometry.shape_zyx, device=values.device)
    for start in range(box.first, box.last, CHUNK):
        part = slice(start, min(start + CHUNK, box.last))
        shares[part] = resized(means[part], planes.raster, planes.pixels)
    return _outlined(shares, geometry) if values.dtype == torch.bool else shares


def _outlined(shares: Tensor, geometry: Geometry) -> Tensor:
    """Return the voxels of greatest share (bool), as many as hold the volume of all shares together.

    A fixed limit of a half would lose thin and ragged parts in thick slices, up to a tenth of an infarct.
    """
    touched = shares > 1 / SHARE_STEPS
    found = shares[touched].clamp(max=1.0)
    voxel_ml = torch.from_numpy(geometry.slice_voxel_ml).to(shares.device, torch.float32)
    volume = voxel_ml[:, None, None].expand_as(shares)[touched]
    step = (found * SHARE_STEPS).long()
    held = torch.bincount(step, weights=volume, minlength=SHARE_STEPS + 1).flip(0).cumsum(0)
    wanted = (found * volume).sum()
    level = (SHARE_STEPS - torch.searchsorted(held, wanted.to(held.dtype))).clamp(*(SHARE_STEPS * s for s in OUTLINE))
    return shares >= level / SHARE_STEPS


def _rest_hu(extent: Extent, protocol: Protocol, planes: Planes) -> Tensor:
    """Return the head rest in HU on the raster, (slices, rows, columns); it does not move with the head."""
    geometry = planes.geometry
    low, high = extent.box_above(float(geometry.slice_positions_mm[0]), geometry.normal)
    rest = artefacts.draw_rest(protocol.seed, low, high)
    y_mm, x_mm = planes.raster
    world_y = float(geometry.origins_mm[0, 1]) + y_mm * float(geometry.y_direction[1])
    world_x = float(geometry.origins_mm[0, 0]) + x_mm
    z = torch.from_numpy(geometry.origins_mm[:, 2].astype(np.float32)).to(planes.device)
    return artefacts.rest_hu(rest, world_x[None, :], world_y[:, None], z)


def _imaged(picture: Tensor, noise_hu: Tensor, contrast: Tensor | None, protocol: Protocol, planes: Planes) -> Tensor:
    """Return the scan in whole HU, (z, y, x).

    ``picture`` lies on the raster, ``noise_hu`` (the SD) and ``contrast`` (the share of the noise that keeps the
    texture of back-projection) on that of the rays.
    """
    geometry = planes.geometry
    smooth = grain(protocol, geometry, picture.device)
    fine = grain(replace(protocol, reconstruction="fbp"), geometry, picture.device, name="texture")
    rows, columns = geometry.size_yx
    hu = torch.empty((len(picture), rows, columns), device=picture.device)
    for first in range(0, len(hu), CHUNK):
        last = min(first + CHUNK, len(hu))
        field = smooth.fields(first, last, columns)
        if contrast is not None:
            share = resized(contrast[first:last], planes.rays, planes.pixels)
            field = torch.sqrt(1 - share) * field + torch.sqrt(share) * fine.fields(first, last, columns)
        field *= resized(noise_hu[first:last], planes.rays, planes.pixels)
        field += planes.blurred(picture[first:last] + 1000) + (protocol.offset_hu - 1000)
        hu[first:last] = torch.round(field).clamp_(LOWEST_HU, HIGHEST_HU)
    if protocol.padding:
        hu[:, _outside_circle(planes)] = PADDING_HU
    return hu


def _outside_circle(planes: Planes) -> Tensor:
    """Return which pixels (rows, columns) lie outside the largest circle in the field of view."""
    y, x = (axis - axis.mean() for axis in planes.pixels)
    radius = min(float(-y[0]), float(-x[0]))
    return torch.hypot(y[:, None], x[None, :]) > radius

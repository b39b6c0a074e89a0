"""The planes through a canvas that make up the slices of a scan: sampled, averaged, blurred, brought to the pixels.

Planes are sampled on a raster a little finer than the canvas, with the field of view of the pixels, whatever their
size. From there they go to the pixels in the Fourier domain, where the kernel's point spread costs nothing more.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom.artefacts import poses
from infarct.phantom.grid import Grid
from infarct.phantom.patient import Protocol
from infarct.phantom.rays import raster_mm
from infarct.phantom.response import frequencies, kernel_mtf, subslices
from infarct.types import Float64Array
from infarct.volume import Geometry

RASTER_MM: Final = 0.7
"""Planes are sampled at least this finely; the canvas has 1 mm."""
LARGEST_GAIN: Final = 2.5
"""The blur of interpolating in a 1 mm canvas is undone up to this factor."""
CHUNK: Final = 16
"""Slices sampled at a time."""

Axes = tuple[Tensor, Tensor]
"""Positions along y and x in a slice, in mm from its first pixel."""


@dataclass(frozen=True)
class Box:
    """A part of a scan: slices ``first`` up to ``last``, and in them from ``low_mm`` to ``high_mm`` along y and x."""

    first: int
    last: int
    low_mm: tuple[float, float]
    high_mm: tuple[float, float]

    def within(self, axes: Axes) -> tuple[slice, slice]:
        """Return which positions along y and x lie in the box, widened by one on each side."""
        spans = []
        for axis, low, high in zip(axes, self.low_mm, self.high_mm, strict=True):
            step = float(axis[1] - axis[0])
            spans.append(slice(max(int(low / step) - 1, 0), max(int(high / step) + 3, 0)))
        return spans[0], spans[1]


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of a scan (``geometry`` and ``protocol``) through volumes on ``grid``.

    Results named (slices, rows, columns) lie on `raster`; the first voxel of the raster is the first pixel.
    """

    grid: Grid
    geometry: Geometry
    protocol: Protocol
    device: torch.device | str

    def mean(self, values: Tensor, *, endless: bool = False, box: Box | None = None) -> Tensor:
        """Return the means over the slice profile of values (z, y, x) on the grid: (slices, rows, columns); 0 outside.

        ``endless`` lets the lowest plane of the grid go on downwards: a stack may start below the stub of the neck.
        With a ``box`` all the rest is 0 without a look.
        """
        offsets, weights = subslices(self.protocol.thickness_mm)
        bases, weight = self._bases(offsets), torch.from_numpy(weights).to(values)
        y_mm, x_mm = self.raster
        rows, columns = box.within((y_mm, x_mm)) if box else (slice(None), slice(None))
        first, last = (box.first, box.last) if box else (0, len(bases))
        means = torch.zeros((len(bases), len(y_mm), len(x_mm)), device=values.device)
        for start in range(first, last, CHUNK):
            stop = min(start + CHUNK, last)
            found = self._sampled(values, bases[start:stop].flatten(0, 1), (y_mm[rows], x_mm[columns]), endless=endless)
            part = found.reshape(stop - start, len(weight), *found.shape[1:])
            means[start:stop, rows, columns] = torch.einsum("ksyx,s->kyx", part, weight)
        return means

    def centre(self, values: Tensor) -> Tensor:
        """Return values (z, y, x) on the grid in the middle of the slices: (slices, rows, columns); 0 outside."""
        return self._sampled(values, self._bases(np.zeros(1)).flatten(0, 1), self.raster)

    def labels(self, labels: Tensor, box: Box) -> Tensor:
        """Return labels (uint8, (z, y, x)) on the grid that are nearest to the pixels in the middle of the slices."""
        bases = self._bases(np.zeros(1)).flatten(0, 1)
        y_mm, x_mm = self.pixels
        rows, columns = box.within((y_mm, x_mm))
        values = labels.to(torch.float32)
        carried = torch.zeros((len(bases), len(y_mm), len(x_mm)), dtype=torch.uint8, device=labels.device)
        for start in range(box.first, box.last, CHUNK):
            stop = min(start + CHUNK, box.last)
            found = self._sampled(values, bases[start:stop], (y_mm[rows], x_mm[columns]), nearest=True)
            carried[start:stop, rows, columns] = found.to(torch.uint8)
        return carried

    def box(self, values: Tensor) -> Box:
        """Return the part of the scan that holds all values (z, y, x) on the grid that are not 0."""
        there = values != 0
        spans = [torch.nonzero(there.any(dim=other)).flatten() for other in ((1, 2), (0, 2), (0, 1))]
        if len(spans[0]) == 0:
            return Box(0, 0, (0.0, 0.0), (0.0, 0.0))
        ends = [[float(span[0]) - 1, float(span[-1]) + 1] for span in spans]
        corners = np.stack(np.meshgrid(*reversed(ends), indexing="ij"), axis=-1).reshape(-1, 3)
        head = corners * self.grid.spacing_mm + np.array(self.grid.origin_mm)
        matrices = poses(self.protocol, len(self.geometry.origins_mm), 2).reshape(-1, 4, 4)
        world = np.einsum("mij,pj->mpi", matrices[:, :3, :3], head) + matrices[:, None, :3, 3]
        return self._box_of(world.reshape(-1, 3))

    def _box_of(self, world_mm: Float64Array) -> Box:
        """Return the part of the scan between these points, (n, 3)."""
        geometry, reach = self.geometry, np.abs(subslices(self.protocol.thickness_mm)[0]).max() + self.grid.spacing_mm
        along = world_mm @ geometry.normal
        touched = (geometry.slice_positions_mm > along.min() - reach) & (
            geometry.slice_positions_mm < along.max() + reach
        )
        first, last = (int(touched.argmax()), int(len(touched) - touched[::-1].argmax())) if touched.any() else (0, 0)
        limits = []
        for direction in (geometry.y_direction, geometry.x_direction):
            in_plane = world_mm @ direction
            # In a tilted stack the first pixels of the slices lie at different places along y.
            starts = geometry.origins_mm[first:last] @ direction if last else np.zeros(1)
            limits.append((float(in_plane.min() - starts.max()), float(in_plane.max() - starts.min())))
        return Box(first, last, (limits[0][0], limits[1][0]), (limits[0][1], limits[1][1]))

    def blurred(self, planes: Tensor) -> Tensor:
        """Return planes (k, rows, columns) at the pixels, under the point spread of the kernel."""
        rows, columns = self.geometry.size_yx
        spectrum = torch.fft.rfft2(planes, norm="forward") * self._transfer()
        kept_y, kept_x = min(rows, planes.shape[1]) // 2, min(columns, planes.shape[2]) // 2
        padded = spectrum.new_zeros((len(planes), rows, columns // 2 + 1))
        padded[:, :kept_y, :kept_x] = spectrum[:, :kept_y, :kept_x]
        padded[:, 1 - kept_y :, :kept_x] = spectrum[:, 1 - kept_y :, :kept_x]
        pixels: Tensor = torch.fft.irfft2(padded, s=(rows, columns), norm="forward")
        return pixels

    @property
    def raster(self) -> Axes:
        """The raster on which planes are sampled: the pixels' field of view in a count that suits the FFT."""
        y_mm, x_mm = (
            torch.arange(count, device=self.device) * step for count, step in zip(*self._steps(), strict=True)
        )
        return y_mm, x_mm

    @property
    def pixels(self) -> Axes:
        """The pixels of the scan."""
        sizes = zip(self.geometry.size_yx, self.geometry.pixel_spacing_mm_yx, strict=True)
        y_mm, x_mm = (torch.arange(count, device=self.device) * step for count, step in sizes)
        return y_mm, x_mm

    @property
    def rays(self) -> Axes:
        """The raster of `infarct.phantom.rays`, in the middle of the field of view."""
        sizes = zip(self.geometry.size_yx, self.geometry.pixel_spacing_mm_yx, strict=True)
        y_mm, x_mm = (raster_mm((count - 1) / 2 * step).to(self.device) for count, step in sizes)
        return y_mm, x_mm

    def _steps(self) -> tuple[tuple[int, int], tuple[float, float]]:
        """Return how many voxels the raster has along y and x, and how far apart they are."""
        sizes = zip(self.geometry.size_yx, self.geometry.pixel_spacing_mm_yx, strict=True)
        length_y, length_x = (count * step for count, step in sizes)
        rows, columns = (8 * int(np.ceil(length / RASTER_MM / 8)) for length in (length_y, length_x))
        return (rows, columns), (length_y / rows, length_x / columns)

    def _transfer(self) -> Tensor:
        """Return the factors on the bins of a real FFT on the raster: the kernel, and the canvas's blur undone.

        Towards the raster's highest frequency they fade so softly that the edge of the skull does not ring.
        """
        counts, steps = self._steps()
        fy = torch.fft.fftfreq(counts[0], d=steps[0], device=self.device)
        fx = torch.fft.rfftfreq(counts[1], d=steps[1], device=self.device)
        canvas = torch.outer(torch.sinc(fy * self.grid.spacing_mm), torch.sinc(fx * self.grid.spacing_mm)) ** 2
        frequency = frequencies(counts, steps, self.device, half=True)
        fade = torch.square(1 - torch.square((frequency * (2 * max(steps))).clamp(max=1)))
        return kernel_mtf(frequency, self.protocol) * fade / canvas.clamp(min=1 / LARGEST_GAIN)

    def _bases(self, offsets_mm: Float64Array) -> Tensor:
        """Return where planes at these distances from the slices' centres lie on the grid, (z, offsets, 3, 3).

        The three rows are the place of the first pixel and the steps for 1 mm along y and x, each (x, y, z) in units
        in which the grid reaches from -1 to 1.
        """
        geometry, count = self.geometry, np.array(self.grid.shape_zyx[::-1])
        starts = geometry.origins_mm[:, None] + offsets_mm[:, None] * geometry.normal
        to_head = np.linalg.inv(poses(self.protocol, len(starts), len(offsets_mm)))
        turn, shift = to_head[..., :3, :3], to_head[..., :3, 3]
        origin = np.einsum("zsij,zsj->zsi", turn, starts) + shift - np.array(self.grid.origin_mm)
        steps = [turn @ direction for direction in (geometry.y_direction, geometry.x_direction)]
        scale = 2 / (self.grid.spacing_mm * (count - 1))
        bases = np.stack([origin * scale - 1, steps[0] * scale, steps[1] * scale], axis=2)
        return torch.from_numpy(bases.astype(np.float32)).to(self.device)

    def _sampled(
        self, values: Tensor, bases: Tensor, axes: Axes, *, nearest: bool = False, endless: bool = False
    ) -> Tensor:
        """Return values (z, y, x) on planes (n, 3, 3) at the places ``axes`` in them, (n, rows, columns)."""
        y_mm, x_mm = axes
        along_y = bases[:, 0, None] + y_mm[:, None] * bases[:, 1, None]
        points = along_y[:, None, :, None] + (x_mm[:, None] * bases[:, 2, None])[:, None, None]
        if endless:
            points[..., 2].clamp_(min=-1)
        # One plane is one item of a batch: torch spreads only batches over threads.
        batch = values[None, None].expand(len(bases), 1, *values.shape)
        mode = "nearest" if nearest else "bilinear"
        return functional.grid_sample(batch, points, mode=mode, padding_mode="zeros", align_corners=True)[:, 0, 0]


def resized(planes: Tensor, sources: Axes, targets: Axes) -> Tensor:
    """Return planes (k, y, x) that lie at ``sources`` at ``targets``: interpolated, or averaged if coarser."""
    along_y, along_x = (_weights(source, target) for source, target in zip(sources, targets, strict=True))
    return along_y @ planes @ along_x.T


def _weights(source_mm: Tensor, target_mm: Tensor) -> Tensor:
    """Return the weights (targets, sources) of a triangle as wide as the coarser of two even axes; rows add up to 1."""
    width = max(float(axis[1] - axis[0]) for axis in (source_mm, target_mm))
    distance = (target_mm[:, None] - source_mm[None, :]).abs() / width
    weight = (1 - distance).clamp(min=0)
    total = weight.sum(dim=1, keepdim=True)
    return weight / torch.where(total > 0, total, 1.0)

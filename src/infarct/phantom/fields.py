"""The atlas as torch fields: tissue maps at 1 mm, signed distances at 2 mm, labels; read once a device."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from infarct.atlas import load_atlas
from infarct.phantom.grid import Grid
from infarct.types import BoolArray, Float32Array

MNI_PER_HEAD: Final = 1.17
"""MNI space is larger than a head: volumes shrink by about 1.6."""
COARSE_MM: Final = 2.0
DURA_GAIN: Final = 1.8
"""Falx and tentorium are one voxel thick in the atlas; blurred and raised they are 2 mm, that is 1.7 mm in a head."""
PAD: Final = 20
"""Voxels added around the atlas for the coarse fields: the scalp reaches to its edge."""


@dataclass(frozen=True, eq=False)
class AtlasFields:
    """Atlas fields on one device, in atlas LPS mm.

    ``tissue`` is (3, z, y, x) on ``fine``: grey, white, dura (0-1). ``shape`` is (7, z, y, x) on ``coarse``: signed
    distance inside the skull, in the ventricles and in the head (mm, positive inside), the share of cerebrum (1) as
    against cerebellum and brain stem (0), and the x, y and z component of the direction that leads inwards from the
    skull. Labels are uint8 on ``fine``.
    """

    fine: Grid
    coarse: Grid
    tissue: Tensor
    shape: Tensor
    territories: Tensor
    aspects: Tensor

    def labels_at(self, labels: Tensor, points_mm: Tensor) -> Tensor:
        """Return the label of the voxel nearest to each point (..., 3); 0 outside the atlas."""
        origin = torch.tensor(self.fine.origin_mm, device=points_mm.device)
        index = torch.round(points_mm - origin).to(torch.int32)
        depth, rows, columns = self.fine.shape_zyx
        x, y, z = index.unbind(-1)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (z >= 0) & (z < depth)
        flat = (z.clamp(0, depth - 1) * rows + y.clamp(0, rows - 1)) * columns + x.clamp(0, columns - 1)
        return torch.where(inside, labels.reshape(-1)[flat.long()], torch.zeros((), dtype=labels.dtype))


@cache
def atlas_fields(device: str = "cpu") -> AtlasFields:
    """Return the atlas's fields on ``device``; computed once a process."""
    atlas = load_atlas()
    first = atlas.geometry.origins_mm[0]
    fine = Grid(atlas.geometry.shape_zyx, 1.0, (float(first[0]), float(first[1]), float(first[2])))
    dura = ndimage.gaussian_filter(atlas.falx.astype(np.float32), 0.7)
    tissue = np.stack([atlas.grey, atlas.white, np.minimum(DURA_GAIN * dura, 1)])
    inside = _signed_distance(_padded(atlas.intracranial))
    below = atlas.brain & ~(atlas.cortical | atlas.subcortical | atlas.ventricles)
    cerebrum = 1 - ndimage.gaussian_filter(_halved(_padded(below).astype(np.float32)), 1.5)
    distances = [_signed_distance(_padded(mask)) for mask in (atlas.ventricles, atlas.tissue > 0)]
    shape = [inside, *distances, cerebrum, *_inwards(inside)]
    x, y, z = (origin + 0.5 - PAD for origin in fine.origin_mm)
    depth, rows, columns = inside.shape
    coarse = Grid((depth, rows, columns), COARSE_MM, (x, y, z))
    return AtlasFields(
        fine=fine,
        coarse=coarse,
        tissue=torch.from_numpy(tissue).to(device),
        shape=torch.from_numpy(np.stack(shape)).to(device),
        territories=_tensor(atlas.territories, device),
        aspects=_tensor(atlas.aspects_labels, device),
    )


def _tensor(array: npt.NDArray[np.generic], device: str) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)


def _padded(mask: BoolArray) -> BoolArray:
    """Return the mask in a larger box, so that distances go on beyond the atlas; below it the neck goes on."""
    sides = np.pad(mask, ((0, PAD), (PAD, PAD), (PAD, PAD)))
    return np.pad(sides, ((PAD, 0), (0, 0), (0, 0)), mode="edge")


def _halved(array: Float32Array) -> Float32Array:
    """Return the means of blocks of 2 x 2 x 2 voxels; an odd last plane is left out."""
    depth, rows, columns = (count // 2 for count in array.shape)
    blocks = array[: 2 * depth, : 2 * rows, : 2 * columns].reshape(depth, 2, rows, 2, columns, 2)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)


def _signed_distance(mask: BoolArray) -> Float32Array:
    """Return the distance in mm to the border of ``mask`` on the coarse grid, positive inside, smoothed a little."""
    share = _halved(mask.astype(np.float32))
    inside = share >= 0.5
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    # Half a voxel lies between the last inner and the first outer centre; the share says where in it the border is.
    distance = np.where(np.abs(distance) <= 1, 2 * (share - 0.5), distance - 0.5 * np.sign(distance))
    return np.asarray(ndimage.gaussian_filter(distance * COARSE_MM, 0.7), dtype=np.float32)


def _inwards(distance: Float32Array) -> list[Float32Array]:
    """Return the unit direction of rising distance, smoothed, as x, y and z components."""
    smooth = ndimage.gaussian_filter(distance, 2.0)
    z, y, x = np.gradient(smooth)
    length = np.sqrt(x**2 + y**2 + z**2) + 1e-3
    return [np.asarray(component / length, dtype=np.float32) for component in (x, y, z)]

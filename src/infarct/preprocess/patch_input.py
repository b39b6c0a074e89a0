"""What the patch CNN sees of a scan: patches about voxels, and the blocks of a slice that hold the patches of many.

A patch at an edge reaches beyond the scan. What lies there is the nearest voxel of the scan, along all three axes: no
grey has to be invented, so there is no false edge where the field of view or the first slice cuts a head, and where the
scan ends in air it goes on as air. The same holds in training and in use, patch by patch and in blocks.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from infarct.types import Float32Array

PATCH_PX: Final = 19
"""Side of a patch (volumetry paper)."""
BEFORE_PX: Final = 9
"""Rows and columns of a patch before the voxel that it is about."""
ROOM_PX: Final = 15
"""By how much a block is larger than what is judged in it: the network's field less one."""
SLICES: Final = (-1, 0, 1)
"""Slices of a patch, against that of its voxel."""
Channels = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Places = npt.NDArray[np.intp]
"""Voxels, (n, 3): slice, row, column."""


def cut_patches(images: Channels, places: Places) -> Float32Array:
    """Return the patch about each voxel of ``places`` (n, 3), float32 (n, 3 c, 19, 19), of ``images`` (c, z, y, x).

    Channels are the slice below, the voxel's own, and the slice above, image after image.
    """
    return _cut(images, places, PATCH_PX)


def cut_blocks(images: Channels, places: Places, side_px: int) -> Float32Array:
    """Return squares of slices in which ``side_px`` by ``side_px`` voxels can be judged, with the room around them.

    ``places`` (n, 3) are the first voxel judged in each; blocks may reach beyond the ``images`` (c, z, y, x). The
    answer is float32 (n, 3 c, side_px + 15, side_px + 15), with the channels of `cut_patches`.
    """
    return _cut(images, places, side_px + ROOM_PX)


def _cut(images: Channels, places: Places, size_px: int) -> Float32Array:
    """Return squares that begin `BEFORE_PX` before each place; indices beyond the images are those of their edge."""
    ahead = np.arange(size_px) - BEFORE_PX
    z, y, x = (
        np.clip(places[:, axis, None] + steps, 0, images.shape[axis + 1] - 1)
        for axis, steps in enumerate((np.array(SLICES), ahead, ahead))
    )
    cut = images[:, z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
    shape = len(places), len(images) * len(SLICES), size_px, size_px
    return np.ascontiguousarray(np.moveaxis(cut, 0, 1).reshape(shape), dtype=np.float32)

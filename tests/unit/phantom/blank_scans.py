"""Simple things to scan, whose pictures can be worked out by hand, and a plain protocol."""

import numpy as np
import torch
from torch import Tensor

from infarct.phantom.canvas import Canvas
from infarct.phantom.grid import Grid
from infarct.phantom.patient import Pose, Protocol

PLAIN = Protocol(
    seed=7,
    kvp=120,
    thickness_mm=5.0,
    gaps_mm=(5.0,),
    gap_change=1.0,
    tilt_deg=0.0,
    pixel_mm=1.0,
    size_px=160,
    kernel="standard",
    kernel_sharpness=1.0,
    reconstruction="fbp",
    noise_hu=0.0,
    offset_hu=0.0,
    cupping_hu=0.0,
    petrous_hu=0.0,
    streaks_hu=0.0,
    motion_mm=0.0,
    padding=False,
    head_rest=False,
    pose=Pose(),
)
"""An upright stack of 5 mm without noise or artefacts."""
GRID = Grid((120, 140, 120), 1.0, (-60.0, -70.0, -60.0))


def ball(grid: Grid, centre_mm: tuple[float, float, float], radii_mm: tuple[float, float, float]) -> Tensor:
    """Return the share of each voxel inside an ellipsoid, its border one voxel wide, (z, y, x)."""
    offset = (grid.points() - torch.tensor(centre_mm)) / torch.tensor(radii_mm)
    radius = torch.linalg.norm(offset, dim=-1)
    slope = torch.linalg.norm(offset / torch.tensor(radii_mm), dim=-1) / radius.clamp(min=1e-6)
    return ((1 - radius) / slope.clamp(min=1e-6) / grid.spacing_mm + 0.5).clamp(0, 1)


def blank_canvas(hu: Tensor, intracranial: Tensor, grid: Grid = GRID) -> Canvas:
    """Return a canvas of these HU and this mask, (z, y, x) on ``grid``; what the scanner does not read is empty."""
    empty = torch.zeros(grid.shape_zyx)
    labels = torch.zeros(grid.shape_zyx, dtype=torch.uint8)
    depth_mm = torch.where(intracranial, 20.0, -20.0)
    return Canvas(
        grid,
        grid.points(),
        empty,
        empty,
        empty,
        empty,
        depth_mm,
        empty,
        empty,
        intracranial,
        labels > 0,
        labels,
        labels,
        hu,
    )


def round_head() -> Canvas:
    """Return a head: an ellipsoid of 30 HU in a skull of 8 mm and 1000 HU, air around."""
    brain, skull = ball(GRID, (0.0, 0.0, 0.0), (48.0, 58.0, 48.0)), ball(GRID, (0.0, 0.0, 0.0), (56.0, 66.0, 56.0))
    return blank_canvas(30 * brain + 1000 * (skull - brain) - 1000 * (1 - skull), brain > 0.5)


def world(pose: Pose, head_mm: tuple[float, float, float]) -> np.ndarray:
    """Return where a place of the head lies in the world."""
    return np.asarray((pose.matrix() @ np.array([*head_mm, 1.0]))[:3])

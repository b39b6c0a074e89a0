"""The healthy head: the atlas bent, sharpened and folded into one individual, with skull, scalp, sinuses and vessels.

Smooth fields (distances, folds, deformation) are made at 2 mm and interpolated; only the tissue maps are read at 1 mm.
Slabs of slices are made one after another, so that memory stays flat and the work in cache.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom.canvas import Canvas
from infarct.phantom.fields import MNI_PER_HEAD, AtlasFields, atlas_fields
from infarct.phantom.folding import fold_fields, read_at
from infarct.phantom.grid import Grid, smooth_noise
from infarct.phantom.patient import Densities, Head
from infarct.phantom.skull import outside_hu
from infarct.phantom.warp import WARP, pull_back

BOX_LOW_MM: Final = (-106.0, -118.0, -112.0)
BOX_HIGH_MM: Final = (106.0, 126.0, 112.0)
"""What of the atlas's space a canvas holds, (x, y, z)."""
SLAB: Final = 12
CORTEX_MM: Final = 1.8
"""Thickness of the cortex along an individual sulcus; below the real 2.5 mm, so that a head keeps its white matter."""
SULCUS_EDGE_MM: Final = 0.28
SULCUS_MM: Final = (0.65, 0.8)
"""Width at the surface: in any head, and more for each mm that the head's parameter says."""
FALX_HALF_MM: Final = 0.9
MEDIAL_DEPTH: Final = 1.6
"""By this factor sulci of the medial surface are shallower than those of the convexity."""
CALLOSUM_MM: Final = 11.0
"""Atlas distance from the ventricles within which there are no sulci."""
VENTRICLE_PUSH: Final = 1.1
"""Push in the ventricles over the logarithm of their volume ratio: they spill out of where they push."""
VENTRICLE_WALL_MM: Final = (0.1, 0.8)
"""How far the wall recedes: at the mean volume, and more for each unit of the logarithm of the ratio."""
SHARPEN_FLUID: Final = 1.7
SHARPEN_GREY: Final = 1.6
"""Factors on the log odds of the average maps: an individual's borders are sharper than an average's."""
RIM_MM: Final = 4.8
"""By how much (atlas mm) the skull of a young head lies nearer to the cortex than in the atlas."""
RIM_GROWTH: Final = 1.05
"""The head is larger by this, so that the space inside the skull keeps its size where the rim is gone."""


@dataclass(frozen=True, eq=False)
class Individual:
    """A head's parameters with the smooth fields on its 2 mm ``lattice``, (c, z, y, x).

    Channels: atlas x, y, z (mm); atlas distance in the skull, in the ventricles, in the head (mm); share of cerebrum;
    distances to the sheets of coarse and of fine sulci, and their reach (mm); regional shifts of fluid and of grey
    matter (log odds); two smooth and two fine textures of skull and scalp.
    """

    head: Head
    densities: Densities
    lattice: Grid
    channels: Tensor
    atlas_per_head: tuple[float, float, float]

    @property
    def per_mm(self) -> float:
        """Atlas mm per head mm, mean of the axes."""
        return sum(self.atlas_per_head) / 3


def build(head: Head, densities: Densities, *, gain: Tensor | None = None, device: str = "cpu") -> Canvas:
    """Return the healthy head on a 1 mm grid in its own frame; `compose` gives soft tissue its HU.

    ``gain`` is the wanted logarithm of volume change on the atlas's coarse grid: swelling and blood push, scars pull.
    """
    fields = atlas_fields(device)
    individual = _individual(head, densities, fields, gain)
    depth, rows, columns = (2 * count - 1 for count in individual.lattice.shape_zyx)
    grid = Grid((depth, rows, columns), 1.0, individual.lattice.origin_mm)
    slabs = [_slab(individual, fields, grid, low) for low in range(0, depth, SLAB)]
    canvas = Canvas(grid=grid, **{name: torch.cat([slab[name] for slab in slabs]) for name in slabs[0]})
    canvas.sulcus = canvas.csf * (1 - canvas.ventricle) * _amid_tissue(canvas)
    return canvas


def compose(canvas: Canvas, densities: Densities, seed: int) -> None:
    """Give grey, white and fluid their HU; what fills the rest of a voxel keeps its own."""
    coarse = _halved(canvas.grid)
    device = canvas.hu.device
    variation = 0.8 * smooth_noise(seed + 31, coarse, 26.0, device) + 0.6 * smooth_noise(seed + 32, coarse, 9.0, device)
    variation = functional.interpolate(
        densities.variation_hu * variation[None, None], size=canvas.grid.shape_zyx, mode="trilinear", align_corners=True
    )[0, 0]
    tissue = canvas.grey + canvas.white
    rest = 1 - tissue - canvas.csf
    soft = canvas.grey * densities.grey + canvas.white * densities.white + canvas.csf * densities.csf
    canvas.hu = rest * canvas.hu + soft + tissue * variation


def _halved(grid: Grid) -> Grid:
    """Return the grid of every second voxel; canvases have odd sizes, so both end on the same planes."""
    depth, rows, columns = ((count + 1) // 2 for count in grid.shape_zyx)
    return Grid((depth, rows, columns), 2 * grid.spacing_mm, grid.origin_mm)


def _individual(head: Head, densities: Densities, fields: AtlasFields, gain: Tensor | None) -> Individual:
    mean = MNI_PER_HEAD / RIM_GROWTH
    ratio = (mean / head.scale_xyz[0], mean / head.scale_xyz[1], mean / head.scale_xyz[2])
    pushed = math.log(head.ventricle_ratio) * VENTRICLE_PUSH * _ventricle_share(head, fields)
    total = pushed if gain is None else pushed + gain
    moved = pull_back(fields, head.seed, head.coarse_mm, head.fine_mm, total)
    low = [mm / ratio[axis] for axis, mm in enumerate(BOX_LOW_MM)]
    count = [int((BOX_HIGH_MM[axis] / ratio[axis] - low[axis]) / 2) + 2 for axis in range(3)]
    lattice = Grid((count[2], count[1], count[0]), 2.0, (low[0], low[1], low[2]))
    straight = lattice.points(moved.device) * torch.tensor(ratio, device=moved.device)
    at = straight + WARP.sample(moved, straight).movedim(0, -1)
    shape = fields.coarse.sample(fields.shape, at)
    read = read_at(at, shape[0], shape[4:7].movedim(0, -1))
    folds = fold_fields(head, moved.device)
    shifts = [
        0.6 * smooth_noise(head.seed + 41 + k, lattice, 24.0, moved.device)
        + 0.5 * smooth_noise(head.seed + 43 + k, lattice, 9.0, moved.device)
        for k in (0, 1)
    ]
    texture = [
        smooth_noise(head.seed + 51 + k, lattice, scale_mm, moved.device)
        for k, scale_mm in enumerate((40, 40, 4.5, 4.5))
    ]
    parts = [at.movedim(-1, 0), shape[:4], folds.grid.sample(folds.channels, read), torch.stack([*shifts, *texture])]
    return Individual(head, densities, lattice, torch.cat(parts), ratio)


def _ventricle_share(head: Head, fields: AtlasFields) -> Tensor:
    """Return where the ventricles push, on the coarse grid, more on one side by the patient's asymmetry."""
    share = torch.sigmoid(fields.shape[1] + 2.0)
    x = fields.coarse.points(fields.shape.device)[..., 0]
    return share * (1 + head.ventricle_asymmetry * torch.tanh(x / 4))


def _upsampled(individual: Individual, low: int, high: int) -> Tensor:
    """Return the channels on planes ``low`` to ``high`` of the 1 mm grid, (c, z, y, x)."""
    count, rows, columns = individual.lattice.shape_zyx
    plane = torch.arange(low, high, device=individual.channels.device)
    below = torch.div(plane, 2, rounding_mode="floor")
    odd = (plane % 2).to(torch.float32)[None, :, None, None]
    above = torch.clamp(below + 1, max=count - 1)
    planes = individual.channels[:, below] * (1 - odd / 2) + individual.channels[:, above] * (odd / 2)
    size = (2 * rows - 1, 2 * columns - 1)
    return functional.interpolate(planes, size=size, mode="bilinear", align_corners=True)


def _slab(individual: Individual, fields: AtlasFields, grid: Grid, low: int) -> dict[str, Tensor]:
    """Return the canvas's tensors on a slab of slices from ``low`` up."""
    high = min(low + SLAB, grid.shape_zyx[0])
    channels = _upsampled(individual, low, high)
    at = channels[:3].movedim(0, -1).contiguous()
    rim = RIM_MM * (1 - 0.7 * individual.head.atrophy) - 1.2 * channels[10]
    depth = (channels[3] - rim) / individual.per_mm
    inside = torch.sigmoid(depth / 0.3)
    tissue = fields.fine.sample(fields.tissue, at)
    fluid, ventricle, grey_share = _brain(individual, channels, tissue, depth)
    soft = inside * (1 - tissue[2])
    near = depth > -1.0
    points = at[near]
    labels = []
    for source in (fields.territories, fields.aspects):
        target = torch.zeros(depth.shape, dtype=torch.uint8, device=depth.device)
        target[near] = fields.labels_at(source, points)
        labels.append(target)
    skin = channels[5] / individual.per_mm
    hu, bone = outside_hu(individual.head, individual.densities, at, depth, skin, channels[12:16])
    return {
        "atlas_mm": at,
        "grey": soft * (1 - fluid) * grey_share,
        "white": soft * (1 - fluid) * (1 - grey_share),
        "csf": soft * fluid,
        "sulcus": fluid,
        "depth_mm": depth,
        "ventricle": soft * ventricle,
        "bone": bone,
        "intracranial": (depth > 0) & (at[..., 2] > -74),
        "left": at[..., 0] > 0,
        "territories": labels[0],
        "aspects": labels[1],
        "hu": torch.where(depth > 1.0, torch.full_like(hu, individual.densities.dura), hu),
    }


def _log_odds(share: Tensor) -> Tensor:
    return torch.logit(share.clamp(0.02, 0.98))


def _brain(individual: Individual, channels: Tensor, tissue: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the share of fluid, of ventricle in it, and of grey matter in the parenchyma, each (z, y, x)."""
    head = individual.head
    gap = _gap_mm(individual, channels, depth)
    gyral = torch.sigmoid((channels[6] - 0.7) / 0.08)
    fold = torch.sigmoid(gap / -SULCUS_EDGE_MM) * gyral
    parenchyma = (tissue[0] + tissue[1]).clamp(0, 1)
    widened = (
        _log_odds(1 - parenchyma)
        - 0.8 * gyral
        + 3.2 * (head.atrophy - 0.4)
        + 0.7 * channels[10]
        + _fissures(head, channels[:3])
    )
    recede = VENTRICLE_WALL_MM[0] + VENTRICLE_WALL_MM[1] * math.log(head.ventricle_ratio)
    ventricle = torch.sigmoid((channels[4] / individual.per_mm + recede) / 0.4)
    fluid = torch.maximum(torch.sigmoid(SHARPEN_FLUID * widened), torch.maximum(fold, ventricle))
    grey = _log_odds(tissue[0] / parenchyma.clamp(min=0.05)) + 0.5 * channels[11]
    cortex = torch.sigmoid((CORTEX_MM - gap) / 0.5) * gyral
    return fluid, ventricle, torch.maximum(torch.sigmoid(SHARPEN_GREY * grey), cortex)


def _gap_mm(individual: Individual, channels: Tensor, depth: Tensor) -> Tensor:
    """Return the distance in mm from the walls of the individual's sulci and of the midline fissure, negative inside.

    Sulci open towards the surface, keep away from ventricles and deep nuclei, and of the two patterns the fine one is
    shallow and narrow.
    """
    x, y, z = channels[:3]
    per_mm = individual.per_mm
    across = x.abs() / per_mm
    below = torch.minimum(depth, MEDIAL_DEPTH * across)
    mean = SULCUS_MM[0] + SULCUS_MM[1] * individual.head.sulcus_mm
    width = mean * (1 + 0.35 * channels[10]).clamp(min=0.4) * (0.6 + 0.5 * torch.exp(-below / 3))
    reach = channels[9] / per_mm
    coarse = torch.maximum(channels[7].abs() / per_mm - width / 2, below - reach)
    fine = torch.maximum(channels[8].abs() / per_mm - 0.35 * width, below - 0.38 * reach)
    midline = across - FALX_HALF_MM - 0.3 * width
    nuclei = (1 - torch.sqrt(((x.abs() - 22) / 18) ** 2 + ((y + 2) / 38) ** 2 + ((z - 2) / 22) ** 2)) * 18
    away = torch.maximum(channels[4] + CALLOSUM_MM, nuclei) / per_mm
    return torch.maximum(torch.minimum(torch.minimum(coarse, fine), midline), away)


def _fissures(head: Head, at: Tensor) -> Tensor:
    """Return shifts of the log odds of fluid: the average's sylvian fissure is too narrow, its midline too wide."""
    x, y, z = at
    sylvian = torch.exp(-(((x.abs() - 44) / 11) ** 2) - ((y + 2) / 26) ** 2 - ((z - 2) / 20) ** 2)
    midline = torch.exp(-((x / 6) ** 2)) * torch.sigmoid((z - 22) / 6)
    return sylvian * (0.8 + 1.2 * head.atrophy) - 2.0 * midline * (1 - head.atrophy)


def _amid_tissue(canvas: Canvas) -> Tensor:
    """Return how much each voxel lies amid parenchyma (0-1): thin sulci do, cisterns and ventricles do not."""
    tissue = (canvas.grey + canvas.white)[None, None]
    around = functional.avg_pool3d(functional.avg_pool3d(tissue, 2, ceil_mode=True), 5, stride=1, padding=2)
    around = functional.interpolate(around, size=canvas.grid.shape_zyx, mode="trilinear", align_corners=False)
    return torch.sigmoid((around[0, 0] - 0.6) / 0.04)

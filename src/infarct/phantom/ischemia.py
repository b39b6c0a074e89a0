"""Acute ischemia with known truth: masks of core, penumbra and infarct on a canvas, and what they do to its HU.

All fields are read at the atlas position of each voxel, folded onto the right half of the atlas, so a stroke moved to
the other side of a symmetric head mirrors exactly. Work is done on the list of the parenchymal voxels of one side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom import growth, kinetics
from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import distance_to_course, near, with_surroundings
from infarct.phantom.fields import MNI_PER_HEAD, atlas_fields
from infarct.phantom.grid import rng, smooth_noise
from infarct.phantom.patient import Site, Stroke

BLOOD_HU: Final = (54.0, 70.0)
"""Range of the mean of hemorrhagic transformation; its texture spreads it over 50 to 75."""
MOSTLY_FLUID: Final = 0.5
"""Voxels with more fluid do not count in the mean HU of an infarct."""
SHIFT_MM_PER_ML: Final = 0.26
"""Shift of the midline by each ml that an infarct above the tentorium has gained beyond `SPARE_ML`."""
LARGEST_SHIFT_MM: Final = 12.0
SPARE_ML: Final = 8.0
"""Swelling that the fluid around it makes room for before the midline moves."""
BORDER_MM: Final = 0.6
"""Width of the sigmoid at the border of a lesion: from 10 to 90 % over 2.6 mm."""
LEAST_TISSUE: Final = 0.05
"""Voxels with less parenchyma are fluid and stay as they are."""
CLOT_HALF_WIDTH_MM: Final = (1.5, 2.0)
"""In the head; the trunk of the middle cerebral artery is 3 to 4 mm wide."""
VESSEL_HU: Final = 45.0
"""Flowing blood in an artery; `Stroke.hyperdense_hu` comes on top."""
CLOT_LENGTH_MM: Final = (10.0, 25.0)

_ICA: Final = ((-13.0, -5.0, -26.0), (-10.0, -2.0, -22.0))
_MCA_STEM: Final = ((-10.0, -1.0, -20.0), (-16.0, -3.0, -20.0), (-26.0, -6.0, -20.0), (-37.0, -11.0, -20.0))
VESSELS: Final[dict[Site, tuple[tuple[float, float, float], ...]]] = {
    "ICA": _ICA + _MCA_STEM,
    "tandem": _MCA_STEM,
    "M1": _MCA_STEM,
    "M2_superior": (_MCA_STEM[-1], (-42.0, -10.0, -16.0), (-45.0, -8.0, -4.0), (-41.0, -5.0, 3.0)),
    "M2_inferior": (_MCA_STEM[-1], (-42.0, -6.0, -15.0), (-45.0, 1.0, -7.0), (-44.0, 13.0, -1.0)),
    "ACA": ((-10.0, -2.0, -20.0), (-2.0, -6.0, -18.0), (-0.5, -9.0, -17.0), (-0.5, -28.0, -5.0), (-0.5, -36.0, 1.0)),
    "PCA": ((-1.0, 11.0, -21.0), (-7.0, 10.0, -21.0), (-14.0, 15.0, -22.0), (-17.0, 23.0, -17.0), (-15.0, 28.0, -12.0)),
    "basilar": ((0.0, 18.0, -46.0), (0.0, 14.0, -39.0), (0.0, 12.0, -32.0), (0.0, 11.0, -24.0), (0.0, 10.0, -21.0)),
}
"""Courses of the arteries where a clot can be seen, right side, LPS mm in the atlas."""


@dataclass(eq=False)
class Lesions:
    """Truth of one stroke on a canvas: bool masks on its grid, and soft shares for painting.

    ``core`` and ``penumbra`` (core not included) are perfusion's; ``infarct`` is dying at the acute scan; ``final`` is
    the infarct at follow-up and holds ``infarct`` unless it is smaller. Masks span thin sulci, as a reader's do.
    """

    core: Tensor
    penumbra: Tensor
    infarct: Tensor
    final: Tensor
    voxels: Tensor
    """(n,) int64: flat indices of the parenchymal voxels of the stroke's side; the following belong to them."""
    at_mm: Tensor
    """(n, 3): their positions in the atlas, folded onto its right half."""
    penumbra_soft: Tensor
    """(n,) share 0-1 of core and penumbra together, with a smooth border."""
    infarct_soft: Tensor
    final_soft: Tensor
    final_depth_mm: Tensor
    """(n,) rough distance inside the border of the final infarct, negative outside."""


def lesion_masks(canvas: Canvas, stroke: Stroke) -> Lesions:
    """Return the lesions of a stroke on a canvas; each has its volume in ml, or all that the side holds."""
    voxels, at_mm, outlined = _side_voxels(canvas, stroke)
    values, depth_scale = _fields_at(stroke, at_mm)
    perfusion, infarct_field, final_field = values

    def level(field: Tensor, volume_ml: float) -> Tensor:
        return _level(field[outlined], round(volume_ml / canvas.grid.voxel_ml))

    core_level, penumbra_level = (
        level(perfusion, volume_ml) for volume_ml in (stroke.core_ml, stroke.core_ml + stroke.penumbra_ml)
    )
    infarct_mm = (level(infarct_field, stroke.infarct_ml) - infarct_field) * depth_scale[1]
    infarct = outlined & (infarct_mm > 0)
    final_mm = _final_depth(final_field, infarct_mm, infarct, outlined, stroke, canvas) * depth_scale[2]
    final_mm = torch.maximum(final_mm, infarct_mm) if stroke.final_ml >= stroke.infarct_ml else final_mm
    core = outlined & (perfusion < core_level)

    def full(chosen: Tensor) -> Tensor:
        mask = torch.zeros(canvas.grid.shape_zyx, dtype=torch.bool, device=chosen.device)
        mask.view(-1)[voxels] = chosen
        return mask

    return Lesions(
        core=full(core),
        penumbra=full(outlined & (perfusion < penumbra_level) & ~core),
        infarct=full(infarct),
        final=full(outlined & (final_mm > 0)),
        voxels=voxels,
        at_mm=at_mm,
        penumbra_soft=_soft((penumbra_level - perfusion) * depth_scale[0]),
        infarct_soft=_soft(infarct_mm),
        final_soft=_soft(final_mm),
        final_depth_mm=final_mm,
    )


def paint_acute(canvas: Canvas, lesions: Lesions, stroke: Stroke) -> None:
    """Change ``canvas.hu`` to the acute scan: early oedema. The clot, which is no part of the infarct, comes after."""
    inside = lesions.infarct.view(-1)[lesions.voxels]
    if bool(inside.any()):
        before = _Before.of(canvas, lesions, stroke, lesions.infarct_soft, inside)
        drop = kinetics.drop_hu(stroke.onset_h, stroke, before.normal_hu)
        around = (lesions.penumbra_soft - lesions.infarct_soft).clamp(min=0) * before.amount
        oedema = before.oedema(drop) + kinetics.PENUMBRA_SHARE * drop * around
        canvas.hu.view(-1)[lesions.voxels] = before.hu - oedema


def paint_followup(canvas: Canvas, lesions: Lesions, stroke: Stroke) -> Tensor:
    """Change ``canvas.hu`` to the follow-up scan; return the mask of hemorrhagic transformation, bool (z, y, x).

    Where ``stroke.mean_hu`` is set, the mean over the final infarct without blood and without voxels that are mostly
    fluid equals it, unless tissue would have to be brighter than normal with neither petechiae nor staining in it: then
    the infarct stays as bright as normal tissue and darker than asked for.
    """
    inside = lesions.final.view(-1)[lesions.voxels]
    bleeding = torch.zeros_like(lesions.final)
    if not bool(inside.any()):
        return bleeding
    before = _Before.of(canvas, lesions, stroke, lesions.final_soft, inside)
    blood, blood_soft = _transformation(canvas, lesions, stroke, inside)
    bleeding.view(-1)[lesions.voxels] = blood
    bright = before.hu + _brightening(stroke, lesions, before)
    blood_hu = float(rng(stroke.seed, "ischemia", "blood").uniform(*BLOOD_HU))
    blood_hu_at = blood_hu + 3.0 * _noise_at(stroke, "blood texture", 6.0, lesions.at_mm)

    def painted(drop: float) -> Tensor:
        return torch.lerp(bright - before.oedema(drop), blood_hu_at, blood_soft)

    drop = kinetics.drop_hu(stroke.followup_h, stroke, before.normal_hu)
    counted = inside & ~blood & (canvas.csf.view(-1)[lesions.voxels] <= MOSTLY_FLUID)
    if stroke.mean_hu is not None and bool(counted.any()):
        drop = _drop_for_mean(painted, counted, stroke.mean_hu, drop)
    if stroke.petechiae_hu <= 0 and stroke.staining_hu <= 0:
        drop = max(drop, 0.0)
    canvas.hu.view(-1)[lesions.voxels] = painted(drop)
    return bleeding


def swelling_source(stroke: Stroke, device: str = "cpu") -> Tensor:
    """Return the logarithm of volume change at follow-up on the atlas's coarse grid (`fields.atlas_fields`).

    The final infarct swells; fluid around it gives way, and what that cannot take up shifts the midline.
    """
    gain = kinetics.swelling_gain(stroke, stroke.followup_h)
    before_ml = stroke.final_ml / (1 + gain)
    points = atlas_fields(device).coarse.points(device)
    source = math.log1p(gain) * growth.growth_grid().sample(
        _swollen(stroke, before_ml, device), points, outside="zeros"
    )
    spilt_ml = 0.0 if stroke.site in ("basilar", "cerebellar") else max(gain * before_ml - SPARE_ML, 0.0)
    return with_surroundings(source, stroke.side, min(SHIFT_MM_PER_ML * spilt_ml, LARGEST_SHIFT_MM), device)


def _swollen(stroke: Stroke, volume_ml: float, device: str) -> Tensor:
    """Return the soft share of a final infarct of ``volume_ml`` in an average head, on `growth.growth_grid`."""
    fields = growth.lesion_fields(stroke, device)
    tissue = growth.right_tissue(device)
    voxel_ml = growth.half_grid().voxel_ml / MNI_PER_HEAD**3
    depth_scale = _depth_scale(fields) / MNI_PER_HEAD
    final_level = _level(fields[2][tissue], round(volume_ml / voxel_ml))
    soft = _soft((final_level - fields[2]) * depth_scale[2]) * tissue
    return growth.both_halves(soft, stroke, 0.0)


def _side_voxels(canvas: Canvas, stroke: Stroke) -> tuple[Tensor, Tensor, Tensor]:
    """Return flat indices of the side's parenchymal voxels, their folded atlas positions, and which may be outlined."""
    side = canvas.left if stroke.side == "left" else ~canvas.left
    tissue = canvas.grey + canvas.white
    voxels = ((tissue > LEAST_TISSUE) & canvas.intracranial & side).view(-1).nonzero()[:, 0]
    at_mm = canvas.atlas_mm.view(-1, 3)[voxels]
    if stroke.side == "left":
        at_mm = at_mm * torch.tensor([-1.0, 1.0, 1.0], device=at_mm.device)
    own = at_mm[:, 0] < 0
    voxels, at_mm = voxels[own], at_mm[own]
    return voxels, at_mm, _tissue_and_sulcus(canvas, voxels) >= 0.5


def _fields_at(stroke: Stroke, at_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Return the three lesion fields at the voxels, (3, n), and what turns their differences into mm of the head."""
    fields = growth.lesion_fields(stroke, at_mm.device)
    both = growth.half_grid().sample(torch.cat((fields, _depth_scale(fields))), at_mm)
    return both[:3], both[3:]


def _depth_scale(fields: Tensor) -> Tensor:
    """Return mm of the head for a step of each field, (3, z, y, x): the inverse of its local steepness, smoothed."""
    spacing_mm = growth.half_grid().spacing_mm / MNI_PER_HEAD
    slopes = torch.stack(torch.gradient(fields, spacing=spacing_mm, dim=(1, 2, 3))).square().sum(dim=0)
    smooth = functional.avg_pool3d(slopes[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return smooth.sqrt().clamp(min=0.3).reciprocal()


def _level(values: Tensor, count: int) -> Tensor:
    """Return the threshold below which ``count`` of the values lie: all of them where there are fewer."""
    if count <= 0 or len(values) == 0:
        return torch.tensor(-torch.inf, device=values.device)
    if count >= len(values):
        return torch.tensor(torch.inf, device=values.device)
    return values.kthvalue(count + 1).values


def _final_depth(
    field: Tensor, infarct_mm: Tensor, infarct: Tensor, outlined: Tensor, stroke: Stroke, canvas: Canvas
) -> Tensor:
    """Return by how much each voxel lies below the threshold of the final infarct, in units of its field.

    The dying tissue is dead later: the infarct is taken first and the field decides on the rest. A final infarct that
    is smaller than the acute one lies within it.
    """
    count = round(stroke.final_ml / canvas.grid.voxel_ml)
    taken = int(infarct.sum())
    if count >= taken:
        return _level(field[outlined & ~infarct], count - taken) - field
    return torch.where(infarct, _level(field[infarct], count) - field, -infarct_mm.abs() - 1)


def _soft(depth_mm: Tensor) -> Tensor:
    return torch.sigmoid(depth_mm / BORDER_MM)


@dataclass(frozen=True, eq=False)
class _Before:
    """The tissue at the lesion's voxels before the stroke; all tensors are (n,)."""

    hu: Tensor
    grey: Tensor
    white: Tensor
    amount: Tensor
    """Share of parenchyma."""
    density: Tensor
    """HU of the parenchyma alone, by its mix of grey and white."""
    normal_hu: float
    """Mean of ``density`` over the lesion."""
    soft: Tensor
    uneven: Tensor
    """Where the lesion takes up more or less water; its mean over the lesion's parenchyma is 1."""

    @classmethod
    def of(cls, canvas: Canvas, lesions: Lesions, stroke: Stroke, soft: Tensor, inside: Tensor) -> "_Before":
        """Return the tissue of a canvas below the lesion with share ``soft`` and mask ``inside``, both (n,)."""
        hu, grey, white = (part.view(-1)[lesions.voxels] for part in (canvas.hu, canvas.grey, canvas.white))
        amount = grey + white
        grey_hu, white_hu = _pure_hu(hu, grey, white)
        density = (grey * grey_hu + white * white_hu) / amount
        uneven = soft * (1 + 0.18 * _noise_at(stroke, "uneven", 10.0, lesions.at_mm)).clamp(min=0.4)
        uneven = uneven / max(0.4, _mean(uneven, amount * inside))
        normal_hu = _mean(density, amount * soft * inside)
        return cls(hu, grey, white, amount, density, normal_hu, soft, uneven)

    def oedema(self, drop: float) -> Tensor:
        """Return the fall in HU at each voxel, whose mean over the lesion's parenchyma is ``drop``.

        Grey matter falls more than white until both are equal; fluid stays.
        """
        lost = kinetics.lost_contrast(drop) * self.soft * (self.density - self.normal_hu)
        return self.amount * (drop * self.uneven + lost)


def _drop_for_mean(painted: Callable[[float], Tensor], counted: Tensor, mean_hu: float, drop: float) -> float:
    """Return the drop with which the mean of ``painted`` over ``counted`` is ``mean_hu``, by secants."""
    last, last_excess = drop + 1.0, float(painted(drop + 1.0)[counted].mean()) - mean_hu
    for _ in range(4):
        excess = float(painted(drop)[counted].mean()) - mean_hu
        slope = (excess - last_excess) / (drop - last) if drop != last else 0.0
        if abs(excess) < 0.01 or slope > -0.05:
            break
        last, last_excess, drop = drop, excess, drop - excess / slope
    return drop


def _pure_hu(hu: Tensor, grey: Tensor, white: Tensor) -> tuple[float, float]:
    """Return the HU of pure grey and white matter on this side, by least squares over all its voxels."""
    parts = torch.stack((grey, white, 1 - grey - white)).double()
    ridge = 1e-3 * torch.eye(3, dtype=torch.float64, device=hu.device)
    grey_hu, white_hu, _ = torch.linalg.solve(parts @ parts.T + ridge, parts @ hu.double()).tolist()
    return grey_hu, white_hu


def _mean(values: Tensor, weights: Tensor) -> float:
    return float((values * weights).sum() / weights.sum().clamp(min=1e-6))


def _brightening(stroke: Stroke, lesions: Lesions, before: _Before) -> Tensor:
    """Return what petechiae (patches, mostly of grey matter) and contrast staining (the early core) add, in HU."""
    added = torch.zeros_like(lesions.final_soft)
    if stroke.petechiae_hu > 0:
        patches = torch.sigmoid(4 * (_noise_at(stroke, "petechiae", 7.0, lesions.at_mm) - 0.2))
        added = added + 2 * stroke.petechiae_hu * patches * (0.4 * before.white + before.grey)
    if stroke.staining_hu > 0:
        early = torch.sigmoid((lesions.final_depth_mm - 4) / 2 + _noise_at(stroke, "staining", 12.0, lesions.at_mm))
        added = added + stroke.staining_hu * early * (0.5 * before.white + before.grey)
    return added * lesions.final_soft


def _transformation(canvas: Canvas, lesions: Lesions, stroke: Stroke, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return mask and soft share of bleeding into the infarct, at the lesion's voxels: one clot or confluent patches.

    It starts where the final infarct is deep and a noise field says so, and rather stays inside.
    """
    count = round(stroke.hemorrhage_ml / canvas.grid.voxel_ml)
    if count <= 0:
        return torch.zeros_like(inside), torch.zeros_like(lesions.final_soft)
    likely = 0.4 * lesions.final_depth_mm.clamp(-5, 40) + 4 * _noise_at(stroke, "bleeding", 20.0, lesions.at_mm)
    start_mm = lesions.at_mm[torch.where(inside, likely, -torch.inf).argmax()]
    away_mm = (lesions.at_mm - start_mm).norm(dim=-1) / MNI_PER_HEAD
    patchy_mm = float(rng(stroke.seed, "ischemia", "patchy").uniform(4, 16))
    rough = _noise_at(stroke, "bleeding shape", 8.0, lesions.at_mm)
    reach = away_mm + (0.15 + away_mm / 30).clamp(max=1.0) * patchy_mm * rough
    reach = reach + 2.5 * (-lesions.final_depth_mm).clamp(0, 20)
    outlined = _tissue_and_sulcus(canvas, lesions.voxels) >= 0.5
    level = _level(reach[outlined], count)
    return outlined & (reach < level), torch.sigmoid((level - reach) / BORDER_MM)


def _tissue_and_sulcus(canvas: Canvas, voxels: Tensor) -> Tensor:
    """Return the share of parenchyma and thin sulci together at flat indices."""
    grey, white, sulcus = (part.view(-1)[voxels] for part in (canvas.grey, canvas.white, canvas.sulcus))
    return grey + white + sulcus


def _noise_at(stroke: Stroke, name: str, scale_mm: float, at_mm: Tensor) -> Tensor:
    """Return smooth noise of mean 0 and SD 1 that belongs to the stroke, at folded atlas positions."""
    grid = growth.half_grid()
    seed = int(rng(stroke.seed, "ischemia", name).integers(2**62))
    return grid.sample(smooth_noise(seed, grid, scale_mm, at_mm.device), at_mm)


def paint_clot(canvas: Canvas, stroke: Stroke) -> None:
    """Paint a clot, where one is seen, in the artery that is shut: a tube of 3 to 4 mm along part of its course."""
    path = _clot_path(stroke, canvas.hu.device) if stroke.hyperdense_hu > 0 else None
    if path is None:
        return
    fold = torch.tensor([-1.0 if stroke.side == "left" else 1.0, 1.0, 1.0], device=path.device)
    z, y, x = near(canvas, (path * fold).tolist(), 6.0).unbind(-1)
    distance_mm = distance_to_course(canvas.atlas_mm[z, y, x] * fold, path) / MNI_PER_HEAD
    half_width = float(rng(stroke.seed, "ischemia", "clot width").uniform(*CLOT_HALF_WIDTH_MM))
    share = (half_width + 0.5 - distance_mm).clamp(0, 1)
    hu = canvas.hu[z, y, x]
    canvas.hu[z, y, x] = torch.lerp(hu, torch.full_like(share, VESSEL_HU + stroke.hyperdense_hu), share)


def _clot_path(stroke: Stroke, device: torch.device) -> Tensor | None:
    """Return the points (n, 3) of a stretch of the artery, in atlas mm on the right; None where none is seen."""
    if stroke.site not in VESSELS:
        return None
    generator = rng(stroke.seed, "ischemia", "clot")
    course = torch.tensor(VESSELS[stroke.site], device=device)
    steps = [torch.lerp(a, b, share) for a, b in pairwise(course) for share in torch.linspace(0, 1, 12, device=device)]
    fine = torch.stack(steps)
    along = torch.cat((torch.zeros(1, device=device), fine.diff(dim=0).norm(dim=-1).cumsum(dim=0)))
    length = min(float(generator.uniform(*CLOT_LENGTH_MM)) * MNI_PER_HEAD, float(along[-1]))
    start = float(generator.uniform(0, 1)) * (float(along[-1]) - length)
    return fine[(along >= start) & (along <= start + length)]

"""What lies outside the brain: skull with diploe, base with air cells, orbits, sinuses, muscle, fat and skin."""

from typing import Final

import torch
from torch import Tensor

from infarct.phantom.patient import Densities, Head

AIR_HU: Final = -1000.0
VITREOUS_HU: Final = 12.0
LENS_HU: Final = 85.0
SKIN_MM: Final = 2.8
TABLE_MM: Final = 2.1
"""Thickness of the compact inner and outer table."""


def outside_hu(
    head: Head, densities: Densities, at: Tensor, depth: Tensor, head_depth: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return HU (at 120 kVp) of everything outside the brain, and the fraction of bone, both (z, y, x).

    ``at`` are atlas positions, ``depth`` the distance in mm to the inner table (negative outside the skull),
    ``head_depth`` the distance to the atlas's skin, ``noise`` (4, z, y, x) two
    smooth and two fine fields of SD 1.
    """
    x, y, z = at.unbind(-1)
    vault = torch.sigmoid((z + 30 + 0.15 * y) / 5)
    thickness = head.skull_mm * (1 + 0.12 * noise[0]) * vault + (5.5 + 1.2 * noise[0]) * (1 - vault)
    temporal = torch.exp(-(((y + 12) / 34) ** 2) - ((z + 8) / 30) ** 2) * torch.sigmoid((x.abs() - 42) / 4)
    thickness = (thickness * (1 - 0.45 * temporal)).clamp(min=1.8)
    beyond = -depth - thickness
    scalp = head.scalp_mm * (1 + 0.25 * noise[1]) + 9.0 * temporal
    skin = vault * (scalp - beyond) + (1 - vault) * head_depth
    hu = _soft(densities, beyond, skin, temporal, noise, vault)
    bone = torch.sigmoid(beyond / -0.3) * torch.sigmoid(depth / -0.3)
    hu = hu + bone * (_bone_hu(densities, depth, beyond, noise, vault) - hu)
    for where, value in _hollows(head, densities, at, depth, noise):
        hu = hu + where * (value - hu)
        bone = bone * (1 - where)
    return hu, bone


def _soft(densities: Densities, beyond: Tensor, skin: Tensor, temporal: Tensor, noise: Tensor, vault: Tensor) -> Tensor:
    """Return air, skin, fat and muscle by the distance beyond the bone and below the skin."""
    deep = (1 - vault) * torch.sigmoid((beyond - 2 + noise[2]) / 1.0) * torch.sigmoid((noise[3] + 0.8) / 0.3)
    flesh = torch.maximum(torch.sigmoid((6.5 * temporal - 0.8 - beyond) / 0.4), deep)
    galea = torch.sigmoid((0.7 - beyond) / 0.3)
    flesh = torch.maximum(flesh, galea)
    inner = densities.fat + flesh * (densities.muscle - densities.fat)
    cutis = torch.sigmoid((SKIN_MM - skin) / 0.3)
    hu = inner + cutis * (densities.muscle + 10 - inner)
    return hu + torch.sigmoid(-skin / 0.3) * (AIR_HU - hu)


def _bone_hu(densities: Densities, depth: Tensor, beyond: Tensor, noise: Tensor, vault: Tensor) -> Tensor:
    """Return compact bone near both surfaces, diploe or the mixed bone of the base between."""
    middle = torch.sigmoid((-depth - TABLE_MM) / 0.35) * torch.sigmoid((-beyond - TABLE_MM) / 0.35)
    spongy = densities.diploe + 60 * noise[2] + (1 - vault) * (150 + 90 * noise[3])
    return densities.bone * (1.4 + 0.15 * noise[2]) + middle * (spongy - densities.bone)


def _ellipsoid(at: Tensor, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Tensor:
    """Return a soft ellipsoid (1 inside), mirrored to both sides, in atlas mm."""
    x, y, z = at.unbind(-1)
    scaled = (
        ((x.abs() - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((z - centre[2]) / radii[2]) ** 2
    )
    return torch.sigmoid((1 - torch.sqrt(scaled + 1e-6)) * min(radii) / 0.5)


def _hollows(head: Head, densities: Densities, at: Tensor, depth: Tensor, noise: Tensor) -> list[tuple[Tensor, float]]:
    """Return (where, HU) of orbits, globes, sinuses, nose and mastoid cells, in the order they are laid over."""
    if float(at[..., 2].min()) > 10:
        return []
    clear = torch.sigmoid((-depth - 1.5) / 0.5)
    septa = torch.sigmoid((noise[2] + noise[3] + 1.6) / 0.25)
    cells = torch.sigmoid((noise[2] - 0.9 + 1.2 * head.mastoid_air) / 0.25)
    sinus = 6 + 16 * head.frontal_sinus
    orbit = _ellipsoid(at, (33, -62, -41), (20, 32, 20)) * clear
    globe = _ellipsoid(at, (34, -76, -43), (14, 14, 14))
    wall = _ellipsoid(at, (34, -76, -43), (15.5, 15.5, 15.5))
    nerve = _ellipsoid(at, (24, -42, -42), (5, 34, 3.5)) * orbit
    return [
        (orbit, densities.fat),
        (nerve, densities.muscle - 5),
        (wall, densities.muscle),
        (globe, VITREOUS_HU),
        (_ellipsoid(at, (35, -88, -43), (4.5, 2.2, 4.5)), LENS_HU),
        (_ellipsoid(at, (9, -50, -54), (10, 28, 20)) * septa * clear, AIR_HU),
        (_ellipsoid(at, (6, -14, -42), (11, 12, 10)) * clear, AIR_HU),
        (_ellipsoid(at, (0, -6, -33), (8, 7, 6)), densities.muscle - 8),
        (_ellipsoid(at, (0, -7, -19), (18, 15, 11)), densities.csf + 4),
        (_ellipsoid(at, (32, -48, -84), (15, 18, 17)) * clear, AIR_HU),
        (_ellipsoid(at, (11, -83, -24), (sinus, 6.5, sinus)) * clear * float(head.frontal_sinus > 0.1), AIR_HU),
        (_ellipsoid(at, (58, 30, -52), (12, 18, 18)) * cells * clear, AIR_HU + 150),
        (_ellipsoid(at, (66, 8, -50), (14, 4, 4)), AIR_HU),
    ]

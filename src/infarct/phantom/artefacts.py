"""What a scanner adds to the picture of a head: beam hardening, streaks, motion, a head rest.

Artefacts that run along rays are made on the raster of `infarct.phantom.rays`; they come out in HU, to be added.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infarct.phantom import rays
from infarct.phantom.grid import rng, white_noise
from infarct.phantom.patient import Pose, Protocol
from infarct.types import Float64Array

CUPPING_MM: Final = 12.0
"""Depth under the inner table at which the brightening has fallen to 1/e."""
LARGE_SHARE: Final = 0.6
"""Slices with this share of the largest slice's brain are large."""
SKIN_HU: Final = -300.0
BONE_HU: Final = 150.0
"""What is denser hardens the beam in a way that a water correction leaves."""
DEEP_MM: Final = (6.0, 12.0)
"""Depth under the skin at which bone begins to count, and counts in full: scanners correct for the vault's smooth
ring; what remains comes from the skull base."""
USUAL_DEPTH: Final = (0.7, 5.0)
"""Depth of the bands before they are scaled: a head outside has shallower or deeper ones than the protocol says."""
LARGEST_BAND: Final = 1.5
"""Bands level off at this multiple of their depth."""
STREAK_MM: Final = (5.0, 45.0)
"""Deep bone (of 1000 HU) along a ray from which too few photons arrive, and from which no fewer do."""
METAL_HU: Final = 3000.0
METAL_SATURATION: Final = 4e4
"""HU mm of metal along a ray of which half is measured: 2 mm of platinum."""
METAL_NOISE: Final = 0.15
"""SD of the measured metal from ray to ray, against the mean."""
WAVELENGTH_MM: Final = 200.0
"""Over this length along the table the walls of a head rest rise and fall."""
LEVER_MM: Final = 60.0
"""A turn of the head is drawn so that it moves a point this far from its middle as far as a shift does."""


def along_rays(hu: Tensor, brain: Tensor, protocol: Protocol) -> Tensor:
    """Return the sum of beam hardening, streaks and metal in HU, (z, y, x) on the rays' raster.

    ``hu`` and ``brain`` (share of the intracranial space) lie on that raster.
    """
    seeds = rng(protocol.seed, "streaks").integers(2**62, size=2).tolist()
    return (
        beam_hardening(hu, brain, protocol.petrous_hu)
        + streaks(hu, brain, protocol.streaks_hu, seeds[0])
        + metal_streaks(hu, seeds[1])
    )


def cupping(depth_mm: Tensor, cupping_hu: float) -> Tensor:
    """Return the brightening in HU under the skull; ``depth_mm`` is the distance to the inner table, as in `Canvas`."""
    return cupping_hu * torch.exp(-depth_mm.abs() / CUPPING_MM)


def beam_hardening(hu: Tensor, brain: Tensor, petrous_hu: float) -> Tensor:
    """Return the dark bands and bright flanks in HU that dense bone makes, (z, y, x) on the rays' raster.

    The error of a ray grows with the square of the bone along it (after Joseph and Spital, J Comput Assist Tomogr
    1978;2:100). In the worst large slice the darkest fiftieth of ``brain`` (share of the intracranial space) lies about
    ``petrous_hu`` below its median, less where little bone lies deep.
    """
    if petrous_hu == 0:
        return torch.zeros_like(hu)
    error = -rays.reconstruct(torch.square(_deep_bone_mm(hu)))
    inside = _off_bone(brain)
    within = torch.where(inside, error, torch.nan).flatten(1)
    middle = torch.nan_to_num(within.nanmedian(dim=1).values)
    depth = middle - torch.nan_to_num(within.nanquantile(0.02, dim=1))
    bands = (error - middle[:, None, None]) * (petrous_hu / _worst(depth, inside).clamp(*USUAL_DEPTH))
    return LARGEST_BAND * petrous_hu * torch.tanh(bands / (LARGEST_BAND * petrous_hu))


def streaks(hu: Tensor, brain: Tensor, streaks_hu: float, seed: int) -> Tensor:
    """Return fine alternating streaks in HU along rays through dense bone, (z, y, x) on the rays' raster.

    Their root mean square in the worst large slice, inside ``brain`` (share of the intracranial space), is
    ``streaks_hu``.
    """
    if streaks_hu == 0:
        return torch.zeros_like(hu)
    starved = _deep_bone_mm(hu).clamp(*STREAK_MM) - STREAK_MM[0]
    lines = rays.reconstruct(starved * white_noise(seed, tuple(starved.shape), hu.device))
    inside = _off_bone(brain)
    spread = torch.sqrt((torch.square(lines) * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1))
    return lines * (streaks_hu / _worst(spread, inside))


def _off_bone(brain: Tensor) -> Tensor:
    """Return the voxels of a raster (z, y, x) with nothing but ``brain`` within 4 mm in the plane."""
    return functional.avg_pool2d(brain[:, None], 5, stride=1, padding=2)[:, 0] > 0.98


def _worst(level: Tensor, inside: Tensor) -> Tensor:
    """Return the largest of the slices' levels (z,), leaving out slices with little brain, where bone is all around."""
    area = inside.sum(dim=(1, 2))
    return level[area >= LARGE_SHARE * area.max()].max().clamp(min=1e-3)


def metal_streaks(hu: Tensor, seed: int) -> Tensor:
    """Return the streaks in HU around metal (over 3000 HU), (z, y, x) on the rays' raster; zero without metal."""
    metal = (hu - METAL_HU).clamp(min=0)
    added = torch.zeros_like(hu)
    slices = torch.nonzero(metal.flatten(1).amax(dim=1) > 0)[:, 0]
    if len(slices) == 0:
        return added
    path = rays.project(metal[slices])
    noisy = 1 + METAL_NOISE * white_noise(seed, tuple(path.shape), hu.device)
    measured = path * noisy / (1 + path / METAL_SATURATION)
    added[slices] = rays.reconstruct(measured - path * _kept(path, measured))
    return added


def _kept(path: Tensor, measured: Tensor) -> Tensor:
    """Return the share of the metal that each slice keeps, so that the streaks add nothing in all, (k, 1, 1)."""
    return measured.sum(dim=(1, 2), keepdim=True) / path.sum(dim=(1, 2), keepdim=True).clamp(min=1e-3)


def _deep_bone_mm(hu: Tensor) -> Tensor:
    """Return the bone of the skull base along each ray, in mm of 1000 HU."""
    width = 2 * round(DEEP_MM[1] / rays.STEP_MM) + 1
    head = (hu > SKIN_HU).to(torch.float32)[:, None]
    around = functional.avg_pool2d(head, width, stride=1, padding=width // 2)[:, 0]
    # A straight skin that lies d under a square's middle of half width w leaves it filled to (1 + d / w) / 2.
    lowest = (1 + DEEP_MM[0] / DEEP_MM[1]) / 2
    deep = ((around - lowest) / (1 - lowest)).clamp(0, 1)
    return rays.project((hu - BONE_HU).clamp(0, 2000) / 1000 * deep)


def poses(protocol: Protocol, count: int, parts: int) -> Float64Array:
    """Return the matrix from the head to the world for each plane that makes up a slice, (count, parts, 4, 4).

    Without motion all are the protocol's. With it the head jumps a few times, by shifts of SD ``motion_mm`` along each
    axis and turns to match; within the slice of a jump the planes lie between the old and the new place: it is blurred.
    """
    still = np.broadcast_to(protocol.pose.matrix(), (count, parts, 4, 4))
    if protocol.motion_mm == 0:
        return still
    random = rng(protocol.seed, "motion")
    jumps = random.integers(0, count, size=1 + random.poisson(1.5))
    steps = random.normal(0.0, protocol.motion_mm, (len(jumps), 2, 3))
    plane = np.arange(count)[:, None] + (np.arange(parts) + 0.5) / parts
    done = np.clip(plane[..., None] - jumps, 0.0, 1.0)
    moved = np.tensordot(done, steps, axes=1)
    return np.array([[_moved(protocol.pose, *change) for change in planes] for planes in moved])


def _moved(pose: Pose, turn: Float64Array, shift: Float64Array) -> Float64Array:
    """Return the matrix of a pose after a small turn (mm at `LEVER_MM`) about the head's middle, and a shift in mm."""
    pitch, roll, yaw = np.degrees(turn / LEVER_MM).tolist()
    x, y, z = (np.array(pose.shift_mm) + shift).tolist()
    matrix = Pose(pitch, roll, yaw, shift_mm=(x, y, z)).matrix()
    matrix[:3, :3] = matrix[:3, :3] @ pose.matrix()[:3, :3]
    return matrix


@dataclass(frozen=True)
class Rest:
    """A head rest: a trough around the lying head, of one or two shells, the same along the table but for its walls.

    All lengths in mm; ``middle_x_mm`` and ``bottom_y_mm`` are world LPS. The bottom bends over ``bend_mm`` into walls,
    the squarer the higher ``power``. The walls (left, right) rise ``walls_mm`` above the bend, more or less by
    ``wave_mm`` along the table. A second shell lies ``outer_mm`` outside the first; 0 means none.
    """

    middle_x_mm: float
    bottom_y_mm: float
    half_width_mm: float
    bend_mm: float
    power: float
    walls_mm: tuple[float, float]
    wave_mm: float
    wave_phase: float
    shell_mm: float
    shell_hu: float
    outer_mm: float
    outer_hu: float


def draw_rest(seed: int, low_mm: Float64Array, high_mm: Float64Array) -> Rest:
    """Return a head rest for a head that reaches from ``low_mm`` to ``high_mm`` (x, y, z in the world)."""
    random = rng(seed, "rest")
    wall_mm = random.uniform(-40.0, 60.0)
    return Rest(
        middle_x_mm=float((high_mm[0] + low_mm[0]) / 2 + random.normal(0.0, 3.0)),
        bottom_y_mm=float(high_mm[1] + random.uniform(4.0, 12.0)),
        half_width_mm=float((high_mm[0] - low_mm[0]) / 2 + random.uniform(8.0, 22.0)),
        bend_mm=float(random.uniform(50.0, 100.0)),
        power=float(random.uniform(1.9, 3.0)),
        walls_mm=(float(wall_mm + random.normal(0.0, 4.0)), float(wall_mm + random.normal(0.0, 4.0))),
        wave_mm=float(random.uniform(0.0, 40.0)),
        wave_phase=float(random.uniform(0.0, 2 * np.pi)),
        shell_mm=float(random.uniform(1.2, 3.2)),
        shell_hu=float(random.uniform(-50.0, 400.0)),
        outer_mm=float(random.uniform(6.0, 14.0)) if random.random() < 0.4 else 0.0,
        outer_hu=float(random.uniform(-400.0, 100.0)),
    )


def rest_hu(rest: Rest, x_mm: Tensor, y_mm: Tensor, z_mm: Tensor) -> Tensor:
    """Return the HU of a head rest on slices at table positions ``z_mm`` (z,), air elsewhere: (z, y, x).

    ``x_mm`` (1, x) and ``y_mm`` (y, 1) are world positions, the same for all slices: the table moves along z.
    """
    shells = _shell(rest, x_mm, y_mm, 0.0, rest.shell_hu)
    if rest.outer_mm:
        shells = torch.maximum(shells, _shell(rest, x_mm, y_mm, rest.outer_mm, rest.outer_hu))
    wave = rest.wave_mm * torch.sin(z_mm * (2 * torch.pi / WAVELENGTH_MM) + rest.wave_phase)
    above_bend = (rest.bottom_y_mm - rest.bend_mm) - y_mm
    walls = torch.where(x_mm > rest.middle_x_mm, rest.walls_mm[0], rest.walls_mm[1])
    kept = torch.sigmoid((walls - above_bend + wave[:, None, None]) / 0.5)
    return kept * (shells + 1000) - 1000


def _shell(rest: Rest, x_mm: Tensor, y_mm: Tensor, out_mm: float, shell_hu: float) -> Tensor:
    """Return the HU of one shell with endless walls, ``out_mm`` outside the first, (y, x)."""
    width, bend = rest.half_width_mm + out_mm, rest.bend_mm + out_mm
    u = (x_mm - rest.middle_x_mm).abs() / width
    v = (y_mm - (rest.bottom_y_mm - rest.bend_mm)).clamp(min=0) / bend
    radius = (u**rest.power + v**rest.power).clamp(min=1e-6) ** (1 / rest.power)
    slope = torch.hypot((u / radius) ** (rest.power - 1) / width, (v / radius) ** (rest.power - 1) / bend)
    distance = ((radius - 1) / slope).abs()
    return -1000 + torch.sigmoid((rest.shell_mm / 2 - distance) / 0.3) * (shell_hu + 1000)

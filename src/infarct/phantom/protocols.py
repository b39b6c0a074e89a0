"""How a patient is scanned: kVp, slices, kernel, noise, artefacts and pose, by the population a scanner serves.

Healthy and ill of one population meet the same scanners. The split `shifted` has its own thicknesses, kernels and kVp,
which the other splits never use. Numbers that no comment gives a source are the choice of this phantom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infarct.phantom.draws import DECIMALS, Quantiles, Stream
from infarct.phantom.individuals import Source
from infarct.phantom.noise import noise_sd_hu
from infarct.phantom.patient import Kernel, Pose, Protocol, Reconstruction, Split


@dataclass(frozen=True)
class Scanners:
    """What the scanners of a population are set to; mappings hold weights.

    ``spacing`` is the distance of slices as a share of their thickness; ``uneven`` the share of stacks with two.
    """

    kvp: Mapping[int, float]
    shifted_kvp: Mapping[int, float]
    thickness_mm: Mapping[float, float]
    shifted_thickness_mm: Mapping[float, float]
    spacing: Mapping[float, float]
    uneven: float
    tilted: float
    pixel_mm: tuple[float, float]
    reconstruction: Mapping[Reconstruction, float]


THICK_SHIFTED: Final = {3.0: 0.5, 8.0: 0.25, 9.0: 0.25}
THICK_SPACING: Final = {1.0: 0.84, 0.8: 0.06, 0.5: 0.04, 1.1: 0.03, 1.2: 0.03}
THICK_RECONSTRUCTION: Final[dict[Reconstruction, float]] = {"fbp": 0.5, "iterative": 0.38, "deep": 0.12}

SCANNERS: Final[dict[Source, Scanners]] = {
    "hyperacute": Scanners(
        kvp={120: 0.9, 100: 0.1},
        shifted_kvp={80: 0.5, 140: 0.5},
        thickness_mm={5.0: 1.0},  # localize paper, methods
        shifted_thickness_mm=THICK_SHIFTED,
        spacing=THICK_SPACING,
        uneven=0.08,
        tilted=0.45,
        pixel_mm=(0.4, 0.5),
        reconstruction=THICK_RECONSTRUCTION,
    ),
    "aspects": Scanners(
        # Aspects paper: 70 kV in the main set, 120 kV in the independent one. 70 kVp is a stress stratum here.
        kvp={120: 0.5, 100: 0.25, 70: 0.25},
        shifted_kvp={80: 0.5, 140: 0.5},
        thickness_mm={5.0: 0.8, 4.0: 0.1, 6.0: 0.1},  # aspects paper: 5 mm, elsewhere 3-6 mm
        shifted_thickness_mm=THICK_SHIFTED,
        spacing=THICK_SPACING,
        uneven=0.06,
        tilted=0.2,
        pixel_mm=(0.39, 0.52),
        reconstruction=THICK_RECONSTRUCTION,
    ),
    "acute": Scanners(
        kvp={120: 0.85, 100: 0.15},
        shifted_kvp={80: 0.5, 140: 0.5},
        thickness_mm={1.0: 1.0},  # segment paper, materials: 1 mm every 0.5 mm, pixel 0.38-0.5 mm
        shifted_thickness_mm={1.5: 0.5, 2.0: 0.5},
        spacing={0.5: 1.0},
        uneven=0.0,
        tilted=0.0,
        pixel_mm=(0.38, 0.5),
        reconstruction={"fbp": 0.3, "iterative": 0.55, "deep": 0.15},
    ),
    "followup": Scanners(
        kvp={120: 0.85, 100: 0.15},
        shifted_kvp={80: 0.4, 140: 0.6},
        thickness_mm={5.0: 1.0},  # volumetry paper: thin slices were reconstructed to 5 mm
        shifted_thickness_mm=THICK_SHIFTED,
        spacing=THICK_SPACING,
        uneven=0.06,
        tilted=0.35,
        pixel_mm=(0.39, 0.52),
        reconstruction=THICK_RECONSTRUCTION,
    ),
    "mixed": Scanners(
        kvp={120: 0.75, 100: 0.25},
        shifted_kvp={80: 0.4, 140: 0.6},
        thickness_mm={5.0: 0.58, 4.0: 0.08, 6.0: 0.06, 2.5: 0.1, 1.25: 0.06, 1.0: 0.06, 0.625: 0.06},
        shifted_thickness_mm=THICK_SHIFTED,
        spacing=THICK_SPACING,
        uneven=0.07,
        tilted=0.3,
        pixel_mm=(0.38, 0.6),
        reconstruction=THICK_RECONSTRUCTION,
    ),
}

KERNELS: Final[dict[Kernel, float]] = {"standard": 0.65, "sharp": 0.2, "soft": 0.15}
KERNEL_NOISE: Final[dict[Kernel, float]] = {"soft": 0.0, "standard": 0.5, "sharp": 1.0}
"""Where in the range of noise a kernel lies, when dose is left out."""
NOISE_5MM_HU: Final = (3.8, 5.6)
"""SD of noise at 5 mm by filtered back-projection; with the brain's texture it makes the 4.6-5.7 of real scans."""
RECONSTRUCTION_NOISE: Final[dict[Reconstruction, tuple[float, float]]] = {
    "fbp": (1.0, 1.0),
    "iterative": (0.7, 0.95),
    "deep": (0.45, 0.7),
}
SOFTEST: Final = 0.85
SHARPEST: Final = 1.15
"""Sharpness of kernels outside `shifted` lies between these; in it, outside them."""
SHARPER_NOISE: Final = 1.25
THICK_MM: Final = 8.0
"""From this thickness on, protocols have soft kernels and a lower dose."""
THIN_SOFT: Final = 0.2
"""Share of very soft kernels (the rest is very sharp) among the thinner slices of `shifted`."""
THICK_NOISE: Final = 1.4
"""Half the dose: residuals of real slices of 8 to 9 mm (4.1-4.5 HU) exceed what their thickness tells."""
STRESS_KVP: Final = 70
STRESS_NOISE: Final = 1.15
"""Noise grows with very sharp kernels and at 70 kVp."""
OFFSET_SD_HU: Final = 1.5
OFFSET_LIMIT_HU: Final = 3.0
STREAKS_HU: Final = Quantiles(((0.0, 0.0), (0.6, 0.0), (0.9, 2.5), (1.0, 8.0)))
MOTION_MM: Final = Quantiles(((0.0, 0.0), (0.95, 0.0), (0.98, 1.5), (1.0, 5.0)))
POSE_LIMITS_DEG: Final = ((-22.0, 25.0), (-20.0, 20.0), (-20.0, 20.0))
POSE_SPREAD_DEG: Final = ((1.5, 9.0), (0.0, 3.0), (0.0, 3.5))
"""Pitch, roll and yaw: limits, and mean and SD of heads that lie as usual; pitch varies most from day to day."""
RESTLESS: Final = 0.12
"""Share of heads that lie anyhow within the limits."""
SHIFT_LIMIT_MM: Final = 30.0
SIZE_PX: Final = 512


def draw_protocol(stream: Stream, source: Source, split: Split) -> Protocol:
    """Return one acquisition by the scanners of a population."""
    shifted = split == "shifted"
    scanners = SCANNERS[source]
    kvp = stream.choice(scanners.shifted_kvp if shifted else scanners.kvp)
    thickness_mm = stream.choice(scanners.shifted_thickness_mm if shifted else scanners.thickness_mm)
    kernel, sharpness = _kernel(stream, shifted, thickness_mm)
    reconstruction = stream.choice(scanners.reconstruction)
    noise_hu = noise_sd_hu(_noise_5mm_hu(stream, kvp, kernel, sharpness), thickness_mm, reconstruction)
    noise_hu *= stream.uniform(*RECONSTRUCTION_NOISE[reconstruction])
    noise_hu *= THICK_NOISE if thickness_mm >= THICK_MM else 1.0
    low_mm, high_mm = scanners.pixel_mm
    offset_hu = stream.normal(0.0, OFFSET_SD_HU, -OFFSET_LIMIT_HU, OFFSET_LIMIT_HU)
    return Protocol(
        seed=stream.seed(),
        kvp=kvp,
        thickness_mm=thickness_mm,
        gaps_mm=_gaps_mm(stream, scanners, thickness_mm),
        gap_change=stream.uniform(0.25, 0.55),
        tilt_deg=_tilt_deg(stream, scanners.tilted),
        pixel_mm=round(low_mm + (high_mm - low_mm) * stream.even("pixel"), DECIMALS),
        size_px=SIZE_PX,
        kernel=kernel,
        kernel_sharpness=sharpness,
        reconstruction=reconstruction,
        noise_hu=round(noise_hu, 3),
        offset_hu=round(offset_hu, 2),
        cupping_hu=stream.uniform(0.0, 2.5),
        petrous_hu=stream.lognormal(6.0, 0.6, 1.0, 18.0),
        streaks_hu=stream.quantile(STREAKS_HU),
        motion_mm=stream.quantile(MOTION_MM),
        padding=stream.chance(0.3),
        head_rest=stream.chance(0.93),
        pose=_pose(stream),
    )


def _kernel(stream: Stream, shifted: bool, thickness_mm: float) -> tuple[Kernel, float]:
    """Return kernel and sharpness; in `shifted` a very soft one (always in thick slices) or a very sharp one."""
    kernel = stream.choice(KERNELS)
    sharpness = stream.normal(1.0, 0.08, SOFTEST, SHARPEST)
    if not shifted:
        return kernel, sharpness
    if thickness_mm >= THICK_MM or stream.chance(THIN_SOFT):
        return "soft", round(0.7 * sharpness, 4)
    return "sharp", round(1.4 * sharpness, 4)


def _gaps_mm(stream: Stream, scanners: Scanners, thickness_mm: float) -> tuple[float, ...]:
    """Return the distances between slices; an uneven stack has thin distances at the base and wide ones above."""
    spacing = stream.choice(scanners.spacing)
    widening = stream.choice({1.4: 0.4, 1.5: 0.3, 2.0: 0.3})
    if stream.chance(scanners.uneven):
        return round(thickness_mm, 3), round(thickness_mm * widening, 3)
    return (round(thickness_mm * spacing, 4),)


def _tilt_deg(stream: Stream, tilted: float) -> float:
    """Return the gantry's tilt, mostly towards the orbitomeatal line."""
    angle = stream.uniform(4.0, 24.0)
    sign = 1.0 if stream.chance(0.85) else -1.0
    return round(sign * angle, 1) if stream.chance(tilted) else 0.0


def _noise_5mm_hu(stream: Stream, kvp: int, kernel: Kernel, sharpness: float) -> float:
    """Return the SD of noise in mid brain of a 5 mm slice by filtered back-projection: by dose, kernel and kVp."""
    low, high = NOISE_5MM_HU
    noise = low + (high - low) * (0.7 * stream.share() + 0.3 * KERNEL_NOISE[kernel])
    return noise * (SHARPER_NOISE if sharpness > SHARPEST else 1.0) * (STRESS_NOISE if kvp <= STRESS_KVP else 1.0)


def _pose(stream: Stream) -> Pose:
    """Return how the head lies: mostly nearly straight, now and then turned as far as heads lie."""
    restless = stream.chance(RESTLESS)
    angles = []
    for (low, high), (mean, sd) in zip(POSE_LIMITS_DEG, POSE_SPREAD_DEG, strict=True):
        straight, turned = stream.normal(mean, sd, low, high), stream.uniform(low, high)
        angles.append(round(turned if restless else straight, 2))
    far = stream.chance(0.1)
    shifts = []
    for _ in range(3):
        near = stream.normal(0.0, 7.0, -SHIFT_LIMIT_MM, SHIFT_LIMIT_MM)
        off = stream.uniform(-SHIFT_LIMIT_MM, SHIFT_LIMIT_MM)
        shifts.append(round(off if far else near, 2))
    return Pose(angles[0], angles[1], angles[2], (shifts[0], shifts[1], shifts[2]))

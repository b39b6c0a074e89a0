"""Diffusion MRI of a phantom patient: b = 0, b = 1000 s/mm2 and ADC on a grid and in a pose of their own.

Signals follow from proton density, T2 and ADC of each tissue, so an infarct is bright first by its ADC and in the
second week by its T2 alone, and what merely has a long T2 (leukoaraiosis, scars, chance foci) shines through without
being an infarct. Echo-planar images are displaced and lose signal near air, and have magnitude noise.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic
from infarct.phantom.grid import Grid, rng, smooth_noise, white_noise
from infarct.phantom.ischemia import Lesions
from infarct.phantom.patient import Pose, Stroke
from infarct.phantom.slabs import blurred_in_plane, slab_points, softened
from infarct.types import Float64Array
from infarct.volume.geometry import Geometry

B_S_MM2: Final = 1000.0
ECHO_MS: Final = 85.0


@dataclass(frozen=True)
class Tissue:
    """Proton density against water, T2 in ms and ADC in um2/s (1e-6 mm2/s) at 1.5 T."""

    density: float
    t2_ms: float
    adc_um2_s: float


GREY: Final = Tissue(0.82, 95.0, 830.0)
WHITE: Final = Tissue(0.70, 75.0, 760.0)
FLUID: Final = Tissue(1.0, 1500.0, 3000.0)
BLOOD: Final = Tissue(0.8, 40.0, 550.0)
MUSCLE: Final = Tissue(0.75, 40.0, 1400.0)
"""T2: Stanisz, Magn Reson Med 2005;54:507; ADC: Sener, J Comput Assist Tomogr 2001;25:1."""

ADC_COURSE: Final = (
    (0.0, 0.85), (1.0, 0.74), (3.0, 0.66), (6.0, 0.61), (12.0, 0.58), (24.0, 0.56), (48.0, 0.59), (96.0, 0.72),
    (144.0, 0.87), (200.0, 1.0), (240.0, 1.07), (336.0, 1.25), (720.0, 1.7),
)  # fmt: skip
"""Hours from onset and ADC against normal tissue: lowest on the first days, normal on day 8, raised afterwards
(Schwamm, Stroke 1998;29:2268; Lansberg, AJNR 2001;22:637; Copen, Radiology 2001;221:27)."""
T2_COURSE: Final = (
    (0.0, 1.0),
    (3.0, 1.02),
    (6.0, 1.08),
    (12.0, 1.2),
    (24.0, 1.35),
    (96.0, 1.5),
    (240.0, 1.4),
    (720.0, 1.6),
)
"""Hours from onset and T2 against normal tissue; it dips in the second week (O'Brien, Stroke 2003;34:1901)."""
GROWN_H: Final = 6.0
"""So long after the acute scan the infarct has its final extent."""
LATE_H: Final = 48.0
"""From here on patients differ in how fast the ADC recovers; reperfusion speeds it."""
DAMAGE_HU: Final = 8.0
BLOOD_HU: Final = 52.0
SOFT_MM: Final = 0.8
FIELD_MM: Final = 230.0
LAYERS: Final = 3
BRAIN_SHARE: Final = 0.5
COARSE: Final = 4
"""The field around air is worked out on a grid coarser by this factor."""


@dataclass(frozen=True)
class DiffusionSetup:
    """How the images are taken. ``hours`` is the time from onset, ``pose`` how the head lies in the MRI scanner.

    ``snr`` is the signal of white matter at b = 0 over the SD of the noise, 0 means no noise. ``pace`` divides the time
    of recovery after `LATE_H`, ``drop`` multiplies the logarithm of the fall of ADC. ``warp_mm`` is the largest
    displacement near air, along y; ``bias`` the SD of the smooth brightness; ``gain`` scales all signal.
    """

    seed: int
    hours: float
    pixel_mm: float
    slice_mm: float
    pose: Pose
    snr: float
    pace: float
    drop: float
    foci: int
    warp_mm: float
    bias: float
    gain: float


@dataclass(frozen=True, eq=False)
class DiffusionMaps:
    """Images and truth, (z, y, x) on ``geometry``, whose world is that of the MRI scanner.

    ``b0`` and ``dwi`` (b = 1000 s/mm2) are in arbitrary units, ``adc_um2_s`` in um2/s = 1e-6 mm2/s, 0 where there is no
    signal. ``lesion`` is the infarct, ``shine_through`` foci of long T2 that are none, both where the images show
    them; bool, as is ``brain``. ``to_head`` is the 4x4 matrix from the world (LPS mm) to the head's frame.
    """

    geometry: Geometry
    b0: Tensor
    dwi: Tensor
    adc_um2_s: Tensor
    brain: Tensor
    lesion: Tensor
    shine_through: Tensor
    old_infarct: Tensor
    hours: float
    to_head: Float64Array = field(repr=False)


def draw_diffusion(seed: int, hours: float) -> DiffusionSetup:
    """Return how a patient's diffusion is scanned ``hours`` after onset."""
    random = rng(seed, "diffusion")
    pitch, roll, yaw = np.clip(random.normal(0, (5, 2.5, 3)), -14, 14).tolist()
    x, y, z = np.clip(random.normal(0, (4, 8, 8)), -20, 20).tolist()
    return DiffusionSetup(
        seed=seed,
        hours=hours,
        pixel_mm=FIELD_MM / float(random.choice((128, 160, 192), p=(0.25, 0.5, 0.25))),
        slice_mm=float(random.choice((5.0, 5.5, 6.5), p=(0.5, 0.3, 0.2))),
        pose=Pose(pitch, roll, yaw, (x, y, z)),
        snr=float(random.uniform(20, 45)),
        pace=float(random.lognormal(0, 0.15)),
        drop=float(np.clip(random.normal(1, 0.12), 0.7, 1.3)),
        foci=int(random.poisson(1.2)),
        warp_mm=float(random.uniform(2, 7)),
        bias=float(random.uniform(0.03, 0.1)),
        gain=float(random.lognormal(np.log(2000), 0.4)),
    )


def diffusion_maps(
    canvas: Canvas, chronic: Chronic, *, lesions: Lesions | None, stroke: Stroke | None, setup: DiffusionSetup
) -> DiffusionMaps:
    """Return the diffusion images of the head on ``canvas``; without lesions and stroke those of a patient without."""
    to_head = np.asarray(np.linalg.inv(setup.pose.matrix()), dtype=np.float64)
    geometry = _geometry(canvas, setup)
    device = canvas.grey.device
    channels = _channels(canvas, chronic, _lesion(lesions, stroke, setup), setup)
    air = _Air.around(canvas, setup)
    course = _course(stroke, setup)
    total = torch.zeros((len(_SUMMED), *geometry.shape_zyx), device=device)
    for points in slab_points(geometry, to_head, LAYERS, device):
        moved, weight = air.displaced(points)
        at = dict(zip(_CHANNELS, canvas.grid.sample(channels, moved, outside="zeros"), strict=True))
        total += _signals(at, weight, course) / LAYERS
    return _imaged(total, geometry, to_head, setup)


_CHANNELS: Final = (
    "grey",
    "white",
    "csf",
    "damage",
    "scar",
    "focus",
    "lesion",
    "blood",
    "muscle",
    "variation",
    "lesion_mask",
)
_SUMMED: Final = ("parenchyma", "b0", "dwi", "lesion", "focus", "scar")


def _geometry(canvas: Canvas, setup: DiffusionSetup) -> Geometry:
    """Return a stack that covers the brain, centred on it."""
    inside = canvas.intracranial.flatten(1).any(dim=1).nonzero()
    low, high = (canvas.grid.origin_mm[2] + canvas.grid.spacing_mm * float(k) for k in (inside[0], inside[-1]))
    reach = high - low + 20
    count = int(np.ceil(reach / setup.slice_mm))
    size = round(FIELD_MM / setup.pixel_mm)
    columns = canvas.grid.shape_zyx[2]
    centre = setup.pose.matrix() @ (
        canvas.grid.origin_mm[0] + canvas.grid.spacing_mm * (columns - 1) / 2,
        canvas.grid.origin_mm[1] + canvas.grid.spacing_mm * (canvas.grid.shape_zyx[1] - 1) / 2,
        (low + high) / 2,
        1.0,
    )
    half = (size - 1) * setup.pixel_mm / 2
    origin = centre[:3] - (half, half, (count - 1) * setup.slice_mm / 2)
    return Geometry.regular((count, size, size), (setup.slice_mm, setup.pixel_mm, setup.pixel_mm), origin_mm=origin)


def _lesion(lesions: Lesions | None, stroke: Stroke | None, setup: DiffusionSetup) -> Tensor | None:
    if lesions is None or stroke is None:
        return None
    return lesions.final if setup.hours > stroke.onset_h + GROWN_H else lesions.infarct


def _channels(canvas: Canvas, chronic: Chronic, lesion: Tensor | None, setup: DiffusionSetup) -> Tensor:
    """Return what decides the signal at each voxel of the canvas, (c, z, y, x), in the order of `_CHANNELS`."""
    none = torch.zeros_like(canvas.grey)
    blood = torch.sigmoid((canvas.hu - BLOOD_HU) / 2) * (canvas.hu < 150) * canvas.intracranial
    muscle = (canvas.hu > 10) & (canvas.hu < 90) & ~canvas.intracranial
    return torch.stack(
        (
            canvas.grey,
            canvas.white,
            canvas.csf,
            (-chronic.delta_hu / DAMAGE_HU).clamp(0, 1) * ~chronic.old_infarct,
            chronic.old_infarct.float(),
            _foci(canvas, lesion, setup),
            none if lesion is None else softened(lesion, canvas.grid, SOFT_MM),
            blood,
            muscle.float(),
            smooth_noise(_seed(setup, "variation"), canvas.grid, 6.0, none.device),
            none if lesion is None else lesion.float(),
        )
    )


def _seed(setup: DiffusionSetup, name: str) -> int:
    return int(rng(setup.seed, "diffusion", name).integers(2**62))


def _foci(canvas: Canvas, lesion: Tensor | None, setup: DiffusionSetup) -> Tensor:
    """Return small round foci in white matter away from the lesion, as fractions."""
    foci = torch.zeros_like(canvas.white)
    allowed = canvas.white[::3, ::3, ::3] > 0.8
    if lesion is not None:
        allowed &= softened(lesion, canvas.grid, 4.0)[::3, ::3, ::3] < 0.01
    places = allowed.nonzero()
    if len(places) == 0:
        return foci
    random = rng(setup.seed, "foci")
    spacing = canvas.grid.spacing_mm
    for _ in range(setup.foci):
        middle = 3 * places[int(random.integers(len(places)))]
        radii = torch.tensor(random.uniform(2, 5.5) * random.uniform(0.7, 1.3, 3), dtype=torch.float32)
        low = [max(int(m - 8 / spacing), 0) for m in middle]
        high = [min(int(m + 8 / spacing) + 1, count) for m, count in zip(middle, foci.shape, strict=True)]
        axes = [
            (torch.arange(a, b, device=foci.device) - m) * (spacing / float(r))
            for a, b, m, r in zip(low, high, middle, radii, strict=True)
        ]
        distance = torch.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
        box = foci[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        torch.maximum(box, torch.sigmoid((1 - distance) * 6), out=box)
    return foci


@dataclass(frozen=True, eq=False)
class _Air:
    """The field around air in sinuses and mastoids: it moves the image along y and takes signal away."""

    grid: Grid
    fields: Tensor
    """(3, z, y, x): displacement in mm, gain by compression, loss."""

    @classmethod
    def around(cls, canvas: Canvas, setup: DiffusionSetup) -> "_Air":
        coarse = functional.avg_pool3d(canvas.hu[None, None], COARSE)[0, 0]
        tissue = (coarse > -500).cpu().numpy()
        filled = np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(plane, iterations=2)) for plane in tissue])
        enclosed = torch.from_numpy(filled & ~tissue).to(canvas.hu.device)
        spacing = canvas.grid.spacing_mm * COARSE
        shift = (COARSE - 1) / 2 * canvas.grid.spacing_mm
        x, y, z = (start + shift for start in canvas.grid.origin_mm)
        depth, rows, columns = enclosed.shape
        grid = Grid((depth, rows, columns), spacing, (x, y, z))
        share = softened(enclosed, grid, 9.0).clamp(max=0.5)
        moved = setup.warp_mm * 2 * share
        slope = torch.gradient(moved, spacing=spacing, dim=1)[0]
        return cls(grid, torch.stack((moved, (1 + slope).clamp(0.3, 2.5), torch.exp(-7 * (share - 0.04).clamp(min=0)))))

    def displaced(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the signal that appears at ``points`` comes from, and its factor."""
        moved, gain, left = self.grid.sample(self.fields, points)
        shift = torch.stack((torch.zeros_like(moved), moved, torch.zeros_like(moved)), dim=-1)
        return points + shift, gain * left


def _course(stroke: Stroke | None, setup: DiffusionSetup) -> tuple[float, float]:
    """Return the ADC and the T2 of the infarct against normal tissue."""
    pace = setup.pace * (1.2 if stroke is not None and stroke.reperfused else 1.0)
    hours = setup.hours if setup.hours <= LATE_H else LATE_H + (setup.hours - LATE_H) * pace
    adc, t2 = (float(np.interp(hours, *np.array(course).T)) for course in (ADC_COURSE, T2_COURSE))
    return adc**setup.drop, t2


def _signals(at: dict[str, Tensor], weight: Tensor, course: tuple[float, float]) -> Tensor:
    """Return what is averaged over a slice, (c, z, y, x) in the order of `_SUMMED`."""
    lesion, focus, scar, damage = at["lesion"], at["focus"], at["scar"], at["damage"]
    adc_fall, t2_rise = course
    t2_factor = (1 + (t2_rise - 1) * lesion) * (1 + 0.9 * focus) * (1 + 0.6 * scar) * (1 + 0.5 * damage)
    adc_factor = (1 + (adc_fall - 1) * lesion) * (1 + 0.12 * focus) * (1 + 0.5 * scar) * (1 + 0.35 * damage)
    adc_factor = adc_factor * (1 + (0.03 + 0.05 * lesion) * at["variation"])
    clear = 1 - at["blood"]
    b0, dwi = torch.zeros_like(lesion), torch.zeros_like(lesion)
    for share, tissue, changes in (
        (at["grey"] * clear, GREY, True),
        (at["white"] * clear, WHITE, True),
        (at["csf"] * clear, FLUID, False),
        (at["blood"], BLOOD, False),
        (at["muscle"], MUSCLE, False),
    ):
        plain = share * tissue.density
        signal = plain * torch.exp(-ECHO_MS / (tissue.t2_ms * (t2_factor if changes else torch.ones_like(share))))
        b0 += signal
        dwi += signal * torch.exp(
            -B_S_MM2 * 1e-6 * tissue.adc_um2_s * (adc_factor if changes else torch.ones_like(share))
        )
    parenchyma = at["grey"] + at["white"]
    masks = (at["lesion_mask"] * parenchyma, focus * parenchyma, scar)
    return torch.stack((parenchyma, b0 * weight, dwi * weight, *masks))


def _imaged(total: Tensor, geometry: Geometry, to_head: Float64Array, setup: DiffusionSetup) -> DiffusionMaps:
    """Return the images with blur, brightness and noise, their ADC, and the truth on their grid."""
    parenchyma, lesion, focus, scar = total[0], total[3], total[4], total[5]
    bright = _bias(geometry, setup, total.device)
    b0, dwi = (blurred_in_plane(volume, 0.5) * bright for volume in (total[1], total[2]))
    white_b0 = WHITE.density * float(np.exp(-ECHO_MS / WHITE.t2_ms))
    if setup.snr > 0:
        sigma = white_b0 / setup.snr
        b0 = _magnitude(b0, sigma, _seed(setup, "b0"))
        # The b = 1000 image is the mean of three directions.
        dwi = _magnitude(dwi, sigma / 3**0.5, _seed(setup, "dwi"))
    measured = b0 > 0.5 * white_b0
    ratio = b0.clamp(min=1e-6) / dwi.clamp(min=1e-6)
    adc_um2_s = (torch.log(ratio) * (1e6 / B_S_MM2)).clamp(0, 4500) * measured
    return DiffusionMaps(
        geometry=geometry,
        b0=b0 * setup.gain,
        dwi=dwi * setup.gain,
        adc_um2_s=adc_um2_s,
        brain=parenchyma > BRAIN_SHARE,
        lesion=(2 * lesion >= parenchyma) & (parenchyma > BRAIN_SHARE),
        shine_through=(2 * focus >= parenchyma) & (parenchyma > BRAIN_SHARE),
        old_infarct=scar >= 0.5,
        hours=setup.hours,
        to_head=to_head,
    )


def _bias(geometry: Geometry, setup: DiffusionSetup, device: torch.device) -> Tensor:
    """Return the smooth brightness of the receiving coil, mean 1: a polynomial of second order."""
    random = rng(setup.seed, "bias")
    axes = [torch.linspace(-1, 1, count, device=device) for count in geometry.shape_zyx]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    terms = torch.stack((z, y, x, z * z - 1 / 3, y * y - 1 / 3, x * x - 1 / 3, y * z, x * y))
    weights = torch.tensor(random.normal(0, setup.bias, len(terms)), dtype=torch.float32, device=device)
    return torch.exp((weights[:, None, None, None] * terms).sum(dim=0))


def _magnitude(signal: Tensor, sigma: float, seed: int) -> Tensor:
    """Return the magnitude of the complex signal with noise of SD ``sigma`` in both parts (Rician)."""
    real, imaginary = white_noise(seed, (2, *signal.shape), signal.device)
    return torch.sqrt((signal + sigma * real) ** 2 + (sigma * imaginary) ** 2)

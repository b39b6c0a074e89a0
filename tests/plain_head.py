"""A plain head made from the atlas, for tests that need an exact and cheap truth: no individual anatomy, one lesion.

The phantom cohort (`infarct.phantom`) is the one to measure accuracy on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.anatomy import REGIONS, TERRITORY_LABELS, Region, Side, region_label
from infarct.atlas import Atlas, load_atlas
from infarct.phantom.fields import MNI_PER_HEAD
from infarct.phantom.patient import Pose
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume import Acquisition, Geometry, Scan, Source, resample, resample_labels, resample_mask

AFFECTED_SHARE: Final = 0.5
"""A region counts as affected in the truth when the lesion fills at least this share of it."""
NECK_MM: Final = 60
"""The lowest plane of the atlas goes on this far, so that the spinal canal does not end in air."""
VERTEBRAL_ARCH_MM: Final = 8
VERTEBRA_HU: Final = 500.0
SUBSLICES: Final = 3
"""Samples along z that are averaged into one slice: partial volume."""


@dataclass(frozen=True)
class PlainSetup:
    """What a plain head has and how it is scanned.

    ``side`` None draws a side; ``healthy`` leaves the lesion out. ``pose`` None draws a slight one. ``geometry`` None
    makes an upright stack that covers the head with ``pixel_spacing_mm`` and ``slice_spacing_mm``.
    """

    healthy: bool = False
    side: Side | None = None
    pose: Pose | None = None
    lesion_hu: tuple[float, float] = (-9.0, -6.0)
    pixel_spacing_mm: float = 0.45
    slice_spacing_mm: float = 5.0
    noise_hu: float = 4.6
    head_rest: bool = True
    geometry: Geometry | None = None


@dataclass(frozen=True, eq=False)
class PlainTruth:
    """What is true of a plain head; masks are bool (z, y, x) on the scan's geometry."""

    side: Side | None
    affected_regions: tuple[Region, ...]
    infarct: BoolArray
    intracranial: BoolArray
    csf: BoolArray
    aspects_regions: LabelArray
    scan_to_atlas: Float64Array


@dataclass(frozen=True, eq=False)
class PlainPatient:
    """A phantom scan with its truth."""

    scan: Scan
    truth: PlainTruth


def make_plain_patient(seed: int, setup: PlainSetup | None = None) -> PlainPatient:
    """Return a phantom patient; the same ``seed`` and ``setup`` give the same bytes."""
    setup = setup or PlainSetup()
    random = np.random.Generator(np.random.Philox(seed))
    atlas = load_atlas()
    pose = setup.pose or _slight_pose(random)
    side: Side = setup.side or ("left" if random.random() < 0.5 else "right")
    atlas_to_scan = pose.matrix() @ np.diag([*(1 / (MNI_PER_HEAD * random.uniform(0.95, 1.05, 3))), 1.0])
    scan_to_atlas = np.asarray(np.linalg.inv(atlas_to_scan), dtype=np.float64)
    geometry = setup.geometry or _covering(atlas, atlas_to_scan, setup)
    lesion = _lesion(atlas, side, random)
    depth_hu = random.uniform(*setup.lesion_hu)
    head_hu = _tissue_hu(atlas, random)
    if setup.healthy:
        lesion = np.zeros_like(lesion)
    head_hu += _lesion_hu(atlas, lesion, depth_hu)
    hu = _scanned(head_hu, atlas, geometry, scan_to_atlas)
    if setup.head_rest:
        hu = np.maximum(hu, _head_rest_hu(geometry))
    hu = np.round(hu + setup.noise_hu * _noise(geometry, random)).clip(-1024, 3071).astype(np.float32)
    acquisition = Acquisition(kvp=120.0, manufacturer="infarct phantom", slice_thickness_mm=setup.slice_spacing_mm)
    scan = Scan(hu, geometry, acquisition, Source("phantom", series_choice=f"Phantom patient, seed {seed}."))
    return PlainPatient(scan, _truth(atlas, lesion, None if setup.healthy else side, geometry, scan_to_atlas))


def _slight_pose(random: np.random.Generator) -> Pose:
    pitch, roll, yaw = random.uniform(-8, 8, 3).tolist()
    x, y, z = random.uniform(-10, 10, 3).tolist()
    return Pose(pitch, roll, yaw, shift_mm=(x, y, z))


def _covering(atlas: Atlas, atlas_to_scan: Float64Array, setup: PlainSetup) -> Geometry:
    """Return an upright stack of square slices that covers brain and skull vault."""
    corners = atlas.geometry.index_to_world(np.argwhere(atlas.intracranial)[::997])
    world = corners @ atlas_to_scan[:3, :3].T + atlas_to_scan[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    middle = (low + high) / 2
    size = int(np.ceil(230.0 / setup.pixel_spacing_mm / 2)) * 2
    count = int(np.ceil((high[2] - low[2] + 24.0) / setup.slice_spacing_mm)) + 1
    half = (size - 1) * setup.pixel_spacing_mm / 2
    origin = (middle[0] - half, middle[1] - half, low[2] - 12.0)
    spacing = (setup.slice_spacing_mm, setup.pixel_spacing_mm, setup.pixel_spacing_mm)
    return Geometry.regular((count, size, size), spacing, origin_mm=origin)


def _tissue_hu(atlas: Atlas, random: np.random.Generator) -> Float32Array:
    """Return the healthy head in HU on the atlas grid: tissue densities of this patient, smooth variation inside."""
    grey, white, fluid = random.normal((37.0, 29.5, 7.0), (1.5, 1.2, 2.0))
    soft = grey * atlas.grey + white * atlas.white + fluid * atlas.csf + 45.0 * atlas.falx
    hu = np.where(atlas.intracranial, soft, atlas.template_hu).astype(np.float32)
    variation = ndimage.zoom(random.standard_normal(tuple(-(-n // 16) for n in hu.shape)), 16, order=1)
    variation = variation[tuple(slice(n) for n in hu.shape)].astype(np.float32)
    return np.asarray(hu + np.where(atlas.brain, np.float32(0.5) * variation, np.float32(0)))


def _lesion(atlas: Atlas, side: Side, random: np.random.Generator) -> BoolArray:
    """Return an irregular blob (bool, atlas grid) around the insula, inside the MCA territory of one side."""
    sign = 1.0 if side == "left" else -1.0
    centre = np.array([sign * 43.0, 5.0, 8.0]) + random.normal(0, (3.0, 12.0, 10.0))
    radii = random.uniform((26.0, 28.0, 20.0), (36.0, 46.0, 34.0))
    z, y, x = (np.arange(n, dtype=np.float32) for n in atlas.geometry.shape_zyx)
    first = atlas.geometry.origins_mm[0]
    scaled = [
        (axis + start - middle) / radius
        for axis, start, middle, radius in zip((x, y, z), first, centre, radii, strict=True)
    ]
    distance = np.sqrt(scaled[2][:, None, None] ** 2 + scaled[1][:, None] ** 2 + scaled[0] ** 2)
    ripple = ndimage.zoom(random.standard_normal(tuple(-(-n // 12) for n in distance.shape)), 12, order=1)
    ripple = ripple[tuple(slice(n) for n in distance.shape)]
    territory = (atlas.territories == TERRITORY_LABELS["MCA"]) & (atlas.hemispheres == (2 if side == "left" else 1))
    components, _ = ndimage.label(territory & (distance + 0.12 * ripple < 1))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == sizes.argmax())


def _lesion_hu(atlas: Atlas, lesion: BoolArray, depth_hu: float) -> Float32Array:
    """Return the change of HU by the lesion: grey matter falls most, white less, fluid not at all; soft border."""
    soft_border = ndimage.gaussian_filter(lesion.astype(np.float32), 1.5)
    return np.asarray(soft_border * np.float32(depth_hu) * (atlas.grey + np.float32(0.7) * atlas.white))


def _scanned(head_hu: Float32Array, atlas: Atlas, geometry: Geometry, scan_to_atlas: Float64Array) -> Float32Array:
    """Return the head on the scan's geometry, each slice averaged over its interval."""
    lengthened = _with_neck(head_hu)
    below = atlas.geometry.origins_mm[0] - (0, 0, NECK_MM)
    head_geometry = Geometry.regular(lengthened.shape, (1.0, 1.0, 1.0), origin_mm=below)
    total = np.zeros(geometry.shape_zyx, dtype=np.float32)
    for part in (np.arange(SUBSLICES) - (SUBSLICES - 1) / 2) / SUBSLICES:
        shift = part * geometry.slice_intervals_mm[:, None] * geometry.normal
        moved = Geometry(
            geometry.origins_mm + shift,
            geometry.x_direction,
            geometry.y_direction,
            geometry.pixel_spacing_mm_yx,
            geometry.size_yx,
        )
        total += resample(lengthened, head_geometry, moved, transform=scan_to_atlas)
    return total / np.float32(SUBSLICES)


def _with_neck(head_hu: Float32Array) -> Float32Array:
    """Return the head with its lowest plane continued downwards and a column of vertebrae around the canal."""
    lowest = head_hu[0]
    fluid = (lowest > -50.0) & (lowest < 25.0)
    components, _ = ndimage.label(fluid)
    middle = fluid.shape[1] // 2
    posterior = np.flatnonzero(fluid[:, middle])[-1]
    canal = ndimage.binary_fill_holes(components == components[posterior, middle])
    vertebra = ndimage.binary_dilation(canal, iterations=8) & ~canal
    vertebra &= np.arange(len(vertebra))[:, None] < posterior + VERTEBRAL_ARCH_MM
    first_bone = int(np.flatnonzero((head_hu[:, vertebra] > 300.0).any(axis=1))[0])
    neck = np.pad(head_hu, ((NECK_MM, 0), (0, 0), (0, 0)), mode="edge")
    neck[: NECK_MM + first_bone, vertebra] = VERTEBRA_HU
    return neck


def _head_rest_hu(geometry: Geometry) -> Float32Array:
    """Return a curved head rest below the head, -1000 elsewhere; it does not move with the head."""
    middle = geometry.index_to_world((np.array(geometry.shape_zyx) - 1) / 2)
    index = np.indices(geometry.size_yx).transpose(1, 2, 0)
    rest = np.full(geometry.shape_zyx, -1000.0, dtype=np.float32)
    for k in range(len(rest)):
        world = geometry.index_to_world(np.concatenate([np.full((*geometry.size_yx, 1), k), index], axis=-1)) - middle
        radius = np.hypot(world[..., 0], world[..., 1])
        rest[k][(radius > 108.0) & (radius < 111.0) & (world[..., 1] > 25.0)] = 150.0
    return rest


def _noise(geometry: Geometry, random: np.random.Generator) -> Float32Array:
    """Return noise of SD 1 whose correlation in plane resembles a 5 mm brain scan (fine and coarse grain)."""
    noise = np.zeros(geometry.shape_zyx, dtype=np.float32)
    for grain_mm, share in ((0.5, 0.55), (1.5, 0.45)):
        sigmas = [0.0, *(grain_mm / mm for mm in geometry.pixel_spacing_mm_yx)]
        grain = ndimage.gaussian_filter(random.standard_normal(geometry.shape_zyx, dtype=np.float32), sigmas)
        noise += np.float32(np.sqrt(share)) * grain / grain.std()
    return noise


def _truth(
    atlas: Atlas, lesion: BoolArray, side: Side | None, geometry: Geometry, scan_to_atlas: Float64Array
) -> PlainTruth:
    def onto_scan(mask: BoolArray) -> BoolArray:
        return resample_mask(mask, atlas.geometry, geometry, transform=scan_to_atlas)

    def is_affected(region: Region, of: Side) -> bool:
        return bool(lesion[atlas.aspects_labels == region_label(region, of)].mean() >= AFFECTED_SHARE)

    return PlainTruth(
        side=side,
        affected_regions=tuple(region for region in REGIONS if side and is_affected(region, side)),
        infarct=onto_scan(lesion),
        intracranial=onto_scan(atlas.intracranial),
        csf=onto_scan(atlas.csf > 0.5),
        aspects_regions=resample_labels(atlas.aspects_labels, atlas.geometry, geometry, transform=scan_to_atlas),
        scan_to_atlas=scan_to_atlas,
    )

"""A head whose every voxel is known, engines of the patch CNN that judge a voxel by its own density, and mirroring."""

from dataclasses import dataclass, replace

import numpy as np

from infarct.preprocess.head import Head, working_hu
from infarct.preprocess.midplane import Midplane, mirrored
from infarct.preprocess.patch_input import BEFORE_PX, ROOM_PX
from infarct.systems.hemorrhage import HemorrhageConfig, HemorrhageDetector
from infarct.systems.patch_maps import PatchConfig
from infarct.systems.volumetry import Volumetry
from infarct.types import Float32Array
from infarct.volume import Scan
from infarct.weights import WeightSet
from plain_head import PlainPatient
from unit.systems.made_patch_weights import PLAIN

BRAIN_HU, BONE_HU = 34.0, 1000.0
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
VOLUMETRY = PatchConfig(PLAIN, ("severe", "intermediate", "subtle"), (0.5,) * 3, (0.0,) * 3, 0.0, "nothing", None)
HEMORRHAGE = HemorrhageConfig(
    PLAIN,
    ("hemorrhage",),
    (0.5,),
    (0.0,),
    0.0,
    "nothing",
    None,
    suspected_threshold=0.5,
    suspected_ml=2.0,
    scan_temperature=0.5,
    scan_bias=1.0,
)


@dataclass(frozen=True)
class Between:
    """An engine whose outputs mark the voxels whose density lies in a range each, in HU."""

    ranges_hu: tuple[tuple[float, float], ...]
    name: str = "torch"
    version: str = "0"
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1

    def run(self, batch: Float32Array) -> Float32Array:
        side = batch.shape[-1] - ROOM_PX
        own = 80 * batch[:, 1, BEFORE_PX : BEFORE_PX + side, BEFORE_PX : BEFORE_PX + side]
        logits = [np.minimum(own - low, high - own) for low, high in self.ranges_hu]
        return np.stack(logits, axis=1).astype(np.float32)


@dataclass(frozen=True)
class BetweenInBoxes(Between):
    """The same for boxes of an image, as the 3D network sees them."""

    def run(self, batch: Float32Array) -> Float32Array:
        logits = [np.minimum(80 * batch[:, 0] - low, high - 80 * batch[:, 0]) for low, high in self.ranges_hu]
        return np.stack(logits, axis=1).astype(np.float32)


def _weights(system: str) -> WeightSet:
    return WeightSet(system, "fake", "patch_cnn_dense", {}, {}, {"a": np.zeros(1, np.float16)}, {})


def volumetry_of(*ranges_hu: tuple[float, float], config: PatchConfig = VOLUMETRY) -> Volumetry:
    engine = Between(ranges_hu) if config.tile_zyx is None else BetweenInBoxes(ranges_hu)
    return Volumetry(_weights("volumetry"), engine, config)  # type: ignore[arg-type]


def detector_of(low_hu: float, high_hu: float, config: HemorrhageConfig = HEMORRHAGE) -> HemorrhageDetector:
    return HemorrhageDetector(_weights("hemorrhage"), Between(((low_hu, high_hu),)), config)  # type: ignore[arg-type]


def painted(patient: PlainPatient, head: Head, *, infarct_hu: float) -> tuple[Scan, Head]:
    """Return the scan of a patient with one density in all of the brain and another in the infarct, bone around it.

    The prepared head is of the same brain.
    """
    truth = patient.truth
    hu = np.where(truth.intracranial, np.where(truth.infarct, infarct_hu, BRAIN_HU), BONE_HU).astype(np.float32)
    return seen(replace(patient.scan, hu=hu), head)


def seen(scan: Scan, head: Head) -> tuple[Scan, Head]:
    """Return the scan, and the head with its density."""
    hu = working_hu(scan, head.geometry)
    return scan, replace(head, hu=hu, mirrored_hu=mirrored(hu, head.geometry, head.midplane))


def ball(scan: Scan, centre_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return the voxels of the scan (bool, (z, y, x)) within a distance of a point."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in scan.geometry.shape_zyx), indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(scan.geometry.index_to_world(index) - centre_mm, axis=-1) <= radius_mm)


def mirrored_patient(scan: Scan, head: Head) -> tuple[Scan, Head]:
    """Return scan and head of the patient in the mirror: x changes its sign."""
    geometry = scan.geometry
    last = geometry.origins_mm + (geometry.size_yx[1] - 1) * geometry.pixel_spacing_mm_yx[1] * geometry.x_direction
    flipped = replace(geometry, origins_mm=last * np.array([-1.0, 1.0, 1.0]))
    grid = head.geometry
    end = grid.origins_mm + (grid.size_yx[1] - 1) * grid.pixel_spacing_mm_yx[1] * grid.x_direction
    plane = head.midplane
    arrays = ("hu", "brain", "fluid", "mirrored_hu", "aspects_regions", "territories")
    other = replace(
        head,
        **{name: np.ascontiguousarray(getattr(head, name)[..., ::-1]) for name in arrays},
        geometry=replace(grid, origins_mm=end * np.array([-1.0, 1.0, 1.0])),
        midplane=Midplane(plane.normal * np.array([1.0, -1.0, -1.0]), -plane.offset_mm),
        registration=replace(head.registration, scan_to_atlas=MIRROR @ head.registration.scan_to_atlas @ MIRROR),
    )
    return replace(scan, hu=np.ascontiguousarray(scan.hu[..., ::-1]), geometry=flipped), other

"""What a phantom patient is: every number that decides how the head, the disease and the scans look.

All are drawn before anything is rendered (`presets.draw`), so proportions can be checked without a picture, and a
cohort is frozen by the hash of its parameters. Lengths are mm, volumes ml, times hours, densities HU at 120 kVp.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

import numpy as np

from infarct.anatomy import Side
from infarct.types import Float64Array

Preset = Literal["hyperacute", "aspects", "acute", "followup", "healthy", "mimics", "mixed"]
Split = Literal["train", "validation", "test", "shifted"]
PRESETS: Final[tuple[Preset, ...]] = ("hyperacute", "aspects", "acute", "followup", "healthy", "mimics", "mixed")
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test", "shifted")

Folding = Literal["labyrinth", "stripes"]
"""How individual sulci are made: zero lines of band-passed noise, or bent stripes (`shifted` only)."""
Growth = Literal["arrival", "blobs"]
"""How lesions get their shape: growth through tissue from the occlusion, or united blobs (`shifted` only)."""
Site = Literal["ICA", "tandem", "M1", "M2_superior", "M2_inferior", "ACA", "PCA", "basilar", "cerebellar", "perforator"]
Kernel = Literal["soft", "standard", "sharp"]
Reconstruction = Literal["fbp", "iterative", "deep"]
BleedKind = Literal["parenchymal", "subdural", "subarachnoid", "intraventricular", "staining"]
"""``staining`` is contrast that lingers after treatment: it looks like blood in the brain and is none."""


@dataclass(frozen=True)
class Pose:
    """How the head lies: rotation about the LPS x, y and z axes in degrees, and shift in mm."""

    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def matrix(self) -> Float64Array:
        """Return the 4x4 LPS matrix of the pose, about the origin."""
        rotation = np.eye(3)
        for axis, angle_deg in enumerate((self.pitch_deg, self.roll_deg, self.yaw_deg)):
            cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
            first, second = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[first, first] = turn[second, second] = cosine
            turn[first, second], turn[second, first] = -sine, sine
            rotation = turn @ rotation
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, self.shift_mm
        return matrix


@dataclass(frozen=True)
class Head:
    """The individual: shape, atrophy, skull.

    ``scale_xyz`` multiplies the head of average size (the atlas shrunk by 1.17 a side). ``atrophy`` 0 is a young
    brain, 1 a severely shrunken one; it widens ventricles and sulci together. ``ventricle_ratio`` is the volume of
    the lateral ventricles against the atlas, ``ventricle_asymmetry`` the share by which the left exceeds the mean
    (-0.4 to 0.4). ``coarse_mm`` and ``fine_mm`` are the SD of the random deformation over 30 and 12 mm.
    """

    seed: int
    folding: Folding
    scale_xyz: tuple[float, float, float]
    atrophy: float
    ventricle_ratio: float
    ventricle_asymmetry: float
    sulcus_mm: float
    coarse_mm: float
    fine_mm: float
    skull_mm: float
    scalp_mm: float
    frontal_sinus: float
    mastoid_air: float
    calcified_choroid: bool
    calcified_pineal: bool
    calcified_falx: bool
    calcified_basal_ganglia: bool


@dataclass(frozen=True)
class Densities:
    """HU at 120 kVp of this patient's tissues; ``variation_hu`` is the SD of smooth variation inside grey and white."""

    grey: float
    white: float
    csf: float
    blood: float
    dura: float
    muscle: float
    fat: float
    bone: float
    diploe: float
    variation_hu: float


@dataclass(frozen=True)
class Stroke:
    """One acute occlusion and what it does.

    ``core_ml`` and ``penumbra_ml`` (core not included) are what perfusion shows at the acute scan; ``infarct_ml`` is
    the tissue that is dying at the acute scan and so may be seen in CT (reperfused core included); ``final_ml`` is
    the final infarct at the follow-up scan. ``uptake`` multiplies the median curve of HU over time. ``shape`` turns
    from compact (0) to scattered (1). Cortical share: ``cortical`` says which part of the territory is hit.
    ``collaterals`` run from 0 (none) to 1 (good), ``swelling`` from 0 to 1 (the largest gain of volume).
    ``hyperdense_hu`` is by how much the clot lies above flowing blood; 0 where none is seen.
    ``mean_hu`` sets the mean HU of the final infarct's tissue at follow-up, bleeding left out, where a preset
    prescribes it; else None.
    """

    seed: int
    growth: Growth
    site: Site
    side: Side
    cortical: Literal["cortical", "subcortical", "both"]
    onset_h: float
    collaterals: float
    core_ml: float
    penumbra_ml: float
    infarct_ml: float
    final_ml: float
    uptake: float
    reperfused: bool
    reperfusion_factor: float
    petechiae_hu: float
    staining_hu: float
    fogging: float
    swelling: float
    hemorrhage_ml: float
    hyperdense_hu: float
    shape: float
    followup_h: float
    mean_hu: float | None = None


@dataclass(frozen=True)
class OldInfarct:
    """A healed infarct: a cavity of CSF density with a gliotic rim; it pulls sulci and ventricle towards itself."""

    seed: int
    site: Site
    side: Side
    volume_ml: float
    cavity: float
    """Share of the volume that is CSF-like; the rest is gliotic rim of 15-28 HU."""


@dataclass(frozen=True)
class Lacune:
    """A small round cavity in the deep nuclei, capsule, deep white matter or pons."""

    seed: int
    side: Side
    place: Literal["basal_ganglia", "thalamus", "white_matter", "pons"]
    radius_mm: float


@dataclass(frozen=True)
class Bleed:
    """Blood that is not part of an acute infarct: 50-80 HU, with an oedema rim where parenchymal.

    Of kind ``staining`` it is contrast, not blood, and has no rim and no mass effect.
    """

    seed: int
    kind: BleedKind
    side: Side
    volume_ml: float
    hu: float
    rim_mm: float


@dataclass(frozen=True)
class Confounders:
    """What healthy and ill brains carry besides an acute infarct.

    ``leukoaraiosis`` 0-1 (share of the deep white matter with lower density, from caps to confluent), its drop in HU
    and its left-right asymmetry (-0.6 to 0.6). ``perivascular`` 0-1 enlarges the spaces at the base of the ganglia.
    """

    seed: int
    leukoaraiosis: float
    leukoaraiosis_hu: float
    leukoaraiosis_asymmetry: float
    perivascular: float
    old_infarcts: tuple[OldInfarct, ...] = ()
    lacunes: tuple[Lacune, ...] = ()
    bleeds: tuple[Bleed, ...] = ()


@dataclass(frozen=True)
class Treatment:
    """Marks of treatment in a scan after it; ``side`` is the side of the flap, the drain, the clip and the coil."""

    seed: int
    side: Side = "left"
    coil: bool = False
    clip: bool = False
    drain: bool = False
    skull_defect: bool = False


@dataclass(frozen=True)
class Protocol:
    """One CT acquisition and its reconstruction.

    ``gaps_mm`` are the distances between neighbouring slices that occur from the base up: one value is an even stack;
    two a change at ``gap_change`` (share of the stack). ``noise_hu`` is the SD in mid brain of the reconstruction.
    """

    seed: int
    kvp: int
    thickness_mm: float
    gaps_mm: tuple[float, ...]
    gap_change: float
    tilt_deg: float
    pixel_mm: float
    size_px: int
    kernel: Kernel
    kernel_sharpness: float
    """Multiplies the cut-off frequency of the kernel; 1 is typical."""
    reconstruction: Reconstruction
    noise_hu: float
    offset_hu: float
    cupping_hu: float
    petrous_hu: float
    """Depth of the dark band between the petrous bones."""
    streaks_hu: float
    motion_mm: float
    padding: bool
    head_rest: bool
    pose: Pose


@dataclass(frozen=True)
class Clinical:
    """What a trial's table holds before anything is rendered; readers' scores need the picture (`scoring`)."""

    age: float
    sex: Literal["f", "m"]
    nihss: int
    nihss_24h: int
    mrs90: int


@dataclass(frozen=True)
class Patient:
    """A phantom patient. ``stroke`` is None in the healthy and in mimics. ``followup`` is the second CT, if any."""

    preset: Preset
    split: Split
    index: int
    head: Head
    densities: Densities
    confounders: Confounders
    stroke: Stroke | None
    treatment: Treatment
    acute: Protocol
    followup: Protocol | None
    clinical: Clinical
    stratum: dict[str, str] = field(default_factory=dict)
    """Names of the classes this patient counts in, such as ``severity: subtle``, for tables by subgroup."""

    @property
    def name(self) -> str:
        """Identifier in a cohort, such as ``aspects-test-0007``."""
        return f"{self.preset}-{self.split}-{self.index:04d}"

    def digest(self) -> str:
        """Return the SHA-256 of all parameters, in hexadecimal."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

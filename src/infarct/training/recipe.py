"""Recipes: everything that decides what a training does, as data, and the four that are kept.

A recipe is saved with each checkpoint and each weight file. The machine (devices, workers) is no part of it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from infarct.errors import BadRequest
from infarct.preprocess.segment_input import EVERYDAY, PAPER, InputSetting
from infarct.training.cases import ACUTE, OLD, PhantomPlan, PhantomShare

ABOUT: Final = "infarct"
"""Key of a checkpoint under which everything of ours stands, as JSON data."""
Precision = Literal["fp32", "bf16"]
"""bf16: convolutions in bfloat16, weights and loss in float32."""


@dataclass(frozen=True)
class Schedule:
    """How the learning rate falls: to a half, or ``factor``, every ``halve_every`` steps, or as a half cosine over all.

    Neither goes below ``floor``; in the first ``warm_up`` steps it rises from 0.
    """

    kind: Literal["halving", "cosine"]
    floor: float
    halve_every: int = 5_000
    warm_up: int = 0
    factor: float = 0.5


@dataclass(frozen=True)
class Sampling:
    """Where patches are centred: ``kind`` weighted by what the centre shows, or uniform over the whole volume.

    The weights need not add up to 1. What a case does not show has no weight there.
    """

    kind: Literal["weighted", "uniform"] = "weighted"
    lesion: float = 0.5
    brain: float = 0.5
    background: float = 0.0
    old: float = 0.0


@dataclass(frozen=True)
class LossSetting:
    """Binary cross-entropy (BCE) and soft Dice.

    ``weighted``: the paper's weights by the share of voxels that are positive in all training images. ``reduction`` is
    the BCE's, over voxels. ``dice_over``: one Dice for the batch or one a patch. ``inside_brain``: only voxels of the
    brain count, in the loss and in the shares. ``epsilon`` is that of the Dice. ``absent_counts``: the Dice of an
    output that has nothing to mark counts too, which teaches one that seldom has anything to mark nothing at all.
    """

    weighted: bool
    reduction: Literal["mean", "sum"] = "mean"
    bce_weight: float = 1.0
    dice_weight: float = 1.0
    dice_over: Literal["batch", "patch"] = "batch"
    inside_brain: bool = False
    epsilon: float = 1e-5
    absent_counts: bool = True


@dataclass(frozen=True)
class Augmentation:
    """How patches vary; all numbers 0 is the patch as it is. A number x means uniform between -x and x.

    ``flip_chance`` is that of left and right changing places. ``scale`` and ``contrast`` are shares, ``offset`` and
    ``noise_sd`` (uniform from 0 to it) are in the channels' own unit. The ``mirror_...`` numbers move the mirrored
    channel against the scan: the midsagittal plane is never found exactly. The rotation is about z and about y.
    """

    flip_chance: float = 0.0
    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    scale: float = 0.0
    shift_mm: float = 0.0
    contrast: float = 0.0
    offset: float = 0.0
    noise_sd: float = 0.0
    mirror_shift_mm: float = 0.0
    mirror_rotation_deg: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether voxels leave their grid."""
        moved = (self.rotation_deg, self.tilt_deg, self.scale, self.shift_mm)
        return any(moved) or any((self.mirror_shift_mm, self.mirror_rotation_deg))


@dataclass(frozen=True)
class Implants:
    """Dark blobs that are put into a ``share`` of the patches (see `training.implants`).

    Volumes (ml) and depths, in the channels' own unit, are drawn evenly on a logarithmic scale; ``crossing`` of the
    blobs may cross the midline.
    """

    share: float = 0.0
    volume_ml: tuple[float, float] = (1.0, 120.0)
    depth: tuple[float, float] = (0.15, 0.7)
    crossing: float = 0.1


@dataclass(frozen=True)
class Beginning:
    """How the first ``patches`` of a training differ: by their ``implants``, and in what is too faint to count.

    A network that begins with what can be seen learns faster what to look for.
    """

    patches: int = 0
    implants: Implants = field(default_factory=Implants)
    faintest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VolumeRecipe:
    """A training of a network that marks voxels, on boxes cut from volumes.

    ``targets`` names the label value that each output of the network marks. ``learning_rate`` falls by ``schedule``;
    ``weight_decay`` is L2 with "adam", decoupled with "adamw"; gradients longer than ``clip_norm`` are cut.
    ``average_decay``: weights are also averaged over the steps, and the averages validate and ship. Every
    ``validate_every`` steps up to ``validation_cases`` whole cases are segmented by patches that overlap by ``overlap``
    (a share); every ``checkpoint_every`` steps the state is saved. Acute infarcts fainter than ``faintest`` against the
    mirrored side, in the channels' own unit, do not count. ``beginning`` is for the first patches.
    ``pretrained_sha256`` is that of the file of weights that the training begins with, None for a fresh network.
    """

    name: str
    network: str
    network_config: Mapping[str, Any]
    targets: tuple[int, ...]
    patch_zyx: tuple[int, int, int]
    batch: int
    steps: int
    learning_rate: float
    schedule: Schedule
    loss: LossSetting
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 1e-5
    clip_norm: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    implants: Implants = field(default_factory=Implants)
    faintest: float = 0.0
    beginning: Beginning = field(default_factory=Beginning)
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    validation_cases: int = 24
    checkpoint_every: int = 200
    overlap: float = 0.25
    pretrained_sha256: str | None = None

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.validate_every, self.checkpoint_every, *self.patch_zyx) < 1:
            raise BadRequest("batch, steps, intervals and patch sizes of a recipe must be 1 or more")
        if self.network_config.get("out_channels", 1) != len(self.targets):
            raise BadRequest("a recipe needs one target for each output of its network")

    @property
    def patches_a_step(self) -> int:
        """Patches that the network sees in a step on one device."""
        return self.batch

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(replace(self, network_config=dict(self.network_config)))


@dataclass(frozen=True, kw_only=True)
class Recipe(VolumeRecipe):
    """A training of the segmentation; ``phantoms`` says what is made where no cases are given."""

    phantoms: PhantomPlan

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return recipe_of(data) == self


def recipe_of(data: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `Recipe.as_data` gave, through JSON or not. Raises `BadRequest` where it is none."""
    try:
        return Recipe(**{**data, **volume_parts(data), "phantoms": _plan_of(data["phantoms"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


def volume_parts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of a `VolumeRecipe` that JSON holds in another form."""
    return {
        "schedule": Schedule(**data["schedule"]),
        "loss": LossSetting(**data["loss"]),
        "sampling": Sampling(**data["sampling"]),
        "augmentation": Augmentation(**data["augmentation"]),
        "implants": implants_of(data["implants"]),
        "beginning": beginning_of(data["beginning"]),
        "network_config": {key: frozen(value) for key, value in data["network_config"].items()},
        "targets": tuple(data["targets"]),
        "patch_zyx": tuple(data["patch_zyx"]),
    }


def beginning_of(data: Mapping[str, Any]) -> Beginning:
    """Return the beginning of a training that a recipe holds as data."""
    return Beginning(**{**data, "implants": implants_of(data["implants"])})


def implants_of(data: Mapping[str, Any]) -> Implants:
    """Return the implants that a recipe holds as data."""
    return Implants(**{key: frozen(value) for key, value in data.items()})


def frozen(value: Any) -> Any:
    """Return ``value`` with tuples in place of lists, at any depth."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _plan_of(data: Mapping[str, Any]) -> PhantomPlan:
    spacing = data["setting"]["spacing_mm_zyx"]
    setting = InputSetting(**{**data["setting"], "spacing_mm_zyx": tuple(spacing) if spacing else None})
    return PhantomPlan(
        **{**data, "shares": tuple(PhantomShare(**share) for share in data["shares"]), "setting": setting}
    )


EVERYDAY_STRIDES: Final = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
"""Slices are 5 mm apart and pixels 2 mm: pooled in plane until voxels are about as long as wide."""


def _everyday_network(base: int) -> dict[str, Any]:
    return {
        "in_channels": 2,
        "out_channels": 2,
        "base": base,
        "strides": EVERYDAY_STRIDES,
        "compare": True,
        "smooth": ((3, 5, 5), (5, 9, 9)),
    }


EVERYDAY_PHANTOMS: Final = PhantomPlan(
    (
        PhantomShare("acute", 200, 20),
        PhantomShare("aspects", 56, 6),
        PhantomShare("hyperacute", 42, 4),
        PhantomShare("mimics", 92, 10),
        PhantomShare("healthy", 64, 10),
    ),
    EVERYDAY,
    thin_share=0.1,
)

VARIED: Final = Augmentation(
    flip_chance=0.5,
    rotation_deg=6.0,
    tilt_deg=3.0,
    scale=0.08,
    shift_mm=2.0,
    contrast=0.15,
    offset=0.1,
    noise_sd=0.08,
    mirror_shift_mm=2.0,
    mirror_rotation_deg=2.0,
)
"""Together with the error that prepared phantoms carry, the mirrored channel is off by an SD of about 1.5 mm and 1.5
degrees about each axis; the midsagittal plane of a scan is found to 1.2 mm and 1.6 degrees (root mean square).
"""

ANYWHERE: Final = Implants(share=0.6)
"""0.15 to 0.7 of a unit are 3 to 14 HU."""
FAINTEST: Final = 0.05
"""1 HU."""
CLEAR: Final = Beginning(1_600, Implants(share=1.0, volume_ml=(15.0, 120.0), depth=(0.35, 0.7)), faintest=0.2)
"""7 to 14 HU deep, and 4 HU where it is the case's own infarct."""

PAPER_RECIPE: Final = Recipe(
    name="paper",
    network="se_res_unet",
    network_config={"in_channels": 1, "out_channels": 1, "base": 16},
    targets=(ACUTE,),
    patch_zyx=(128, 128, 128),
    batch=2,
    steps=40_000,
    learning_rate=1e-4,
    schedule=Schedule("halving", floor=1.25e-5, halve_every=5_000),
    loss=LossSetting(weighted=True),
    phantoms=PhantomPlan((PhantomShare("acute", 65, 16),), PAPER),
    optimiser="adam",
    weight_decay=1e-5,
    validate_every=2_000,
    validation_cases=16,
)
"""Segment paper, 2.2 to 2.5; 81 patients in five folds."""

GPU_RECIPE: Final = Recipe(
    name="gpu",
    network="se_res_unet",
    network_config=_everyday_network(32),
    targets=(ACUTE, OLD),
    patch_zyx=(24, 96, 80),
    batch=8,
    steps=10_000,
    learning_rate=1e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=200),
    loss=LossSetting(weighted=False, inside_brain=True, epsilon=1.0, absent_counts=False),
    phantoms=EVERYDAY_PHANTOMS,
    weight_decay=1e-3,
    clip_norm=5.0,
    sampling=Sampling(lesion=0.5, brain=0.4, old=0.1),
    augmentation=VARIED,
    implants=ANYWHERE,
    faintest=FAINTEST,
    beginning=CLEAR,
    average_decay=0.998,
    precision="bf16",
    validate_every=1_000,
    validation_cases=40,
    checkpoint_every=500,
)

CPU_RECIPE: Final = replace(
    GPU_RECIPE,
    name="cpu",
    network_config=_everyday_network(8),
    patch_zyx=(24, 80, 64),
    batch=2,
    steps=5_000,
    schedule=Schedule("cosine", floor=1e-6, warm_up=100),
    validation_cases=24,
    checkpoint_every=200,
)

SMOKE_RECIPE: Final = replace(
    CPU_RECIPE,
    name="smoke",
    network_config={**_everyday_network(4), "strides": EVERYDAY_STRIDES[1:]},
    patch_zyx=(12, 48, 48),
    steps=60,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=PhantomPlan(
        (PhantomShare("aspects", 2, 1), PhantomShare("healthy", 1, 1)), EVERYDAY_PHANTOMS.setting, thin_share=0.0
    ),
    beginning=replace(CLEAR, patches=40),
    average_decay=0.9,
    precision="fp32",
    validate_every=30,
    validation_cases=2,
    checkpoint_every=20,
)

PRESETS: Final[dict[str, Recipe]] = {
    recipe.name: recipe for recipe in (PAPER_RECIPE, GPU_RECIPE, CPU_RECIPE, SMOKE_RECIPE)
}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: an hour on two cores. smoke: a minute on one."""

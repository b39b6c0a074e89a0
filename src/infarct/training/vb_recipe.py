"""Recipes for the cascade of VB-Nets: everything that decides what its training does, and the four that are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from infarct.anatomy import REGIONS
from infarct.errors import BadRequest
from infarct.networks.vb_net import VbNetConfig
from infarct.preprocess.cascade_input import CascadeSetting
from infarct.preprocess.region_input import EVERYDAY, PAPER, RegionSetting
from infarct.training.aspects_recipe import EVERYDAY_REGIONS
from infarct.training.cases import PhantomShare
from infarct.training.recipe import Augmentation, Precision, Schedule, frozen
from infarct.training.region_cases import RegionPlan

STAGES: Final = ("coarse", "fine")
"""The networks of a cascade, in the order in which they run."""


@dataclass(frozen=True)
class Shake:
    """How far the coordinates are off, as those of a registration are: SD of a shift along and a turn about each axis,
    and of the scale of each, whose mean is that of ``stretch_xyz``. In the share ``missing`` of the patches they are
    not known at all.
    """

    shift_mm: float = 0.0
    turn_deg: float = 0.0
    scale: float = 0.0
    missing: float = 0.0
    stretch_xyz: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class RegionLoss:
    """Cross-entropy and soft Dice over the regions that are there, and both for the brain, which weighs as told.

    ``inside_skull``: what lies outside the skull does not count for the regions.
    """

    inside_skull: bool = True
    dice_weight: float = 1.0
    brain_weight: float = 0.5


@dataclass(frozen=True)
class VbRecipe:
    """A training from prepared cases to weights: the coarse and the fine network of a cascade, side by side.

    A step takes a batch of ``batch`` heads for the coarse network and one of as many boxes for the fine one. The middle
    of a box is off by up to ``box_shift_mm`` along z, y and x, as that of a box which the coarse network found. Up to
    ``validation_cases`` cases validate, whole. The other fields are as in `training.recipe.Recipe`.
    """

    name: str
    network_config: Mapping[str, Any]
    cascade: CascadeSetting
    batch: int
    steps: int
    learning_rate: float
    schedule: Schedule
    phantoms: RegionPlan
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    loss: RegionLoss = field(default_factory=RegionLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    shake: Shake = field(default_factory=Shake)
    box_shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    validation_cases: int = 24
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.validate_every, self.checkpoint_every) < 1:
            raise BadRequest("batch, steps and intervals of a recipe must be 1 or more")
        told = (self.network_config.get("in_channels"), self.network_config.get("out_channels"))
        if told != (self.cascade.in_channels, self.cascade.out_channels):
            raise BadRequest("the networks of a recipe do not fit what its cascade gives and takes")

    @property
    def patches_a_step(self) -> int:
        """Patches that the networks see in a step on one device."""
        return len(STAGES) * self.batch

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(replace(self, network_config=dict(self.network_config)))

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return vb_recipe_of(data) == self


def vb_recipe_of(data: Mapping[str, Any]) -> VbRecipe:
    """Return the recipe that `VbRecipe.as_data` gave, through JSON or not. Raises `BadRequest` where it is none."""
    try:
        plan = data["phantoms"]
        setting = RegionSetting(**_frozen(plan["setting"]))
        parts = {
            "schedule": Schedule(**data["schedule"]),
            "augmentation": Augmentation(**data["augmentation"]),
            "shake": Shake(**_frozen(data["shake"])),
            "loss": RegionLoss(**data["loss"]),
            "cascade": CascadeSetting(**_frozen(data["cascade"])),
            "phantoms": RegionPlan(tuple(PhantomShare(**share) for share in plan["shares"]), setting),
            "network_config": _frozen(data["network_config"]),
            "box_shift_mm": frozen(data["box_shift_mm"]),
        }
        return VbRecipe(**{**data, **parts})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


def _frozen(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: frozen(value) for key, value in data.items()}


def network_of(cascade: CascadeSetting, **changes: Any) -> dict[str, Any]:
    """Return the configuration of both networks of a cascade."""
    prior = len(REGIONS) * cascade.prior
    return asdict(VbNetConfig(cascade.in_channels, cascade.out_channels, prior=prior, **changes))


PAPER_CASCADE: Final = CascadeSetting(
    (1, 8, 8), (36, 56, 48), (24, 288, 288), coordinates=False, prior=False, sided=True
)
"""4 mm on the downsampled head; the paper does not tell how far it is downsampled."""
EVERYDAY_CASCADE: Final = CascadeSetting((1, 3, 3), (36, 48, 40), (24, 96, 112))

PAPER_VB: Final = VbRecipe(
    name="paper",
    network_config=network_of(PAPER_CASCADE),
    cascade=PAPER_CASCADE,
    batch=2,
    steps=30_000,
    learning_rate=1e-4,
    schedule=Schedule("halving", floor=1e-6, halve_every=7_500),
    phantoms=RegionPlan((PhantomShare("aspects", 626, 86),), PAPER),
    optimiser="adam",
    loss=RegionLoss(inside_skull=False),
    box_shift_mm=(5.0, 5.0, 5.0),
    validation_cases=86,
    validate_every=2_500,
)
"""Aspects paper, 2.3 and 3.3.1: architecture, cascade, twenty regions, 626 and 86 cases. Optimiser, rate, batch and
steps are ours: the paper does not tell.
"""

VARIED_HEADS: Final = Augmentation(
    flip_chance=0.5,
    rotation_deg=4.0,
    tilt_deg=2.0,
    scale=0.08,
    shift_mm=2.0,
    contrast=0.05,
    offset=0.04,
    noise_sd=0.04,
)
"""0.04 of a unit are 1.2 HU. Scanners and their noise vary in the phantoms already."""
AS_REGISTERED: Final = Shake(shift_mm=2.0, turn_deg=1.5, scale=0.035, stretch_xyz=(1.066, 1.065, 1.117), missing=0.05)
"""Measured on six phantoms, registration against the map that fits the true regions: a registration goes by the skull,
and a brain that has shrunk leaves it.
"""

GPU_VB: Final = VbRecipe(
    name="gpu",
    network_config=network_of(EVERYDAY_CASCADE),
    cascade=EVERYDAY_CASCADE,
    batch=8,
    steps=6_000,
    learning_rate=2e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=200),
    phantoms=EVERYDAY_REGIONS,
    weight_decay=1e-3,
    clip_norm=5.0,
    augmentation=VARIED_HEADS,
    shake=AS_REGISTERED,
    box_shift_mm=(5.0, 6.0, 4.0),
    average_decay=0.998,
    precision="bf16",
    validate_every=1_000,
    validation_cases=40,
    checkpoint_every=500,
)

CPU_VB: Final = replace(
    GPU_VB,
    name="cpu",
    network_config=network_of(EVERYDAY_CASCADE, base=8, reduction=2, blocks=(0, 2, 2, 2, 2), normalisation="instance"),
    batch=2,
    steps=4_000,
    learning_rate=5e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=50),
    average_decay=0.99,
    validate_every=1_000,
    validation_cases=24,
    checkpoint_every=200,
)

SMOKE_CASCADE: Final = replace(EVERYDAY_CASCADE, coarse_tile_zyx=(24, 48, 40), fine_tile_zyx=(16, 64, 64))
SMOKE_VB: Final = replace(
    CPU_VB,
    name="smoke",
    network_config=network_of(SMOKE_CASCADE, base=4, blocks=(1, 1, 1, 1, 1), normalisation="instance"),
    cascade=SMOKE_CASCADE,
    steps=30,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=RegionPlan((PhantomShare("aspects", 2, 1), PhantomShare("healthy", 0, 1)), EVERYDAY),
    average_decay=0.9,
    precision="fp32",
    validate_every=15,
    validation_cases=2,
    checkpoint_every=10,
)

VB_PRESETS: Final[dict[str, VbRecipe]] = {recipe.name: recipe for recipe in (PAPER_VB, GPU_VB, CPU_VB, SMOKE_VB)}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: for 40 minutes on two cores. smoke: minutes on one."""

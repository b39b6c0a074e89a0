"""Recipes for DA-Net: everything that decides what its training does, as data, and the four that are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from infarct.anatomy import CORTICAL_REGIONS, REGIONS, SUBCORTICAL_REGIONS, Region
from infarct.errors import BadRequest
from infarct.networks.da_net import SMALL, DaNetConfig
from infarct.preprocess.region_input import EVERYDAY, PAPER, RegionSetting
from infarct.training.cases import PhantomShare
from infarct.training.recipe import (
    Augmentation,
    Beginning,
    Implants,
    Precision,
    Schedule,
    beginning_of,
    frozen,
    implants_of,
)
from infarct.training.region_cases import RegionPlan

Groups = Mapping[str, tuple[Region, ...]]
SEPARATE: Final[Groups] = {"cortical": CORTICAL_REGIONS, "subcortical": SUBCORTICAL_REGIONS}
"""A model for each, as in the paper."""
TOGETHER: Final[Groups] = {"all": REGIONS}
"""The ablation: one model for all regions."""


@dataclass(frozen=True)
class AspectsRecipe:
    """A training from prepared cases to weights: one DA-Net for each of the ``groups`` of regions, all at once.

    A step takes a batch of ``batch`` pairs for each group, ``infarct_share`` of them from cases with an affected
    region. ``class_weights`` off: all pairs weigh the same. ``attention_weight`` is that of the attention loss. Of the
    ``augmentation`` only the rotation in plane, scale, shift, contrast, offset and noise are for pairs; both sides vary
    alike, but for the noise. ``implants`` are put into pairs (see `training.pair_implants`), their depth in units of
    half the window, and those of ``beginning`` into the first pairs of each group. All validation cases validate,
    whole. The other fields are as in `training.recipe.Recipe`.
    """

    name: str
    network_config: Mapping[str, Any]
    batch: int
    steps: int
    learning_rate: float
    schedule: Schedule
    phantoms: RegionPlan
    groups: Groups = field(default_factory=lambda: dict(SEPARATE))
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    class_weights: bool = True
    attention_weight: float = 1.0
    infarct_share: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)
    implants: Implants = field(default_factory=Implants)
    beginning: Beginning = field(default_factory=Beginning)
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.validate_every, self.checkpoint_every) < 1:
            raise BadRequest("batch, steps and intervals of a recipe must be 1 or more")
        named = [region for regions in self.groups.values() for region in regions]
        if len(set(named)) < len(named) or not set(named) <= set(REGIONS) or not all(self.groups.values()):
            raise BadRequest("each group of a recipe needs regions of its own")
        if self.beginning.faintest:
            raise BadRequest("regions are affected or not, however faint: a beginning of this system leaves none out")
        if not 0 <= self.infarct_share <= 1:
            raise BadRequest("the share of pairs from cases with an infarct goes from 0 to 1")

    @property
    def patches_a_step(self) -> int:
        """Patches that the networks see in a step on one device: both sides of each pair."""
        return 2 * self.batch * len(self.groups)

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        plain = replace(self, network_config=dict(self.network_config), groups=dict(self.groups))
        return asdict(plain)

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return aspects_recipe_of(data) == self


def aspects_recipe_of(data: Mapping[str, Any]) -> AspectsRecipe:
    """Return the recipe that `AspectsRecipe.as_data` gave, through JSON or not. Raises `BadRequest` for no recipe."""
    try:
        plan = data["phantoms"]
        setting = RegionSetting(**{key: frozen(value) for key, value in plan["setting"].items()})
        parts = {
            "schedule": Schedule(**data["schedule"]),
            "augmentation": Augmentation(**data["augmentation"]),
            "implants": implants_of(data["implants"]),
            "beginning": beginning_of(data["beginning"]),
            "phantoms": RegionPlan(tuple(PhantomShare(**share) for share in plan["shares"]), setting),
            "network_config": {key: frozen(value) for key, value in data["network_config"].items()},
            "groups": {name: tuple(regions) for name, regions in data["groups"].items()},
        }
        return AspectsRecipe(**{**data, **parts})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


EPOCH_STEPS: Final = 139
"""694 patients with six cortical regions, 30 pairs a step."""
PAPER_ASPECTS: Final = AspectsRecipe(
    name="paper",
    network_config=asdict(DaNetConfig()),
    batch=30,
    steps=60 * EPOCH_STEPS,
    learning_rate=6e-5,
    schedule=Schedule("halving", floor=1e-7, halve_every=6 * EPOCH_STEPS, factor=0.7),
    phantoms=RegionPlan((PhantomShare("aspects", 694, 176),), PAPER),
    optimiser="adam",
    augmentation=Augmentation(shift_mm=2.5),
)
"""Aspects paper, 2.1 and 2.5, and the authors' released settings: 0.7 every 6 epochs, shifts of 5 pixels. How many
epochs they do not tell.
"""

EVERYDAY_REGIONS: Final = RegionPlan(
    (
        PhantomShare("aspects", 260, 60),
        PhantomShare("healthy", 40, 10),
        PhantomShare("mimics", 60, 14),
    ),
    EVERYDAY,
)
VARIED_PAIRS: Final = Augmentation(rotation_deg=6.0, scale=0.08, shift_mm=2.5, contrast=0.1, offset=0.07, noise_sd=0.06)
"""0.07 of a unit are 2 HU."""
ANYWHERE: Final = Implants(share=0.5, volume_ml=(1.0, 60.0), depth=(0.1, 0.47))
"""3 to 14 HU."""
CLEAR: Final = Beginning(3_000, Implants(share=0.8, volume_ml=(4.0, 60.0), depth=(0.23, 0.47)))

GPU_ASPECTS: Final = AspectsRecipe(
    name="gpu",
    network_config=asdict(DaNetConfig(strides=SMALL.strides)),
    batch=32,
    steps=6_000,
    learning_rate=5e-4,
    schedule=Schedule("cosine", floor=1e-6, warm_up=200),
    phantoms=EVERYDAY_REGIONS,
    weight_decay=1e-2,
    clip_norm=5.0,
    infarct_share=0.7,
    augmentation=VARIED_PAIRS,
    implants=ANYWHERE,
    beginning=CLEAR,
    average_decay=0.998,
    precision="bf16",
    validate_every=500,
    checkpoint_every=500,
)

CPU_ASPECTS: Final = replace(
    GPU_ASPECTS,
    name="cpu",
    network_config=asdict(SMALL),
    batch=8,
    steps=2_600,
    learning_rate=1e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=50),
    average_decay=0.995,
    validate_every=250,
    checkpoint_every=50,
)

SMOKE_ASPECTS: Final = replace(
    CPU_ASPECTS,
    name="smoke",
    network_config=asdict(replace(SMALL, initial=8, growth=8, depths=(1, 1, 1, 1))),
    batch=4,
    steps=30,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=RegionPlan((PhantomShare("aspects", 2, 1), PhantomShare("healthy", 0, 1)), EVERYDAY),
    beginning=replace(CLEAR, patches=20),
    average_decay=0.9,
    precision="fp32",
    validate_every=15,
    checkpoint_every=10,
)

ASPECTS_PRESETS: Final[dict[str, AspectsRecipe]] = {
    recipe.name: recipe for recipe in (PAPER_ASPECTS, GPU_ASPECTS, CPU_ASPECTS, SMOKE_ASPECTS)
}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: 40 minutes on one core. smoke: seconds."""

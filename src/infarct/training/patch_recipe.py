"""Recipes for the patch CNNs: everything that decides what their training does, as data, and those that are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, get_args

from infarct.errors import BadRequest
from infarct.measure.severity import SEVERITIES
from infarct.preprocess.patch_input import EVERYDAY_PATCHES, PAPER_PATCHES, PatchSetting
from infarct.training.cases import PhantomShare
from infarct.training.patch_cases import PatchPlan
from infarct.training.recipe import Precision, Schedule

PatchSystem = Literal["volumetry", "hemorrhage"]
SINGLE: Final = "single"
"""The network for infarcts of every class: what the paper compares its three with."""
NETWORKS_OF: Final[dict[PatchSystem, tuple[str, ...]]] = {
    "volumetry": (*SEVERITIES, SINGLE),
    "hemorrhage": ("hemorrhage",),
}
"""The networks that a system may have; those for a class of infarcts are named by it."""


@dataclass(frozen=True)
class PatchVariation:
    """How patches vary; all numbers 0 is the patch as it is. x means uniform between -x and x.

    ``flip_chance`` is that of left and right changing places. Patches are turned in plane, to the nearest voxels: an
    interpolation would take noise away, by which a network could tell what was turned. ``contrast`` (a share) and
    ``offset`` are in the images' own unit; ``noise_sd`` (uniform from 0 to it) is added to each image independently.
    ``wanted_only``: the other patches stay as they are, as in the paper.
    """

    flip_chance: float = 0.0
    rotation_deg: float = 0.0
    contrast: float = 0.0
    offset: float = 0.0
    noise_sd: float = 0.0
    wanted_only: bool = False


@dataclass(frozen=True)
class PatchRecipe:
    """A training from prepared heads to the weights of one or several patch CNNs, of a ``width``, all at once.

    A step takes ``batch`` heads for each of the ``networks``, and ``patches_a_head`` patches of each, half of them of
    what the network looks for. That is the infarct of heads of its class, of every class for "single"; or blood. With
    a chance of ``apart_share`` the other half comes from a head without any; a ``hard_share`` of it looks alike,
    `patch_cases.DENSE`, `STAINED`, or for infarcts `DARK` and `OLD`, and a ``rim_share`` lies at the edge of what is
    judged. The networks share nothing. ``united``: their
    cut-offs are chosen together (`patch_union`). The other fields are as in `training.recipe.Recipe`.
    """

    name: str
    system: PatchSystem
    networks: tuple[str, ...]
    width: float
    batch: int
    patches_a_head: int
    steps: int
    learning_rate: float
    schedule: Schedule
    phantoms: PatchPlan
    apart_share: float = 0.0
    hard_share: float = 0.0
    rim_share: float = 0.0
    united: bool = False
    variation: PatchVariation = field(default_factory=PatchVariation)
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.validate_every, self.checkpoint_every) < 1 or self.patches_a_head < 2:
            raise BadRequest("batch, steps and intervals of a recipe must be 1 or more, patches a head 2 or more")
        if self.system not in get_args(PatchSystem):
            raise BadRequest(f"the system of a recipe is one of: {', '.join(get_args(PatchSystem))}")
        known = NETWORKS_OF[self.system]
        if not self.networks or len(set(self.networks)) < len(self.networks) or not set(self.networks) <= set(known):
            raise BadRequest(f"a recipe for {self.system} has networks of these, each once: {', '.join(known)}")
        if not 0 <= self.apart_share <= 1 or min(self.hard_share, self.rim_share) < 0 or self.hard_total > 1:
            raise BadRequest("shares of patches go from 0 to 1")

    @property
    def hard_total(self) -> float:
        """Share of the patches without what is looked for that is hard to tell from it."""
        return self.hard_share + self.rim_share

    @property
    def network_config(self) -> dict[str, Any]:
        """Configuration of each network."""
        return {"images": self.phantoms.setting.images, "width": self.width, "outputs": 1}

    @property
    def patches_a_step(self) -> int:
        """Patches that the networks see in a step on one device."""
        return self.batch * self.patches_a_head * len(self.networks)

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(self)

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return patch_recipe_of(data) == self


def patch_recipe_of(data: Mapping[str, Any]) -> PatchRecipe:
    """Return the recipe that `PatchRecipe.as_data` gave, through JSON or not. Raises `BadRequest` for no recipe."""
    try:
        plan = data["phantoms"]
        shares = tuple(PhantomShare(**share) for share in plan["shares"])
        parts = {
            "schedule": Schedule(**data["schedule"]),
            "variation": PatchVariation(**data["variation"]),
            "phantoms": PatchPlan(shares, PatchSetting(**plan["setting"])),
            "networks": tuple(data["networks"]),
        }
        return PatchRecipe(**{**data, **parts})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


def as_single(recipe: PatchRecipe) -> PatchRecipe:
    """Return the training of the one network for all classes that sees as many patches as the recipe's do together."""
    return replace(recipe, name=SINGLE, networks=(SINGLE,), steps=recipe.steps * len(recipe.networks))


PAPER_VOLUMETRY: Final = PatchRecipe(
    name="paper",
    system="volumetry",
    networks=SEVERITIES,
    width=1.0,
    batch=8,
    patches_a_head=32,
    steps=20_000,
    learning_rate=1e-3,
    schedule=Schedule("halving", floor=1e-3, factor=1.0),
    phantoms=PatchPlan((PhantomShare("followup", 570, 60),), PAPER_PATCHES),
    variation=PatchVariation(flip_chance=0.5, rotation_deg=180.0, wanted_only=True),
    optimiser="adam",
    validate_every=2_000,
    checkpoint_every=500,
)
"""Volumetry paper, Methods: 570 scans to train, 60 to validate. Optimiser, rate, batches, steps and angles are not
stated, and our choice."""

EVERYDAY_HEADS: Final = PatchPlan(
    (
        PhantomShare("followup", 300, 80),
        PhantomShare("mimics", 120, 40),
        PhantomShare("healthy", 50, 40),
        PhantomShare("mixed", 30, 10),
    ),
    EVERYDAY_PATCHES,
)
VARIED_PATCHES: Final = PatchVariation(flip_chance=0.5, rotation_deg=10.0, contrast=0.1, offset=0.1, noise_sd=0.1)
"""0.1 of a unit are 2 HU."""

GPU_VOLUMETRY: Final = replace(
    PAPER_VOLUMETRY,
    name="gpu",
    batch=32,
    patches_a_head=64,
    steps=8_000,
    schedule=Schedule("cosine", floor=1e-6, warm_up=200),
    phantoms=EVERYDAY_HEADS,
    apart_share=0.25,
    hard_share=0.3,
    united=True,
    variation=VARIED_PATCHES,
    optimiser="adamw",
    weight_decay=1e-2,
    average_decay=0.998,
    precision="bf16",
    validate_every=1_000,
)

CPU_VOLUMETRY: Final = replace(
    GPU_VOLUMETRY,
    name="cpu",
    width=0.5,
    batch=8,
    patches_a_head=16,
    steps=10_000,
    schedule=Schedule("cosine", floor=1e-6, warm_up=100),
    precision="fp32",
    checkpoint_every=250,
)

SMOKE_VOLUMETRY: Final = replace(
    CPU_VOLUMETRY,
    name="smoke",
    width=0.1,
    batch=4,
    steps=30,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=PatchPlan((PhantomShare("followup", 5, 3), PhantomShare("healthy", 1, 1)), EVERYDAY_PATCHES),
    average_decay=0.9,
    validate_every=15,
    checkpoint_every=10,
)


def _for_blood(recipe: PatchRecipe, **changes: Any) -> PatchRecipe:
    """Return the training of the network for blood that goes as one for infarcts, but for the changes."""
    return replace(recipe, system="hemorrhage", networks=NETWORKS_OF["hemorrhage"], united=False, **changes)


VOLUMETRY_PRESETS: Final[dict[str, PatchRecipe]] = {
    recipe.name: recipe
    for recipe in (PAPER_VOLUMETRY, GPU_VOLUMETRY, CPU_VOLUMETRY, SMOKE_VOLUMETRY, as_single(CPU_VOLUMETRY))
}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: 25 minutes on one core. smoke: seconds. single: the
paper's comparison, one network for all classes, otherwise as cpu."""

HEMORRHAGE_PRESETS: Final[dict[str, PatchRecipe]] = {
    recipe.name: recipe
    for recipe in (
        _for_blood(PAPER_VOLUMETRY, phantoms=replace(EVERYDAY_HEADS, setting=PAPER_PATCHES)),
        _for_blood(GPU_VOLUMETRY, apart_share=0.5, hard_share=0.3, rim_share=0.3),
        _for_blood(CPU_VOLUMETRY, apart_share=0.5, hard_share=0.3, rim_share=0.3, steps=12_000),
        _for_blood(
            SMOKE_VOLUMETRY,
            phantoms=PatchPlan((PhantomShare("mimics", 3, 2), PhantomShare("healthy", 1, 1)), EVERYDAY_PATCHES),
        ),
    )
}
"""As those for volumetry; cpu: 12 minutes on one core. The paper takes its network for blood from elsewhere."""

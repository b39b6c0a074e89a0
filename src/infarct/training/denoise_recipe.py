"""Recipes for DnCNN: everything that decides what its training does, and the four that are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from infarct.errors import BadRequest
from infarct.networks.dncnn import BLIND, DnCnnConfig
from infarct.preprocess.window import LOCALIZE, Window
from infarct.training.cases import PhantomShare
from infarct.training.recipe import Precision, Schedule, frozen


@dataclass(frozen=True)
class DenoisePlan:
    """Which phantom patients are scanned with and without noise; ``setting`` is the window that the network sees.

    Slices lie ``apart_mm`` apart, whatever the protocol: neighbours show nearly the same.
    """

    shares: tuple[PhantomShare, ...]
    setting: Window = LOCALIZE
    apart_mm: float = 12.0


@dataclass(frozen=True)
class DenoiseRecipe:
    """A training from prepared pairs of slices to weights.

    A step takes ``batch`` patches of ``patch_px`` a side. The noise of each is that of its scan times a factor from
    ``noise_factor``, drawn evenly on a logarithmic scale: the network is not told how strong it is. ``silent``: the
    last convolution begins at 0, so that the network first finds no noise; begun as published it finds thirty times as
    much as there is, and short trainings spend their steps on that. The other fields are as in
    `training.recipe.Recipe`.
    """

    name: str
    network_config: Mapping[str, Any]
    batch: int
    steps: int
    learning_rate: float
    schedule: Schedule
    phantoms: DenoisePlan
    patch_px: int = 50
    noise_factor: tuple[float, float] = (0.5, 2.0)
    silent: bool = False
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    validation_cases: int = 8
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.patch_px, self.validate_every, self.checkpoint_every) < 1:
            raise BadRequest("batch, steps, patch and intervals of a recipe must be 1 or more")
        if not 0 < self.noise_factor[0] <= self.noise_factor[1]:
            raise BadRequest("factors on the noise rise, and are more than 0")
        if self.network_config.get("in_channels", 1) != 1:
            raise BadRequest("a denoiser takes one channel")

    @property
    def patches_a_step(self) -> int:
        """Patches that the network sees in a step on one device."""
        return self.batch

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(replace(self, network_config=dict(self.network_config)))

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return denoise_recipe_of(data) == self


def denoise_recipe_of(data: Mapping[str, Any]) -> DenoiseRecipe:
    """Return the recipe that `DenoiseRecipe.as_data` gave, through JSON or not. Raises `BadRequest` for no recipe."""
    try:
        plan = data["phantoms"]
        shares = tuple(PhantomShare(**share) for share in plan["shares"])
        parts = {
            "schedule": Schedule(**data["schedule"]),
            "phantoms": DenoisePlan(**{**plan, "shares": shares, "setting": Window(**plan["setting"])}),
            "noise_factor": frozen(data["noise_factor"]),
        }
        return DenoiseRecipe(**{**data, **parts})
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


SCANNED: Final = DenoisePlan((PhantomShare("hyperacute", 30, 4), PhantomShare("mixed", 30, 4)))
"""All thicknesses, kernels and kVp outside `shifted`; some 700 slices. The publication has 400 pictures."""

PAPER_DENOISE: Final = DenoiseRecipe(
    name="paper",
    network_config=asdict(BLIND),
    batch=128,
    steps=150_000,
    learning_rate=1e-3,
    schedule=Schedule("halving", floor=1e-4, halve_every=90_000, factor=0.1),
    phantoms=SCANNED,
    validate_every=10_000,
    checkpoint_every=1_000,
)
"""Zhang et al. 2017, IV-B, for unknown levels: 20 convolutions, 128 x 3,000 patches of 50 pixels, batches of 128, 50
epochs. Adam and its rate, a tenth after 30 epochs, are those of the authors' released code; the article has SGD."""

GPU_DENOISE: Final = replace(
    PAPER_DENOISE,
    name="gpu",
    steps=12_000,
    silent=True,
    schedule=Schedule("cosine", floor=1e-6, warm_up=100),
    average_decay=0.998,
    precision="bf16",
    validate_every=2_000,
)

CPU_DENOISE: Final = replace(
    GPU_DENOISE,
    name="cpu",
    network_config=asdict(DnCnnConfig(width=32)),
    batch=32,
    steps=3_000,
    schedule=Schedule("cosine", floor=1e-6, warm_up=50),
    average_decay=0.99,
    validate_every=500,
    checkpoint_every=250,
)
"""Half as wide as the published one of 17 convolutions: a quarter of its time."""

SMOKE_DENOISE: Final = replace(
    CPU_DENOISE,
    name="smoke",
    network_config=asdict(DnCnnConfig(width=8, depth=5)),
    batch=8,
    steps=60,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=replace(SCANNED, shares=(PhantomShare("hyperacute", 2, 1),), apart_mm=30.0),
    average_decay=0.9,
    precision="fp32",
    validate_every=30,
    validation_cases=1,
    checkpoint_every=20,
)

DENOISE_PRESETS: Final[dict[str, DenoiseRecipe]] = {
    recipe.name: recipe for recipe in (PAPER_DENOISE, GPU_DENOISE, CPU_DENOISE, SMOKE_DENOISE)
}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: for half an hour on one core. smoke: a minute."""

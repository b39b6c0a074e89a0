"""Recipes for localize: everything that decides what the training of a network on tiles does, and the four kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, get_args

from infarct.errors import BadRequest
from infarct.preprocess.tile_input import EVERYDAY, PAPER, TileSetting
from infarct.training.cases import PhantomShare
from infarct.training.recipe import Implants, Precision, Schedule, frozen, implants_of
from infarct.training.tile_cases import MARGIN_PX, TilePlan

TileLoss = Literal["renormalised", "bce"]
"""The paper's categorical cross-entropy of the two sigmoids divided by their sum; plain cross-entropy of each."""
BestBy = Literal["loss", "auc"]
"""The paper's, and one that leaves calibration to what follows the training."""


@dataclass(frozen=True)
class TileVariation:
    """How tiles vary, all channels alike; all numbers 0 is the tile as it is. x means uniform between -x and x.

    ``flip_chance`` is that of left and right changing places. Tiles are shifted by whole pixels of the network's tile,
    up to ``shift_px`` along each axis. A ``turned_share`` of them is also turned and scaled (by a share), which
    interpolates: all the others keep their noise as it is. ``contrast`` (a share) and ``offset`` change all channels,
    but the offset not the differences of the sides. ``noise_sd`` (uniform from 0 to it) is that of the noise added to
    the tile and, independently, to the mirrored one; their differences get what smoothing leaves of both.
    """

    flip_chance: float = 0.0
    shift_px: int = 0
    turned_share: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 0.0
    contrast: float = 0.0
    offset: float = 0.0
    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift_px <= MARGIN_PX:
            raise BadRequest(f"tiles can be shifted by 0 to {MARGIN_PX} pixels")


@dataclass(frozen=True)
class LocalizeRecipe:
    """A training from prepared tiles to the weights of one registered network that ends as the paper's do.

    Half of each batch of ``batch`` tiles is infarct, less implants that find no place. Of the normal ones
    ``both_healthy_share`` have no lesion at the mirrored place either; the others are the mirrored places of infarcts,
    and old lesions and blood. A share of both kinds are instead healthy tiles with ``implants``, depths in units of
    20 HU: see `training.tile_implants`.
    ``pretrained_sha256`` is that of the file of weights trained on ImageNet that the convolutions begin with, None
    where they begin at random. Half of the validation tiles that judge a step are infarct, too; the best checkpoint is
    the one that does best on them, ``best_by``. The other fields are as in `training.recipe.Recipe`.
    """

    name: str
    network: str
    network_config: Mapping[str, Any]
    batch: int
    steps: int
    learning_rate: float
    schedule: Schedule
    phantoms: TilePlan
    loss: TileLoss = "renormalised"
    best_by: BestBy = "loss"
    both_healthy_share: float = 0.5
    variation: TileVariation = field(default_factory=TileVariation)
    implants: Implants = field(default_factory=Implants)
    pretrained_sha256: str | None = None
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    average_decay: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    validate_every: int = 1_000
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if min(self.batch, self.steps, self.validate_every, self.checkpoint_every) < 1:
            raise BadRequest("batch, steps and intervals of a recipe must be 1 or more")
        if self.loss not in get_args(TileLoss):
            raise BadRequest(f"the loss of a recipe is one of: {', '.join(get_args(TileLoss))}")
        if self.best_by not in get_args(BestBy):
            raise BadRequest(f"the best checkpoint of a recipe is chosen by one of: {', '.join(get_args(BestBy))}")
        if not 0 <= self.both_healthy_share <= 1:
            raise BadRequest("the share of tiles that are healthy on both sides goes from 0 to 1")
        setting = self.phantoms.setting
        seen = (self.network_config.get("in_channels"), self.network_config.get("size_px"))
        if seen != (setting.channels, setting.size_px):
            raise BadRequest("the network of a recipe must take tiles of the channels and size that are prepared")
        if self.variation.noise_sd and setting.differences and setting.tile_mm is None:
            raise BadRequest("noise in the difference of the sides needs tiles of a known length")
        if self.implants.share and setting.tile_mm is None:
            raise BadRequest("implants need tiles of a known length")

    @property
    def patches_a_step(self) -> int:
        """Tiles that the network sees in a step on one device."""
        return self.batch

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(replace(self, network_config=dict(self.network_config)))

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return localize_recipe_of(data) == self


def localize_recipe_of(data: Mapping[str, Any]) -> LocalizeRecipe:
    """Return the recipe that `LocalizeRecipe.as_data` gave, through JSON or not. Raises `BadRequest` for no recipe."""
    try:
        plan = data["phantoms"]
        shares = tuple(PhantomShare(**share) for share in plan["shares"])
        parts = {
            "schedule": Schedule(**data["schedule"]),
            "variation": TileVariation(**data["variation"]),
            "implants": implants_of(data["implants"]),
            "phantoms": TilePlan(**{**plan, "shares": shares, "setting": TileSetting(**plan["setting"])}),
            "network_config": {key: frozen(value) for key, value in data["network_config"].items()},
        }
        return LocalizeRecipe(**{**data, **parts})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


def _seeing(setting: TileSetting, **others: Any) -> dict[str, Any]:
    """Return the configuration of a network that takes tiles of a setting."""
    return {"in_channels": setting.channels, "size_px": setting.size_px, **others}


PAPER_LOCALIZE: Final = LocalizeRecipe(
    name="paper",
    network="vgg16",
    network_config=_seeing(PAPER),
    batch=8,
    steps=4 * 5_000,
    learning_rate=1e-3,
    schedule=Schedule("halving", floor=1e-3, factor=1.0),
    phantoms=TilePlan((PhantomShare("hyperacute", 414, 103),), PAPER, tiles_a_case=80),
    both_healthy_share=0.0,
    optimiser="adam",
    validate_every=5_000,
    checkpoint_every=500,
)
"""Localize paper, Methods: 517 patients, 80:20, with 41,827 tiles; four epochs of 5,000 steps at a constant rate."""

EVERYDAY_TILES: Final = TilePlan(
    (PhantomShare("hyperacute", 300, 40), PhantomShare("healthy", 60, 16), PhantomShare("mimics", 30, 6)),
    EVERYDAY,
    tiles_a_case=100,
)
VARIED_TILES: Final = TileVariation(
    flip_chance=0.5,
    shift_px=MARGIN_PX,
    turned_share=0.5,
    rotation_deg=6.0,
    scale=0.06,
    contrast=0.1,
    offset=0.1,
    noise_sd=0.08,
)
"""0.1 of a unit are 2 HU."""
IN_TILES: Final = Implants(share=0.9, volume_ml=(0.25, 10.0), depth=(0.08, 0.4))
"""8 to 50 mm across in a slice of 5 mm, 1.6 to 8 HU deep. With a share of .5 a network on 223 phantoms learned them by
heart after 2,000 steps; with .9 one on 346 did best after 4,000."""

GPU_LOCALIZE: Final = LocalizeRecipe(
    name="gpu",
    network="vgg16",
    network_config=_seeing(EVERYDAY, maps=len(EVERYDAY.differences)),
    batch=128,
    steps=10_000,
    learning_rate=1e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=200),
    phantoms=EVERYDAY_TILES,
    best_by="auc",
    variation=VARIED_TILES,
    implants=IN_TILES,
    weight_decay=5e-2,
    clip_norm=5.0,
    average_decay=0.998,
    precision="bf16",
    validate_every=500,
    checkpoint_every=500,
)

CPU_LOCALIZE: Final = replace(
    GPU_LOCALIZE,
    name="cpu",
    network_config=_seeing(EVERYDAY, maps=len(EVERYDAY.differences), width=0.25, dense=(128, 64)),
    batch=64,
    steps=6_000,
    schedule=Schedule("cosine", floor=1e-6, warm_up=100),
    validate_every=1_000,
    checkpoint_every=200,
)

SMOKE_LOCALIZE: Final = replace(
    CPU_LOCALIZE,
    name="smoke",
    network_config=_seeing(EVERYDAY, maps=len(EVERYDAY.differences), width=0.05, dense=(16, 8)),
    batch=16,
    steps=30,
    schedule=Schedule("cosine", floor=1e-6, warm_up=5),
    phantoms=TilePlan((PhantomShare("hyperacute", 2, 1), PhantomShare("healthy", 1, 1)), EVERYDAY, tiles_a_case=20),
    average_decay=0.9,
    precision="fp32",
    validate_every=15,
    checkpoint_every=10,
)

LOCALIZE_PRESETS: Final[dict[str, LocalizeRecipe]] = {
    recipe.name: recipe for recipe in (PAPER_LOCALIZE, GPU_LOCALIZE, CPU_LOCALIZE, SMOKE_LOCALIZE)
}
"""paper: as published. gpu: meant for 20 minutes on a card. cpu: 30 minutes on one core. smoke: seconds."""

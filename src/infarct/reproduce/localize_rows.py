"""The experiments of the localize paper as data: what each row trains with, on whom, and who is held out.

Three parts. ``models`` is the paper's table 2: six networks at two sizes of their input. ``search`` is its random
search over what the training of tuned VGG16 is set to, and beside it rows of our own on what the network is shown.
``crossval`` is its cross-validation by patient, and the same with our input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from infarct.phantom import Preset
from infarct.phantom.grid import rng
from infarct.preprocess.tile_input import EVERYDAY, PAPER, TileSetting
from infarct.training.cases import PhantomShare
from infarct.training.localize_recipe import PAPER_LOCALIZE, LocalizeRecipe
from infarct.training.recipe import Schedule
from infarct.training.tile_cases import TilePlan

Part = Literal["models", "search", "crossval"]
PARTS: Final[tuple[Part, ...]] = ("models", "search", "crossval")
PRESET: Final[Preset] = "hyperacute"
FULL_PATIENTS, REDUCED_PATIENTS = 517, 120
FULL_FOLDS, REDUCED_FOLDS = 20, 4
"""Localize paper, Methods: 517 patients, 20 folds."""
SPLIT_IN: Final = 5
"""One of so many groups of patients is held out where there are no folds: 80:20, as in the paper."""
FULL_TRIALS, REDUCED_TRIALS = 20, 8
TILES_A_CASE: Final = 80
"""The paper has 41,827 tiles of 517 patients."""

NETWORKS: Final[dict[str, str]] = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "googlenet": "GoogLeNet",
    "inception_v3": "Inception-v3",
    "inception_v4": "Inception-v4",
    "inception_resnet_v2": "Inception-ResNet-v2",
}
FULL_SIZES_PX, REDUCED_SIZES_PX = (140, 224), (80, 128)
"""The paper's, and two that stand to one another as these do; the Inception networks take no less than 75 pixels."""
PUBLISHED_AP: Final[dict[tuple[str, int], float]] = {
    ("vgg16", 0): 0.69,
    ("vgg16", 1): 0.55,
    ("inception_resnet_v2", 1): 0.68,
}
"""Localize paper, table 2 and text: average precision by network and place in the sizes."""
REDUCED_WIDTH: Final = 0.25
REDUCED_DENSE: Final = (128, 64)
OWN_BOTH_HEALTHY: Final = 0.5
"""Where the network sees the mirrored place, or is held against one that does: see `tile_choice`."""

OWN_PX: Final = EVERYDAY.size_px
ALONE: Final = replace(EVERYDAY, name="tile alone", field_tiles=1.0, mirror=False, differences=())
INPUTS: Final[tuple[tuple[str, TileSetting], ...]] = (
    (
        "the paper's: bone removed, 8 bits, tile alone",
        replace(ALONE, name="paper's tile alone", grey="pictures", strip=True),
    ),
    ("HU, tile alone", ALONE),
    ("+ surroundings", replace(EVERYDAY, name="with surroundings", mirror=False, differences=())),
    ("+ mirrored head", replace(EVERYDAY, name="with mirrored head", differences=())),
    ("+ differences of the sides", EVERYDAY),
)
"""What a network may be shown of the same tiles of 8 mm, all at the size of our everyday input."""


@dataclass(frozen=True)
class Split:
    """Patients are dealt in ``count`` groups. The group ``test`` is held out, and ``choice`` where one chooses by it;
    the rest is trained on.
    """

    count: int
    test: int
    choice: int | None = None


@dataclass(frozen=True)
class TileRow:
    """A training and its name in a ``table`` of its part; ``about`` are its cells there, ``published`` the AP that the
    paper prints.
    """

    part: Part
    table: str
    name: str
    recipe: LocalizeRecipe
    split: Split
    about: Mapping[str, str | int | float]
    published: float | None = None


@dataclass(frozen=True)
class TileStudy:
    """All rows at one size, on the same patients; ``settings`` are those that tiles are prepared with."""

    name: Literal["full", "reduced"]
    plan: TilePlan
    settings: tuple[TileSetting, ...]
    rows: tuple[TileRow, ...]
    note: str

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return sum(share.train for share in self.plan.shares)

    def of(self, part: Part) -> tuple[TileRow, ...]:
        """Return the rows of a part."""
        return tuple(row for row in self.rows if row.part == part)


MODELS, TRIALS, INPUT_ROWS, FOLDS = "models", "search", "inputs", "crossval"
"""Names of the tables."""


def study_of(*, reduced: bool) -> TileStudy:
    """Return the experiments as published; reduced, with narrow networks, fewer patients and fewer steps."""
    sizes_px = REDUCED_SIZES_PX if reduced else FULL_SIZES_PX
    paper = [_named(PAPER, f"paper, {size} px", size) for size in sizes_px]
    patients = REDUCED_PATIENTS if reduced else FULL_PATIENTS
    plan = TilePlan((PhantomShare(PRESET, patients, 0),), paper[0], TILES_A_CASE)
    recipe = _base(plan, reduced=reduced)
    rows = (
        *model_rows(recipe, paper),
        *trial_rows(_for_search(recipe, reduced=reduced), REDUCED_TRIALS if reduced else FULL_TRIALS),
        *input_rows(recipe),
        *fold_rows(recipe, REDUCED_FOLDS if reduced else FULL_FOLDS),
    )
    alone = tuple(setting for _, setting in INPUTS[:2])
    name: Literal["full", "reduced"] = "reduced" if reduced else "full"
    return TileStudy(name, plan, (EVERYDAY, *paper, *reversed(alone)), rows, _note(recipe, patients))


def _base(plan: TilePlan, *, reduced: bool) -> LocalizeRecipe:
    """Return how tuned VGG16 is trained on the paper's input in its first size, without a choice of a checkpoint."""
    config = {"in_channels": plan.setting.channels, "size_px": plan.setting.size_px}
    paper = replace(PAPER_LOCALIZE, phantoms=plan, network_config=config)
    if not reduced:
        return replace(paper, validate_every=paper.steps)
    narrow = {**config, "width": REDUCED_WIDTH, "dense": REDUCED_DENSE}
    return replace(
        paper,
        name="reduced",
        network_config=narrow,
        batch=32,
        steps=800,
        precision="bf16",
        validate_every=800,
        checkpoint_every=200,
    )


def _for_search(recipe: LocalizeRecipe, *, reduced: bool) -> LocalizeRecipe:
    """Return the recipe with the budget of a trial: one of the paper's four epochs; all steps of a reduced one."""
    steps = recipe.steps if reduced else recipe.steps // 4
    return replace(recipe, steps=steps, validate_every=steps)


def model_rows(recipe: LocalizeRecipe, settings: list[TileSetting]) -> tuple[TileRow, ...]:
    """Return the rows of table 2: every network at every size, all with as many steps of as many tiles."""
    return tuple(
        TileRow(
            "models",
            MODELS,
            f"{title}, {setting.size_px} px",
            _seeing(replace(recipe, network=network), setting),
            Split(SPLIT_IN, 0),
            {"network": title, "size_px": setting.size_px},
            PUBLISHED_AP.get((network, place)),
        )
        for network, title in NETWORKS.items()
        for place, setting in enumerate(settings)
    )


def trial_rows(recipe: LocalizeRecipe, count: int) -> tuple[TileRow, ...]:
    """Return ``count`` trials of a random search, the first with the paper's own values.

    All see as many tiles. The best is chosen on a fifth of the patients; another fifth tells how good it is.
    """
    drawn = [recipe, *(drawn_trial(recipe, number) for number in range(1, count))]
    names = ["the paper's values", *(f"trial {number}" for number in range(1, count))]
    return tuple(
        TileRow("search", TRIALS, name, trial, Split(SPLIT_IN, 0, choice=1), _values_of(trial))
        for name, trial in zip(names, drawn, strict=True)
    )


def drawn_trial(recipe: LocalizeRecipe, number: int) -> LocalizeRecipe:
    """Return a recipe with drawn values that sees as many tiles as ``recipe``; the same number, the same values."""
    random = rng(0, "localize search", str(number))
    rate = float(10 ** random.uniform(-4, -2.5))
    first, second = (round(float(random.uniform(0.1, 0.6)), 2) for _ in range(2))
    share = float(random.choice([0.5, 1.0, 2.0]))
    dense = tuple(round(neurons * share) for neurons in _dense(recipe))
    batch = round(recipe.batch * float(random.choice([0.5, 1.0, 2.0, 4.0])))
    steps = recipe.steps * recipe.batch // batch
    decays = bool(random.integers(2))
    return replace(
        recipe,
        network_config={**recipe.network_config, "dense": dense, "dropout": (first, second)},
        learning_rate=rate,
        schedule=Schedule("halving", floor=rate, factor=1.0),
        batch=batch,
        steps=steps,
        optimiser="adamw" if decays else "adam",
        weight_decay=1e-2 if decays else 0.0,
        validate_every=steps,
    )


def _dense(recipe: LocalizeRecipe) -> tuple[int, ...]:
    dense: tuple[int, ...] = recipe.network_config.get("dense", (500, 250))
    return dense


def _values_of(recipe: LocalizeRecipe) -> dict[str, str | int | float]:
    dropout: tuple[float, ...] = recipe.network_config.get("dropout", (0.4, 0.3))
    return {
        "learning_rate": f"{recipe.learning_rate:.1e}",
        "dropout": " / ".join(f"{share:.2f}" for share in dropout),
        "dense": " / ".join(str(neurons) for neurons in _dense(recipe)),
        "batch": recipe.batch,
        "optimiser": recipe.optimiser,
    }


def input_rows(recipe: LocalizeRecipe) -> tuple[TileRow, ...]:
    """Return tuned VGG16 on the same tiles, shown more and more of what lies around them and across."""
    paired = replace(recipe, both_healthy_share=OWN_BOTH_HEALTHY)
    return tuple(
        TileRow("search", INPUT_ROWS, name, _seeing(paired, setting), Split(SPLIT_IN, 0), {})
        for name, setting in INPUTS
    )


def fold_rows(recipe: LocalizeRecipe, count: int) -> tuple[TileRow, ...]:
    """Return tuned VGG16 on all patients but those of each fold: with the paper's input, and with ours."""
    own = _seeing(replace(recipe, both_healthy_share=OWN_BOTH_HEALTHY), EVERYDAY)
    return tuple(
        TileRow(
            "crossval", FOLDS, f"{name}, fold {fold + 1}", one, Split(count, fold), {"input": name, "fold": fold + 1}
        )
        for name, one in (("the paper's input", recipe), ("our input", own))
        for fold in range(count)
    )


def _named(setting: TileSetting, name: str, size_px: int) -> TileSetting:
    return replace(setting, name=name, size_px=size_px)


def _seeing(recipe: LocalizeRecipe, setting: TileSetting) -> LocalizeRecipe:
    """Return the recipe with another input; maps of differences are a linear term, too, as in our own recipes."""
    seen = {"in_channels": setting.channels, "size_px": setting.size_px}
    seen |= {"maps": len(setting.differences)} if setting.differences else {}
    plan = replace(recipe.phantoms, setting=setting)
    return replace(recipe, network_config={**recipe.network_config, **seen}, phantoms=plan)


def _note(recipe: LocalizeRecipe, patients: int) -> str:
    width = recipe.network_config.get("width", 1.0)
    narrow = "" if width == 1 else f", every network with {width:g} of its published channels"
    return (
        f"{patients} phantom patients ({PRESET}), {recipe.steps} steps of {recipe.batch} tiles{narrow}. One seed, "
        "first weights at random, no choice of the best checkpoint, threshold .5. Split by patient: the paper splits "
        "its tiles 80:20, so that tiles of one patient, of neighbouring slices even, are trained on and tested."
    )

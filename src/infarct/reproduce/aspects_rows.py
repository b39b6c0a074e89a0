"""The experiments on DA-Net, of the aspects paper (sections 2.4 and 2.5), as data: what each row trains with.

The paper prints results of its full model alone. The rows leave one of its parts out each, or train on fewer patients.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from infarct.phantom import Preset
from infarct.training.aspects_recipe import ASPECTS_PRESETS, TOGETHER, AspectsRecipe
from infarct.training.cases import PhantomShare
from infarct.training.recipe import Schedule
from infarct.training.region_cases import RegionPlan

FULL_MODEL: Final = "full model"
OTHER_SEED: Final = "full model, another seed"
"""Differs from the full model by chance alone: first weights, order of the pairs, dropout."""
PARTS: Final = (2, 4, 8)
"""The learning curve has one row for each: trained on every patient but all, on one in so many."""
TEST_PRESET: Final[Preset] = "aspects"
TEST_PATIENTS: Final = 150
REDUCED_TEST_PATIENTS: Final = 75


@dataclass(frozen=True)
class AspectsRow:
    """A training and its name; the recipe's plan says who is trained on and who chooses the operating point."""

    name: str
    recipe: AspectsRecipe

    @property
    def training_patients(self) -> int:
        """How many patients are trained on."""
        return sum(share.train for share in self.recipe.phantoms.shares)


@dataclass(frozen=True)
class AspectsStudy:
    """The rows of the ablation, which begin with the full model, and those of the learning curve, which end with it.

    All are tested on the first ``test_patients`` of the split `test`, which no plan of a training can name.
    """

    name: Literal["full", "reduced"]
    ablation: tuple[AspectsRow, ...]
    curve: tuple[AspectsRow, ...]
    test_patients: int
    note: str

    @property
    def rows(self) -> tuple[AspectsRow, ...]:
        """All rows, the full model once."""
        return (*self.ablation, *self.curve[:-1])

    @property
    def plan(self) -> RegionPlan:
        """The patients that the full model is trained on and calibrated with: those of any other row are among them."""
        return self.ablation[0].recipe.phantoms

    @property
    def patient_count(self) -> int:
        """How many patients there are, those to test on too."""
        return sum(share.train + share.validation for share in self.plan.shares) + self.test_patients


REDUCED_STEPS: Final = 200
REDUCED_PATIENTS: Final = (PhantomShare("aspects", 100, 40), PhantomShare("healthy", 20, 8))


def study_of(*, reduced: bool) -> AspectsStudy:
    """Return the experiments by the recipe `paper`; reduced, by the recipe `cpu` with fewer patients and steps."""
    full = reduced_recipe() if reduced else ASPECTS_PRESETS["paper"]
    full = replace(full, validate_every=full.steps)  # no best checkpoint is chosen
    ablation = (
        AspectsRow(FULL_MODEL, full),
        AspectsRow("without the difference branch", _with_network(full, difference=False)),
        AspectsRow("without the attention loss", replace(full, attention_weight=0.0)),
        AspectsRow("without class weights", replace(full, class_weights=False)),
        AspectsRow("one model for all regions", _together(full)),
        AspectsRow(OTHER_SEED, replace(full, seed=full.seed + 1)),
    )
    fewer = tuple(
        AspectsRow(f"1/{part} of the patients", replace(full, phantoms=_fewer(full.phantoms, part)))
        for part in sorted(PARTS, reverse=True)
    )
    tested = REDUCED_TEST_PATIENTS if reduced else TEST_PATIENTS
    name: Literal["full", "reduced"] = "reduced" if reduced else "full"
    return AspectsStudy(name, ablation, (*fewer, ablation[0]), tested, _note(full, tested))


def reduced_recipe() -> AspectsRecipe:
    """Return the recipe `cpu` with fewer patients and steps: about six minutes on one core beside other work."""
    cpu = ASPECTS_PRESETS["cpu"]
    return replace(
        cpu,
        name="reduced",
        phantoms=replace(cpu.phantoms, shares=REDUCED_PATIENTS),
        steps=REDUCED_STEPS,
        schedule=Schedule("cosine", floor=1e-6, warm_up=20),
        average_decay=0.98,
    )


def _with_network(recipe: AspectsRecipe, **parts: Any) -> AspectsRecipe:
    return replace(recipe, network_config={**recipe.network_config, **parts})


def _together(recipe: AspectsRecipe) -> AspectsRecipe:
    """Return the recipe with one model that sees as many pairs a step as all models together did."""
    return replace(recipe, groups=dict(TOGETHER), batch=recipe.batch * len(recipe.groups))


def _fewer(plan: RegionPlan, part: int) -> RegionPlan:
    """Return the plan with the first of the training patients of each preset, one in ``part``."""
    return replace(plan, shares=tuple(replace(share, train=share.train // part) for share in plan.shares))


def _note(full: AspectsRecipe, tested: int) -> str:
    training, validation = (
        sum(getattr(share, role) for share in full.phantoms.shares) for role in ("train", "validation")
    )
    return (
        f"Recipe {full.name!r}: {training} phantom patients to train on, {validation} others to choose the operating "
        f"points with, tested on the first {tested} of {TEST_PRESET}:test. In every row {full.steps} steps of "
        f"{full.batch * len(full.groups)} pairs, one seed, no choice of the best checkpoint. Regions are the true "
        "ones, displaced as for training: what drawing them wrong costs beyond that is not in these numbers."
    )

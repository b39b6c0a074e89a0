"""The experiments of the segment paper (section 3) as data: what each row of its tables trains with.

Rows build on one another as in the paper's table 1. Its last step changes two things; here it takes two rows. Then come
rows of our own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from infarct.evaluation.ablation import PUBLISHED_ABLATION
from infarct.preprocess.segment_input import EVERYDAY, PAPER, InputSetting, Normalisation
from infarct.training.cases import PhantomPlan, PhantomShare
from infarct.training.recipe import (
    CPU_RECIPE,
    EVERYDAY_STRIDES,
    PAPER_RECIPE,
    Augmentation,
    Beginning,
    Implants,
    Recipe,
    Sampling,
)

FULL_MODEL: Final = "+ weighted loss"
"""The row that has everything of the paper: it is tested with every overlap, and cross-validated."""
PATIENTS: Final = 81
FOLDS: Final = 5
OVERLAPS_PCT: Final = (25, 50, 75)
"""Segment paper, 1, 2.5 and table 2. The rows of the ablation are tested with the first."""
WHOLE_HEAD_MM, BRAIN_ONLY_MM = 32.0, 2.0
"""Margins around the brain on a coarse grid: what the paper crops away, and what it leaves. They and that of `EVERYDAY`
differ by whole voxels, so that all rows are tested on the same voxels of the brain."""


@dataclass(frozen=True)
class Row:
    """A network to train and to test.

    ``recipe`` also says what the network sees (``setting``). ``published`` is the Dice that the paper prints.
    ``everywhere``: without preprocessing nothing tells where the brain is, so that air and skull may be marked too.
    """

    name: str
    recipe: Recipe
    published: float | None = None
    everywhere: bool = False

    @property
    def setting(self) -> InputSetting:
        """What the network sees."""
        return self.recipe.phantoms.setting


@dataclass(frozen=True)
class Study:
    """All rows at one size, on the same patients; ``folds`` None is one split by patient; ``note`` tells the size."""

    name: Literal["full", "reduced"]
    rows: tuple[Row, ...]
    folds: int | None
    note: str

    @property
    def patients(self) -> PhantomPlan:
        """Whom all rows train and test on; its setting does not count."""
        return self.rows[0].recipe.phantoms

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return sum(share.train + share.validation for share in self.patients.shares)


REDUCED_PAPER: Final = replace(
    PAPER_RECIPE,
    name="reduced",
    network_config={"in_channels": 1, "out_channels": 1, "base": 8, "strides": EVERYDAY_STRIDES},
    patch_zyx=(12, 32, 32),
    steps=PAPER_RECIPE.steps // 10,
    learning_rate=10 * PAPER_RECIPE.learning_rate,
    schedule=replace(
        PAPER_RECIPE.schedule,
        floor=10 * PAPER_RECIPE.schedule.floor,
        halve_every=PAPER_RECIPE.schedule.halve_every // 10,
    ),
    phantoms=PhantomPlan(
        (PhantomShare("acute", 60, 20),),
        replace(PAPER, name="reduced paper", spacing_mm_zyx=EVERYDAY.spacing_mm_zyx, margin_mm=BRAIN_ONLY_MM),
        thin_share=0.0,
    ),
    validation_cases=0,
    checkpoint_every=500,
)
"""Patches are as long in mm as the paper's (128 voxels of 0.5 mm). Larger ones would hold most of a brain: it would
then hardly matter where they are centred or how tiles overlap."""

FULL_PAPER: Final = replace(
    PAPER_RECIPE, phantoms=PhantomPlan((PhantomShare("acute", PATIENTS, 0),), PAPER), validation_cases=0
)

REDUCED_NOTE: Final = (
    "slices averaged to 5 mm and pixels to 2 mm, patches of 60 x 64 x 64 mm, base width 8, "
    f"{REDUCED_PAPER.steps} steps of {REDUCED_PAPER.batch} patches. In every row the paper's optimiser settings, but "
    "with ten times its learning rate, halved ten times as often; our default recipe has its own optimiser, with that "
    "same rate. One seed, no choice of the best checkpoint, threshold .5 in every row."
)
FULL_NOTE: Final = (
    "thin scans on their own grid, in every row as many steps of as many patches; one seed, no choice of the "
    "best checkpoint, threshold .5. Without preprocessing, too, a scan is cut to the box around its brain. What a "
    "skull strip takes away of a lesion does not count as missed. Our default recipe has its own patches and learning "
    "rate, and is tested on its own coarse grid."
)


def study_of(*, reduced: bool, folds: int | None = None) -> Study:
    """Return the experiments, in five folds by patient unless ``folds`` says otherwise; reduced, in a single split."""
    paper = REDUCED_PAPER if reduced else FULL_PAPER
    count = folds if reduced else folds or FOLDS
    rows = _rows(paper, _own(paper, learns_alike=reduced))
    note = f"{_split(paper.phantoms, count)}, {REDUCED_NOTE if reduced else FULL_NOTE}"
    return Study("reduced" if reduced else "full", rows, count, note)


def _split(patients: PhantomPlan, folds: int | None) -> str:
    """Return in words how patients are split."""
    train, test = (sum(getattr(share, role) for share in patients.shares) for role in ("train", "validation"))
    if folds is not None:
        return f"{train + test} phantom patients in {folds} folds"
    return f"{train} phantom patients to train on and {test} others to test on"


def _rows(paper: Recipe, own: Recipe) -> tuple[Row, ...]:
    """Return the paper's rows, which end in ``paper``, and ours, which end in ``own``."""
    names = list(PUBLISHED_ABLATION)
    recipe = _bare(paper)
    rows = [Row(names[0], recipe, PUBLISHED_ABLATION[names[0]], everywhere=True)]
    additions: tuple[tuple[str, Callable[[Recipe], Recipe]], ...] = (
        (names[1], lambda r: _seeing(r, paper.phantoms.setting, "min_max")),
        (names[2], lambda r: replace(r, sampling=paper.sampling)),
        (names[3], lambda r: _with_network(r, residual=True)),
        (names[4], lambda r: _with_network(r, squeeze_excite=True)),
        ("+ standardisation", lambda r: _seeing(r, paper.phantoms.setting, paper.phantoms.setting.normalisation)),
        (FULL_MODEL, lambda r: replace(r, loss=paper.loss)),
    )
    for name, add in additions:
        recipe = add(recipe)
        published = PUBLISHED_ABLATION[names[5]] if name == FULL_MODEL else PUBLISHED_ABLATION.get(name)
        rows.append(Row(name, recipe, published))
    plain = replace(own, implants=Implants(), beginning=Beginning())
    return (
        *rows,
        Row("+ mirrored channel", _mirrored(recipe)),
        Row("default recipe, not augmented, no implants", replace(plain, augmentation=Augmentation())),
        Row("default recipe, no implants", plain),
        Row("default recipe", own),
    )


def _bare(paper: Recipe) -> Recipe:
    """Return the recipe without all that the paper adds: HU clipped and scaled to 0..1, patches from anywhere."""
    shown = replace(paper.phantoms.setting, strip=False, margin_mm=WHOLE_HEAD_MM)
    plain = replace(paper, sampling=Sampling("uniform"), loss=replace(paper.loss, weighted=False))
    return _with_network(_seeing(plain, shown, "min_max"), residual=False, squeeze_excite=False)


def _seeing(recipe: Recipe, setting: InputSetting, normalisation: Normalisation) -> Recipe:
    """Return the recipe with another input."""
    parts = ("stripped" if setting.strip else "whole", normalisation, *(("mirrored",) if setting.mirror else ()))
    named = replace(setting, name=" ".join(parts), normalisation=normalisation)
    return replace(recipe, phantoms=replace(recipe.phantoms, setting=named))


def _with_network(recipe: Recipe, **parts: object) -> Recipe:
    return replace(recipe, network_config={**recipe.network_config, **parts})


def _mirrored(recipe: Recipe) -> Recipe:
    setting = replace(recipe.phantoms.setting, mirror=True)
    return _with_network(_seeing(recipe, setting, setting.normalisation), in_channels=2)


def _own(paper: Recipe, *, learns_alike: bool) -> Recipe:
    """Return our default recipe with the paper's budget; ``learns_alike``: with its patches and learning rate too."""
    own = replace(
        CPU_RECIPE,
        name=f"{paper.name} default",
        network_config={**CPU_RECIPE.network_config, "base": paper.network_config["base"]},
        batch=paper.batch,
        steps=paper.steps,
        phantoms=replace(paper.phantoms, setting=EVERYDAY),
        precision=paper.precision,
        seed=paper.seed,
        validation_cases=paper.validation_cases,
        checkpoint_every=paper.checkpoint_every,
        overlap=paper.overlap,
    )
    if not learns_alike:
        return own
    return replace(own, patch_zyx=paper.patch_zyx, learning_rate=paper.learning_rate, schedule=paper.schedule)

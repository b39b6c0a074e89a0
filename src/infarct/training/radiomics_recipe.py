"""Recipes for the forests of radiomics: everything that decides their training, and the three that are kept."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from infarct.errors import BadRequest
from infarct.training.aspects_recipe import EVERYDAY_REGIONS, PAPER_ASPECTS, SEPARATE, SMOKE_ASPECTS, Groups
from infarct.training.region_cases import RegionPlan


@dataclass(frozen=True)
class RadiomicsRecipe:
    """A training from prepared cases to weights: a forest of ``trees`` for each region, left and right pooled.

    Of each of ``fewest_in_leaf`` (sides that a leaf holds at least) with each of ``feature_shares`` (share of the
    features that a split chooses from) the one is taken, for all regions, that does best on the validation cases: by
    the mean AUC of the ``groups``, as a checkpoint of DA-Net is chosen. Each group is calibrated by itself.
    """

    name: str
    phantoms: RegionPlan
    trees: int = 200
    fewest_in_leaf: tuple[int, ...] = (2, 5, 10)
    feature_shares: tuple[float, ...] = (0.1, 0.3)
    groups: Groups = field(default_factory=lambda: dict(SEPARATE))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trees < 1 or not self.fewest_in_leaf or min(self.fewest_in_leaf) < 1:
            raise BadRequest("trees of a recipe, and sides in a leaf, must be 1 or more")
        if not self.feature_shares or not all(0 < share <= 1 for share in self.feature_shares):
            raise BadRequest("a share of features is more than 0 and at most 1")

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as JSON can hold it."""
        return asdict(replace(self, groups=dict(self.groups)))


PAPER_RADIOMICS: Final = RadiomicsRecipe("paper", PAPER_ASPECTS.phantoms)
"""The cases of the aspects paper at its pixel size; it tells neither features nor forests, which are ours."""
CPU_RADIOMICS: Final = RadiomicsRecipe("cpu", EVERYDAY_REGIONS)
SMOKE_RADIOMICS: Final = RadiomicsRecipe(
    "smoke", SMOKE_ASPECTS.phantoms, trees=10, fewest_in_leaf=(1,), feature_shares=(0.3,)
)

RADIOMICS_PRESETS: Final[dict[str, RadiomicsRecipe]] = {
    recipe.name: recipe for recipe in (PAPER_RADIOMICS, CPU_RADIOMICS, SMOKE_RADIOMICS)
}
"""paper: the paper's cases. cpu: minutes on two cores. smoke: seconds."""

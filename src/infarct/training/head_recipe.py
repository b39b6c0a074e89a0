"""Recipes for the 3D network that marks infarcts, or blood, in whole heads prepared for the patch CNNs. Ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from infarct.errors import BadRequest
from infarct.preprocess.patch_input import PatchSetting
from infarct.training.cases import ACUTE, BRAIN, PhantomShare
from infarct.training.patch_cases import PatchPlan
from infarct.training.patch_recipe import EVERYDAY_HEADS, SINGLE, PatchSystem
from infarct.training.recipe import (
    EVERYDAY_STRIDES,
    Augmentation,
    LossSetting,
    Sampling,
    Schedule,
    VolumeRecipe,
    volume_parts,
)

OTHER: Final = BRAIN
"""Label of a voxel that is judged and not what is looked for; 0 is not judged."""
WANTED: Final = ACUTE
"""Label of what is looked for. Both are those of the segmentation, which draws boxes by them."""


@dataclass(frozen=True, kw_only=True)
class HeadRecipe(VolumeRecipe):
    """A training from heads prepared for the patch CNNs, their pixels averaged in squares with a side of ``pool_px``.

    ``system`` decides what is looked for. ``phantoms`` says what is made where no heads are given. Boxes are of
    averaged pixels. ``united`` is as in `patch_recipe.PatchRecipe`: a network of its own has nobody to agree with.
    """

    system: PatchSystem
    phantoms: PatchPlan
    pool_px: int
    united: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.system not in get_args(PatchSystem):
            raise BadRequest(f"the system of a recipe is one of: {', '.join(get_args(PatchSystem))}")
        if self.targets != (WANTED,) or self.pool_px < 1:
            raise BadRequest("a recipe for whole heads has one target, and squares of a pixel or more")

    @property
    def networks(self) -> tuple[str, ...]:
        """The one output, as the weights name it."""
        return (SINGLE,) if self.system == "volumetry" else ("hemorrhage",)

    @property
    def tile_zyx(self) -> tuple[int, int, int]:
        """The boxes in pixels of the picture."""
        z, y, x = self.patch_zyx
        return z, y * self.pool_px, x * self.pool_px

    def is_told_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether ``data`` is what `as_data` gives, through JSON or not. Raises `BadRequest` for no recipe."""
        return head_recipe_of(data) == self


def head_recipe_of(data: Mapping[str, Any]) -> HeadRecipe:
    """Return the recipe that `HeadRecipe.as_data` gave, through JSON or not. Raises `BadRequest` for no recipe."""
    try:
        plan = data["phantoms"]
        shares = tuple(PhantomShare(**share) for share in plan["shares"])
        phantoms = PatchPlan(shares, PatchSetting(**plan["setting"]))
        return HeadRecipe(**{**data, **volume_parts(data), "phantoms": phantoms})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest("this is no recipe, or one of another version") from error


def is_head_recipe(data: Mapping[str, Any]) -> bool:
    """Return whether what a checkpoint tells of its recipe is one for whole heads."""
    return "pool_px" in data


UNET: Final = "unet"
UNET_VOLUMETRY: Final = HeadRecipe(
    name=UNET,
    system="volumetry",
    network="se_res_unet",
    network_config={
        "in_channels": 2,
        "out_channels": 1,
        "base": 8,
        "strides": EVERYDAY_STRIDES,
        "compare": True,
        "smooth": ((3, 5, 5), (5, 9, 9)),
    },
    targets=(WANTED,),
    patch_zyx=(16, 96, 80),
    pool_px=2,
    batch=2,
    steps=3_000,
    learning_rate=2e-3,
    schedule=Schedule("cosine", floor=1e-6, warm_up=100),
    loss=LossSetting(weighted=False, dice_over="patch", inside_brain=True, epsilon=1.0, absent_counts=False),
    phantoms=EVERYDAY_HEADS,
    weight_decay=1e-3,
    clip_norm=5.0,
    sampling=Sampling(lesion=0.6, brain=0.4),
    augmentation=Augmentation(
        flip_chance=0.5,
        rotation_deg=10.0,
        tilt_deg=5.0,
        scale=0.05,
        contrast=0.1,
        offset=0.1,
        noise_sd=0.1,
        mirror_shift_mm=1.0,
        mirror_rotation_deg=1.0,
    ),
    average_decay=0.998,
    validate_every=500,
    validation_cases=60,
    checkpoint_every=100,
)
"""An hour of one core and more; on a card it is the same recipe."""
UNET_HEMORRHAGE: Final = replace(UNET_VOLUMETRY, system="hemorrhage")

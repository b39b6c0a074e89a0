"""Cases for DA-Net and forests that need no phantom: boxes for regions in noise, darker where they are affected."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from infarct.anatomy import REGIONS, SIDES, region_label
from infarct.networks.da_net import DaNetConfig
from infarct.preprocess.region_input import RegionInput, RegionSetting
from infarct.training.aspects_recipe import ASPECTS_PRESETS, AspectsRecipe
from infarct.training.cases import CLAIM, PhantomShare, Role, write_index
from infarct.training.radiomics_recipe import RadiomicsRecipe
from infarct.training.recipe import Augmentation, Schedule
from infarct.training.region_cases import PreparedRegions, RegionPlan, TrueAnatomy, save_region_case
from infarct.training.region_store import StoredRegions
from infarct.types import BoolArray
from infarct.volume import Geometry

SHAPE = (8, 32, 26)
TINY = RegionSetting("tiny", (5.0, 1.5, 1.5), (3, 8, 7))


def boxes() -> RegionInput:
    """Return an input of grey 0 whose regions are boxes of 2 x 4 x 5 voxels, mirrored exactly."""
    regions = np.zeros(SHAPE, np.uint8)
    for number, region in enumerate(REGIONS):
        z, y = 1 + 3 * (number // 5), 2 + 6 * (number % 5)
        regions[z : z + 2, y : y + 4, 16:21] = region_label(region, "left")
        regions[z : z + 2, y : y + 4, 5:10] = region_label(region, "right")
    return RegionInput(np.zeros(SHAPE, np.float32), regions, Geometry.regular(SHAPE, TINY.spacing_mm_zyx))


def region_case(seed: int, *, ill: bool, depth: float = 1.0) -> StoredRegions:
    """Return a case; in an ill one about a third of the regions of one side are darker by ``depth``."""
    random = np.random.default_rng(seed)
    affected = np.zeros(20, dtype=bool)
    if ill:
        side = SIDES[int(random.integers(2))]
        labels = [region_label(region, side) for region in REGIONS]
        affected[[label - 1 for label in labels if random.random() < 0.35]] = True
        affected[labels[0] - 1] = affected[labels[4] - 1] = True
    plain = boxes()
    dark = np.isin(plain.regions, np.flatnonzero(affected) + 1)
    image = np.clip(random.normal(0.2, 0.15, SHAPE) - depth * dark, -1, 1).astype(np.float16)
    return StoredRegions(f"p{seed}", RegionInput(image, plain.regions, plain.geometry), affected)


def listed(case: StoredRegions, file: str, role: Role) -> PreparedRegions:
    """Return a case as an index lists it."""
    return PreparedRegions(file, case.id, case.id, role, case.input.regions.size, _labels(case.affected))


def write_regions(folder: Path, *, training: int = 4, validation: int = 3, depth: float = 1.0) -> Path:
    """Write a folder of prepared cases, every second one ill, and return it."""
    folder.mkdir(parents=True)
    roles: list[Role] = ["train"] * training + ["validation"] * validation
    cases = []
    for number, role in enumerate(roles):
        case = region_case(number, ill=number % 2 == 0, depth=depth)
        about = {"id": case.id, "patient": case.id}
        truth = TrueAnatomy(case.input.regions, np.ones(SHAPE, dtype=bool), None)
        save_region_case(folder / f"{number}.npz", case.input, truth, affected=case.affected, about=about)
        cases.append(listed(case, f"{number}.npz", role))
    write_index(folder, TINY, cases)
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    return folder


def tiny_aspects(**changes: object) -> AspectsRecipe:
    """Return a recipe of which a step takes milliseconds."""
    network = DaNetConfig(initial=4, growth=4, depths=(1, 1), strides=((1, 1, 1), (1, 2, 2)), dropout=0.2)
    tiny = replace(
        ASPECTS_PRESETS["smoke"],
        network_config=asdict(network),
        batch=2,
        steps=8,
        schedule=Schedule("cosine", floor=1e-5, warm_up=2),
        phantoms=RegionPlan((PhantomShare("aspects", 2, 1),), TINY),
        augmentation=Augmentation(rotation_deg=5.0, scale=0.05, shift_mm=1.5, contrast=0.1, offset=0.05, noise_sd=0.05),
        validate_every=4,
        checkpoint_every=3,
        seed=7,
    )
    return replace(tiny, **changes)  # type: ignore[arg-type]


def tiny_radiomics(**changes: object) -> RadiomicsRecipe:
    """Return a recipe of forests that grow in milliseconds."""
    plan = RegionPlan((PhantomShare("aspects", 2, 1),), TINY)
    tiny = RadiomicsRecipe("smoke", plan, trees=6, fewest_in_leaf=(1, 2), feature_shares=(0.3,))
    return replace(tiny, **changes)  # type: ignore[arg-type]


def _labels(affected: BoolArray) -> tuple[int, ...]:
    return tuple(int(place) + 1 for place in np.flatnonzero(affected))

"""Cases for the cascade that need no phantom: boxes for regions, each of its own grey, in a box for a brain."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from prepared_regions import TINY

from infarct.anatomy import REGIONS, region_label
from infarct.preprocess.cascade_input import CascadeSetting
from infarct.preprocess.region_input import RegionInput
from infarct.training.cases import CLAIM, PhantomShare, Role, write_index
from infarct.training.recipe import Augmentation, Schedule
from infarct.training.region_cases import PreparedRegions, RegionPlan, TrueAnatomy, save_region_case
from infarct.training.vb_recipe import VB_PRESETS, Shake, VbRecipe, network_of
from infarct.training.vb_store import StoredHead
from infarct.volume import Geometry

SHAPE = (10, 36, 30)
TINY_CASCADE = CascadeSetting((1, 3, 3), (10, 12, 10), (8, 32, 28), smoothing_mm=0.0)


def head_case(seed: int) -> StoredHead:
    """Return a case whose regions are boxes of 2 x 4 x 5 voxels, mirrored but for one voxel of a random shift."""
    random = np.random.default_rng(seed)
    regions = np.zeros(SHAPE, np.uint8)
    image = np.full(SHAPE, -1.0)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[1:9, 2:34, 3:27] = True
    image[inside] = random.normal(0.0, 0.05, inside.sum())
    dy, dx = random.integers(0, 2, 2)
    for number, region in enumerate(REGIONS):
        z, y = 2 + 3 * (number // 5), 3 + 6 * (number % 5) + dy
        for side, x in (("left", 18 + dx), ("right", 7 + dx)):
            place = (slice(z, z + 2), slice(y, y + 4), slice(x, x + 5))
            regions[place] = region_label(region, side)  # type: ignore[arg-type]
            image[place] += 0.15 * (number + 1) - 0.8
    to_atlas = np.array([[0, 0, 1.75, -1.75 * 14.5], [0, 1.75, 0, -30.0], [5.8, 0, 0, -20.0]])
    return StoredHead(
        f"p{seed}", np.clip(image, -1, 1).astype(np.float16), regions, inside, to_atlas, TINY.spacing_mm_zyx
    )


def write_heads(folder: Path, *, training: int = 4, validation: int = 2) -> Path:
    """Write a folder of prepared cases and return it."""
    folder.mkdir(parents=True)
    roles: list[Role] = ["train"] * training + ["validation"] * validation
    listed = []
    for number, role in enumerate(roles):
        case, file = head_case(number), f"{number}.npz"
        prepared = RegionInput(case.image, case.regions, Geometry.regular(SHAPE, case.spacing_mm_zyx))
        truth = TrueAnatomy(case.regions, case.intracranial, case.to_atlas)
        about = {"id": case.id, "patient": case.id}
        save_region_case(folder / file, prepared, truth, affected=np.zeros(20, dtype=bool), about=about)
        listed.append(PreparedRegions(file, case.id, case.id, role, case.regions.size, ()))
    write_index(folder, TINY, listed)
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    return folder


def tiny_vb(**changes: object) -> VbRecipe:
    """Return a recipe of which a step takes milliseconds."""
    size = {"base": 4, "strides": ((1, 2, 2),), "blocks": (1, 1), "normalisation": "instance"}
    tiny = replace(
        VB_PRESETS["smoke"],
        network_config=network_of(TINY_CASCADE, **size),
        cascade=TINY_CASCADE,
        batch=2,
        steps=8,
        schedule=Schedule("cosine", floor=1e-5, warm_up=2),
        phantoms=RegionPlan((PhantomShare("aspects", 2, 1),), TINY),
        augmentation=Augmentation(0.5, rotation_deg=3.0, scale=0.05, shift_mm=1.5, contrast=0.1, noise_sd=0.05),
        shake=Shake(1.0, 1.0, 0.02, 0.1),
        box_shift_mm=(0.0, 1.5, 1.5),
        validate_every=4,
        checkpoint_every=3,
        seed=7,
    )
    return replace(tiny, **changes)  # type: ignore[arg-type]

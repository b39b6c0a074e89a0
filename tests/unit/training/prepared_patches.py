"""Heads for the patch CNNs that need no phantom: discs of brain in noise, with a dark or dense spot where ill."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from infarct.measure.severity import SEVERITIES, Severity
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.patch_input import PatchPicture, PatchSetting, make_patch_picture
from infarct.training.cases import CLAIM, PhantomShare, Role, write_index
from infarct.training.patch_cases import Marks, PatchPlan, PreparedPicture, marks_of, save_patch_case
from infarct.training.patch_recipe import HEMORRHAGE_PRESETS, VOLUMETRY_PRESETS, PatchRecipe
from infarct.training.recipe import Schedule
from infarct.volume import Geometry

SHAPE = (3, 44, 48)
TINY_PICTURES = PatchSetting("tiny", 5.0, 1.0, "centred", mirror=True)
INFARCT_HU: dict[Severity, float] = {"severe": 18.0, "intermediate": 27.0, "subtle": 34.0}
BRAIN_HU, BLOOD_HU = 42.0, 70.0


def blob_head(
    seed: int, *, infarct: Severity | None = None, blood: bool = False, setting: PatchSetting = TINY_PICTURES
) -> tuple[PatchPicture, Marks]:
    """Return a picture of pixels of 1 mm and its marks: an infarct on one side, blood of 4 mm radius on the other."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] - np.array([21.5, 23.5])[:, None, None]
    brain = np.broadcast_to(np.hypot(y, x) < 20, SHAPE)
    side = random.choice([-1, 1])
    dark = np.broadcast_to((np.hypot(y, x - side * 9) < 6) & (infarct is not None), SHAPE)
    dense = np.broadcast_to((np.hypot(y, x + side * 9) < 4) & blood, SHAPE)
    hu = np.where(brain, BRAIN_HU, 0.0)
    hu = np.where(dark, INFARCT_HU[infarct or "severe"], hu)
    hu = np.where(dense, BLOOD_HU, hu) + random.normal(0, 2, SHAPE)
    geometry = Geometry.regular(SHAPE, (5.0, 1.0, 1.0), origin_mm=(-23.5, -21.5, 0.0))
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
    picture = make_patch_picture(hu.astype(np.float32), geometry, brain=brain, plane=plane, setting=setting)
    nothing = np.zeros(SHAPE, dtype=bool)
    truth = {"old_infarct": nothing, "staining": nothing, "hemorrhage": dense.astype(np.uint8)}
    return picture, marks_of(picture, truth | ({"infarct": dark} if infarct else {}))


def write_patches(folder: Path, *, training: int = 5, validation: int = 5) -> Path:
    """Write a folder of prepared heads and return it.

    In turn they show a severe, an intermediate and a subtle infarct, blood, and nothing; the first two blood as well.
    """
    folder.mkdir(parents=True)
    cases = []
    for number in range(training + validation):
        role: Role = "train" if number < training else "validation"
        kind = (number if role == "train" else number - training) % 5
        infarct = SEVERITIES[kind] if kind < 3 else None
        blood = kind in (0, 1, 3)
        picture, marks = blob_head(number, infarct=infarct, blood=blood)
        preset = "followup" if infarct else "mimics" if blood else "healthy"
        file, name = f"{number}.npz", f"p{number}"
        save_patch_case(folder / file, picture, marks, {"id": name, "patient": name, "preset": preset})
        with np.load(folder / file) as stored:
            told = json.loads(str(stored["about"]))
            cases.append(PreparedPicture(file=file, role=role, voxels=int(stored["marks"].size), **told))
    write_index(folder, TINY_PICTURES, cases)
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    return folder


def tiny_patches(system: str = "volumetry", **changes: object) -> PatchRecipe:
    """Return a recipe of which a step takes milliseconds."""
    presets = {"volumetry": VOLUMETRY_PRESETS, "hemorrhage": HEMORRHAGE_PRESETS}[system]
    tiny = replace(
        presets["smoke"],
        width=0.05,
        batch=2,
        patches_a_head=8,
        steps=8,
        schedule=Schedule("cosine", floor=1e-5, warm_up=2),
        phantoms=PatchPlan((PhantomShare("followup", 3, 2),), TINY_PICTURES),
        validate_every=4,
        checkpoint_every=3,
        seed=7,
    )
    return replace(tiny, **changes)  # type: ignore[arg-type]

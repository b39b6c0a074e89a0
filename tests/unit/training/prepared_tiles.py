"""Tiles for localize that need no phantom: discs of brain in noise, with a dark spot on one side where they are ill."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.tile_input import TilePicture, TileSetting, cut_tiles, make_picture
from infarct.training.cases import CLAIM, PhantomShare, Role, write_index
from infarct.training.localize_recipe import LOCALIZE_PRESETS, LocalizeRecipe, TileVariation
from infarct.training.recipe import Schedule
from infarct.training.tile_cases import MARGIN_PX, TILES, PreparedTiles, TilePlan, save_picture
from infarct.training.tile_choice import Lesions, choose_tiles
from infarct.types import BoolArray
from infarct.volume import Geometry

SHAPE = (2, 64, 64)
TINY = TileSetting(
    "tiny",
    8.0,
    2.0,
    32,
    "centred",
    mirror=True,
    differences=((3.0, 0.0),),
    strip=False,
    slab_mm=None,
    difference_hu=3.0,
)


def blob_picture(
    seed: int, *, ill: bool, depth_hu: float = 15.0, setting: TileSetting = TINY
) -> tuple[TilePicture, BoolArray]:
    """Return a picture of pixels of 1 mm and its infarct, bool (z, y, x): a spot of 9 mm radius in both slices."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] - 31.5
    brain = np.broadcast_to(np.hypot(y, x) < 30, SHAPE)
    side = random.choice([-1, 1])
    spot = np.hypot(y - random.uniform(-8, 8), x - side * 14) < 9
    infarct = np.broadcast_to(spot & ill, SHAPE)
    hu = np.where(brain, 35.0, 0.0) + random.normal(0, 3, SHAPE) - depth_hu * infarct
    geometry = Geometry.regular(SHAPE, (5.0, 1.0, 1.0), origin_mm=(-31.5, -31.5, 0.0))
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
    return make_picture(hu.astype(np.float32), geometry, brain=brain, plane=plane, setting=setting), infarct


def write_tiles(folder: Path, *, training: int = 4, validation: int = 3, depth_hu: float = 15.0) -> Path:
    """Write a folder of prepared tiles, every second case ill and the others healthy, and return it."""
    folder.mkdir(parents=True)
    cases, tiles = [], []
    for number in range(training + validation):
        role: Role = "train" if number < training else "validation"
        ill = number % 2 == 0
        picture, infarct = blob_picture(number, ill=ill, depth_hu=depth_hu)
        lesions = Lesions(infarct, np.zeros(SHAPE, dtype=bool))
        choice = choose_tiles(picture, lesions, count=30, random=np.random.default_rng(number))
        tiles.append(cut_tiles(picture, choice.places, margin_px=MARGIN_PX))
        if role == "validation":
            save_picture(folder / f"{number}.npz", picture, infarct)
        groups = (len(part) for part in (choice.infarct, choice.mirrored, choice.other, choice.healthy))
        preset = "hyperacute" if ill else "healthy"
        cases.append(PreparedTiles(f"{number}.npz", f"p{number}", f"p{number}", preset, role, *groups))
    np.save(folder / TILES, np.concatenate(tiles).astype(np.float16))
    write_index(folder, TINY, cases)
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    return folder


def tiny_localize(**changes: object) -> LocalizeRecipe:
    """Return a recipe of which a step takes milliseconds."""
    tiny = replace(
        LOCALIZE_PRESETS["smoke"],
        network_config={"in_channels": 3, "size_px": 32, "width": 0.06, "dense": (8, 4), "dropout": (0.2, 0.2)},
        batch=8,
        steps=8,
        schedule=Schedule("cosine", floor=1e-5, warm_up=2),
        phantoms=TilePlan((PhantomShare("hyperacute", 2, 1),), TINY),
        variation=TileVariation(0.5, 4, 0.5, 5.0, 0.05, contrast=0.1, offset=0.1, noise_sd=0.05),
        validate_every=4,
        checkpoint_every=3,
        seed=7,
    )
    return replace(tiny, **changes)  # type: ignore[arg-type]

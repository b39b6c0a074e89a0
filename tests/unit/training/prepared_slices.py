"""Pairs of slices that need no phantom: stripes of two greys in a box, and noise blurred over two pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from infarct.preprocess.window import LOCALIZE
from infarct.training.cases import CLAIM, PhantomShare, Role, write_index
from infarct.training.denoise_cases import PreparedPair, StoredPair, save_pair
from infarct.training.denoise_recipe import DENOISE_PRESETS, DenoisePlan, DenoiseRecipe
from infarct.training.recipe import Schedule

SHAPE = (2, 40, 36)


def slice_pair(seed: int, *, noise_hu: float = 6.0) -> StoredPair:
    """Return slices of 20 and 40 HU with a bright rim, without noise and with it."""
    random = np.random.default_rng(seed)
    clean = np.full(SHAPE, 900.0)
    stripe = 20 + 20 * ((np.arange(36 - 8) // random.integers(6, 12)) % 2)
    clean[:, 4:-4, 4:-4] = stripe
    grain = ndimage.gaussian_filter(random.normal(0, 1, SHAPE), (0, 0.7, 0.7))
    noisy = clean + noise_hu * grain / grain.std()
    return StoredPair(f"p{seed}", clean.astype(np.int16), np.round(noisy).astype(np.int16))


def write_pairs(folder: Path, *, training: int = 3, validation: int = 2) -> Path:
    """Write a folder of prepared pairs and return it."""
    folder.mkdir(parents=True)
    roles: list[Role] = ["train"] * training + ["validation"] * validation
    listed = []
    for number, role in enumerate(roles):
        pair = slice_pair(number)
        save_pair(folder / f"{number}.npz", pair, {"id": pair.id, "patient": pair.id, "noise_hu": 6.0})
        listed.append(PreparedPair(f"{number}.npz", pair.id, pair.id, role, pair.clean.size, 6.0))
    (folder / CLAIM).write_text('{"kind": "denoise", "thin_share": 1.0}')
    write_index(folder, LOCALIZE, listed)
    return folder


def tiny_denoise(**changes: object) -> DenoiseRecipe:
    """Return a recipe of milliseconds a step."""
    recipe = replace(
        DENOISE_PRESETS["smoke"],
        name="tiny",
        network_config={"in_channels": 1, "width": 4, "depth": 3},
        batch=2,
        steps=8,
        schedule=Schedule("cosine", floor=1e-6),
        phantoms=DenoisePlan((PhantomShare("hyperacute", 3, 2),)),
        patch_px=20,
        silent=False,
        validate_every=4,
        validation_cases=2,
        checkpoint_every=2,
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]

"""Prepared cases that need no phantom: noise in an ellipsoid, a darker ball in some."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infarct.preprocess.segment_input import EVERYDAY, SegmentInput
from infarct.training.cases import ACUTE, BRAIN, OLD, Prepared, Role, save_case, write_index
from infarct.training.recipe import PRESETS, Beginning, Recipe, Sampling, Schedule
from infarct.training.store import StoredCase
from infarct.types import Float32Array, LabelArray
from infarct.volume import Geometry

SPACING_MM = (5.0, 2.0, 2.0)


def blob_arrays(
    seed: int, *, lesion: bool, shape: tuple[int, int, int] = (8, 24, 20)
) -> tuple[Float32Array, LabelArray]:
    """Return channels (2, z, y, x) and labels of a made-up case."""
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    brain = z**2 + y**2 + x**2 < 0.9
    own = random.normal(0, 0.2, shape) - 1.7 * ~brain
    labels = np.where(brain, BRAIN, 0).astype(np.uint8)
    if lesion:
        cz, cy, cx = random.uniform(-0.3, 0.3, 3)
        ball = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 0.12
        labels[ball & brain] = ACUTE
        labels[(x < -0.7) & brain] = OLD
        own[ball & brain] -= 1.0
    return np.stack([own, own[:, :, ::-1]]).astype(np.float32), labels


def blob_case(seed: int, *, lesion: bool, shape: tuple[int, int, int] = (8, 24, 20)) -> StoredCase:
    """Return the case as training holds it."""
    channels, labels = blob_arrays(seed, lesion=lesion, shape=shape)
    return stored(channels, labels)


def stored(channels: npt.NDArray[np.float32], labels: LabelArray) -> StoredCase:
    """Return arrays as a case in memory."""
    counts = np.stack([np.bincount(plane.ravel(), minlength=4) for plane in labels], axis=1)
    return StoredCase("made-up", channels.astype(np.float16), labels, SPACING_MM, counts)


def write_blobs(folder: Path, *, training: int = 2, validation: int = 2) -> Path:
    """Write a folder of prepared cases, every second one with a lesion, and return it."""
    folder.mkdir()
    roles: list[Role] = ["train"] * training + ["validation"] * validation
    listed = []
    for number, role in enumerate(roles):
        channels, labels = blob_arrays(number, lesion=number % 2 == 0)
        geometry = Geometry.regular(labels.shape, SPACING_MM)
        prepared = SegmentInput(channels, labels > 0, geometry)
        save_case(folder / f"{number}.npz", prepared, labels, {"id": f"p{number}"})
        n0, n1, n2, n3 = (int(count) for count in np.bincount(labels.ravel(), minlength=4))
        listed.append(Prepared(f"{number}.npz", f"p{number}", f"p{number}", role, (n0, n1, n2, n3)))
    write_index(folder, EVERYDAY, listed)
    return folder


def tiny_recipe(**changes: object) -> Recipe:
    """Return a recipe of which a step takes milliseconds."""
    tiny = replace(
        PRESETS["smoke"],
        network_config={"in_channels": 2, "out_channels": 2, "base": 2, "strides": ((1, 2, 2),)},
        patch_zyx=(4, 12, 12),
        steps=12,
        schedule=Schedule("cosine", floor=1e-5, warm_up=2),
        sampling=Sampling(lesion=0.5, brain=0.4, old=0.1),
        validate_every=4,
        checkpoint_every=3,
        beginning=Beginning(),
        seed=7,
    )
    return replace(tiny, **changes)  # type: ignore[arg-type]

"""Weights of the patch CNN that are set by hand: they mark what is darker, or denser, than a level.

The first layer takes the mean of 5x5 pixels of the voxel's own slice off the level, or the level off the mean; the
second takes the mean of 5x5 of that; the dense layers hand it on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from infarct.measure.severity import SEVERITIES
from infarct.networks import build
from infarct.preprocess.patch_input import PatchSetting
from infarct.weights import WeightSet

PLAIN = PatchSetting("plain", 5.0, 1.0, "hu", mirror=False)
WIDTH = 0.01
OWN_SLICE = 1
STEEP = 400.0
"""A hundredth of the scale above a level, 0.8 HU, is a logit of 2."""


def made_tensors(levels_hu: Sequence[float], *, dark: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return tensors and configuration of networks side by side; HU are scaled so that 80 are 1."""
    config = {"images": 1, "width": WIDTH, "outputs": len(levels_hu)}
    tensors = {key: np.zeros_like(values.numpy()) for key, values in build("patch_cnn", config).state_dict().items()}
    sign = -1.0 if dark else 1.0
    for group, level_hu in enumerate(levels_hu):
        first, second = (tensors[f"{name}.weight"].shape[0] // len(levels_hu) * group for name in ("first", "second"))
        tensors["first.weight"][first, OWN_SLICE] = sign / 25
        tensors["first.bias"][first] = -sign * level_hu / 80
        tensors["second.weight"][second, 0] = 1 / 25
        for name in ("dense.0", "dense.2"):
            step = tensors[f"{name}.weight"].shape[0] // len(levels_hu)
            tensors[f"{name}.weight"][step * group, 0] = 1
        tensors["dense.4.weight"][group, 0] = STEEP
        tensors["dense.4.bias"][group] = -STEEP / 200
    return tensors, config


def made_weights(system: str, levels_hu: Sequence[float], settings: Mapping[str, Any], *, dark: bool) -> WeightSet:
    tensors, config = made_tensors(levels_hu, dark=dark)
    return WeightSet(system, f"{system}-made", "patch_cnn_dense", config, settings, tensors, {})


def dark_weights(levels_hu: Sequence[float] = (20.0, 25.0, 28.0), **changes: Any) -> WeightSet:
    """Return weights for volumetry whose networks mark what is darker than their level."""
    outputs = list(SEVERITIES) if len(levels_hu) == len(SEVERITIES) else ["single"]
    settings = {
        "input": asdict(PLAIN),
        "outputs": outputs,
        "thresholds": [0.5] * len(levels_hu),
        "least_ml": [1.0] * len(levels_hu),
        "smooth_mm": 2.0,
        "calibrated_on": "nothing",
    }
    return made_weights("volumetry", levels_hu, {**settings, **changes}, dark=True)


def dense_weights(level_hu: float = 52.0, **changes: Any) -> WeightSet:
    """Return weights for hemorrhage that mark what is denser than a level; bone as well, so far from it alone."""
    settings = {
        "input": asdict(PLAIN),
        "outputs": ["hemorrhage"],
        "thresholds": [0.5],
        "least_ml": [0.5],
        "smooth_mm": 0.0,
        "suspected_threshold": 0.5,
        "suspected_ml": 2.0,
        "scan_temperature": 0.5,
        "scan_bias": 1.0,
        "calibrated_on": "nothing",
    }
    return made_weights("hemorrhage", (level_hu,), {**settings, **changes}, dark=False)


def unet_weights(system: str = "volumetry", **changes: Any) -> WeightSet:
    """Return weights of a 3D network whose every logit is its bias: it marks all of the brain, or with -4 none."""
    config = {"images": 1, "outputs": 1, "base": 4, "pool_px": 2, "strides": [[1, 2, 2]], "smooth": []}
    tensors = {key: np.zeros_like(values.numpy()) for key, values in build("pooled_unet", config).state_dict().items()}
    tensors["unet.head.bias"][:] = changes.pop("logit", 4.0)
    settings = {
        "input": asdict(PLAIN),
        "outputs": ["single" if system == "volumetry" else "hemorrhage"],
        "thresholds": [0.5],
        "least_ml": [0.0],
        "smooth_mm": 0.0,
        "tile_zyx": [8, 96, 96],
        "calibrated_on": "nothing",
    }
    return WeightSet(system, f"{system}-unet", "pooled_unet", config, {**settings, **changes}, tensors, {})

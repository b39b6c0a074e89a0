"""What the dense patch CNN marks in a scan, and what its weights say of its use: shared by the systems that run it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infarct.errors import BadRequest, StepFailed
from infarct.preprocess.head import Head
from infarct.preprocess.patch_answer import masks_at
from infarct.preprocess.patch_input import PatchPicture, PatchSetting, make_patch_picture, on_source
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, Scan, resample_mask


@dataclass(frozen=True)
class PatchConfig:
    """What the weights say of their own use; saved with every result.

    Probabilities of each of the ``outputs`` are smoothed in plane by a Gaussian with an SD of ``smooth_mm``, cut at
    its own of the ``thresholds``, and connected pieces smaller than its own of ``least_ml`` are dropped.
    """

    input: PatchSetting
    outputs: tuple[str, ...]
    thresholds: tuple[float, ...]
    least_ml: tuple[float, ...]
    smooth_mm: float
    calibrated_on: str


def patch_config(
    settings: Mapping[str, Any], network_config: Mapping[str, Any], known: Sequence[tuple[str, ...]]
) -> PatchConfig:
    """Return the settings that are stored with weights whose outputs are one of the ``known`` sets.

    Raises `BadRequest` where they are not complete, out of range, or do not fit the network.
    """
    try:
        config = PatchConfig(
            input=PatchSetting(**settings["input"]),
            outputs=tuple(str(name) for name in settings["outputs"]),
            thresholds=tuple(float(value) for value in settings["thresholds"]),
            least_ml=tuple(float(value) for value in settings["least_ml"]),
            smooth_mm=float(settings["smooth_mm"]),
            calibrated_on=str(settings["calibrated_on"]),
        )
        given = int(network_config.get("images", 1)), int(network_config.get("outputs", 1))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    if config.outputs not in known or given != (config.input.images, len(config.outputs)):
        raise BadRequest("the images or outputs of the weights' settings do not fit their network")
    if not len(config.outputs) == len(config.thresholds) == len(config.least_ml):
        raise BadRequest("the weights need a threshold and a least volume for each output")
    bounded = all(0 < value <= 1 for value in config.thresholds)
    if not (bounded and all(0 <= value < np.inf for value in (*config.least_ml, config.smooth_mm))):
        raise BadRequest("the weights hold an operating point that is out of range")
    return config


def picture_of(scan: Scan, head: Head, setting: PatchSetting) -> PatchPicture:
    """Return what the patches of a prepared head are cut from.

    Raises `StepFailed` where none of the brain is in the scan.
    """
    brain = resample_mask(head.brain, head.geometry, scan.geometry)
    if not brain.any():
        raise StepFailed("there is no brain to cut patches from")
    return make_patch_picture(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=setting)


def marked(probabilities: Float32Array, region: BoolArray, geometry: Geometry, config: PatchConfig) -> BoolArray:
    """Return what each output marks, bool (k, z, y, x), of raw ``probabilities`` (float32, (k, z, y, x)).

    The probabilities are those of the ``region`` (bool, (z, y, x)), outside of which nothing is marked.
    """
    return masks_at(
        probabilities,
        region,
        geometry,
        thresholds=config.thresholds,
        least_ml=config.least_ml,
        smooth_mm=config.smooth_mm,
    )


def drawn_on_source(picture: PatchPicture, mask: BoolArray) -> BoolArray:
    """Return a mask (bool, (z, y, x), on a picture) on the scan's own slices and pixels."""
    return np.asarray(on_source(picture, mask.astype(np.float32)) >= 0.5)

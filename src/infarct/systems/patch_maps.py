"""What networks mark in the picture of a scan, and what their weights say of it: for infarct volume and blood alike.

They are patch CNNs that judge slices voxel by voxel, or a 3D network that judges boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from infarct.errors import BadRequest, StepFailed
from infarct.preprocess.head import Head
from infarct.preprocess.patch_answer import masks_at
from infarct.preprocess.patch_input import Channels, PatchPicture, PatchSetting, make_patch_picture, on_source
from infarct.runtime import Engine, predict_tiled
from infarct.runtime.slices import predict_slices
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, Scan, resample_mask

MAX_TILE: Final = 1024
"""Keeps a wrong number in a weight file from taking all memory."""


@dataclass(frozen=True)
class PatchConfig:
    """What the weights say of their own use; saved with every result.

    Probabilities of each of the ``outputs`` are smoothed in plane by a Gaussian with an SD of ``smooth_mm``, cut at
    its own of the ``thresholds``, and connected pieces smaller than its own of ``least_ml`` are dropped. ``tile_zyx``
    is the size of the boxes, in voxels of the picture; None for patch CNNs.
    """

    input: PatchSetting
    outputs: tuple[str, ...]
    thresholds: tuple[float, ...]
    least_ml: tuple[float, ...]
    smooth_mm: float
    calibrated_on: str
    tile_zyx: tuple[int, int, int] | None


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
            tile_zyx=_tile_of(settings),
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


def _tile_of(settings: Mapping[str, Any]) -> tuple[int, int, int] | None:
    if "tile_zyx" not in settings:
        return None
    z, y, x = (int(size) for size in settings["tile_zyx"])
    if not 0 < min(z, y, x) <= max(z, y, x) <= MAX_TILE:
        raise ValueError("a box of no size, or too large a one")
    return z, y, x


def chances_of(engine: Engine, images: Channels, region: BoolArray, config: PatchConfig) -> Float32Array:
    """Return raw probabilities (float32, (k, z, y, x)) of ``images`` (c, z, y, x), 0 outside the ``region``.

    Raises `StepFailed` where the region is empty.
    """
    if config.tile_zyx is None:
        return predict_slices(engine, images, region)
    channels = np.asarray(images, dtype=np.float32)
    return predict_tiled(engine, channels, region, tile_zyx=config.tile_zyx, both_ways=config.input.mirror)


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

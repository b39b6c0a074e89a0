"""The acute lesion voxel by voxel, by the SE-Res-U-Net: prepare, predict, interpret.

Old infarcts have an output of their own and never count as acute. Source: the segment paper (arXiv 2301.06793); the
second output and the mirrored channel are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import ndimage, special

from infarct.errors import BadRequest
from infarct.findings import Infarct, Lesion, OldInfarct, Stage
from infarct.preprocess.head import Head
from infarct.preprocess.segment_input import InputSetting, SegmentInput, make_input
from infarct.runtime import Engine, PrecisionChoice, make_engine, predict_tiled
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.lesions import at_least, describe, pieces, side_of
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, Scan, resample, resample_labels, resample_mask
from infarct.volume.mask import bounding_box
from infarct.weights import WeightSet, load_for

METHOD: Final = "se_res_unet"
SYSTEM: Final = "segment"
UNSURE_RATIO: Final = 0.5
"""An acute lesion whose mean probability of being old is at least this part of that of being acute is undetermined."""
MOST_ACUTE_UPTAKE_PCT: Final = 30.0
"""A lesion with more net water uptake is undetermined: in MR CLEAN infarcts had 22 % (quartiles 16 and 26) a day after
onset and 27 % (22 and 32) a week after it (187 patients; repub.eur.nl/pub/136304)."""


@dataclass(frozen=True)
class SegmentConfig:
    """What the weights say of their own use, and how tiles overlap; saved with every result.

    ``temperature`` divides the logits of each output (acute, and old where the network has it); ``threshold`` cuts
    their calibrated probabilities; smaller pieces than ``minimum_ml`` are dropped.
    """

    input: InputSetting
    tile_zyx: tuple[int, int, int]
    temperature: tuple[float, ...]
    threshold: tuple[float, ...]
    minimum_ml: float
    calibrated_on: str
    overlap: float = 0.25


@dataclass(frozen=True, eq=False)
class Segmenter:
    """Weights on an engine, ready to read scans."""

    weights: WeightSet
    engine: Engine
    config: SegmentConfig


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Findings with their masks, bool (z, y, x) on the head's working grid, and the probabilities they come from.

    ``old_infarct`` is None where the network does not know old infarcts.
    """

    infarct: Infarct
    old_infarct: OldInfarct | None
    infarct_mask: BoolArray
    old_infarct_mask: BoolArray
    maps: "SegmentMaps"
    config: SegmentConfig


@dataclass(frozen=True, eq=False)
class SegmentMaps:
    """Calibrated probabilities (float32, (k, z, y, x)): acute, then old where there is that output."""

    probabilities: Float32Array
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Drawn:
    """An answer on another grid: probability of acute infarct (float32), where there is one, and masks (bool)."""

    probability: Float32Array | None
    infarct: BoolArray
    old_infarct: BoolArray


def load_segmenter(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Segmenter:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    return Segmenter(
        loaded,
        make_engine(loaded, device=device, precision=precision, engine=engine, cache=cache, threads=threads),
        config_of(loaded.settings, outputs=int(loaded.network_config.get("out_channels", 1))),
    )


def config_of(settings: Mapping[str, Any], *, outputs: int) -> SegmentConfig:
    """Return the settings that are stored with the weights of a network with so many ``outputs``.

    Raises `BadRequest` where they are not complete, or do not fit.
    """
    try:
        stored = dict(settings["input"])
        spacing = stored.pop("spacing_mm_zyx")
        z, y, x = (int(size) for size in settings["tile_zyx"])
        return SegmentConfig(
            input=InputSetting(spacing_mm_zyx=tuple(spacing) if spacing else None, **stored),
            tile_zyx=(z, y, x),
            temperature=_for_outputs(settings["temperature"], outputs),
            threshold=_for_outputs(settings["threshold"], outputs),
            minimum_ml=float(settings["minimum_ml"]),
            calibrated_on=str(settings["calibrated_on"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error


def _for_outputs(values: Sequence[float], outputs: int) -> tuple[float, ...]:
    if len(values) != outputs or not all(0 < value < np.inf for value in values):
        raise ValueError("one number above 0 is needed for each output")
    return tuple(float(value) for value in values)


def segment(scan: Scan, head: Head, segmenter: Segmenter) -> SegmentResult:
    """Return the acute and old infarcts of a prepared head."""
    prepared = prepare(scan, head, segmenter.config.input)
    return interpret(predict(prepared, segmenter), head, segmenter.config)


def prepare(scan: Scan, head: Head, setting: InputSetting) -> SegmentInput:
    """Return the network's channels, made from the scan itself only where the setting keeps the scan's own grid."""
    if setting.spacing_mm_zyx is None:
        brain = resample_mask(head.brain, head.geometry, scan.geometry)
        return make_input(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=setting)
    return make_input(head.hu, head.geometry, brain=head.brain, plane=head.midplane, setting=setting)


def predict(prepared: SegmentInput, segmenter: Segmenter) -> SegmentMaps:
    """Return calibrated probabilities on the network's grid, 0 outside the brain."""
    config = segmenter.config
    raw = predict_tiled(
        segmenter.engine,
        prepared.channels,
        prepared.brain,
        tile_zyx=config.tile_zyx,
        overlap=config.overlap,
        both_ways=config.input.mirror,
    )
    return SegmentMaps(calibrated(raw, config.temperature), prepared.geometry)


def calibrated(probabilities: Float32Array, temperature: tuple[float, ...]) -> Float32Array:
    """Return probabilities (float32, (k, z, y, x)) whose logits are divided by the temperature of each output."""
    limit = np.float32(1e-6)
    out = np.empty_like(probabilities)
    for k, value in enumerate(temperature):
        logits = special.logit(np.clip(probabilities[k], limit, 1 - limit))
        out[k] = np.where(probabilities[k] > 0, special.expit(logits / np.float32(value)), 0)
    return out


def on_geometry(maps: SegmentMaps, geometry: Geometry) -> Float32Array:
    """Return the probabilities (float32, (k, z, y, x)) on another grid, 0 outside the network's."""
    carried = np.empty((len(maps.probabilities), *geometry.shape_zyx), dtype=np.float32)
    for out, part in zip(carried, maps.probabilities, strict=True):
        out[...] = resample(part, maps.geometry, geometry, transform=np.eye(4), fill=0.0)
    return carried


def masks(probabilities: Float32Array, config: SegmentConfig, voxel_ml: float) -> tuple[BoolArray, BoolArray]:
    """Return where acute and where old infarct is called (bool, (z, y, x)), small pieces dropped; never both."""
    acute, old = cut(probabilities, config)
    smallest = config.minimum_ml / voxel_ml
    return at_least(acute, smallest), at_least(old, smallest)


def cut(probabilities: Float32Array, config: SegmentConfig) -> tuple[BoolArray, BoolArray]:
    """Return where acute and where old infarct reaches its threshold (bool, (z, y, x)); never both."""
    acute = probabilities[0] >= config.threshold[0]
    old = np.zeros_like(acute)
    if len(probabilities) > 1:
        old = (probabilities[1] >= config.threshold[1]) & (probabilities[1] >= probabilities[0])
        acute &= ~old
    return acute, old


def drawn_on(geometry: Geometry, result: SegmentResult, head: Head) -> Drawn:
    """Return the answer on a scan's own ``geometry``.

    Probabilities are carried there and cut, not the masks of the working grid, which would round lesions off twice;
    what does not touch a lesion of the findings is left out.
    """
    probability = np.zeros(geometry.shape_zyx, dtype=np.float32)
    acute, old = (np.zeros(geometry.shape_zyx, dtype=bool) for _ in range(2))
    inside = resample_mask(head.brain, head.geometry, geometry)
    if not inside.any():
        return Drawn(probability, acute, old)
    box = bounding_box(inside)  # a fifth of a scan: the rest would take most of the time and memory
    part = geometry.cropped(box)
    carried = on_geometry(result.maps, part) * inside[box]
    probability[box] = carried[0]
    around = np.ones((3, 3, 3), dtype=bool)
    for out, found, mask in zip(
        (acute, old), cut(carried, result.config), (result.infarct_mask, result.old_infarct_mask), strict=True
    ):
        near = ndimage.binary_dilation(mask, around).astype(np.uint8)
        out[box] = found & (resample_labels(near, head.geometry, part) > 0)
    return Drawn(probability, acute, old)


def interpret(maps: SegmentMaps, head: Head, config: SegmentConfig) -> SegmentResult:
    """Return the lesions that probabilities show, described on the head's working grid."""
    probabilities = on_geometry(maps, head.geometry) * head.brain
    acute, old = masks(probabilities, config, float(head.geometry.slice_voxel_ml[0]))
    recent = tuple(_recent(piece, probabilities, head) for piece in pieces(acute))
    past = tuple(
        describe(piece, "old", head, probability=float(probabilities[1][piece].mean())) for piece in pieces(old)
    )
    return SegmentResult(
        infarct=Infarct(
            method=METHOD, volume_ml=sum(lesion.volume_ml for lesion in recent), side=side_of(recent), lesions=recent
        ),
        old_infarct=OldInfarct(volume_ml=sum(lesion.volume_ml for lesion in past), lesions=past)
        if len(probabilities) > 1
        else None,
        infarct_mask=acute,
        old_infarct_mask=old,
        maps=maps,
        config=config,
    )


def _recent(piece: BoolArray, probabilities: Float32Array, head: Head) -> Lesion:
    probability = float(probabilities[0][piece].mean())
    lesion = describe(piece, _stage(probabilities, piece), head, probability=probability)
    if (lesion.net_water_uptake_pct or 0.0) > MOST_ACUTE_UPTAKE_PCT:
        return lesion.model_copy(update={"stage": "undetermined"})
    return lesion


def _stage(probabilities: Float32Array, piece: BoolArray) -> Stage:
    if len(probabilities) < 2:
        return "undetermined"
    means = [float(part[piece].mean()) for part in probabilities[:2]]
    return "undetermined" if means[1] >= UNSURE_RATIO * means[0] else "acute"

"""Intracranial hemorrhage, by the patch CNN or by density and place alone: where it is, how much, and of which types.

The volumetry paper (DOI 10.1136/neurintsurg-2019-015471) finds blood with the same network as infarcts. The
probability that a scan shows any, and the types, are ours.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import special

from infarct.errors import BadRequest
from infarct.findings import Hemorrhage
from infarct.preprocess.head import Head
from infarct.preprocess.patch_answer import bleeding_scores, smoothed, sure_of
from infarct.preprocess.patch_input import PatchPicture
from infarct.preprocess.quality import BLOOD_ML, hyperdense_mask
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.blood_types import carried_types, type_blood, types_of
from infarct.systems.patch_maps import PatchConfig, chances_of, drawn_on_source, marked, patch_config, picture_of
from infarct.types import BoolArray, Flag, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, resample_mask, volume_ml
from infarct.weights import WeightSet, load_for

SYSTEM: Final = "hemorrhage"
RULE: Final = "rule"
OUTPUTS: Final = (("hemorrhage",),)


@dataclass(frozen=True)
class HemorrhageConfig(PatchConfig):
    """What the weights say of their own use; saved with every result.

    A connected piece of what is marked counts as blood where at least ``suspected_ml`` of it reach the
    ``suspected_threshold``, and blood is suspected where a piece does. With the largest such volume the probability
    that a scan shows any is sigmoid(log(volume + 0.1 ml) / ``scan_temperature`` + ``scan_bias``).
    """

    suspected_threshold: float
    suspected_ml: float
    scan_temperature: float
    scan_bias: float


@dataclass(frozen=True, eq=False)
class HemorrhageDetector:
    """Weights on an engine, ready to read scans."""

    weights: WeightSet
    engine: Engine
    config: HemorrhageConfig


@dataclass(frozen=True, eq=False)
class HemorrhageResult:
    """Findings with the blood that is suspected (bool) and its types (uint8), both (z, y, x) on ``geometry``.

    Of a network that is the grid of ``picture``, and ``probabilities`` (float32, (z, y, x)) are its own; of the rule it
    is the head's working grid. Where no blood is suspected both masks are empty. ``on_head`` are the types on the
    head's working grid.
    """

    hemorrhage: Hemorrhage
    mask: BoolArray
    types: LabelArray
    geometry: Geometry
    on_head: LabelArray
    picture: PatchPicture | None = None
    probabilities: Float32Array | None = None


def load_hemorrhage(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> HemorrhageDetector:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    return HemorrhageDetector(
        loaded,
        make_engine(loaded, device=device, precision=precision, engine=engine, cache=cache, threads=threads),
        config_of(loaded.settings, loaded.network_config),
    )


def config_of(settings: Mapping[str, Any], network_config: Mapping[str, Any]) -> HemorrhageConfig:
    """Return the settings that are stored with the weights.

    Raises `BadRequest` where they are not complete, out of range, or do not fit the network.
    """
    base = patch_config(settings, network_config, OUTPUTS)
    try:
        config = HemorrhageConfig(
            **{**asdict(base), "input": base.input},
            suspected_threshold=float(settings["suspected_threshold"]),
            suspected_ml=float(settings["suspected_ml"]),
            scan_temperature=float(settings["scan_temperature"]),
            scan_bias=float(settings["scan_bias"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    positive = all(0 < value < np.inf for value in (config.suspected_ml, config.scan_temperature))
    if not (positive and np.isfinite(config.scan_bias) and 0 < config.suspected_threshold <= 1):
        raise BadRequest("the weights hold an operating point that is out of range")
    return config


def find_hemorrhage(scan: Scan, head: Head, detector: HemorrhageDetector) -> HemorrhageResult:
    """Return the blood that a network finds in a prepared head.

    Raises `StepFailed` where none of the brain is in the scan.
    """
    config = detector.config
    picture = picture_of(scan, head, config.input)
    probabilities = chances_of(detector.engine, picture.images, picture.brain, config)
    (all_marked,) = marked(probabilities, picture.brain, picture.geometry, config)
    smooth = smoothed(probabilities, picture.brain, picture.geometry, smooth_mm=config.smooth_mm)[0]
    sure = smooth >= config.suspected_threshold
    mask, sure_ml = sure_of(all_marked, sure, picture.geometry, least_ml=config.suspected_ml)
    score = bleeding_scores(sure_ml) / config.scan_temperature + config.scan_bias
    told = Hemorrhage(
        suspected=bool(mask.any()),
        volume_ml=0.0,
        probability=float(special.expit(score)),
        types=(),
        method=detector.weights.network,
    )
    result = _result(head, mask, picture.geometry, told)
    return replace(result, picture=picture, probabilities=probabilities[0])


def find_by_rule(head: Head) -> HemorrhageResult:
    """Return what may be blood by density and place alone (`quality.hyperdense_mask`)."""
    mask = hyperdense_mask(head)
    suspected = volume_ml(mask, head.geometry) >= BLOOD_ML
    told = Hemorrhage(suspected=suspected, volume_ml=0.0, probability=None, types=(), method=RULE)
    return _result(head, mask, head.geometry, told)


def blood_on_scan(result: HemorrhageResult, geometry: Geometry) -> BoolArray:
    """Return the blood (bool, (z, y, x)) on the scan's own ``geometry``."""
    if result.picture is not None:
        return drawn_on_source(result.picture, result.mask)
    return resample_mask(result.mask, result.geometry, geometry)


def hemorrhage_flag(hemorrhage: Hemorrhage) -> Flag | None:
    """Return the flag of suspected blood, None where there is none."""
    if not hemorrhage.suspected:
        return None
    message = (
        f"{hemorrhage.volume_ml:.1f} ml may be blood: ASPECTS and acute infarct volumes are not valid for reperfusion "
        "questions."
    )
    return Flag("hemorrhage_suspected", "critical", message, hemorrhage.volume_ml)


def _result(head: Head, mask: BoolArray, geometry: Geometry, told: Hemorrhage) -> HemorrhageResult:
    """Return what is ``told`` with the volumes of a mask; what is too little to be suspected is left out of it."""
    mask = mask if told.suspected else np.zeros_like(mask)
    on_head = type_blood(resample_mask(mask, geometry, head.geometry), head)
    types = carried_types(on_head, head.geometry, mask, geometry)
    measured = {"volume_ml": volume_ml(mask, geometry), "types": types_of(types, geometry)}
    return HemorrhageResult(told.model_copy(update=measured), mask, types, geometry, on_head)

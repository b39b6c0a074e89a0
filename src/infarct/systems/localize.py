"""Early infarction tile by tile, anywhere in the brain, by a network of patches: prepare, judge, interpret.

Source: the localize paper (DOI 10.1038/s41598-023-45573-7). Ours: the mirrored head beside each tile, calibrated
probabilities, and a bound of its own for whole slices, where nearly every tile is normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import special

from infarct.errors import BadRequest, StepFailed
from infarct.findings import Localization
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import (
    PAPER,
    Places,
    TilePicture,
    TileSetting,
    cut_tiles,
    make_picture,
    slabs_of,
    tile_grid,
)
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.tile_findings import localization_of
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, Scan, resample_mask
from infarct.weights import WeightSet, load_for

SYSTEM: Final = "localize"
CUT: Final = 256
"""Tiles that are cut at once."""
BATCH: Final = 32
"""Tiles that the network sees at once."""
SMOOTHING: Final = 0.5
"""SD of the Gaussian over tiles, as a part of a tile's side."""
REACH: Final = 3.0
"""The Gaussian ends after so many SDs: a tile and a half from the middle of a tile."""


@dataclass(frozen=True)
class LocalizeConfig:
    """What the weights say of their own use, and how tiles overlap; saved with every result.

    A tile's probability is sigmoid(logit / ``temperature`` + ``bias``). From ``threshold`` on it counts as infarct
    among as many normal tiles; from ``whole_threshold`` on it is marked in a scan, where nearly all are normal.
    """

    input: TileSetting
    temperature: float
    bias: float
    threshold: float
    whole_threshold: float
    calibrated_on: str
    overlap: float = 0.0


@dataclass(frozen=True, eq=False)
class Localizer:
    """Weights on an engine, ready to read scans."""

    weights: WeightSet
    engine: Engine
    config: LocalizeConfig


@dataclass(frozen=True, eq=False)
class LocalizeResult:
    """Findings, and all tiles behind them: ``places`` (n, 3), ``probabilities`` and which are ``marked``, both (n,)."""

    localization: Localization
    picture: TilePicture
    places: Places
    probabilities: Float64Array
    marked: BoolArray


def load_localizer(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Localizer:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    return Localizer(
        loaded,
        make_engine(loaded, device=device, precision=precision, engine=engine, cache=cache, threads=threads),
        config_of(loaded.settings, loaded.network_config),
    )


def config_of(settings: Mapping[str, Any], network_config: Mapping[str, Any]) -> LocalizeConfig:
    """Return the settings that are stored with the weights.

    Raises `BadRequest` where they are not complete, out of range, or do not fit the network.
    """
    try:
        config = LocalizeConfig(
            input=TileSetting(**settings["input"]),
            temperature=float(settings["temperature"]),
            bias=float(settings["bias"]),
            threshold=float(settings["threshold"]),
            whole_threshold=float(settings["whole_threshold"]),
            calibrated_on=str(settings["calibrated_on"]),
        )
        given = int(network_config.get("in_channels", 1)), int(network_config.get("size_px", PAPER.size_px))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    bounded = all(0 < bound <= 1 for bound in (config.threshold, config.whole_threshold))
    if not (0 < config.temperature < np.inf and np.isfinite(config.bias) and bounded):
        raise BadRequest("the weights hold an operating point that is out of range")
    if given != (config.input.channels, config.input.size_px):
        raise BadRequest("the tiles of the weights' settings do not fit their network")
    return config


def localize(scan: Scan, head: Head, localizer: Localizer) -> LocalizeResult:
    """Return what looks like early infarction in a prepared head, tile by tile.

    Raises `StepFailed` where no tile lies in the brain.
    """
    picture = picture_of(scan, head, localizer)
    places = tile_grid(picture, overlap=localizer.config.overlap)
    if not len(places):
        raise StepFailed("no tile lies in the brain")
    probabilities = judge(picture, places, localizer)
    marked = probabilities >= localizer.config.whole_threshold
    found = localization_of(
        picture, places[marked], probabilities[marked], method=localizer.weights.network, scan=scan, head=head
    )
    return LocalizeResult(found, picture, places, probabilities, marked)


def picture_of(scan: Scan, head: Head, localizer: Localizer) -> TilePicture:
    """Return what the tiles of a prepared head are cut from, on the scan's own slices or slabs of them.

    Raises `StepFailed` where none of the brain is in the scan.
    """
    brain = resample_mask(head.brain, head.geometry, scan.geometry)
    if not brain.any():
        raise StepFailed("there is no brain to cut tiles from")
    return make_picture(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=localizer.config.input)


def judge(picture: TilePicture, places: Places, localizer: Localizer) -> Float64Array:
    """Return the calibrated probability of infarction of each tile of a picture, (n,)."""
    logits = np.zeros(len(places))
    for first in range(0, len(places), CUT):
        tiles = cut_tiles(picture, places[first : first + CUT])
        outputs = [localizer.engine.run(tiles[n : n + BATCH]) for n in range(0, len(tiles), BATCH)]
        logits[first : first + CUT] = infarct_logits(np.concatenate(outputs))
    return np.asarray(special.expit(logits / localizer.config.temperature + localizer.config.bias), dtype=np.float64)


def infarct_logits(outputs: Float32Array) -> Float64Array:
    """Return the logit of the paper's probability of infarct (n,), of a network's ``outputs`` (n, 2).

    It is `networks.transfer.infarct_logits`, which would take a second to import torch for.
    """
    infarct, normal = outputs.astype(np.float64).T
    return np.asarray(np.logaddexp(0, -normal) - np.logaddexp(0, -infarct))


def probability_map(result: LocalizeResult, geometry: Geometry, brain: BoolArray) -> Float32Array:
    """Return the probabilities of the tiles, smoothed, on the scan's own ``geometry`` (float32, (z, y, x)).

    Each pixel has the mean of the tiles of its slice, weighted by a Gaussian of their distance. It is 0 outside
    ``brain`` (bool, (z, y, x)), far from any tile, and in slices that none was cut from.
    """
    drawn = np.zeros(geometry.shape_zyx, dtype=np.float32)
    slabs = slabs_of(geometry, result.picture.setting.slab_mm)
    for k in np.unique(result.places[:, 0]):
        here = result.places[:, 0] == k
        plane = _smoothed(result.places[here, 1:], result.probabilities[here], result.picture.tile_px, geometry.size_yx)
        drawn[slabs[k]] = plane * brain[slabs[k]]
    return drawn


def marked_mask(result: LocalizeResult, geometry: Geometry, brain: BoolArray) -> BoolArray:
    """Return what the marked tiles cover of ``brain``, both bool (z, y, x) on the scan's own ``geometry``."""
    drawn = np.zeros(geometry.shape_zyx, dtype=bool)
    slabs = slabs_of(geometry, result.picture.setting.slab_mm)
    side = result.picture.tile_px
    for k, row, column in result.places[result.marked]:
        drawn[slabs[k], row : row + side, column : column + side] = True
    return drawn & brain


def _smoothed(corners: Places, probabilities: Float64Array, tile_px: int, size_yx: tuple[int, int]) -> Float32Array:
    """Return the weighted mean of the tiles of a slice, whose first rows and columns are ``corners``, at each pixel."""
    (rows, row_of), (columns, column_of) = (np.unique(axis, return_inverse=True) for axis in corners.T)
    sums, counts = np.zeros((2, len(rows), len(columns)))
    sums[row_of, column_of], counts[row_of, column_of] = probabilities, 1.0
    down, across = (_falling_off(starts, size, tile_px) for starts, size in zip((rows, columns), size_yx, strict=True))
    weights = down @ counts @ across.T
    mean = down @ sums @ across.T / np.where(weights > 0, weights, 1)
    return np.asarray(mean, dtype=np.float32)


def _falling_off(starts: Places, size: int, tile_px: int) -> Float64Array:
    """Return the weight of tiles along an axis (size, n), 0 beyond the reach of the Gaussian."""
    sd_px = SMOOTHING * tile_px
    away = np.abs(np.arange(size)[:, None] - (starts + (tile_px - 1) / 2)) / sd_px
    return np.asarray(np.where(away <= REACH, np.exp(-(away**2) / 2), 0.0))

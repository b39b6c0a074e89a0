"""A scan with less noise, slice by slice, by DnCNN (Zhang et al. 2017), on pictures of the window of localize."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct.errors import BadRequest
from infarct.preprocess.window import Window
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.types import Float32Array
from infarct.volume.mask import bounding_box
from infarct.weights import WeightSet, load_for

SYSTEM: Final = "denoise"
BLOCK_PX: Final = 64
"""Slices are run in sizes that are multiples of this: an engine is compiled for each size."""


@dataclass(frozen=True)
class DenoiseConfig:
    """What the weights say of their own use; saved with every result. The network sees HU in ``window`` as 0 to 1."""

    window: Window
    trained_on: str


@dataclass(frozen=True, eq=False)
class Denoiser:
    """Weights on an engine, ready to denoise."""

    weights: WeightSet
    engine: Engine
    config: DenoiseConfig


def load_denoiser(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Denoiser:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    config = config_of(loaded.settings)
    run = make_engine(loaded, device=device, precision=precision, engine=engine, cache=cache, threads=threads)
    return Denoiser(loaded, run, config)


def config_of(settings: Mapping[str, Any]) -> DenoiseConfig:
    """Return the settings that are stored with weights. Raises `BadRequest` where they are not complete, or wrong."""
    try:
        window = Window(float(settings["input"]["center_hu"]), float(settings["input"]["width_hu"]))
        trained_on = str(settings["trained_on"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    if not (np.isfinite(window.center_hu) and 0 < window.width_hu < np.inf):
        raise BadRequest("the weights lack a setting or hold a wrong one (the window)")
    return DenoiseConfig(window, trained_on)


def denoise(hu: Float32Array, denoiser: Denoiser) -> Float32Array:
    """Return ``hu`` (float32, (z, y, x)) with less noise; what lies outside the window stays as it is."""
    return less_noise(hu, denoiser.engine, denoiser.config.window)


def less_noise(hu: Float32Array, engine: Engine, window: Window) -> Float32Array:
    """Return ``hu`` (float32, (z, y, x)) less the noise that a network finds in its windowed slices.

    Values at the border of the window and beyond it stay as they are.
    """
    less = np.array(hu, dtype=np.float32)
    inside = (hu > window.low_hu) & (hu < window.high_hu)
    if not inside.any():
        return less
    z, y, x = bounding_box(inside)
    rows, columns = (-(-(part.stop - part.start) // BLOCK_PX) * BLOCK_PX for part in (y, x))
    for k in range(z.start, z.stop):
        shown = window.apply(hu[k, y.start : y.start + rows, x.start : x.start + columns])
        given = np.zeros((1, 1, rows, columns), dtype=np.float32)  # as the network itself pads its layers
        given[0, 0, : shown.shape[0], : shown.shape[1]] = shown
        noise_hu = engine.run(given)[0, 0, : y.stop - y.start, : x.stop - x.start] * np.float32(window.width_hu)
        part = less[k, y, x]
        part[inside[k, y, x]] -= noise_hu[inside[k, y, x]]
    return less

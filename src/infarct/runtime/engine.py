"""What runs a network, and the choice of it."""

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from infarct.errors import BadRequest
from infarct.types import Float32Array
from infarct.weights import WeightSet

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]
Device = Literal["cpu", "cuda"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
EngineName = Literal["torch", "openvino"]


class Engine(Protocol):
    """Runs one network; what it is and how it computes goes into the provenance of a result.

    ``threads`` is 0 where the device has none to set. Answers are deterministic for one engine, version, precision,
    device and number of threads.
    """

    @property
    def name(self) -> EngineName: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def precision(self) -> Precision: ...  # noqa: D102
    @property
    def device(self) -> Device: ...  # noqa: D102
    @property
    def threads(self) -> int: ...  # noqa: D102

    def run(self, batch: Float32Array) -> Float32Array:
        """Map ``batch`` (float32, (n, c, z, y, x)) to logits (float32, (n, k, z, y, x))."""
        ...


def make_engine(
    weights: WeightSet,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Engine:
    """Return what runs ``weights``: torch on an NVIDIA GPU, OpenVINO on the processor, torch where that is missing.

    ``device`` auto takes a GPU where there is one. ``precision`` auto is bf16 where the device computes in it, and fp32
    elsewhere and for torch on the processor. ``cache`` is the folder of converted models (the user's cache folder if
    None), ``threads`` how many the processor runs (as many as this process may use cores if None).

    Raises `BadRequest` where the device is not there or cannot compute as asked, or where the weights do not fit their
    network.
    """
    if device == "auto":
        device = "cuda" if engine != "openvino" and _cuda_is_there() else "cpu"
    elif device == "cuda" and not _cuda_is_there():
        raise BadRequest("there is no NVIDIA GPU that torch can use; choose --device cpu or auto")
    if engine is None:
        engine = "openvino" if device == "cpu" and find_spec("openvino") else "torch"
    if engine == "torch":
        from infarct.runtime.torch_engine import TorchEngine

        return TorchEngine(weights, device=device, precision=precision, threads=threads or available_cores())
    if device == "cuda":
        raise BadRequest("OpenVINO runs on the processor only; choose torch for a GPU")
    from infarct.runtime.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(weights, precision=precision, threads=threads or available_cores(), cache=cache)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda_is_there() -> bool:
    """Return whether torch finds a GPU; it takes a second to import, so it is asked only where there is a driver."""
    if sys.platform == "darwin":
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())

"""Inference by OpenVINO on the processor."""

from pathlib import Path
from typing import Any

import numpy as np

from infarct.errors import BadRequest
from infarct.runtime.allocator import keep_freed_memory
from infarct.runtime.converted import ANY_NUMBER, PATCH_AXES, converted_model
from infarct.runtime.engine import Device, EngineName, Precision, PrecisionChoice
from infarct.runtime.openvino_import import load_openvino
from infarct.types import Float32Array
from infarct.weights import WeightSet


class OpenVinoEngine:
    """Runs a network with OpenVINO, compiled for the size of what comes: give tiles of one size.

    Patches run as many at once as they come; volumes one after the other, which are large enough to keep it busy.

    Weights are stored as float32 whatever the precision; bf16 is how the processor multiplies.

    Raises `BadRequest` where the processor does not compute in bf16 and that was asked for.
    """

    name: EngineName = "openvino"
    device: Device = "cpu"

    def __init__(
        self, weights: WeightSet, *, precision: PrecisionChoice, threads: int, cache: Path | None = None
    ) -> None:
        keep_freed_memory()
        openvino = load_openvino()
        self.version: str = openvino.__version__.partition("-")[0]
        self.threads = threads
        self._core: Any = openvino.Core()
        self.precision = _precision(self._core, precision)
        self._weights = weights
        self._cache = cache
        self._shape: tuple[int, ...] = ()
        self._request: Any = None

    def run(self, batch: Float32Array) -> Float32Array:
        """Map ``batch`` (float32, (n, c, z, y, x) or, of patches, (n, c, y, x)) to logits (float32, (n, k, ...))."""
        patches = batch.ndim == PATCH_AXES
        shape = (ANY_NUMBER if patches else 1, *batch.shape[1:])
        if shape != self._shape:
            self._request = self._compiled(shape).create_infer_request()
            self._shape = shape
        at_once = len(batch) if patches else 1
        parts = [batch[n : n + at_once] for n in range(0, len(batch), at_once)]
        given = [np.ascontiguousarray(part, dtype=np.float32) for part in parts]
        return np.concatenate([self._request.infer([part], share_inputs=True)[0] for part in given])

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        model = converted_model(self._core, self._weights, shape, cache=self._cache)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # pinned, two runs at once would share the same few cores
            "CACHE_DIR": "",
        }
        return self._core.compile_model(model, "CPU", settings)


def _precision(core: Any, choice: PrecisionChoice) -> Precision:
    able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if choice == "auto":
        return "bf16" if able else "fp32"
    if choice == "bf16" and not able:
        raise BadRequest("this processor does not compute in bf16; choose --precision fp32 or auto")
    return choice

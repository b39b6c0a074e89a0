"""Inference by torch: on NVIDIA GPUs, and on the processor as the reference for other engines."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from infarct.errors import BadRequest
from infarct.runtime.allocator import keep_freed_memory
from infarct.runtime.engine import Device, EngineName, Precision, PrecisionChoice
from infarct.runtime.torch_module import torch_module
from infarct.types import Float32Array
from infarct.weights import WeightSet


class TorchEngine:
    """Runs a network with torch, in float32 throughout or with autocast to bfloat16; never in TF32.

    Raises `BadRequest` where the GPU does not compute in bf16 and that was asked for.
    """

    name: EngineName = "torch"
    version = torch.__version__

    def __init__(self, weights: WeightSet, *, device: Device, precision: PrecisionChoice, threads: int) -> None:
        keep_freed_memory()
        self.device = device
        self.precision = _precision(device, precision)
        self.threads = threads if device == "cpu" else 0
        self._module = torch_module(weights).to(device)

    def run(self, batch: Float32Array) -> Float32Array:
        """Map ``batch`` (float32, (n, c, z, y, x)) to logits (float32, (n, k, z, y, x))."""
        with torch.inference_mode(), self._arithmetic():
            logits = self._module(torch.tensor(batch, device=self.device))
            answer: Float32Array = logits.float().cpu().numpy()
        return answer

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Compute with this engine's precision and threads, and leave torch as it was."""
        threads_before = torch.get_num_threads()
        if self.threads:
            torch.set_num_threads(self.threads)
        try:
            exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            with exact, torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
                yield
        finally:
            torch.set_num_threads(threads_before)


def _precision(device: Device, choice: PrecisionChoice) -> Precision:
    if device == "cpu":
        return "fp32" if choice == "auto" else choice
    able = torch.cuda.is_bf16_supported(including_emulation=False)
    if choice == "auto":
        return "bf16" if able else "fp32"
    if choice == "bf16" and not able:
        raise BadRequest("this GPU does not compute in bf16; choose --precision fp32 or auto")
    return choice

"""The processor that trains: its name for the model card, and whether it computes in bf16."""

import platform
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
BF16: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names of instructions for bfloat16 on x86 and on ARM."""


def processor_name() -> str:
    """Return the name of the processor, as far as the system tells it."""
    return _entries("model name")[0] if _entries("model name") else platform.processor() or platform.machine()


def computes_in_bf16() -> bool:
    """Return whether the processor has instructions for bfloat16; False where the system does not tell (not Linux).

    Without them torch imitates it, which is slower than float32.
    """
    flags = {word for line in _entries("flags") + _entries("Features") for word in line.split()}
    return bool(flags & BF16)


def _entries(key: str) -> list[str]:
    """Return what stands behind a key of Linux's list of processors, one entry a processor."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]

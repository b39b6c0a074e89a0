"""Networks converted to OpenVINO, kept in a cache folder: a conversion takes seconds and all of torch.

An entry is one file: the SHA-256 of the rest, the length of the graph, the graph (XML), the weights. Its name covers
the weights, the shape, the version of OpenVINO and the source of the networks. A damaged entry is made anew.
"""

import hashlib
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

from infarct.files import write_whole
from infarct.runtime.openvino_import import load_openvino
from infarct.weights import WeightSet

NETWORK_SOURCES: Final = Path(__file__).parents[1] / "networks"
DIGEST_BYTES: Final = 32
LENGTH_BYTES: Final = 8
EXAMPLE_LENGTH: Final = 64
"""Networks of volumes are traced on no longer an example: on a whole tile, torch alone would set the peak of memory.
Those of patches are traced on a patch: it is small, and a dense layer takes no other size."""
PATCH_AXES: Final = 4
"""Of a batch of patches; a batch of volumes has more."""
ANY_NUMBER: Final = -1
"""The length of an axis that is left open."""

log = logging.getLogger(__name__)


def converted_model(core: Any, weights: WeightSet, shape: tuple[int, ...], *, cache: Path | None = None) -> Any:
    """Return the network of ``weights`` as an OpenVINO model in float32 for inputs of ``shape``.

    That is (1, c, z, y, x) for a network of volumes, (`ANY_NUMBER`, c, y, x) for one of patches.

    It comes from the folder ``cache``, the user's cache folder if None, or is converted and put there. A folder that
    cannot be written is no obstacle. One entry serves every precision: the compiler makes bf16 of it.

    Raises `BadRequest` where the weights do not fit their network.
    """
    entry = (cache or user_cache()) / "models" / f"{_key(weights, shape)}.model"
    model = _read_entry(core, entry)
    if model is not None:
        return model
    graph, constants = _convert(weights, shape)
    _write_entry(entry, graph, constants)
    return core.read_model(graph, constants)


def user_cache() -> Path:
    """Return the folder in which programs of this user keep what can be made again."""
    if sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "infarct"


def _key(weights: WeightSet, shape: tuple[int, ...]) -> str:
    digest = hashlib.sha256(f"{weights.sha256} {shape} {load_openvino().__version__}".encode())
    for source in sorted(NETWORK_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:40]


def _convert(weights: WeightSet, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return the graph (XML) and the constants of the converted network."""
    import torch

    from infarct.runtime.torch_module import torch_module

    openvino = load_openvino()
    longest = max(shape) if len(shape) == PATCH_AXES else EXAMPLE_LENGTH
    example = torch.zeros([1, shape[1], *(min(length, longest) for length in shape[2:])])
    trace: Any = torch.jit.trace  # torch gives it no types
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing says that sizes become constants, as they are meant to
        traced = trace(torch_module(weights), example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example, input=list(shape))
    with tempfile.TemporaryDirectory(prefix="infarct-") as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def _read_entry(core: Any, entry: Path) -> Any:
    """Return the model in a file of the cache, or None where there is none or it is damaged."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        log.info("a converted model in the cache is damaged; it is made anew")
        return None
    end = LENGTH_BYTES + int.from_bytes(body[:LENGTH_BYTES], "little")
    try:
        return core.read_model(body[LENGTH_BYTES:end], body[end:])
    except RuntimeError:
        log.info("a converted model in the cache cannot be read; it is made anew")
        return None


def _write_entry(entry: Path, graph: bytes, constants: bytes) -> None:
    """Put a model into the cache, whole or not at all; several processes may do so at once."""
    body = len(graph).to_bytes(LENGTH_BYTES, "little") + graph + constants
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry, hashlib.sha256(body).digest() + body)
    except OSError as error:
        log.info("the converted model could not be kept (%s)", error.strerror)

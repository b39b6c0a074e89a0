"""A trained network, or another trained model, as data, and its form as bytes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from infarct.errors import BadRequest

Tensor = npt.NDArray[Any]
"""float16; of exact weights float32, int16 or int32."""

METADATA_KEY: Final = "infarct"
"""All JSON stands under one key: safetensors writes several in no fixed order."""
FORMAT: Final = 1
JSON_FIELDS: Final = {
    "system": str,
    "name": str,
    "network": str,
    "network_config": dict,
    "settings": dict,
    "card": dict,
}
EXACT_TYPES: Final = (np.float32, np.int16, np.int32)
LENGTH_BYTES: Final = 8
"""A safetensors file begins with the length of its header, little-endian."""


@dataclass(frozen=True, eq=False)
class WeightSet:
    """The weights of a trained model with all that is needed to use them, and what is told of them.

    ``network`` and ``network_config`` name it in `infarct.networks`; a file may hold several alike (see `part`). Of a
    model that is no network they say what it is. ``settings`` (JSON) holds input, tile and operating point; ``card``
    (JSON) is the model card. ``tensors`` are kept as read-only float16, as they are stored, so that weights behave the
    same before and after they are saved. Those of ``exact`` weights stay float32 or integers as they are: a tree counts
    its nodes, and another last digit of a threshold sends a case down another branch. ``sha256`` is that of the file.

    Raises `ValueError` for values that these types or JSON cannot hold.
    """

    system: str
    name: str
    network: str
    network_config: Mapping[str, Any]
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    card: Mapping[str, Any]
    sha256: str = ""
    exact: bool = False

    def __post_init__(self) -> None:
        kept = _exact if self.exact else _half
        object.__setattr__(self, "tensors", {key: kept(key, value) for key, value in sorted(self.tensors.items())})
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(to_bytes(self)).hexdigest())

    def part(self, name: str) -> "WeightSet":
        """Return the weights of one of several networks of the same configuration, which share a file.

        Its tensors are those whose names begin with ``name`` and a dot. Raises `BadRequest` where there are none.
        """
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): part for key, part in self.tensors.items() if key.startswith(prefix)}
        if not tensors:
            raise BadRequest(f"the weights {self.name[:40]!r} hold no network {name[:40]!r}")
        return replace(self, name=f"{self.name}-{name}", tensors=tensors, sha256="")


def _exact(name: str, values: Tensor) -> Tensor:
    if values.dtype not in EXACT_TYPES:
        raise ValueError(f"the tensor {name} holds {values.dtype}, not float32, int16 or int32")
    if not np.isfinite(values).all():
        raise ValueError(f"the tensor {name} holds values that are not finite")
    same = np.ascontiguousarray(values).reshape(values.shape).view()
    same.flags.writeable = False
    return same


def _half(name: str, values: Tensor) -> Tensor:
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"the tensor {name} holds {values.dtype}, not floating-point numbers")
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(values, dtype=np.float16).reshape(values.shape).view()
    if not np.isfinite(half).all():
        raise ValueError(f"the tensor {name} holds values that float16 cannot")
    half.flags.writeable = False
    return half


def to_bytes(weights: WeightSet) -> bytes:
    """Return ``weights`` as the bytes of a safetensors file; equal weights give equal bytes.

    Raises `ValueError` where a field is not JSON.
    """
    about = {"format": FORMAT, **{field: getattr(weights, field) for field in JSON_FIELDS}}
    if weights.exact:  # not told otherwise: files of networks keep their bytes
        about["exact"] = True
    try:
        text = json.dumps(about, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"the description of the weights is not JSON ({error})") from error
    return save(dict(weights.tensors), metadata={METADATA_KEY: text})


def from_bytes(content: bytes) -> WeightSet:
    """Return the weights in the ``content`` of a file. Raises `BadRequest` where it is not one of ours, whole."""
    about = _description(content)
    try:
        tensors = load(content)
        exact = about.get("exact", False) is True
        if not exact and any(values.dtype != np.float16 for values in tensors.values()):
            raise BadRequest("the weight file holds numbers other than float16")
        fields = {name: about[name] for name in JSON_FIELDS}
        return WeightSet(**fields, tensors=tensors, sha256=hashlib.sha256(content).hexdigest(), exact=exact)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BadRequest("the weight file is damaged: its tensors cannot be read") from error


def _description(content: bytes) -> dict[str, Any]:
    """Return the JSON in the header of a file, with every field there and of its type."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < LENGTH_BYTES or length > len(content) - LENGTH_BYTES:
        raise BadRequest("the file is no weight file of infarct, or it is cut short")
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
        about = json.loads(header["__metadata__"][METADATA_KEY])
        known = about["format"] == FORMAT
        whole = all(isinstance(about[field], kind) for field, kind in JSON_FIELDS.items())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRequest("the file is no weight file of infarct: its header does not describe weights") from error
    if not known:
        raise BadRequest("the weight file is of another format; update infarct")
    if not whole:
        raise BadRequest("the file is no weight file of infarct: its header does not describe weights")
    return dict(about)

"""Weight files on the disk, and those shipped with infarct, whose SHA-256 is checked against the manifest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from infarct.errors import BadRequest
from infarct.files import write_whole
from infarct.weights.card import card_of
from infarct.weights.weight_set import WeightSet, from_bytes, to_bytes

SHIPPED_FOLDER: Final = Path(__file__).parent
MANIFEST: Final = "manifest.json"
MAX_FILE_BYTES: Final = 512 * 2**20
"""No larger file is written or read: a network with twice the channels of the paper's largest fits."""
MAX_SHIPPED_BYTES: Final = 16 * 2**20
"""A file in the package is at most this large, so that the package stays small."""
NAME_PATTERN: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Names of systems and weights: they become names of files."""


@dataclass(frozen=True)
class ShippedWeights:
    """An entry of the manifest: ``file`` is relative to it; a ``default`` is used where the user names no weights."""

    name: str
    system: str
    file: str
    sha256: str
    default: bool


def save_weights(weights: WeightSet, path: Path) -> Path:
    """Write ``weights`` to ``path``, whole or not at all, and return it; equal weights give equal bytes.

    Raises `BadRequest` where they take more than 512 MiB or the disk refuses them.
    """
    return _written(path, _checked(to_bytes(weights), MAX_FILE_BYTES))


def load_weights(source: str | Path, *, folder: Path = SHIPPED_FOLDER) -> WeightSet:
    """Return the shipped weights of a name, or those in a file of the user's.

    A text that names shipped weights means those, whatever files are there; nothing in a file is ever executed.

    Raises `BadRequest` where there is no such name and no such file, where a file is not one of ours, damaged or
    too large, or where a shipped one is not what the manifest says.
    """
    for entry in shipped(folder=folder):
        if entry.name == str(source):
            return _load_shipped(entry, folder)
    path = Path(source)
    if not path.is_file():
        names = ", ".join(entry.name for entry in shipped(folder=folder)) or "none"
        raise BadRequest(f"there is no such weight file, and no shipped weights of that name; shipped are: {names}")
    return from_bytes(_read(path))


def file_of(source: str | Path, *, folder: Path = SHIPPED_FOLDER) -> Path:
    """Return the file that `load_weights` reads: that of the shipped weights of a name, or the user's."""
    named = (folder / entry.file for entry in shipped(folder=folder) if entry.name == str(source))
    return next(named, Path(source))


def shipped(system: str | None = None, *, folder: Path = SHIPPED_FOLDER) -> tuple[ShippedWeights, ...]:
    """Return what the manifest lists, for one ``system`` or for all, by name.

    Raises `BadRequest` where the manifest cannot be read: the installation is damaged.
    """
    try:
        listed: Mapping[str, Mapping[str, Any]] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        entries = [ShippedWeights(name=name, **fields) for name, fields in sorted(listed.items())]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadRequest("the list of shipped weights cannot be read; install infarct again") from error
    return tuple(entry for entry in entries if system in (None, entry.system))


def default_weights(system: str, *, folder: Path = SHIPPED_FOLDER) -> str:
    """Return the name of the shipped weights that ``system`` uses where the user names none.

    Raises `BadRequest` where none are shipped.
    """
    for entry in shipped(system, folder=folder):
        if entry.default:
            return entry.name
    named = " or ".join(entry.name for entry in shipped(system, folder=folder))
    if named:
        raise BadRequest(f"no weights for {system} are used unless they are named: --weights {named}, or your own")
    raise BadRequest(f"no weights for {system} are shipped; give your own with --weights")


def load_for(system: str, weights: str | Path | None = None) -> WeightSet:
    """Return the weights of ``system``: a file, the name of shipped ones, or the default ones if None.

    Raises `BadRequest` where they cannot be read, are not for this system, or where none are shipped.
    """
    loaded = load_weights(weights or default_weights(system))
    if loaded.system != system:
        raise BadRequest(f"the weights are for {loaded.system}, not for {system}")
    return loaded


def ship(weights: WeightSet, *, default: bool, folder: Path = SHIPPED_FOLDER) -> Path:
    """Put ``weights`` and their model card among the shipped ones, under their system; return the weight file.

    Raises `BadRequest` where their system or name cannot name a file, where they take more than 16 MiB, or where the
    disk refuses them.
    """
    for text in (weights.system, weights.name):
        if not NAME_PATTERN.fullmatch(text):
            raise BadRequest(f"shipped weights are named in lower case with hyphens, not {text[:40]!r}")
    entries = {entry.name: entry for entry in shipped(folder=folder)}
    file = f"{weights.system}/{weights.name}.safetensors"
    content = _checked(to_bytes(weights), MAX_SHIPPED_BYTES)
    path = _written(folder / file, content)
    digest = hashlib.sha256(content).hexdigest()
    if default:  # there is one for each system
        entries = {key: replace(e, default=e.default and e.system != weights.system) for key, e in entries.items()}
    entries[weights.name] = ShippedWeights(weights.name, weights.system, file, digest, default)
    _written(
        path.with_suffix(".md"), card_of(replace(weights, sha256=digest), size_bytes=len(content)).markdown().encode()
    )
    _written(folder / MANIFEST, _manifest_text(entries).encode())
    return path


def _manifest_text(entries: Mapping[str, ShippedWeights]) -> str:
    listed = {name: asdict(entry) for name, entry in sorted(entries.items())}
    for fields in listed.values():
        del fields["name"]
    return json.dumps(listed, indent=2) + "\n"


def _load_shipped(entry: ShippedWeights, folder: Path) -> WeightSet:
    content = _read(folder / entry.file)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BadRequest(f"the shipped weights {entry.name} are not the published ones; install infarct again")
    return from_bytes(content)


def _read(path: Path) -> bytes:
    """Return the bytes of ``path``, if they are no more than a weight file may have."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadRequest(f"the weight file cannot be read ({error.strerror})") from error
    if len(content) > MAX_FILE_BYTES:
        raise BadRequest(f"the file is larger than the {MAX_FILE_BYTES >> 20} MiB that a weight file holds")
    return content


def _checked(content: bytes, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise BadRequest(f"the weights take {len(content) / 2**20:.1f} MiB; {limit_bytes >> 20} MiB is the limit")
    return content


def _written(path: Path, content: bytes) -> Path:
    """Write a file, and the folders to it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_whole(path, content)
    except OSError as error:
        raise BadRequest(f"the weights could not be written ({error.strerror})") from error

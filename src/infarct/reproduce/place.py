"""The folder of a reproduction: what it says of itself, and how its parts are named."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infarct.errors import BadRequest

CLAIM: Final = "reproduction.json"
ROWS: Final = "rows"
MODELS: Final = "models"
TRAINING: Final = "training"


def claim_folder(folder: Path, what: Mapping[str, Any]) -> None:
    """Say in ``folder`` what lies there. Raises `BadRequest` where something else lies there already."""
    path = folder / CLAIM
    text = json.dumps(what) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise BadRequest("the output folder holds another reproduction, or one of another size; give a new folder")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest("the output folder exists and is not empty; give a new one, or one to go on in")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def named_by(name: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a folder for what ``settings`` decide: the words of ``name``, and a digest."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return f"{'-'.join(re.findall(r'[a-z]+', name.lower()))}-{digest}"

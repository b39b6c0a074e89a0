"""The findings as JSON."""

from pathlib import Path

from infarct.findings import Analysis, to_json

FILE_NAME = "findings.json"


def write_json(analysis: Analysis, folder: Path) -> Path:
    """Write the findings to ``findings.json`` in ``folder``, which exists, and return its path."""
    path = folder / FILE_NAME
    path.write_text(to_json(analysis.findings), encoding="utf-8")
    return path

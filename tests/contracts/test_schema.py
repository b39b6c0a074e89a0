"""The committed JSON Schema is the one the code has."""

from pathlib import Path

from infarct.findings import json_schema

COMMITTED = Path(__file__).parents[2] / "docs" / "findings.schema.json"


def test_schema_is_committed() -> None:
    assert COMMITTED.read_text() == json_schema(), "run `make schema`, and say in CHANGELOG.md what changed"

"""``infarct schema``."""

import typer

from infarct.findings import json_schema


def schema() -> None:
    """Print the JSON Schema of findings.json."""
    typer.echo(json_schema(), nl=False)

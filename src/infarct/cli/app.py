"""The verbs, put together."""

from typing import Annotated

import typer

from infarct import __version__
from infarct.cli.analyze import analyze
from infarct.cli.cohort import cohort
from infarct.cli.demo import demo
from infarct.cli.evaluate import evaluate
from infarct.cli.models import models
from infarct.cli.phantom import phantom
from infarct.cli.reference import reference
from infarct.cli.reproduce import reproduce
from infarct.cli.schema import schema
from infarct.cli.train import train
from infarct.findings import INTENDED_USE

app = typer.Typer(
    name="infarct",
    help=f"Reads non-contrast head CT in ischemic stroke. {INTENDED_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, which may hold patient data
)
app.command()(analyze)
app.command()(demo)
app.command()(models)
app.command()(phantom)
app.command()(schema)
app.command()(train)
app.add_typer(evaluate, name="evaluate")
app.add_typer(cohort, name="cohort")
app.add_typer(reference, name="reference")
app.add_typer(reproduce, name="reproduce")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version

"""``infarct demo``."""

from pathlib import Path
from typing import Annotated

import typer

from infarct.cli.analyze import JsonOption, QuietOption, VerboseOption, analyze_and_write, show
from infarct.cli.output import check_output, set_up_log, step_bar


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")] = Path(
        "infarct-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another patient.")] = 1,
    healthy: Annotated[bool, typer.Option("--healthy", help="A patient without a lesion.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a phantom patient, read it, and print where the report is."""
    from infarct.phantom import DemoSetup, make_demo_patient
    from infarct.pipeline import STEPS, Request

    set_up_log(verbose=verbose)
    check_output(output)
    with step_bar(len(STEPS) + 2, quiet=quiet) as steps:
        steps.begin("phantom")
        patient = make_demo_patient(seed, DemoSetup(healthy=healthy))
        report, findings = analyze_and_write(patient.scan, Request(), output, steps)
    show(report, findings, as_json=as_json)

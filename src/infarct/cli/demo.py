"""``infarct demo``."""

from pathlib import Path
from typing import Annotated

import typer

from infarct.cli.analyze import JsonOption, QuietOption, VerboseOption, analyze_and_write, show
from infarct.cli.models_in_use import load_models
from infarct.cli.output import check_output, set_up_log, step_bar

DEMO_SEED = 308
"""A patient with a large infarct of seven hours; most acute ones are fainter, and the baseline misses them."""


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")] = Path(
        "infarct-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another patient.")] = DEMO_SEED,
    healthy: Annotated[bool, typer.Option("--healthy", help="A patient without an acute infarct.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a phantom patient, read it, and print where the report is."""
    from infarct.phantom import sample
    from infarct.pipeline import STEPS, Request

    set_up_log(verbose=verbose)
    check_output(output)
    with step_bar(len(STEPS) + 3, quiet=quiet) as steps:
        steps.begin("loading")
        models = load_models()
        steps.begin("phantom")
        made = sample("healthy" if healthy else "aspects", seed)
        request = Request(onset_hours=made.patient.stroke.onset_h if made.patient.stroke else None)
        scan = made.acute.scan(made.patient.name)
        report, findings = analyze_and_write(scan, request, output, steps=steps, models=models)
    show(report, findings, as_json=as_json)

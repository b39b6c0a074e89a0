"""``infarct demo``."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.analyze import JsonOption, QuietOption, VerboseOption, analyze_and_write, show
from infarct.cli.formats import FormatOption, read_formats
from infarct.cli.models_in_use import SystemsOption, check_systems, load_models, named_systems
from infarct.cli.output import check_output, set_up_log, step_bar
from infarct.cli.words import joined

if TYPE_CHECKING:
    from infarct.phantom import Sample
    from infarct.volume import Scan

DEMO_SEED = 308
"""A patient with a large infarct of seven hours; most acute ones are fainter, and the baseline misses them."""
DEMO_FORMATS = "pdf,seg,sr"


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")] = Path(
        "infarct-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another patient.")] = DEMO_SEED,
    healthy: Annotated[bool, typer.Option("--healthy", help="A patient without an acute infarct.")] = False,
    systems: SystemsOption = None,
    formats: FormatOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a phantom patient, read it, and print where the report is; the scan is there too, as DICOM.

    Without --format a PDF, segmentations and the structured report are written as well.
    """
    from infarct.phantom import sample
    from infarct.pipeline import STEPS, Request

    set_up_log(verbose=verbose)
    asked, wanted = joined(formats), joined(systems)
    extras = read_formats(DEMO_FORMATS if asked is None else asked)
    check_systems(wanted, None)
    check_output(output)
    with step_bar(len(STEPS) + 4, quiet=quiet) as steps, TemporaryDirectory(prefix="infarct-demo-") as place:
        steps.begin("loading")
        models = load_models(wanted)
        steps.begin("phantom")
        made = sample("healthy" if healthy else "aspects", seed)
        hours = made.patient.stroke.onset_h if made.patient.stroke else None
        steps.begin("reading")
        scan, series = stored_and_read(made, Path(place) / "scan", hours)
        request = Request(onset_hours=hours, named=named_systems(wanted))
        extras = replace(extras, scan=series)
        report, findings = analyze_and_write(scan, request, output, steps=steps, models=models, extras=extras)
    show(report, findings, as_json=as_json)


def stored_and_read(made: "Sample", folder: Path, hours: float | None) -> "tuple[Scan, Path]":
    """Return the first scan of a phantom patient, ``hours`` from onset, as read from DICOM files, and their folder.

    The scan says that it is of a phantom.
    """
    from infarct.export.subject import write_series
    from infarct.readers import read_scan

    series = write_series(made.patient, made.acute, folder, session="acute", hours=hours)
    scan = read_scan(series)
    about = replace(scan.source, kind="phantom", series_choice=f"Phantom patient {made.patient.name}.")
    return replace(scan, source=about), series

"""``infarct analyze``."""

import logging
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.formats import DeidentifyOption, Extras, FormatOption, read_formats
from infarct.cli.models_in_use import (
    DeviceChoice,
    DeviceOption,
    PrecisionChoice,
    PrecisionOption,
    RegionsOption,
    SeveralWeightsOption,
    SystemsOption,
    check_systems,
    load_models,
    named_systems,
)
from infarct.cli.output import Steps, check_output, set_up_log, step_bar, write_results
from infarct.cli.previous import PreviousOption, read_previous
from infarct.cli.reader import ReaderOption, SetOption, read_overrides
from infarct.cli.words import joined
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.findings import Findings
    from infarct.pipeline import Models, Request
    from infarct.volume import Scan

log = logging.getLogger(__name__)


class SideChoice(StrEnum):
    """A side of the patient."""

    left = "left"
    right = "right"


class RuleChoice(StrEnum):
    """Which side is scored where no symptomatic side is given."""

    evidence = "evidence"
    min = "min"


OutputOption = Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Say what each step took.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]


def analyze(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="DICOM folder or .zip of one, enhanced CT or NIfTI.")],
    output: OutputOption,
    onset_hours: Annotated[float | None, typer.Option(min=0, help="Hours from onset to scan.")] = None,
    last_known_well_hours: Annotated[
        float | None, typer.Option(min=0, help="Hours since last known well, where nobody saw the onset.")
    ] = None,
    symptomatic_side: Annotated[
        SideChoice | None, typer.Option(help="Side of the brain to score (not of the weak limb).")
    ] = None,
    side_rule: Annotated[
        RuleChoice | None,
        typer.Option(help="Score the side with the greater evidence (if not given), or the lower of both sides."),
    ] = None,
    set_regions: SetOption = None,
    reader: ReaderOption = None,
    previous: PreviousOption = None,
    systems: SystemsOption = None,
    regions: RegionsOption = None,
    weights: SeveralWeightsOption = None,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    series: Annotated[str | None, typer.Option(help="UID of the DICOM series to read.")] = None,
    formats: FormatOption = None,
    deidentify: DeidentifyOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a head CT and write findings.json and report.html. Research use only."""
    from infarct.pipeline import STEPS, Request
    from infarct.readers import read_scan
    from infarct.systems.choice import ScanTime, is_followup
    from infarct.writers.formats import check_formats

    set_up_log(verbose=verbose)
    if onset_hours is not None and last_known_well_hours is not None:
        raise BadRequest("give --onset-hours or --last-known-well-hours, not both")
    if any(hours is not None and not math.isfinite(hours) for hours in (onset_hours, last_known_well_hours)):
        raise BadRequest("hours must be a number")
    if symptomatic_side and side_rule:
        raise BadRequest("give --symptomatic-side or --side-rule, not both")
    overrides = read_overrides(set_regions, reader)
    earlier = read_previous(previous, onset_hours)
    extras = read_formats(joined(formats), deidentify=deidentify)
    wanted = joined(systems)
    followup = earlier is not None or is_followup(ScanTime(onset_hours, last_known_well_hours))
    check_systems(wanted, weights, regions, followup=followup)
    check_output(output, source=source)
    request = Request(
        onset_hours=onset_hours,
        last_known_well_hours=last_known_well_hours,
        symptomatic_side=symptomatic_side.value if symptomatic_side else None,
        side_rule=side_rule.value if side_rule else "evidence",
        overrides=overrides,
        named=named_systems(wanted),
        earlier=earlier,
    )
    with step_bar(len(STEPS) + 3, quiet=quiet) as steps:
        steps.begin("reading")
        scan = read_scan(source, series_uid=series)
        check_formats(scan, extras.formats)
        steps.begin("loading")
        models = load_models(
            wanted, weights=weights, regions=regions, followup=followup, device=device, precision=precision
        )
        report, findings = analyze_and_write(scan, request, output, steps=steps, models=models, extras=extras)
    show(report, findings, as_json=as_json)


def analyze_and_write(
    scan: "Scan", request: "Request", output: Path, *, steps: Steps, models: "Models", extras: Extras | None = None
) -> "tuple[Path, Findings]":
    """Analyse ``scan``, write the results into ``output`` and return the report's path and the findings."""
    from infarct.pipeline import Clock
    from infarct.pipeline import analyze as run
    from infarct.writers.formats import with_format_flags

    extras = extras or Extras()
    analysis = run(scan, request, Clock(on_step=steps.begin), models=models)
    for name, seconds in analysis.findings.timings_s.items():
        log.info("%s took %.1f s", name, seconds)
    steps.begin("writing")
    analysis = with_format_flags(scan, analysis, extras.formats)
    return write_results(scan, analysis, output, extras), analysis.findings


def show(report: Path, findings: "Findings", *, as_json: bool) -> None:
    """Print the findings or the report's path on stdout.

    Exits with 3 where a system failed; what the others found stands.
    """
    from infarct.findings import to_json

    typer.echo(to_json(findings) if as_json else str(report), nl=not as_json)
    if any(flag.code == "system_failed" for flag in findings.quality.flags):
        raise typer.Exit(3)

"""``infarct evaluate``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.models_in_use import DeviceChoice, DeviceOption, PrecisionChoice, PrecisionOption, WeightsOption
from infarct.cli.output import check_output, step_bar
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.evaluation.run import Begin
    from infarct.evaluation.segment_cohort import SegmentOrder

evaluate = typer.Typer(
    name="evaluate", help="How good a system is on scans whose truth is known.", no_args_is_help=True
)
RESULTS_FILE = "results.jsonl"


@evaluate.callback()
def _root() -> None:
    """How good a system is on scans whose truth is known."""


@evaluate.command()
def segment(
    cohort: Annotated[
        list[str],
        typer.Option(
            metavar="DIR|phantom:PRESET:SPLIT",
            help="Data set or phantoms; may be given again, and as NAME=DIR to name it in the tables.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="New folder, or one with the same evaluation to go on.")
    ],
    weights: WeightsOption = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only the first so many scans of each cohort.")] = None,
    slice_mm: Annotated[
        float | None, typer.Option(min=1.0, max=20.0, help="Average thin slices to this thickness first.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this part of a cohort that is parted, such as CPAISD's test.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each takes up to 8 GB with thin slices.")] = 1,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    quiet: QuietOption = False,
) -> None:
    """Compare the segmentation with the truth: metrics, tables, figures. Exit code 3 where a scan has no answer."""
    if not (output / RESULTS_FILE).is_file():
        check_output(output)
    from infarct.evaluation.segment_cohort import SegmentOrder

    chosen = None if weights is None else str(weights)
    order = SegmentOrder(tuple(cohort), chosen, device.value, precision.value, first, slice_mm, split)
    tables, failures = run_segment(order, output, jobs=jobs, quiet=quiet)
    typer.echo(tables)
    if failures:
        raise typer.Exit(3)


def run_segment(order: "SegmentOrder", output: Path, *, jobs: int, quiet: bool) -> tuple[Path, int]:
    """Evaluate what the order names, going on where an earlier run stopped; write tables and figures.

    Returns the path of the tables, and how many scans have no answer. Raises `BadRequest` where the folder holds
    another evaluation, or the disk does not take the results.
    """
    from infarct.evaluation.record import Failure, Record
    from infarct.evaluation.report import write_segment_report
    from infarct.evaluation.run import evaluate_all
    from infarct.evaluation.segment_cohort import (
        begin_segment,
        open_named,
        open_segmenter,
        segment_work,
        settings_of,
        tasks_of,
    )

    cohorts, segmenter = open_named(order), open_segmenter(order)
    tasks, settings = tasks_of(cohorts), settings_of(order, cohorts, segmenter)
    work = segment_work(cohorts, segmenter, slice_mm=order.slice_mm)
    begin: Begin = partial(begin_segment, order) if jobs > 1 else lambda: work
    try:
        output.mkdir(parents=True, exist_ok=True)
        record = Record(output, settings)
        with step_bar(len(tasks), quiet=quiet) as bar:

            def show(done: int) -> None:
                bar.reach(done, f"{done} of {len(tasks)} scans")

            outcomes = evaluate_all(tasks, begin, record, output, jobs=jobs, on_done=show)
        tables = write_segment_report(outcomes, tasks, output, settings)
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error
    return tables.absolute(), sum(isinstance(outcome, Failure) for outcome in outcomes)

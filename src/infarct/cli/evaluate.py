"""``infarct evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.models_in_use import DeviceChoice, DeviceOption, PrecisionChoice, PrecisionOption, WeightsOption
from infarct.cli.output import check_output, step_bar
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.evaluation.result import R
    from infarct.evaluation.run import Evaluation

evaluate = typer.Typer(
    name="evaluate", help="How good a system is on scans whose truth is known.", no_args_is_help=True
)
RESULTS_FILE = "results.jsonl"


@evaluate.callback()
def _root() -> None:
    """How good a system is on scans whose truth is known."""


class MethodChoice(StrEnum):
    """What scores ASPECTS."""

    asymmetry = "asymmetry"
    da_net = "da_net"


CohortOption = Annotated[
    list[str],
    typer.Option(
        metavar="DIR|phantom:PRESET:SPLIT",
        help="Data set or phantoms; may be given again, and as NAME=DIR to name it in the tables.",
    ),
]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="New folder, or one with the same evaluation to go on.")
]
FirstOption = Annotated[int | None, typer.Option(min=1, help="Only the first so many scans of each cohort.")]
SplitOption = Annotated[
    str | None, typer.Option(help="Only this part of a cohort that is parted, such as CPAISD's test.")
]


@evaluate.command()
def segment(
    cohort: CohortOption,
    output: OutputOption,
    weights: WeightsOption = None,
    first: FirstOption = None,
    slice_mm: Annotated[
        float | None, typer.Option(min=1.0, max=20.0, help="Average thin slices to this thickness first.")
    ] = None,
    split: SplitOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each takes up to 8 GB with thin slices.")] = 1,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    quiet: QuietOption = False,
) -> None:
    """Compare the segmentation with the truth: metrics, tables, figures. Exit code 3 where a scan has no answer."""
    _check_folder(output)
    from infarct.evaluation.segment_cohort import SegmentOrder, segment_evaluation

    chosen = None if weights is None else str(weights)
    order = SegmentOrder(tuple(cohort), chosen, device.value, precision.value, first, slice_mm, split)
    _finish(segment_evaluation(order, jobs=jobs), output, jobs=jobs, quiet=quiet)


@evaluate.command()
def aspects(
    cohort: CohortOption,
    output: OutputOption,
    method: Annotated[MethodChoice, typer.Option(help="What scores the regions.")] = MethodChoice.asymmetry,
    weights: WeightsOption = None,
    first: FirstOption = None,
    split: SplitOption = None,
    side_known: Annotated[
        bool,
        typer.Option(
            "--side-known", help="Tell the method the side of the stroke; without it the method chooses the side."
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each takes up to 3 GB.")] = 1,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    quiet: QuietOption = False,
) -> None:
    """Compare ASPECTS with core and readers: metrics, tables, figures. Exit code 3 where a scan has no answer."""
    _check_folder(output)
    from infarct.evaluation.aspects_cohort import AspectsOrder, aspects_evaluation

    chosen = None if weights is None else str(weights)
    order = AspectsOrder(
        tuple(cohort),
        method.value,
        chosen,
        device.value,
        precision.value,
        first=first,
        split=split,
        side_known=side_known,
    )
    _finish(aspects_evaluation(order, jobs=jobs), output, jobs=jobs, quiet=quiet)


def _check_folder(output: Path) -> None:
    """Raise `BadRequest` unless the folder is new or empty, or holds results to go on with."""
    if not (output / RESULTS_FILE).is_file():
        check_output(output)


def _finish(evaluation: "Evaluation[R]", output: Path, *, jobs: int, quiet: bool) -> None:
    """Run an evaluation, print where its tables are, and end with exit code 3 where a scan has no answer."""
    tables, failures = run_evaluation(evaluation, output, jobs=jobs, quiet=quiet)
    typer.echo(tables)
    if failures:
        raise typer.Exit(3)


def run_evaluation(evaluation: "Evaluation[R]", output: Path, *, jobs: int, quiet: bool) -> tuple[Path, int]:
    """Evaluate, going on where an earlier run stopped; write tables and figures.

    Returns the path of the tables, and how many scans have no answer. Raises `BadRequest` where the folder holds
    another evaluation, or the disk does not take the results.
    """
    from infarct.evaluation.record import Record
    from infarct.evaluation.result import Failure
    from infarct.evaluation.run import evaluate_all

    tasks, settings = evaluation.tasks, evaluation.settings
    try:
        output.mkdir(parents=True, exist_ok=True)
        record = Record(output, settings, evaluation.form)
        with step_bar(len(tasks), quiet=quiet) as bar:

            def show(done: int) -> None:
                bar.reach(done, f"{done} of {len(tasks)} scans")

            outcomes = evaluate_all(tasks, evaluation.begin, record, output, jobs=jobs, on_done=show)
        tables = evaluation.write_report(outcomes, tasks, output, settings)
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error
    return tables.absolute(), sum(isinstance(outcome, Failure) for outcome in outcomes)

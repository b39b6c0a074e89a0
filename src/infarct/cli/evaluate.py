"""``infarct evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.models_in_use import (
    DRAWER,
    DeviceChoice,
    DeviceOption,
    PrecisionChoice,
    PrecisionOption,
    RegionsChoice,
    RegionsOption,
    SeveralWeightsOption,
    WeightsOption,
    drawer_weights,
    weights_by_system,
)
from infarct.cli.output import check_output, step_bar
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    radiomics = "radiomics"


METHOD_OF_SYSTEM = {"aspects": MethodChoice.da_net, "radiomics": MethodChoice.radiomics}
"""The method of each system that scores ASPECTS by weights."""


class TileMethodChoice(StrEnum):
    """What judges tiles."""

    vgg16 = "vgg16"
    asymmetry = "asymmetry"


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
    method: Annotated[
        list[MethodChoice] | None,
        typer.Option(
            help="What scores the regions: asymmetry if not given. May be given again: each scan is prepared once, and "
            "all are compared with the first.",
            show_default=False,
        ),
    ] = None,
    regions: RegionsOption = None,
    weights: SeveralWeightsOption = None,
    first: FirstOption = None,
    split: SplitOption = None,
    side_known: Annotated[
        bool,
        typer.Option(
            "--side-known", help="Tell methods the side of the stroke; without it each method chooses the side."
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

    given = weights_by_system(weights or ())
    drawer = drawer_weights(given, regions)
    methods = tuple(method or [MethodChoice.asymmetry])
    order = AspectsOrder(
        tuple(cohort),
        tuple(one.value for one in methods),
        _scorer_weights(given, methods),
        device.value,
        precision.value,
        first=first,
        split=split,
        side_known=side_known,
        regions=RegionsChoice.vbnet.value if drawer else RegionsChoice.atlas.value,
        region_weights=drawer.get(DRAWER),
    )
    _finish(aspects_evaluation(order, jobs=jobs), output, jobs=jobs, quiet=quiet)


@evaluate.command()
def localize(
    cohort: CohortOption,
    output: OutputOption,
    method: Annotated[
        list[TileMethodChoice] | None,
        typer.Option(
            help="What judges the tiles: vgg16, the network of the weights, if not given. May be given again: each "
            "scan is prepared once, and all judge the same tiles.",
            show_default=False,
        ),
    ] = None,
    weights: WeightsOption = None,
    first: FirstOption = None,
    split: SplitOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each takes up to 3 GB.")] = 1,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    quiet: QuietOption = False,
) -> None:
    """Compare tiles with the infarct: metrics, tables, figures. Exit code 3 where a scan has no answer."""
    _check_folder(output)
    from infarct.evaluation.localize_cohort import LocalizeOrder, localize_evaluation

    methods = tuple(one.value for one in method or [TileMethodChoice.vgg16])
    chosen = None if weights is None else str(weights)
    order = LocalizeOrder(tuple(cohort), methods, chosen, device.value, precision.value, first, split)
    _finish(localize_evaluation(order, jobs=jobs), output, jobs=jobs, quiet=quiet)


@evaluate.command()
def volumetry(
    cohort: CohortOption,
    output: OutputOption,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights",
            help="Weight file, or a shipped name, for volumetry (the three networks, the single one, the 3D one) or "
            "hemorrhage; once for each.",
        ),
    ] = None,
    first: FirstOption = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Of follow-up phantoms only the first so many of each class of infarcts.")
    ] = None,
    split: SplitOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each takes up to 3 GB.")] = 1,
    device: DeviceOption = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.fp32,
    quiet: QuietOption = False,
) -> None:
    """Compare follow-up infarcts and blood with the truth. Exit code 3 where a scan has no answer."""
    _check_folder(output)
    from infarct.evaluation.volumetry_cohort import VolumetryOrder, volumetry_evaluation

    given = tuple(str(path) for path in weights or ())
    order = VolumetryOrder(tuple(cohort), given, device.value, precision.value, first, split, per_class)
    _finish(volumetry_evaluation(order, jobs=jobs), output, jobs=jobs, quiet=quiet)


def _scorer_weights(given: "Mapping[str, Path]", methods: "Sequence[MethodChoice]") -> dict[str, Path]:
    """Return the weights of each method by its name, of those ``given`` by system.

    Raises `BadRequest` for weights of a system that no method and no drawing of regions uses.
    """
    found = {}
    for system, path in given.items():
        chosen = METHOD_OF_SYSTEM.get(system)
        if chosen in methods and chosen is not None:
            found[chosen.value] = path
        elif system != DRAWER:
            raise BadRequest(f"--weights has weights for {system}, which no --method evaluates")
    return found


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

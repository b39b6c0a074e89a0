"""``infarct reproduce``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import step_bar
from infarct.errors import BadRequest

reproduce = typer.Typer(name="reproduce", help="A paper's experiments on phantoms.", no_args_is_help=True)


class TilePart(StrEnum):
    """The parts of the localize paper's experiments, as `reproduce.localize_rows.Part` names them."""

    models = "models"
    search = "search"
    crossval = "crossval"


OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="New folder, or one with the same experiments to go on.")
]
JobsOption = Annotated[
    int, typer.Option(min=1, help="Processes that prepare patients (up to 8 GB each), and then train rows.")
]


@reproduce.callback()
def _root() -> None:
    """A paper's experiments on phantoms."""


@reproduce.command()
def segment(
    output: OutputOption,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Coarse and short: about five minutes a row on two cores, not days.")
    ] = False,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Folds by patient; if not given 5, and a single split with --reduced.")
    ] = None,
    jobs: JobsOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Ablation, overlap of tiles and cross-validation of the segment paper; prints the path of the ablation.

    Needs the extra `train`.
    """
    _check_packages()
    from infarct.reproduce.segment_report import write_report
    from infarct.reproduce.segment_rows import study_of
    from infarct.reproduce.segment_run import prepare_study, run_study
    from infarct.training.fit import Machine

    machine = Machine(devices=1, quiet=quiet)  # more devices would each take a batch, and change the experiment
    study = study_of(reduced=reduced, folds=folds)
    with _disk_told():
        with step_bar(study.patient_count, quiet=quiet) as bar:
            prepared = prepare_study(
                study,
                output,
                jobs=jobs,
                on_done=lambda done, total: bar.reach(done, f"patient {done} of {total}"),
            )
        results = run_study(study, prepared, output, tell=_teller(quiet=quiet), machine=machine, jobs=jobs)
        report = write_report(study, results, output)
    typer.echo(report.absolute())


@reproduce.command()
def aspects(
    output: OutputOption,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Coarse and short: about six minutes a row on one core, not days.")
    ] = False,
    cases: Annotated[
        Path | None,
        typer.Option(help="Folder of cases prepared for aspects that holds the patients to train on; only read."),
    ] = None,
    jobs: JobsOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Ablation and learning curve of DA-Net, of the aspects paper; prints the path of the ablation.

    Needs the extra `train`.
    """
    _check_packages()
    from infarct.reproduce.aspects_report import write_aspects_study
    from infarct.reproduce.aspects_rows import study_of
    from infarct.reproduce.aspects_run import prepare_aspects_study, run_aspects_study
    from infarct.training.fit import Machine

    machine = Machine(devices=1, quiet=quiet or jobs > 1)  # lines of several trainings would stand over one another
    study = study_of(reduced=reduced)
    with _disk_told():
        with step_bar(study.patient_count, quiet=quiet) as bar:
            prepared = prepare_aspects_study(
                study,
                output,
                cases=cases,
                jobs=jobs,
                on_done=lambda done, total: bar.reach(done, f"patient {done} of {total}"),
            )
        runs = run_aspects_study(study, prepared, output, jobs=jobs, tell=_teller(quiet=quiet), machine=machine)
        report = write_aspects_study(study, runs, output)
    typer.echo(report.absolute())


@reproduce.command()
def localize(
    output: OutputOption,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Narrow and short: about 90 minutes on two cores, not days.")
    ] = False,
    part: Annotated[
        list[TilePart] | None, typer.Option(help="Only this part of the experiments; may be given several times.")
    ] = None,
    jobs: JobsOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Networks and sizes, random search and cross-validation of the localize paper; prints the path of each page.

    Needs the extra `train`.
    """
    _check_packages()
    from infarct.reproduce.localize_report import write_tile_part
    from infarct.reproduce.localize_rows import PARTS, study_of
    from infarct.reproduce.localize_run import prepare_tile_study, run_tile_rows
    from infarct.training.fit import Machine

    machine = Machine(devices=1, quiet=quiet or jobs > 1)  # lines of several trainings would stand over one another
    study = study_of(reduced=reduced)
    wanted = {one: study.of(one) for one in PARTS if part is None or one in part}
    with _disk_told():
        with step_bar(study.patient_count, quiet=quiet) as bar:
            prepared = prepare_tile_study(
                study,
                [row for rows in wanted.values() for row in rows],
                output,
                jobs=jobs,
                on_done=lambda done, total: bar.reach(done, f"patient {done} of {total}"),
            )
        for one, rows in wanted.items():
            runs = run_tile_rows(study, rows, prepared, output, jobs=jobs, tell=_teller(quiet=quiet), machine=machine)
            typer.echo(write_tile_part(study, one, runs, output).absolute())


def _check_packages() -> None:
    if find_spec("lightning") is None:
        raise BadRequest("training needs more packages; install them with: pip install 'infarct[train]'")


@contextmanager
def _disk_told() -> Iterator[None]:
    """Say in a line what a disk refuses."""
    try:
        yield
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error


def _teller(*, quiet: bool) -> Callable[[str], None]:
    """Return what writes a line on stderr, nothing if ``quiet``."""
    return (lambda _: None) if quiet else (lambda line: typer.echo(line, err=True))

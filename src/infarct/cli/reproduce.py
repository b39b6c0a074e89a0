"""``infarct reproduce``."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import step_bar
from infarct.errors import BadRequest

reproduce = typer.Typer(name="reproduce", help="A paper's experiments on phantoms.", no_args_is_help=True)


@reproduce.callback()
def _root() -> None:
    """A paper's experiments on phantoms."""


@reproduce.command()
def segment(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="New folder, or one with the same experiments to go on.")
    ],
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Coarse and short: about five minutes a row on two cores, not days.")
    ] = False,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Folds by patient; if not given 5, and a single split with --reduced.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that prepare patients; each takes up to 8 GB.")] = 1,
    quiet: QuietOption = False,
) -> None:
    """Ablation, overlap of tiles and cross-validation of the segment paper; prints the path of the ablation.

    Needs the extra `train`.
    """
    if find_spec("lightning") is None:
        raise BadRequest("training needs more packages; install them with: pip install 'infarct[train]'")
    from infarct.reproduce.segment_report import write_report
    from infarct.reproduce.segment_rows import study_of
    from infarct.reproduce.segment_run import prepare_study, run_study
    from infarct.training.fit import Machine

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    machine = Machine(devices=1, quiet=quiet)  # more devices would each take a batch, and change the experiment
    study = study_of(reduced=reduced, folds=folds)
    try:
        with step_bar(study.patient_count, quiet=quiet) as bar:
            prepared = prepare_study(
                study,
                output,
                jobs=jobs,
                on_done=lambda done, total: bar.reach(done, f"patient {done} of {total}"),
            )
        results = run_study(study, prepared, output, tell=tell, machine=machine)
        report = write_report(study, results, output)
    except OSError as error:
        raise BadRequest(f"the results could not be written ({error.strerror})") from error
    typer.echo(report.absolute())

"""``infarct reference dwi`` and ``infarct reference dwi-flow``."""

import csv
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import Steps, check_output, step_bar, write_whole
from infarct.errors import BadRequest, StepFailed

if TYPE_CHECKING:
    from infarct.cohorts.flow import Flow
    from infarct.preprocess.head import Head
    from infarct.reference.dwi import DwiReference, Timing
    from infarct.reference.dwi_images import DiffusionImages
    from infarct.volume import Scan

RECORD_FILE = "dwi.json"
PICTURE_FILE = "dwi.png"
FLOW_FILE = "flow.json"
HEAD_STEPS = 3
"""Steps in which a CT is made ready: brain, registration, midplane."""
_NOTE = "infarct: research use only"

OutputOption = Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")]


class RouteChoice(StrEnum):
    """How the infarct comes to the CT."""

    RIGID = "rigid"
    SLICES = "slices"


def dwi(
    output: OutputOption,
    dwi: Annotated[Path, typer.Option(help="DWI, b = 1000 s/mm2 or so: NIfTI, or folder of one DICOM series.")],
    adc: Annotated[Path, typer.Option(help="ADC map on the DWI's grid; its unit is seen from its values.")],
    source: Annotated[
        Path | None, typer.Argument(metavar="[NCCT]", help="Plain CT: DICOM folder, .zip of one, or NIfTI.")
    ] = None,
    b0: Annotated[Path | None, typer.Option(help="b = 0 image on the DWI's grid; helps to find the brain.")] = None,
    hours_from_onset: Annotated[
        float | None, typer.Option(min=0.0, help="From onset to the DWI; low ADC is asked for up to 120.")
    ] = None,
    days_from_ct: Annotated[
        float | None, typer.Option(min=0.0, help="Between CT and DWI; 14 or more are left out.")
    ] = None,
    recurrent: Annotated[
        bool, typer.Option("--recurrent", help="An ischemic event recurred between CT and DWI: left out.")
    ] = False,
    route: Annotated[
        RouteChoice, typer.Option(help="rigid: in three dimensions; slices: slice by slice, as the paper did.")
    ] = RouteChoice.RIGID,
    quiet: QuietOption = False,
) -> None:
    """The infarct from DWI and ADC, on their grid and on the plain CT of the same patient. Research use only."""
    from infarct.reference.dwi import Timing, check_pair

    timing = Timing(hours_from_onset, days_from_ct)
    check_pair(timing, recurrent=recurrent)
    given = {"dwi": dwi, "adc": adc} | ({"b0": b0} if b0 else {})
    for path in (*given.values(), *((source,) if source else ())):
        check_output(output, source=path)
    with step_bar(3 + (HEAD_STEPS if source else 0), quiet=quiet) as steps:
        try:
            written = _run(source, given, timing, route, output, steps)
        except StepFailed as failure:
            raise BadRequest(f"{failure}; pass diffusion images of the same patient as the CT") from failure
    typer.echo(written)


def dwi_flow(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, a row a patient: id and the rules' columns.")],
    output: OutputOption,
) -> None:
    """Flow chart of a cohort: screened, left out and why, included, by the rules for DWI. Research use only."""
    from infarct.cohorts.flow import read_flow
    from infarct.evaluation.flow_figure import draw_flow

    check_output(output, source=table)
    flow = read_flow(table)
    picture = draw_flow(flow)

    def fill(folder: Path) -> None:
        (folder / "flow.png").write_bytes(picture)
        _write_decisions(folder / "flow.csv", flow)
        (folder / FLOW_FILE).write_text(json.dumps(_flow_record(flow), indent=2) + "\n", encoding="utf-8")

    write_whole(output, fill)
    typer.echo(output.absolute() / FLOW_FILE)


def _run(
    source: Path | None, given: dict[str, Path], timing: "Timing", route: RouteChoice, output: Path, steps: Steps
) -> Path:
    """Read everything, find the infarct, write it, and return the path of the record."""
    from infarct.pipeline import Clock, prepare_head
    from infarct.preprocess.quality import head_flags, scan_flags, unique_flags
    from infarct.readers import read_scan
    from infarct.reference.dwi import read_dwi
    from infarct.reference.dwi_lesions import DwiConfig
    from infarct.reference.dwi_picture import draw_dwi
    from infarct.reference.dwi_record import dwi_record

    steps.begin("reading")
    images = _read_images(given)
    scan = read_scan(source) if source else None
    head = prepare_head(scan, Clock(on_step=steps.begin)) if scan else None
    steps.begin("diffusion")
    config = DwiConfig()
    found = read_dwi(images, config, timing=timing, head=head, route=route.value)
    flags = unique_flags((*scan_flags(scan), *head_flags(scan, head))) if scan and head else ()
    record = dwi_record(found, source=tuple(given), config=config, flags=flags)
    steps.begin("writing")
    picture = draw_dwi(found, head)

    def fill(folder: Path) -> None:
        _write_masks(folder, found, scan, head)
        (folder / PICTURE_FILE).write_bytes(picture)
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    write_whole(output, fill)
    return output.absolute() / RECORD_FILE


def _read_images(paths: dict[str, Path]) -> "DiffusionImages":
    """Return the images made ready. Raises `BadRequest` where they do not lie on one grid."""
    from infarct.readers.maps import read_map
    from infarct.reference.alignment import same_grid
    from infarct.reference.dwi_images import diffusion_images

    read = {name: read_map(path) for name, path in paths.items()}
    geometry = read["dwi"][1]
    if not all(same_grid(geometry, other) for _, other in read.values()):
        raise BadRequest("DWI, ADC and b = 0 image lie on different grids; export them from one series")
    b0 = read["b0"][0] if "b0" in read else None
    return diffusion_images(read["dwi"][0], read["adc"][0], geometry, b0=b0)


def _write_masks(folder: Path, found: "DwiReference", scan: "Scan | None", head: "Head | None") -> None:
    """Write the mask on the DWI's grid and the CT's; a tilted or uneven CT comes with it on another."""
    from infarct.volume import resample_mask
    from infarct.writers.file_grid import FileGrid
    from infarct.writers.nifti import write_nifti

    own = found.images.geometry
    write_nifti(found.lesions.mask, own, folder / "infarct_dwi.nii.gz", description=_NOTE)
    if scan is None or head is None or found.on_ct is None:
        return
    grid = FileGrid(scan.geometry)
    if grid.is_rectified:
        write_nifti(grid.hu(scan.hu), grid.target, folder / "ct.nii.gz")
    on_ct = resample_mask(found.on_ct.mask, head.geometry, grid.target)
    write_nifti(on_ct, grid.target, folder / "infarct_ct.nii.gz", description=_NOTE)


def _flow_record(flow: "Flow") -> dict[str, Any]:
    from infarct import __version__
    from infarct.findings import INTENDED_USE

    return {
        "schema_version": "1.0",
        "software": {"name": "infarct", "version": __version__},
        "intended_use": INTENDED_USE,
        "screened": len(flow.decisions),
        "left_out": {column: flow.left_out(column) for column in flow.applied},
        "included": flow.included,
        "rules_not_applied": list(flow.not_applied),
    }


def _write_decisions(path: Path, flow: "Flow") -> None:
    """Write what became of each case, under its key: no id of the table leaves it."""
    from infarct.cohorts.case import key_of

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "included", "reason"))
        for decision in flow.decisions:
            writer.writerow((key_of(decision.id), "no" if decision.reason else "yes", decision.reason or ""))

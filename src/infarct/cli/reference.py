"""``infarct reference``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import Steps, check_output, step_bar, write_whole
from infarct.cli.reference_dwi import dwi, dwi_flow
from infarct.errors import BadRequest, StepFailed

if TYPE_CHECKING:
    from infarct.preprocess.head import Head
    from infarct.reference.alignment import Alignment
    from infarct.reference.deconvolution import Deconvolved
    from infarct.reference.perfusion import FlowMaps, PerfusionReference
    from infarct.volume import Scan

reference = typer.Typer(
    name="reference", help="Reference standards from other examinations of a patient.", no_args_is_help=True
)
RECORD_FILE = "perfusion.json"
PICTURE_FILE = "perfusion.png"
HEAD_STEPS = 3
"""Steps in which a CT is made ready: brain, registration, midplane."""

MapOption = Path | None
reference.command()(dwi)
reference.command()(dwi_flow)


@reference.callback()
def _root() -> None:
    """Reference standards from other examinations of a patient."""


@reference.command()
def perfusion(
    source: Annotated[Path, typer.Argument(metavar="NCCT", help="Plain CT: DICOM folder, .zip of one, or NIfTI.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New or empty folder for the results.")],
    cbf: Annotated[MapOption, typer.Option(help="Map of blood flow: NIfTI, or folder of one DICOM series.")] = None,
    cbv: Annotated[MapOption, typer.Option(help="Map of blood volume; with --mtt it stands for --cbf.")] = None,
    mtt: Annotated[MapOption, typer.Option(help="Map of mean transit time, in seconds.")] = None,
    tmax: Annotated[MapOption, typer.Option(help="Map of Tmax, in seconds; gives penumbra and mismatch.")] = None,
    ctp: Annotated[MapOption, typer.Option(help="Raw CT perfusion: 4D NIfTI, or folder of one DICOM series.")] = None,
    frame_seconds: Annotated[
        float | None, typer.Option(min=0.1, max=10.0, help="Time between frames, where --ctp does not say.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Core, penumbra and ASPECTS from CT perfusion, on the plain CT of the same patient. Research use only."""
    given = {"cbf": cbf, "cbv": cbv, "mtt": mtt, "tmax": tmax}
    maps = {name: path for name, path in given.items() if path is not None}
    _check_request(maps, ctp, frame_seconds)
    for path in (source, *maps.values(), *((ctp,) if ctp else ())):
        check_output(output, source=path)
    with step_bar(HEAD_STEPS + 3, quiet=quiet) as steps:
        try:
            written = _run(source, maps, ctp, frame_seconds, output, steps)
        except StepFailed as failure:
            raise BadRequest(f"{failure}; pass perfusion of the same patient as the CT") from failure
    typer.echo(written)


def _check_request(maps: dict[str, Path], ctp: Path | None, frame_seconds: float | None) -> None:
    """Raise `BadRequest` unless either a raw scan or enough maps are given."""
    if ctp is not None and maps:
        raise BadRequest("give --ctp or maps (--cbf, --cbv, --mtt, --tmax), not both")
    if ctp is None and frame_seconds is not None:
        raise BadRequest("--frame-seconds goes with --ctp")
    if ctp is None and "cbf" not in maps and not {"cbv", "mtt"} <= maps.keys():
        raise BadRequest("give --cbf, or --cbv and --mtt, or --ctp: the core is found by blood flow")


def _run(
    source: Path, maps: dict[str, Path], ctp: Path | None, frame_seconds: float | None, output: Path, steps: Steps
) -> Path:
    """Read everything, find the reference, write it, and return the path of the record."""
    from infarct.atlas import load_atlas
    from infarct.pipeline import Clock, prepare_head
    from infarct.preprocess.quality import head_flags, scan_flags, unique_flags
    from infarct.readers import read_scan
    from infarct.reference.perfusion import PerfusionConfig, read_perfusion
    from infarct.reference.picture import draw_reference
    from infarct.reference.record import record_of

    steps.begin("reading")
    scan = read_scan(source)
    flow = None if ctp else _read_maps(maps)
    head = prepare_head(scan, Clock(on_step=steps.begin))
    steps.begin("perfusion")
    alignment: Alignment | None = None
    deconvolved: Deconvolved | None = None
    if ctp is not None:
        flow, alignment, deconvolved = _read_raw(ctp, frame_seconds, head)
    assert flow is not None  # one of the two was given
    config = PerfusionConfig()
    found = read_perfusion(head, flow, load_atlas(), config, alignment=alignment)
    flags = unique_flags((*scan_flags(scan), *head_flags(scan, head)))
    record = record_of(found, source=tuple(maps) or ("ctp",), config=config, flags=flags, deconvolved=deconvolved)
    steps.begin("writing")
    return _write(output, scan, head, found, record, draw_reference(head, found), deconvolved)


def _read_maps(paths: dict[str, Path]) -> "FlowMaps":
    """Return the maps that were given. Raises `BadRequest` where they do not lie on one grid."""
    from infarct.readers.maps import read_map
    from infarct.reference.alignment import same_grid
    from infarct.reference.perfusion import flow_maps

    read = {name: read_map(path) for name, path in paths.items()}
    grids = [geometry for _, geometry in read.values()]
    if not all(same_grid(grids[0], grid) for grid in grids[1:]):
        raise BadRequest("the perfusion maps lie on different grids; export them from one run of the software")
    values = {{"mtt": "mtt_s", "tmax": "tmax_s"}.get(name, name): array for name, (array, _) in read.items()}
    return flow_maps(grids[0], **values)


def _read_raw(path: Path, frame_seconds: float | None, head: "Head") -> "tuple[FlowMaps, Alignment, Deconvolved]":
    """Return the maps of a raw scan. Raises `BadRequest` where nothing says when its frames were taken."""
    import numpy as np

    from infarct.readers.maps import read_moments
    from infarct.reference.deconvolution import DynamicScan
    from infarct.reference.raw import perfusion_of_scan

    moments = read_moments(path)
    if moments.count < 2:
        raise BadRequest("the perfusion scan holds one moment only; pass the raw scan, with all of its frames")
    times_s = moments.times_s if frame_seconds is None else np.arange(moments.count, dtype=np.float64) * frame_seconds
    if times_s is None:
        raise BadRequest("the perfusion scan does not say when its frames were taken; give --frame-seconds")
    raw = perfusion_of_scan(head, DynamicScan(moments.volume, moments.geometry, times_s))
    return raw.maps, raw.alignment, raw.deconvolved


def _write(
    output: Path,
    scan: "Scan",
    head: "Head",
    found: "PerfusionReference",
    record: dict[str, Any],
    picture: bytes,
    deconvolved: "Deconvolved | None",
) -> Path:
    """Write all files into ``output`` at once, or none, and return the path of the record."""

    def fill(folder: Path) -> None:
        _write_masks(folder, scan, head, found)
        if deconvolved is not None:
            _write_maps(folder, deconvolved)
        (folder / PICTURE_FILE).write_bytes(picture)
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    write_whole(output, fill)
    return output.absolute() / RECORD_FILE


def _write_masks(folder: Path, scan: "Scan", head: "Head", found: "PerfusionReference") -> None:
    """Write the masks on the CT's grid; a tilted or uneven CT, which NIfTI cannot hold, comes with them on another."""
    from infarct.volume import resample_mask
    from infarct.writers.file_grid import FileGrid
    from infarct.writers.nifti import write_nifti

    grid = FileGrid(scan.geometry)
    if grid.is_rectified:
        write_nifti(grid.hu(scan.hu), grid.target, folder / "ct.nii.gz")
    for name, mask in (("core", found.core), ("penumbra", found.penumbra)):
        if mask is not None:
            on_ct = resample_mask(mask, head.geometry, grid.target)
            write_nifti(on_ct, grid.target, folder / f"{name}.nii.gz", description="infarct: research use only")


def _write_maps(folder: Path, found: "Deconvolved") -> None:
    """Write the maps of a raw scan on their own grid."""
    from infarct.writers.nifti import write_nifti

    for name, values in (("cbf", found.cbf), ("cbv", found.cbv), ("mtt", found.mtt_s), ("tmax", found.tmax_s)):
        write_nifti(values, found.geometry, folder / f"{name}.nii.gz", description="infarct: research use only")

"""The maps behind the findings as NIfTI files, with a table of what their values mean."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from infarct.anatomy import REGION_NAMES, region_of_label
from infarct.findings import INTENDED_USE, Analysis
from infarct.volume import Scan
from infarct.writers.file_grid import FileGrid
from infarct.writers.nifti import write_nifti

TABLE_NAME: Final = "maps.json"
CT_NAME: Final = "ct"


@dataclass(frozen=True)
class MapKind:
    """What a map shows: in words, in which unit, and what each of its label values means where it has some."""

    content: str
    unit: str = ""
    labels: tuple[tuple[int, str], ...] = ()


def _region_label_name(value: int) -> str:
    region, side = region_of_label(value)
    return f"{side} {region}, {REGION_NAMES[region]}"


MAP_KINDS: Final = {
    "aspects_regions": MapKind(
        "ASPECTS regions", labels=tuple((value, _region_label_name(value)) for value in range(1, 21))
    ),
    "infarct": MapKind("infarct, old ones left out", labels=((1, "infarct"),)),
    "infarct_probability": MapKind("probability of an infarct, old ones left out", "0 to 1"),
    "old_infarct": MapKind("old infarct", labels=((1, "old infarct"),)),
    "patch_probability": MapKind("probability of early infarction, from tiles", "0 to 1"),
    "hemorrhage": MapKind("suspected hemorrhage", labels=((1, "suspected hemorrhage"),)),
    "followup_infarct": MapKind(
        "infarct in follow-up CT by its darkness, and blood in it",
        labels=((1, "severe"), (2, "intermediate"), (3, "subtle"), (4, "hemorrhage")),
    ),
    "side_difference_hu": MapKind("density less that of the mirrored place, smoothed, 0 outside the brain", "HU"),
    "brain_mask": MapKind("inside of the skull that is looked at", labels=((1, "brain"),)),
}
"""The maps that are written, by their names in `infarct.findings.Maps`."""


def write_maps(scan: Scan, analysis: Analysis, folder: Path) -> tuple[Path, ...]:
    """Write every map that an analysis has as ``NAME.nii.gz`` into ``folder``, which exists, and return the paths.

    They lie on the scan's own grid; where that is tilted or uneven on the rectified one, with ``ct.nii.gz`` beside them
    on the same grid. ``maps.json`` says which grid it is and what the values mean. Masks and labels are uint8,
    probabilities and differences float32.
    """
    grid = FileGrid(scan.geometry)
    written, table = [], {}
    for name, kind in MAP_KINDS.items():
        array = getattr(analysis.maps, name)
        if array is not None:
            placed = on_grid(array, grid)
            written.append(write_nifti(placed, grid.target, folder / f"{name}.nii.gz", description=f"infarct: {name}"))
            table[name] = _entry(name, kind)
    if grid.is_rectified:
        path = folder / f"{CT_NAME}.nii.gz"
        written.append(write_nifti(grid.hu(scan.hu), grid.target, path, description="infarct: the scan, rectified"))
        table[CT_NAME] = _entry(CT_NAME, MapKind("the scan on the same grid", "HU"))
    return (*written, _write_table(table, analysis, folder, grid="rectified" if grid.is_rectified else "source"))


def on_grid(array: npt.NDArray[Any], grid: FileGrid) -> npt.NDArray[Any]:
    """Return a map on the grid of the files: values interpolated, masks by halves, labels by the nearest."""
    if array.dtype == np.bool_:
        return grid.mask(array)
    return grid.labels(array) if array.dtype == np.uint8 else grid.values(array)


def _entry(name: str, kind: MapKind) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": f"{name}.nii.gz", "content": kind.content}
    if kind.unit:
        entry["unit"] = kind.unit
    if kind.labels:
        entry["labels"] = {str(value): meaning for value, meaning in kind.labels}
    return entry


def _write_table(table: dict[str, Any], analysis: Analysis, folder: Path, *, grid: str) -> Path:
    software = analysis.findings.software
    content = {
        "software": f"{software.name} {software.version}",
        "intended_use": INTENDED_USE,
        "grid": grid,
        "maps": table,
    }
    path = folder / TABLE_NAME
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path

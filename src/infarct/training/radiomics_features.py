"""Features of all prepared cases: measured once, in parallel, and kept beside the cases."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from infarct.anatomy import SIDES, Region, region_label
from infarct.files import write_whole
from infarct.measure.radiomics import RadiomicsSettings
from infarct.phantom.workers import prepare_worker
from infarct.preprocess.region_input import RegionSetting
from infarct.systems.region_forests import feature_names, pair_rows, radiomics_settings, region_table
from infarct.training.region_cases import PreparedRegions
from infarct.training.region_store import RegionIndex, load_region_cases
from infarct.types import BoolArray, Float32Array

_Row = tuple[Float32Array, BoolArray]


@dataclass(frozen=True, eq=False)
class FeatureTables:
    """What is measured of cases: ``tables`` float32 (cases, 20, n), see `region_table`; ``affected`` bool (cases, 20).

    Both are in the order of the label values.
    """

    tables: Float32Array
    affected: BoolArray

    def at(self, places: npt.NDArray[np.bool_]) -> "FeatureTables":
        """Return the cases at ``places``, bool (cases,)."""
        return FeatureTables(self.tables[places], self.affected[places])

    def sides(self, region: Region) -> tuple[Float32Array, BoolArray]:
        """Return the rows of the sides of a region that were measured, (m, 3 n), and which are affected, (m,)."""
        rows = pair_rows(self.tables, region)
        known = np.isfinite(rows).all(axis=-1)
        return rows[known], self.affected[:, [region_label(region, side) - 1 for side in SIDES]][known]


def measured_tables(
    index: RegionIndex,
    setting: RegionSetting,
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> FeatureTables:
    """Return the features of all cases of an index, in its order; kept in a file beside them for the next training.

    ``on_done`` is told how many of how many are done. Raises `UnreadableInput` where a case is damaged.
    """
    settings = radiomics_settings(setting)
    path = index.folder / f"radiomics-{_digest(index, setting, settings)}.npz"
    kept = _kept(path, (len(index.cases), 20, len(feature_names(settings))))
    if kept is None:
        work = partial(_measured, index, setting, settings)
        rows: list[_Row] = []
        for row in _carried_out(work, index.cases, jobs):
            rows.append(row)
            on_done(len(rows), len(index.cases))
        kept = FeatureTables(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))
        content = io.BytesIO()
        np.savez(content, tables=kept.tables, affected=kept.affected)
        write_whole(path, content.getvalue())
    return kept


def _carried_out(
    work: Callable[[PreparedRegions], _Row], cases: Sequence[PreparedRegions], jobs: int
) -> Iterator[_Row]:
    if jobs == 1:
        yield from map(work, cases)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        yield from pool.map(work, cases, chunksize=4)


def _measured(index: RegionIndex, setting: RegionSetting, settings: RadiomicsSettings, case: PreparedRegions) -> _Row:
    (stored,) = load_region_cases(index, [case])
    return region_table(stored.input, setting, settings), stored.affected


def _digest(index: RegionIndex, setting: RegionSetting, settings: RadiomicsSettings) -> str:
    """Return what tells measurements apart: the files, as they are now, and how they are measured."""
    files = [(case.file, (index.folder / case.file).stat().st_mtime_ns) for case in index.cases]
    told = [files, asdict(setting), asdict(settings), feature_names(settings)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _kept(path: Path, shape: tuple[int, int, int]) -> FeatureTables | None:
    """Return the features in a file, None where it is not there or not whole."""
    try:
        with np.load(path) as stored:
            found = FeatureTables(stored["tables"], stored["affected"])
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None
    return found if found.tables.shape == shape and found.affected.shape == shape[:2] else None

"""Training and testing every row of the experiments of the localize paper.

What is done is found again: each row lies in a folder named by a digest of all that decides its results, and a training
goes on from its last checkpoint. Patients are rendered once for all rows, and rows may be worked on side by side.
"""

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct import __version__
from infarct.cohorts.folds import folds
from infarct.cohorts.phantom import phantom_cases
from infarct.errors import BadRequest
from infarct.evaluation.localize_study import KINDS, TileCalls
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.preprocess.tile_input import TileSetting
from infarct.reproduce.localize_rows import Split, TileRow, TileStudy
from infarct.reproduce.place import MODELS, ROWS, TRAINING, claim_folder, named_by
from infarct.reproduce.side_by_side import Tell, side_by_side
from infarct.training.cases import digest_of
from infarct.training.export import told_by
from infarct.training.fit import Machine, fit
from infarct.training.localize_finish import export_localize, judge_tiles, localize_engine
from infarct.training.tile_cases import TilePlan, prepare_tiles_in_settings
from infarct.training.tile_store import PartRole, TileIndex, is_seen_in, list_tiles, open_tiles, read_tile_index

PREPARED: Final = "prepared"
LISTED: Final = "listed"
"""Indexes of the tiles that rows are trained and tested on."""
RESULTS: Final = "results.json"
LAYOUT: Final = 1
"""Raised when stored results change in meaning."""
Groups = Sequence[frozenset[str]]


@dataclass(frozen=True)
class TileWork:
    """A row that is to be trained and tested: its folder and its tiles; ``settings`` are all that decides its results.

    ``choice`` and ``test`` are the patients that are not trained on: to choose by, and to tell how good it is.
    """

    row: TileRow
    place: Path
    tiles: Path
    choice: frozenset[str]
    test: frozenset[str]
    settings: Mapping[str, Any]
    cache: Path


@dataclass(frozen=True, eq=False)
class TileRun:
    """What a row's network makes of the patients to test on, and of those to choose by (none: no tiles).

    ``training_s`` is the time of the training, ``tile_ms`` that of the network for a tile.
    """

    row: TileRow
    test: TileCalls
    choice: TileCalls
    training_s: float
    tile_ms: float


def prepare_tile_study(
    study: TileStudy,
    rows: Sequence[TileRow],
    folder: Path,
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[TileIndex, ...]:
    """Prepare the tiles that some ``rows`` of a study need, of all patients, in ``folder`` with ``jobs`` processes.

    Each patient is rendered once for all inputs. ``on_done`` is told how many of how many are there. Raises
    `BadRequest` where the folder holds something else or another study.
    """
    claim_folder(folder, {"paper": "localize", "size": study.name})
    needed = {_seen_in(row.recipe.phantoms.setting, study.settings) for row in rows}
    settings = [one for one in study.settings if one in needed]
    places = {folder / PREPARED / named_by(one.name, asdict(one)): one for one in settings}
    prepare_tiles_in_settings(study.plan, places, jobs=jobs, on_done=on_done)
    return tuple(read_tile_index(place) for place in places)


def run_tile_rows(
    study: TileStudy,
    rows: Sequence[TileRow],
    prepared: Sequence[TileIndex],
    folder: Path,
    *,
    jobs: int = 1,
    tell: Tell = lambda _: None,
    machine: Machine | None = None,
) -> tuple[TileRun, ...]:
    """Train and test some rows of a study in ``folder``, ``jobs`` at a time, and return what their networks say.

    What an earlier run finished is read, and what it began goes on.
    """
    dealt = {count: groups_of(study.plan, count) for count in dict.fromkeys(row.split.count for row in rows)}
    works = {row.name: _work(row, dealt[row.split.count], prepared, folder) for row in rows}
    waiting = {name: work for name, work in works.items() if not (work.place / RESULTS).exists()}
    if len(waiting) < len(works):
        tell(f"{len(works) - len(waiting)} of {len(works)} rows were done before")
    side_by_side(partial(run_tile_row, machine=machine), waiting, jobs=jobs, tell=tell)
    return tuple(read_tile_row(work) for work in works.values())


def groups_of(plan: TilePlan, count: int) -> Groups:
    """Return the patients of a plan, by their ids, dealt in ``count`` groups."""
    cases = [case for share in plan.shares for case in phantom_cases(share.preset, "train", range(share.train))]
    return [frozenset(case.patient for case in group) for group in folds(cases, count)]


def run_tile_row(work: TileWork, *, machine: Machine | None = None) -> None:
    """Train a row and judge the tiles of all patients that were held out."""
    recipe = work.row.recipe
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*across ranks is zero.*")  # nothing validates, on purpose
        checkpoint = fit(recipe, work.tiles, work.place / TRAINING, resume=True, machine=machine)
    weights = export_localize(checkpoint, name=recipe.name)
    engine = localize_engine(weights, cache=work.cache)
    stored = open_tiles(read_tile_index(work.tiles), "test")
    setting = recipe.phantoms.setting
    rows = np.arange(len(stored.infarct))
    judge_tiles(engine, stored, rows[:1], setting)  # the first run takes longer
    begin = time.perf_counter()
    logits = judge_tiles(engine, stored, rows, setting)
    seconds = time.perf_counter() - begin
    counts = [(case.infarct, case.mirrored, case.other, case.healthy) for case in stored.cases]
    kinds = np.repeat(np.tile(np.arange(len(KINDS)), len(counts)), np.array(counts, dtype=np.intp).reshape(-1))
    content = {
        "intended_use": INTENDED_USE,
        "settings": work.settings,
        "training_s": told_by(checkpoint)["seconds"],
        "tile_ms": 1000 * seconds / max(len(rows), 1),
        "patients": [stored.cases[case].patient for case in stored.case],
        "kinds": kinds.tolist(),
        "logits": logits.tolist(),
    }
    write_whole(work.place / RESULTS, (json.dumps(content) + "\n").encode())


def read_tile_row(work: TileWork) -> TileRun:
    """Return what a finished row says. Raises `BadRequest` where its results are damaged."""
    try:
        stored = json.loads((work.place / RESULTS).read_text(encoding="utf-8"))
        kinds, logits = np.array(stored["kinds"], dtype=np.intp), np.array(stored["logits"], dtype=np.float64)
        calls = TileCalls(tuple(stored["patients"]), kinds, logits)
        test, choice = (calls.of_patients(patients) for patients in (work.test, work.choice))
        return TileRun(work.row, test, choice, float(stored["training_s"]), float(stored["tile_ms"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadRequest("the results of a row are damaged; delete its folder, or give a new one") from error


def _work(row: TileRow, groups: Groups, prepared: Sequence[TileIndex], folder: Path) -> TileWork:
    """Return what is to be done for a row, with a folder that lists its own tiles in their roles."""
    test = groups[row.split.test]
    choice = frozenset[str]() if row.split.choice is None else groups[row.split.choice]
    tiles = _list_part(row.recipe.phantoms.setting, row.split, test | choice, prepared, folder)
    settings = {
        "layout": LAYOUT,
        "infarct_version": __version__,
        "recipe": row.recipe.as_data(),
        "split": asdict(row.split),
        "tiles": digest_of(tiles),
    }
    place = folder / ROWS / named_by(row.name, settings)
    return TileWork(row, place, tiles, choice, test, settings, folder / MODELS)


def _seen_in(setting: TileSetting, stored: Sequence[TileSetting]) -> TileSetting:
    """Return the first of the ``stored`` settings that shows all that ``setting`` does."""
    return next(one for one in stored if is_seen_in(setting, one))


def _list_part(
    setting: TileSetting, split: Split, held_out: frozenset[str], prepared: Sequence[TileIndex], folder: Path
) -> Path:
    """Return the folder that lists the tiles of a setting, those of held-out patients to test on."""
    stored = _seen_in(setting, [index.setting for index in prepared])
    source = next(index for index in prepared if index.setting == stored)
    roles: dict[str, PartRole] = {case.id: "test" if case.patient in held_out else "train" for case in source.cases}
    part = folder / LISTED / named_by(setting.name, {"setting": asdict(setting), "split": asdict(split)})
    return list_tiles(source, part, roles=roles, setting=setting)

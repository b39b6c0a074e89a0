"""Training and testing every row of the segment paper's experiments.

What is done is found again: each row lies in a folder named by a digest of all that decides its results, results are
written scan by scan, and a training goes on from its last checkpoint. Patients are rendered once for all rows.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct import __version__
from infarct.cohorts.folds import folds
from infarct.cohorts.phantom import phantom_cases
from infarct.evaluation.crossval import Fold
from infarct.evaluation.record import Record
from infarct.evaluation.segment import CaseAbout, CaseResult, Prediction, Truth, evaluate_case
from infarct.evaluation.segment_form import SEGMENT_FORM
from infarct.preprocess.segment_input import InputSetting
from infarct.reproduce.place import MODELS, ROWS, TRAINING, claim_folder, named_by
from infarct.reproduce.segment_rows import FULL_MODEL, OVERLAPS_PCT, Row, Study
from infarct.reproduce.side_by_side import Tell, side_by_side
from infarct.runtime import Engine, make_engine, predict_tiled
from infarct.systems.segment import SegmentConfig, masks
from infarct.training.cases import ACUTE, OLD, PhantomPlan, Prepared, prepare_in_settings, write_index
from infarct.training.export import export_checkpoint
from infarct.training.fit import Machine, fit
from infarct.training.store import CaseIndex, StoredCase, load_cases, read_index
from infarct.volume import Geometry

PREPARED: Final = "prepared"
GROUP: Final = "acute phantoms"
LAYOUT: Final = 1
"""Raised when stored results change in meaning."""
PreparedStudy = Mapping[InputSetting, CaseIndex]
"""The prepared patients for each input that a row wants."""


@dataclass(frozen=True)
class Split:
    """The patients that one of the trainings of each row does not see, by the ids of their cases."""

    number: int
    held_out: frozenset[str]


@dataclass(frozen=True)
class RowResult:
    """The results of a row, fold by fold, for each overlap of tiles (percent) that it was tested with."""

    row: Row
    folds: Mapping[int, tuple[Fold, ...]]

    def all(self, overlap_pct: int = OVERLAPS_PCT[0]) -> tuple[CaseResult, ...]:
        """Return the results of all patients that were tested."""
        return tuple(result for fold in self.folds[overlap_pct] for result in fold.results)


def prepare_study(
    study: Study, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> PreparedStudy:
    """Prepare all patients in ``folder`` with ``jobs`` processes, each rendered once for the inputs of all rows.

    ``on_done`` is told how many of how many are there. Raises `BadRequest` where the folder holds something else or
    another study.
    """
    claim_folder(folder, claim_of(study))
    settings = dict.fromkeys(row.setting for row in study.rows)
    places = {folder / PREPARED / named_by(one.name, asdict(one)): one for one in settings}
    prepare_in_settings(study.patients, places, jobs=jobs, on_done=on_done)
    return {setting: read_index(place) for place, setting in places.items()}


def run_study(
    study: Study,
    prepared: PreparedStudy,
    folder: Path,
    *,
    tell: Tell = lambda _: None,
    machine: Machine | None = None,
    jobs: int = 1,
) -> tuple[RowResult, ...]:
    """Train and test all rows in ``folder``, going on where an earlier run stopped, and return their results.

    With several ``jobs`` rows are trained side by side first, and then tested one after another, since that is timed.
    """
    splits = splits_of(study.patients, study.folds)
    if jobs > 1:
        for split in splits:  # one after another, as each says in the folders of cases who is held out
            train_rows(study, split, prepared, folder, jobs=jobs, tell=tell, machine=machine)
    found = []
    for place, row in enumerate(study.rows):
        overlaps_pct = overlaps_of(row)
        parts = []
        for split in splits:
            part = f", fold {split.number + 1} of {len(splits)}" if len(splits) > 1 else ""
            say = partial(_say, tell, f"row {place + 1} of {len(study.rows)}{part}: {row.name}")
            parts.append(run_split(row, split, prepared[row.setting], folder, overlaps_pct, tell=say, machine=machine))
        by_overlap = {
            pct: tuple(Fold(split.number, part[pct]) for split, part in zip(splits, parts, strict=True))
            for pct in overlaps_pct
        }
        found.append(RowResult(row, by_overlap))
    return tuple(found)


def claim_of(study: Study) -> dict[str, Any]:
    """Return what the folder of a study says of itself."""
    return {"paper": "segment", "size": study.name, "folds": study.folds}


def splits_of(patients: PhantomPlan, count: int | None) -> tuple[Split, ...]:
    """Return ``count`` folds by patient, or the one split that the plan's roles make."""
    training = [case for share in patients.shares for case in phantom_cases(share.preset, "train", range(share.train))]
    others = [
        case for share in patients.shares for case in phantom_cases(share.preset, "validation", range(share.validation))
    ]
    groups = [tuple(others)] if count is None else folds([*training, *others], count)
    return tuple(Split(number, frozenset(case.id for case in group)) for number, group in enumerate(groups))


def run_split(
    row: Row,
    split: Split,
    index: CaseIndex,
    folder: Path,
    overlaps_pct: Sequence[int],
    *,
    tell: Tell = lambda _: None,
    machine: Machine | None = None,
) -> dict[int, tuple[CaseResult, ...]]:
    """Train a row on all but the held-out patients, test it on these, and return the results for each overlap.

    What is done already is read.
    """
    held_out = [case for case in index.cases if case.id in split.held_out]
    place, records = _records(row, split, index, folder, overlaps_pct)
    if _are_whole(records, held_out):
        tell("done before")
    else:
        tell("training")
        checkpoint = _train(row, held_out, index, place / TRAINING, machine)
        tell("testing")
        _test(row, checkpoint, held_out, index, records, cache=folder / MODELS)
    return {pct: _results(record, held_out) for pct, record in records.items()}


def train_rows(
    study: Study,
    split: Split,
    prepared: PreparedStudy,
    folder: Path,
    *,
    jobs: int,
    tell: Tell = lambda _: None,
    machine: Machine | None = None,
) -> None:
    """Train all rows of a split that are not tested yet, with ``jobs`` processes."""
    waiting = {}
    for row in study.rows:
        index = prepared[row.setting]
        held_out = [case for case in index.cases if case.id in split.held_out]
        place, records = _records(row, split, index, folder, overlaps_of(row))
        if not _are_whole(records, held_out):
            waiting[f"training {row.name}"] = (row, held_out, index, place / TRAINING)
    quiet = replace(machine or Machine(), quiet=True)  # the lines of several trainings would stand over one another
    side_by_side(partial(_train_item, machine=quiet), waiting, jobs=jobs, tell=tell)


def _train_item(item: tuple[Row, list[Prepared], CaseIndex, Path], *, machine: Machine) -> None:
    _train(*item, machine)


def overlaps_of(row: Row) -> tuple[int, ...]:
    """Return the overlaps of tiles, in percent, that a row is tested with."""
    return OVERLAPS_PCT if row.name == FULL_MODEL else OVERLAPS_PCT[:1]


def _records(
    row: Row, split: Split, index: CaseIndex, folder: Path, overlaps_pct: Sequence[int]
) -> tuple[Path, dict[int, Record[CaseResult]]]:
    """Return the folder of a row and a split, and the results that are there, for each overlap."""
    settings = settings_of(row, split, index)
    place = folder / ROWS / named_by(row.name, settings) / f"fold-{split.number}"
    records = {}
    for pct in overlaps_pct:
        results = place / f"overlap-{pct}"
        results.mkdir(parents=True, exist_ok=True)
        records[pct] = Record(results, {**settings, "overlap_pct": pct}, SEGMENT_FORM)
    return place, records


def _are_whole(records: Mapping[int, Record[CaseResult]], held_out: Iterable[Prepared]) -> bool:
    wanted = {(GROUP, case.id) for case in held_out}
    return all(wanted <= record.done for record in records.values())


def settings_of(row: Row, split: Split, index: CaseIndex) -> dict[str, Any]:
    """Return all that decides the results of a row on a split."""
    return {
        "layout": LAYOUT,
        "infarct_version": __version__,
        "recipe": row.recipe.as_data(),
        "everywhere": row.everywhere,
        "cases": sorted(case.id for case in index.cases),
        "held_out": sorted(split.held_out),
    }


def _train(row: Row, held_out: Iterable[Prepared], index: CaseIndex, output: Path, machine: Machine | None) -> Path:
    """Return the last checkpoint of a training that does not see the held-out cases: the recipe validates on none."""
    ids = {case.id for case in held_out}
    roles = [replace(case, role="validation" if case.id in ids else "train") for case in index.cases]
    write_index(index.folder, row.setting, roles)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*across ranks is zero.*")  # nothing validates, on purpose
        return fit(row.recipe, index.folder, output, resume=True, machine=machine)


def _test(
    row: Row,
    checkpoint: Path,
    held_out: Sequence[Prepared],
    index: CaseIndex,
    records: Mapping[int, Record[CaseResult]],
    *,
    cache: Path,
) -> None:
    """Add what is missing to the records, one for each overlap in percent."""
    weights = export_checkpoint(checkpoint, name=row.recipe.name)
    engine = make_engine(weights, cache=cache)
    config = as_trained(row)
    channels = row.setting.channels
    engine.run(np.zeros((1, channels, *config.tile_zyx), dtype=np.float32))  # the first run takes longer
    for listed in held_out:
        missing = [pct for pct, record in records.items() if (GROUP, listed.id) not in record.done]
        if not missing:
            continue
        (case,) = load_cases(index, [listed])
        about = CaseAbout(listed.id, listed.patient, GROUP)
        for pct in missing:
            tested = replace(config, overlap=pct / 100)
            records[pct].add(case_result(case, engine, tested, about, everywhere=row.everywhere))


def as_trained(row: Row) -> SegmentConfig:
    """Return how a row's network is used: as the paper does, with a threshold of .5, nothing chosen or calibrated."""
    outputs = len(row.recipe.targets)
    return SegmentConfig(
        input=row.setting,
        tile_zyx=row.recipe.patch_zyx,
        temperature=(1.0,) * outputs,
        threshold=(0.5,) * outputs,
        minimum_ml=0.0,
        calibrated_on="nothing",
    )


def case_result(
    case: StoredCase, engine: Engine, config: SegmentConfig, about: CaseAbout, *, everywhere: bool
) -> CaseResult:
    """Return how a prepared case is answered on its own grid; the time is that of the network over all tiles.

    ``everywhere``: the network runs, and may mark, outside the brain too.
    """
    brain = case.labels > 0
    channels = case.channels.astype(np.float32)
    begin = time.perf_counter()
    probabilities = predict_tiled(
        engine,
        channels,
        np.ones_like(brain) if everywhere else brain,
        tile_zyx=config.tile_zyx,
        overlap=config.overlap,
        both_ways=len(channels) == 2,
    )
    seconds = time.perf_counter() - begin
    acute, old = masks(probabilities, config, case.voxel_ml)
    prediction = Prediction(acute=acute, old=old if len(probabilities) > 1 else None, brain=brain, seconds=seconds)
    truth = Truth(acute=case.labels == ACUTE, old=case.labels == OLD, brain=brain)
    return evaluate_case(prediction, truth, Geometry.regular(brain.shape, case.spacing_mm_zyx), about)


def _results(record: Record[CaseResult], held_out: Iterable[Prepared]) -> tuple[CaseResult, ...]:
    outcomes = (record.outcome(GROUP, case.id) for case in held_out)
    return tuple(outcome for outcome in outcomes if isinstance(outcome, CaseResult))


def _say(tell: Tell, where: str, what: str) -> None:
    tell(f"{where}: {what}")

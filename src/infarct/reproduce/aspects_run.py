"""Training and testing every row of the experiments on DA-Net.

What is done is found again: each row lies in a folder named by a digest of all that decides its results, and a training
goes on from its last checkpoint. Rows need nothing of one another, so they may be worked on side by side.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from infarct import __version__
from infarct.anatomy import Region, Side, region_label
from infarct.cohorts.phantom import phantom_cases
from infarct.errors import BadRequest
from infarct.evaluation.aspects_ablation import PUBLISHED_FULL, RegionCall, RegionRun
from infarct.files import write_whole
from infarct.findings import INTENDED_USE
from infarct.preprocess.region_input import PAIR
from infarct.reproduce.aspects_rows import FULL_MODEL, TEST_PRESET, AspectsRow, AspectsStudy
from infarct.reproduce.place import MODELS, ROWS, TRAINING, claim_folder, named_by
from infarct.reproduce.side_by_side import Tell, side_by_side
from infarct.training.aspects_finish import export_networks, group_engines, judge_groups
from infarct.training.aspects_scores import Judged, RegionPoint, operating_points, probability
from infarct.training.cases import Order, digest_of
from infarct.training.fit import Machine, fit
from infarct.training.region_cases import prepare_ordered, prepare_region_cases
from infarct.training.region_store import StoredRegions, cases_of, list_part, load_region_cases, read_region_index

TRAINED_ON: Final = "cases"
TESTED_ON: Final = "test_cases"
LISTED: Final = "listed"
"""Indexes of the cases that rows are trained on."""
RESULTS: Final = "results.json"
LAYOUT: Final = 1
"""Raised when stored results change in meaning."""


@dataclass(frozen=True)
class StudyCases:
    """Folders of prepared cases: ``source`` of all that rows are trained on and calibrated with, ``test`` of others."""

    source: Path
    test: Path


@dataclass(frozen=True)
class RowWork:
    """A row that is to be trained and tested: its folder, its cases, and on which side each tested patient's stroke is.

    ``settings`` are all that decides its results.
    """

    row: AspectsRow
    place: Path
    cases: Path
    test: Path
    sides: Mapping[str, Side | None]
    settings: Mapping[str, Any]
    cache: Path


def prepare_aspects_study(
    study: AspectsStudy,
    folder: Path,
    *,
    cases: Path | None = None,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> StudyCases:
    """Prepare all patients in ``folder`` with ``jobs`` processes; those to train on are in ``cases``, if it is given.

    Nothing is written there. ``on_done`` is told how many of how many are there. Raises `BadRequest` where the folder
    holds something else or another study, and what `cases_of` does where ``cases`` lack a patient.
    """
    if cases is not None:
        cases_of(study.plan, cases)  # raises before anything is written
    claim_folder(folder, {"paper": "aspects", "size": study.name})
    source = cases or folder / TRAINED_ON
    test = folder / TESTED_ON
    total = study.patient_count
    others = total - study.test_patients
    if cases is None:
        prepare_region_cases(study.plan, source, jobs=jobs, on_done=lambda done, _: on_done(done, total))
    orders = [Order(TEST_PRESET, index, "test") for index in range(study.test_patients)]
    setting = study.plan.setting
    prepare_ordered(orders, test, setting=setting, jobs=jobs, on_done=lambda done, _: on_done(others + done, total))
    return StudyCases(source, test)


def run_aspects_study(
    study: AspectsStudy,
    prepared: StudyCases,
    folder: Path,
    *,
    jobs: int = 1,
    tell: Tell = lambda _: None,
    machine: Machine | None = None,
) -> dict[str, RegionRun]:
    """Train and test all rows in ``folder``, ``jobs`` at a time, and return the calls of each by its name.

    What an earlier run finished is read, and what it began goes on.
    """
    sides = stroke_sides(study.test_patients)
    works = {row.name: _work(row, prepared, folder, sides) for row in study.rows}
    waiting = {name: work for name, work in works.items() if not (work.place / RESULTS).exists()}
    if len(waiting) < len(works):
        tell(f"{len(works) - len(waiting)} of {len(works)} rows were done before")
    side_by_side(partial(run_row, machine=machine), waiting, jobs=jobs, tell=tell)
    return {name: read_row(work) for name, work in works.items()}


def run_row(work: RowWork, *, machine: Machine | None = None) -> None:
    """Train a row, choose its operating points on the validation patients and judge those held out."""
    recipe = work.row.recipe
    checkpoint = fit(recipe, work.cases, work.place / TRAINING, resume=True, machine=machine)
    engines = group_engines(export_networks(checkpoint, name=recipe.name), recipe, cache=work.cache)
    index = read_region_index(work.cases)
    measured = judge_groups(engines, load_region_cases(index, index.of("validation")), recipe)
    points = operating_points(measured)
    tested = read_region_index(work.test)
    calls: list[RegionCall] = []
    for case in load_region_cases(tested, tested.of("test")):
        found = judge_groups(engines, [case], recipe)
        calls += sorted(
            _calls(case, found, points, work.sides[case.id]),
            key=lambda call: region_label(call.region, call.side),  # the same order, whatever the groups
        )
    content = {
        "intended_use": INTENDED_USE,
        "settings": work.settings,
        "operating_points": {group: asdict(point) for group, point in points.items()},
        "calls": [asdict(call) for call in calls],
    }
    write_whole(work.place / RESULTS, (json.dumps(content) + "\n").encode())


def read_row(work: RowWork) -> RegionRun:
    """Return the calls of a finished row. Raises `BadRequest` where they are damaged."""
    try:
        stored = json.loads((work.place / RESULTS).read_text(encoding="utf-8"))
        calls = tuple(RegionCall(**call) for call in stored["calls"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest("the results of a row are damaged; delete its folder, or give a new one") from error
    published = PUBLISHED_FULL if work.row.name == FULL_MODEL else ()
    return RegionRun(work.row.name, calls, work.row.training_patients, published)


def _work(row: AspectsRow, prepared: StudyCases, folder: Path, sides: Mapping[str, Side | None]) -> RowWork:
    """Return what is to be done for a row, with a folder of cases that lists its own patients alone."""
    plan = row.recipe.phantoms
    part = folder / LISTED / named_by(f"{row.training_patients} patients", asdict(plan))
    cases = list_part(prepared.source, plan, part)
    settings = {
        "layout": LAYOUT,
        "infarct_version": __version__,
        "recipe": row.recipe.as_data(),
        "cases": digest_of(cases),
        "test": digest_of(prepared.test),
    }
    return RowWork(
        row=row,
        place=folder / ROWS / named_by(row.name, settings),
        cases=cases,
        test=prepared.test,
        sides=sides,
        settings=settings,
        cache=folder / MODELS,
    )


def stroke_sides(count: int) -> dict[str, Side | None]:
    """Return the side of the stroke of each of the first ``count`` patients to test on, by their ids."""
    return {case.id: case.clinical.side for case in phantom_cases(TEST_PRESET, "test", range(count))}


def _calls(
    case: StoredRegions,
    found: Mapping[str, Mapping[Region, Judged]],
    points: Mapping[str, RegionPoint],
    side_of_stroke: Side | None,
) -> Iterator[RegionCall]:
    """Yield the calls of a case's regions."""
    for group, regions in found.items():
        point = points[group]
        for region, judged in regions.items():
            known = probability(judged.logits, temperature=point.temperature, bias=point.bias)
            for side, value, affected in zip(PAIR, known, judged.affected, strict=True):
                yield RegionCall(
                    patient=case.id,
                    region=region,
                    side=side,
                    of_stroke=side == side_of_stroke,
                    affected=bool(affected),
                    probability=float(value),
                    found=bool(value >= point.threshold),
                )

"""The segmentation over cohorts: which scans there are, what is asked of each, and what one scan gives."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from infarct import __version__
from infarct.cohorts import Case, Cohort, LabelledScan
from infarct.cohorts.detect import open_cohort
from infarct.cohorts.phantom import phantom_cases
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation.gallery import case_picture
from infarct.evaluation.run import Evaluated, Task, Work
from infarct.evaluation.segment import CaseAbout, Prediction, Truth, evaluate_case
from infarct.evaluation.thick import thickened
from infarct.phantom import Preset, Split
from infarct.phantom.presets import FROZEN_SPLITS, TEST_SIZES
from infarct.pipeline import prepare_head
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems.segment import Segmenter, drawn_on, load_segmenter, segment
from infarct.volume import Scan, resample_mask

PHANTOM: Final = "phantom:"


@dataclass(frozen=True)
class Named:
    """A cohort with the name that it has in tables."""

    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class SegmentOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, weights and how they run.

    ``slice_mm`` averages thin slices to that thickness first; of cohorts that are parted, ``split`` is the part wanted.
    """

    cohorts: tuple[str, ...]
    weights: str | Path | None = None
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    slice_mm: float | None = None
    split: str | None = None


PredictCase = Callable[[Scan], Prediction]


def open_named(order: SegmentOrder) -> tuple[Named, ...]:
    """Return the cohorts of an order. Raises `BadRequest` where one cannot be opened or two have one name."""
    found = tuple(_opened(text, order) for text in order.cohorts)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise BadRequest("two cohorts have the same name; give them names: --cohort NAME=DIR")
    return found


def _opened(text: str, order: SegmentOrder) -> Named:
    name, given, place = text.rpartition("=")
    if place.startswith(PHANTOM):
        cohort, kind = _phantoms(place, order.first)
    else:
        cohort = open_cohort(Path(place))
        kind = cohort.kind
    if order.slice_mm is not None:
        kind = f"{kind} {order.slice_mm:g} mm"
    cases = _of_split(cohort.cases, order.split)[: order.first]
    if not cases:
        raise BadRequest("a cohort holds no case that can be evaluated; infarct cohort check says why")
    return Named(name if given else kind, cases)


def _of_split(cases: tuple[Case, ...], split: str | None) -> tuple[Case, ...]:
    if split is None:
        return cases
    chosen = tuple(case for case in cases if case.stratum.get("split") == split)
    if not chosen:
        known = sorted({case.stratum["split"] for case in cases if "split" in case.stratum})
        parts = f"its parts are {', '.join(known)}" if known else "it is not parted"
        raise BadRequest(f"a cohort has no case of the split that --split names; {parts}")
    return chosen


def _phantoms(text: str, first: int | None) -> tuple[Cohort, str]:
    """Return the phantoms that phantom:PRESET:SPLIT names; a frozen cohort has its own size."""
    parts = text.removeprefix(PHANTOM).split(":")
    preset = next((one for one in get_args(Preset) if one == parts[0]), None)
    split = next((one for one in get_args(Split) if len(parts) == 2 and one == parts[1]), None)
    if preset is None or split is None:
        presets, splits = (", ".join(get_args(names)) for names in (Preset, Split))
        raise BadRequest(f"give phantoms as phantom:PRESET:SPLIT; presets are {presets}; splits are {splits}")
    count = first
    if split in FROZEN_SPLITS:
        count = min(first or TEST_SIZES[preset], TEST_SIZES[preset])
    if count is None:
        raise BadRequest("say how many phantoms with --first: this split has no size of its own")
    return Cohort("phantom", phantom_cases(preset, split, range(count))), f"{preset} {split}"


def tasks_of(cohorts: Sequence[Named]) -> tuple[Task, ...]:
    """Return a task for each scan."""
    return tuple(
        Task(cohort.name, case.key, number, index, case.fingerprint)
        for number, cohort in enumerate(cohorts)
        for index, case in enumerate(cohort.cases)
    )


def settings_of(order: SegmentOrder, cohorts: Sequence[Named], segmenter: Segmenter) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many of the first scans are wanted is left out, so that a later run may go on with more.
    """
    used, engine = segmenter.weights, segmenter.engine
    return {
        "system": used.system,
        "weights": {"name": used.name, "sha256": used.sha256},
        "config": asdict(segmenter.config),
        "engine": {name: getattr(engine, name) for name in ("name", "version", "precision", "device")},
        "slice_mm": order.slice_mm,
        "split": order.split,
        "cohorts": [{"name": one.name, "first_case": _digest(one.cases[0])} for one in cohorts],
        "infarct_version": __version__,
    }


def _digest(case: Case) -> str:
    """Return a hash that tells cohorts apart and names no patient."""
    return hashlib.sha256(f"{case.id}|{case.target}".encode()).hexdigest()[:16]


def begin_segment(order: SegmentOrder) -> Work:
    """Load the system and open the cohorts in this process, one among others; return what evaluates one scan."""
    return segment_work(open_named(order), open_segmenter(order, threads=1), slice_mm=order.slice_mm)


def open_segmenter(order: SegmentOrder, *, threads: int | None = None) -> Segmenter:
    """Return the system of an order on ``threads`` threads, all cores if None.

    Raises `BadRequest` where its weights do not load.
    """
    return load_segmenter(order.weights, device=order.device, precision=order.precision, threads=threads)


def segment_work(cohorts: Sequence[Named], segmenter: Segmenter, *, slice_mm: float | None = None) -> Work:
    """Return what evaluates one scan of ``cohorts`` with ``segmenter``."""

    def work(task: Task) -> Evaluated:
        case = cohorts[task.cohort].cases[task.index]
        labelled = case.load()
        if slice_mm is not None:
            labelled = thickened(labelled, slice_mm)
        found = evaluate_labelled(case, labelled, lambda scan: predict_scan(scan, segmenter), group=task.group)
        # The task's: taken before the files were read, so that a change meanwhile is seen the next time.
        about = replace(found.result.about, fingerprint=task.fingerprint)
        return Evaluated(replace(found.result, about=about), found.picture)

    return work


def predict_scan(scan: Scan, segmenter: Segmenter) -> Prediction:
    """Return what `analyze` would answer about a scan, on the scan's own geometry."""
    begin = time.perf_counter()
    head = prepare_head(scan)
    result = segment(scan, head, segmenter)
    drawn = drawn_on(scan.geometry, result, head)
    return Prediction(
        acute=drawn.infarct,
        old=None if result.old_infarct is None else drawn.old_infarct,
        probability=drawn.probability,
        brain=resample_mask(head.brain, head.geometry, scan.geometry),
        seconds=time.perf_counter() - begin,
    )


def evaluate_labelled(case: Case, labelled: LabelledScan, predict: PredictCase, *, group: str) -> Evaluated:
    """Return the result and the picture of one case; ``predict`` answers on the scan's geometry.

    Raises `StepFailed` where nobody labelled the lesion, and whatever ``predict`` raises.
    """
    if labelled.lesion is None:
        raise StepFailed("the case has no lesion mask, so there is nothing to compare with")
    prediction = predict(labelled.scan)
    brain = prediction.brain if labelled.intracranial is None else labelled.intracranial
    truth = Truth(labelled.lesion, labelled.old, brain)
    onset_h = case.clinical.onset_h
    about = CaseAbout(
        case.key,
        case.patient_key,
        group,
        case.target,
        onset_h=math.nan if onset_h is None else onset_h,
        detectability=math.nan if labelled.detectability is None else labelled.detectability,
    )
    result = evaluate_case(prediction, truth, labelled.scan.geometry, about)
    return Evaluated(result, case_picture(labelled.scan, prediction, truth))
